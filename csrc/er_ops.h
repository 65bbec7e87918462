/* er_ops.h - the operators, one row each: ids are the wire, append-only; a changed meaning is a new
 * id.
 *
 * To add one: write er_op_NAME() in er_ops_*.c, add its row here with the next free id, and the
 * same id and name in edge_runtime/features/reference/. A kernel sees one channel of a full window,
 * all finite; what it returns beyond float's range is written as NaN, and -0 as 0, by
 * er_windows_compute().
 */
#ifndef ER_OPS_H
#define ER_OPS_H

#include "er_internal.h"

/* X(id, name, number of parameters, unit, what parameters are allowed, their check, ER_NEED_*) */
#define ER_OPS(X)                                                                                  \
    X(1, mean, 0, "x", "", none, 0)                                                                \
    X(2, std, 0, "x", "", none, 0)                                                                 \
    X(3, rms, 0, "x", "", none, 0)                                                                 \
    X(4, min, 0, "x", "", none, 0)                                                                 \
    X(5, max, 0, "x", "", none, 0)                                                                 \
    X(6, median, 0, "x", "", none, ER_NEED_KEYS)                                                   \
    X(7, zero_crossings, 0, "count", "", none, 0)                                                  \
    X(8, mad_diff, 0, "x", "", none, 0)                                                            \
    X(9, band_power, 2, "x^2", "0 <= f0 < f1 and f0 <= rate/2 [Hz]", band, ER_NEED_SPECTRUM)       \
    X(10, var, 0, "x^2", "", none, 0)                                                              \
    X(11, energy, 0, "x^2", "", none, 0)                                                           \
    X(12, range, 0, "x", "", none, 0)                                                              \
    X(13, argmin, 0, "1", "", none, 0)                                                             \
    X(14, argmax, 0, "1", "", none, 0)                                                             \
    X(15, skewness, 0, "1", "", none, 0)                                                           \
    X(16, kurtosis, 0, "1", "", none, 0)                                                           \
    X(17, quantile, 1, "x", "0 <= p <= 1", probability, ER_NEED_KEYS)                              \
    X(18, iqr, 0, "x", "", none, ER_NEED_KEYS)                                                     \
    X(19, mad, 0, "x", "", none, ER_NEED_KEYS | ER_NEED_VALUES)                                    \
    X(20, abs_sum_change, 0, "x", "", none, 0)                                                     \
    X(21, mean_crossings, 0, "count", "", none, 0)                                                 \
    X(22, slope, 0, "x/s", "", none, 0)                                                            \
    X(23, autocorrelation, 1, "1", "a whole lag, 1 <= lag < window [frames]", lag, 0)              \
    X(24, crest_factor, 0, "1", "", none, 0)                                                       \
    X(25, shape_factor, 0, "1", "", none, 0)                                                       \
    X(26, hjorth_mobility, 0, "1", "", none, 0)                                                    \
    X(27, hjorth_complexity, 0, "1", "", none, 0)                                                  \
    X(28, count_above, 1, "count", "a threshold that float32 can hold", threshold, 0)              \
    X(29, count_below, 1, "count", "a threshold that float32 can hold", threshold, 0)              \
    X(30, longest_run_above, 1, "count", "a threshold that float32 can hold", threshold, 0)        \
    X(31, first, 0, "x", "", none, 0)                                                              \
    X(32, last, 0, "x", "", none, 0)                                                               \
    X(33, delta, 0, "x", "", none, 0)                                                              \
    X(34, count, 0, "count", "", none, 0)                                                          \
    X(35, spectral_centroid, 0, "Hz", "", none, ER_NEED_SPECTRUM)                                  \
    X(36, spectral_spread, 0, "Hz", "", none, ER_NEED_SPECTRUM)                                    \
    X(37, spectral_rolloff, 1, "Hz", "0 < fraction < 1", fraction, ER_NEED_SPECTRUM)               \
    X(38, spectral_flatness, 0, "1", "", none, ER_NEED_SPECTRUM)                                   \
    X(39, spectral_entropy, 0, "1", "", none, ER_NEED_SPECTRUM)                                    \
    X(40, dominant_frequency, 0, "Hz", "", none, ER_NEED_SPECTRUM)                                 \
    X(41, dominant_power, 0, "x^2", "", none, ER_NEED_SPECTRUM)                                    \
    X(42, goertzel, 1, "x^2", "0 < f < rate/2 [Hz]", tone, 0)                                      \
    X(43, histogram_entropy, 1, "1", "a whole number of bins, 2 <= bins <= 256", bins, 0)

#define ER_DECLARE(id, name, n_params, unit, limits, check, needs)                                 \
    float er_op_##name(er_view *v, const float *param);
ER_OPS(ER_DECLARE)
#undef ER_DECLARE

/* The mean as operator 1 gives it, made once a channel. */
float er_view_mean(er_view *v);
/* The mean in double: that of operator 1 and the mean of what is left. Not finite where the sum
 * passes float's range. */
double er_view_centre(er_view *v);
/* The moments, made once a channel; call it where hi > lo only. */
const er_moments *er_view_moments(er_view *v);
/* Power of two p with 1/2 <= p * size < 4, as far as float goes; size >= 0. Scaling by it is exact
 * and keeps a square from passing float's range. */
float er_scale_of(float size);

/* Floats as integers of the same order: flip all bits of a negative, the sign of a positive. */
static inline uint32_t er_key_of(float x)
{
    const uint32_t b = er_float_bits(x + 0.0f); /* -0 -> 0: they are one value */
    return b ^ ((b >> 31) ? 0xffffffffu : 0x80000000u);
}

static inline float er_value_of(uint32_t key)
{
    return er_float_from_bits(key ^ ((key >> 31) ? 0x80000000u : 0xffffffffu));
}

#endif
