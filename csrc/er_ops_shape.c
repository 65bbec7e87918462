/* er_ops_shape.c - operators that no scale of x changes. A constant has no shape: 0 (crest and
 * shape factor: where all are zero). Everything is scaled by a power of two first, so no square,
 * cube or fourth power passes float's range. */
#include "er_ops.h"
#include "er_sum.h"

float er_scale_of(float size)
{
    const uint32_t exponent = er_float_bits(size) >> 23; /* biased by 127 */
    const uint32_t wanted = exponent < 253 ? 254 - exponent : 1;
    return er_float_from_bits((wanted > 253 ? 253 : wanted) << 23);
}

/* ---- moments ---- */

#define Z(i) (t->x[i] * t->a - t->b)
#define Z2(i) (Z(i) * Z(i))
#define ZLAG(i) (Z(i) * Z((i + t->lag)))
ER_DEFINE_SUM(sum_z, Z)
ER_DEFINE_SUM(sum_z2, Z2)
ER_DEFINE_SUM(sum_lagged, ZLAG)

static er_terms terms_of(const er_view *v, const er_moments *m)
{
    return (er_terms){.x = v->x, .a = m->scale, .b = m->c};
}

const er_moments *er_view_moments(er_view *v)
{
    er_moments *m = &v->moments;
    if (v->has_moments) return m;
    v->has_moments = 1;
    const float size = v->hi * 0.5f - v->lo * 0.5f;
    const er_offsets *d = er_view_offsets(v);
    m->scale = 1.0f;
    m->sum = d->sum;
    double squares = d->squares;
    if (!(size > 1e-6f && size < 1e6f)) {
        m->scale = er_scale_of(size);
        const er_terms t = {.x = v->x, .a = m->scale, .b = er_view_mean(v) * m->scale};
        m->sum = sum_z(&t, v->n);
        squares = sum_z2(&t, v->n);
    }
    m->c = er_view_mean(v) * m->scale;
    m->rest = m->sum / v->n;
    m->m2 = squares / v->n - m->rest * m->rest;
    m->has_powers = 0;
    return m;
}

/* Both terms of a block in one loop. */
static void powers_of(const float *restrict x, size_t n, float scale, float c, float *restrict z3,
                      float *restrict z4)
{
    for (size_t i = 0; i < n; i++) {
        const float z = x[i] * scale - c, z2 = z * z;
        z3[i] = z2 * z;
        z4[i] = z2 * z2;
    }
}

/* The moments with those of third and fourth power. */
static const er_moments *powers(er_view *v)
{
    float z3[ER_SUM_BLOCK], z4[ER_SUM_BLOCK];
    er_view_moments(v);
    er_moments *m = &v->moments;
    if (m->has_powers) return m;
    m->has_powers = 1;
    m->s3 = m->s4 = 0.0;
    for (uint32_t at = 0; at < v->n; at += ER_SUM_BLOCK) {
        const uint32_t len = v->n - at < ER_SUM_BLOCK ? v->n - at : ER_SUM_BLOCK;
        powers_of(v->x + at, len, m->scale, m->c, z3, z4);
        m->s3 += (double)er_sum_block(z3, len);
        m->s4 += (double)er_sum_block(z4, len);
    }
    m->s3 /= v->n;
    m->s4 /= v->n;
    return m;
}

/* m3 / m2^1.5 [1], population: the third central moment from those about c. */
static float op_skewness(er_view *v, const float *param)
{
    (void)param;
    if (v->lo == v->hi) return 0.0f;
    const er_moments *m = powers(v);
    const double d = m->rest, m3 = m->s3 - d * (3.0 * m->m2 + d * d);
    return (float)(m3 / (m->m2 * (double)__builtin_sqrtf((float)m->m2)));
}

/* m4 / m2^2 - 3 [1], population: 0 for a normal distribution. */
static float op_kurtosis(er_view *v, const float *param)
{
    (void)param;
    if (v->lo == v->hi) return 0.0f;
    const er_moments *m = powers(v);
    const double d = m->rest;
    const double m4 = m->s4 - d * (4.0 * m->s3 - d * (6.0 * m->m2 + 3.0 * d * d));
    return (float)(m4 / (m->m2 * m->m2) - 3.0);
}

/* sum (x[i]-mean)(x[i+lag]-mean) / sum (x[i]-mean)^2 [1], -1..1 (Box, Jenkins 1976, 2.1.5). */
static float op_autocorrelation(er_view *v, const float *param)
{
    if (v->lo == v->hi) return 0.0f;
    const er_moments *m = er_view_moments(v);
    const uint32_t lag = (uint32_t)param[0], pairs = v->n - lag;
    er_terms t = terms_of(v, m);
    t.lag = lag;
    const double both = sum_lagged(&t, pairs), tail = m->sum - sum_z(&t, lag);
    t.x += pairs;
    const double head = m->sum - sum_z(&t, lag);
    const double d = m->rest, product = both - d * (head + tail) + pairs * d * d;
    return (float)(product / (m->m2 * v->n));
}

/* ---- about zero ---- */

#define SIZE(i) __builtin_fabsf(t->x[i] * t->a)
ER_DEFINE_SUM(sum_sizes, SIZE)

static float peak_of(const er_view *v) { return v->hi < -v->lo ? -v->lo : v->hi; }

/* Root mean square of x * t->a. */
static double scaled_rms(const er_terms *t, uint32_t n)
{
    return (double)__builtin_sqrtf((float)(sum_z2(t, n) / n));
}

/* max |x| / rms [1], 1..sqrt(n); 0 where all are zero. */
static float op_crest_factor(er_view *v, const float *param)
{
    (void)param;
    const float peak = peak_of(v);
    if (peak == 0.0f) return 0.0f;
    const er_terms t = {.x = v->x, .a = er_scale_of(peak)};
    return (float)((double)(peak * t.a) / scaled_rms(&t, v->n));
}

/* rms / mean |x| [1], 1..sqrt(n); 0 where all are zero. */
static float op_shape_factor(er_view *v, const float *param)
{
    (void)param;
    const float peak = peak_of(v);
    if (peak == 0.0f) return 0.0f;
    const er_terms t = {.x = v->x, .a = er_scale_of(peak)};
    return (float)(scaled_rms(&t, v->n) / (sum_sizes(&t, v->n) / v->n));
}

/* ---- Hjorth ---- */

/* Differences in double and rounded once less their mean: a slow ramp must not drown them. */
#define AT(i) ((double)t->x[i])
#define DIFF(i) ((float)((AT((i + 1)) - AT(i)) * t->s - t->m))
#define DIFF_2(i) (DIFF(i) * DIFF(i))
#define BEND(i) ((float)(((AT((i + 2)) - AT((i + 1))) - (AT((i + 1)) - AT(i))) * t->s - t->m))
#define BEND_2(i) (BEND(i) * BEND(i))
ER_DEFINE_SUM(sum_diffs, DIFF_2)
ER_DEFINE_SUM(sum_bends, BEND_2)

/* Variance of x[i+1]-x[i] over that of x, 0..4. The mean difference needs the two ends alone. */
static double mobility_squared(er_view *v, er_terms *t)
{
    const er_moments *m = er_view_moments(v);
    const uint32_t n = v->n - 1;
    *t = (er_terms){.x = v->x, .s = (double)m->scale};
    t->m = ((double)v->x[n] - (double)v->x[0]) * t->s / n;
    return sum_diffs(t, n) / n / m->m2;
}

/* std(x') / std(x) [1], x' = differences of neighbours, 0..2 (Hjorth 1970). */
static float op_hjorth_mobility(er_view *v, const float *param)
{
    (void)param;
    er_terms t;
    return v->lo == v->hi ? 0.0f : __builtin_sqrtf((float)mobility_squared(v, &t));
}

/* mobility(x') / mobility(x) [1] (Hjorth 1970); 0 where mobility(x) is below 1e-10: then x' is a
 * constant but for rounding. */
static float op_hjorth_complexity(er_view *v, const float *param)
{
    (void)param;
    er_terms t;
    if (v->lo == v->hi || v->n < 3) return 0.0f;
    const double mobility = mobility_squared(v, &t);
    if (mobility < 1e-20) return 0.0f;
    const uint32_t n = v->n - 2;
    const double newest = (double)v->x[n + 1] - (double)v->x[n];
    t.m = (newest - ((double)v->x[1] - (double)v->x[0])) * t.s / n;
    const double bends = sum_bends(&t, n) / n / v->moments.m2;
    return __builtin_sqrtf((float)(bends / mobility / mobility));
}

/* ---- the table ---- */

static const er_kernel ROWS[] = {
    ER_OP(15, skewness, 0, "1", "", none, 0, 0),
    ER_OP(16, kurtosis, 0, "1", "", none, 0, 0),
    ER_OP(23, autocorrelation, 1, "1", "a whole lag, 1 <= lag < window [frames]", lag, 0, 1),
    ER_OP(24, crest_factor, 0, "1", "", none, 0, 0),
    ER_OP(25, shape_factor, 0, "1", "", none, 0, 0),
    ER_OP(26, hjorth_mobility, 0, "1", "", none, 0, 0),
    ER_OP(27, hjorth_complexity, 0, "1", "", none, 0, 0),
};
const er_table er_ops_shape = {ROWS, sizeof ROWS / sizeof *ROWS};
