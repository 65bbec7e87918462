/* er_ops.h - the window operators: each er_ops_*.c ends with the rows of its kernels. Ids are the
 * wire, append-only; a changed meaning is a new id.
 *
 * To add one: write op_NAME() and its row (the next free id of 1..999) in er_ops_*.c, and the same
 * id and name in edge_runtime/features/reference/. A kernel sees one channel of a full window (or
 * two), all finite; what it returns beyond float's range is written as NaN, and -0 as 0, by
 * er_windows_compute().
 */
#ifndef ER_OPS_H
#define ER_OPS_H

#include "er_internal.h"

typedef struct er_table {
    const er_kernel *rows;
    uint32_t n;
} er_table;

/* id, name, number of parameters, unit, what parameters are allowed, their check, ER_NEED_*, and an
 * example of each parameter */
#define ER_OP(id, name, n_params, unit, limits, check, needs, ...)                                 \
    {{id, ER_KIND_WINDOW, n_params, 1, 1, #name, unit, limits, {__VA_ARGS__}},                     \
     op_##name,                                                                                    \
     er_##check##_ok,                                                                              \
     needs}
/* The same for one of two channels: v->other. */
#define ER_OP_TWO(id, name, n_params, unit, limits, check, needs, ...)                             \
    {{id, ER_KIND_WINDOW, n_params, 2, 2, #name, unit, limits, {__VA_ARGS__}},                     \
     op_##name,                                                                                    \
     er_##check##_ok,                                                                              \
     needs}

extern const er_table er_ops_time, er_ops_shape, er_ops_order, er_ops_spectrum, er_ops_pair,
    er_ops_mel;

/* Checks of parameters, see er_ops.c. */
typedef int er_check(const float *param, float rate_hz, uint32_t window);
er_check er_none_ok, er_band_ok, er_probability_ok, er_fraction_ok, er_threshold_ok, er_lag_ok,
    er_histogram_ok, er_tone_ok, er_mel_ok;
/* A whole number least..most? */
int er_is_whole(float x, uint32_t least, uint32_t most);

/* The mean as operator 1 gives it, made once a channel. */
float er_view_mean(er_view *v);
/* The mean in double: that of operator 1 and the mean of what is left. Not finite where the sum
 * passes float's range. */
double er_view_centre(er_view *v);
/* Sums about the mean, made once a channel. */
const er_offsets *er_view_offsets(er_view *v);
/* The moments, made once a channel; call it where hi > lo only. */
const er_moments *er_view_moments(er_view *v);
/* re + i im <- sum (x - mean) exp(2 pi i turn t) over the window; turn: 0 .. 1/2. */
void er_view_tone(er_view *v, double turn, double *re, double *im);
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
