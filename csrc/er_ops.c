/* er_ops.c - the operator table: ids are the wire, append-only; a changed meaning is a new id.
 *
 * To add one: write the kernel, add its row to KERNELS with the next free id, and the same id and
 * name in edge_runtime/features/reference/. A kernel sees one channel of a full window, all finite;
 * what it returns beyond float's range is written as NaN, and -0 as 0, by er_windows_compute().
 */
#include "er_internal.h"
#include "er_sum.h"

static float clamp(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }

/* (1/n) sum x [unit of x]. Clamped to min..max, where rounding alone can leave it: so a constant
 * has exactly its own mean, and a std of exactly 0. */
static float op_mean(er_view *v, const float *param)
{
    (void)param;
    return clamp((float)(er_sum(v->x, v->n) / v->n), v->lo, v->hi);
}

/* Population standard deviation sqrt((1/n) sum (x-mean)^2) [unit of x]. Two passes with the
 * corrected mean: sum d^2 - (sum d)^2/n with d = x - float(mean) (Chan, Golub, LeVeque 1983,
 * eq. 1.7). */
static float op_std(er_view *v, const float *param)
{
    const float mean = op_mean(v, param);
    const double d = er_sum_offsets(v->x, v->n, mean);
    const double square = er_sum_squares(v->x, v->n, mean) - d * d / v->n;
    return square > 0.0 ? __builtin_sqrtf((float)(square / v->n)) : 0.0f;
}

/* sqrt((1/n) sum x^2) [unit of x]. */
static float op_rms(er_view *v, const float *param)
{
    (void)param;
    return __builtin_sqrtf((float)(er_sum_squares(v->x, v->n, 0.0f) / v->n));
}

/* Least value [unit of x]. */
static float op_min(er_view *v, const float *param)
{
    (void)param;
    return v->lo;
}

/* Greatest value [unit of x]. */
static float op_max(er_view *v, const float *param)
{
    (void)param;
    return v->hi;
}

/* Floats as integers of the same order: flip all bits of a negative, the sign of a positive. */
static uint32_t key_of(float x)
{
    const uint32_t b = er_float_bits(x + 0.0f); /* -0 -> 0: they are one value */
    return b ^ ((b >> 31) ? 0xffffffffu : 0x80000000u);
}

static float value_of(uint32_t key)
{
    return er_float_from_bits(key ^ ((key >> 31) ? 0x80000000u : 0xffffffffu));
}

/* The k-th least of key[n], all in lo..hi; key is overwritten. Histogram of 256 equal bins, keep
 * the bin that holds k, repeat: lo..hi shrinks 256 times a round, so four rounds at most. */
static uint32_t select_key(uint32_t *key, uint32_t n, uint32_t k, uint32_t lo, uint32_t hi)
{
    while (lo < hi) {
        const uint32_t bits = 32 - (uint32_t)__builtin_clz(hi - lo),
                       shift = bits > 8 ? bits - 8 : 0;
        uint16_t count[256] = {0};
        for (uint32_t i = 0; i < n; i++) count[(key[i] - lo) >> shift]++;
        uint32_t bin = 0, kept = 0;
        while (k >= count[bin]) k -= count[bin++];
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t x = key[i];
            key[kept] = x;
            kept += (x - lo) >> shift == bin;
        }
        n = kept;
        if (n == 1) return key[0];
        lo += bin << shift;
        const uint32_t top = lo + ((1u << shift) - 1u);
        hi = top < hi ? top : hi;
    }
    return lo;
}

/* The k-th least of x[n], short n. Take values as pivots, from the middle on, and count: a pass is
 * a few vector compares, a pivot outside what is still possible costs nothing, so about 2 ln n
 * passes do. */
static float select_short(const float *x, uint32_t n, uint32_t k)
{
    float above = -er_float_from_bits(0x7f800000u), below = er_float_from_bits(0x7f800000u);
    for (uint32_t i = n / 2;; i = i + 1 < n ? i + 1 : 0) {
        const float pivot = x[i];
        if (!(pivot > above && pivot < below)) continue;
        uint32_t less = 0, not_more = 0;
        for (uint32_t j = 0; j < n; j++) {
            less += x[j] < pivot;
            not_more += x[j] <= pivot;
        }
        if (less > k)
            below = pivot;
        else if (not_more <= k)
            above = pivot;
        else
            return pivot; /* reached: x's k-th least always lies between above and below */
    }
}

static float select_long(er_view *v, uint32_t k)
{
    for (uint32_t i = 0; i < v->n; i++) v->keys[i] = key_of(v->x[i]);
    return value_of(select_key(v->keys, v->n, k, key_of(v->lo), key_of(v->hi)));
}

/* Middle value; of an even n the mean of the two middle ones, rounded once [unit of x]. */
static float op_median(er_view *v, const float *param)
{
    (void)param;
    const uint32_t k = (v->n - 1) / 2;
    const float a = v->n <= 128 ? select_short(v->x, v->n, k) : select_long(v, k);
    if (v->n % 2) return a;
    uint32_t not_above = 0;
    float b = v->hi; /* least value above a, if a is not itself both middle ones */
    for (uint32_t i = 0; i < v->n; i++) {
        const float x = v->x[i];
        not_above += x <= a;
        b = x > a && x < b ? x : b;
    }
    if (not_above > k + 1) return a;
    return (float)(((double)a + (double)b) / 2.0);
}

/* Neighbours of which exactly one is below zero [count], 0..n-1. */
static float op_zero_crossings(er_view *v, const float *param)
{
    (void)param;
    uint32_t count = 0;
    for (uint32_t i = 1; i < v->n; i++) count += (v->x[i - 1] < 0.0f) != (v->x[i] < 0.0f);
    return (float)count;
}

/* Mean absolute difference of neighbours, (1/(n-1)) sum |x[i+1]-x[i]| [unit of x]. */
static float op_mad_diff(er_view *v, const float *param)
{
    (void)param;
    return (float)(er_sum_steps(v->x, v->n) / (v->n - 1));
}

/* First bin k with k * rate/n >= f. Both products are exact in double (24 + 13 bits). */
static uint32_t bin_from(float f, float rate_hz, uint32_t n)
{
    const uint32_t end = n / 2 + 1;
    const double want = (double)f * n, rate = (double)rate_hz;
    if (want > rate * (end - 1)) return end;
    uint32_t k = (uint32_t)(want / rate);
    while (k > 0 && (k - 1) * rate >= want) k--;
    while (k * rate < want) k++;
    return k;
}

/* Mean power of f0 <= f < f1 [x^2]: the sum of the one-sided periodogram (rectangular window), bin
 * k at f = k * rate / n. By Parseval all bins, with DC and Nyquist, add up to the mean square. */
static float op_band_power(er_view *v, const float *param)
{
    if (!v->has_power) er_spectrum_run(v->spectrum, v->x, op_mean(v, param));
    v->has_power = 1;
    const uint32_t from = bin_from(param[0], v->rate_hz, v->n);
    const uint32_t to = bin_from(param[1], v->rate_hz, v->n);
    return (float)er_sum(v->spectrum->power + from, to - from);
}

static int band_ok(const float *param, float rate_hz)
{
    return param[0] >= 0.0f && param[0] < param[1] && er_is_finite(param[1]) &&
           param[0] <= rate_hz / 2.0f;
}

static const er_kernel KERNELS[] = {
    {{1, 0, "mean", "x"}, op_mean, NULL, 0},
    {{2, 0, "std", "x"}, op_std, NULL, 0},
    {{3, 0, "rms", "x"}, op_rms, NULL, 0},
    {{4, 0, "min", "x"}, op_min, NULL, 0},
    {{5, 0, "max", "x"}, op_max, NULL, 0},
    {{6, 0, "median", "x"}, op_median, NULL, ER_NEED_KEYS},
    {{7, 0, "zero_crossings", "count"}, op_zero_crossings, NULL, 0},
    {{8, 0, "mad_diff", "x"}, op_mad_diff, NULL, 0},
    {{9, 2, "band_power", "x^2"}, op_band_power, band_ok, ER_NEED_SPECTRUM},
};
enum { N_KERNELS = sizeof KERNELS / sizeof KERNELS[0] };

const er_kernel *er_kernel_find(uint16_t id)
{
    for (uint32_t i = 0; i < N_KERNELS; i++)
        if (KERNELS[i].info.id == id) return &KERNELS[i];
    return NULL;
}

er_status er_op(uint16_t index, er_op_info *out)
{
    if (!out || index >= N_KERNELS) return ER_EINVAL;
    *out = KERNELS[index].info;
    return ER_OK;
}
