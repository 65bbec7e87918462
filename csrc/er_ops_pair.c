/* er_ops_pair.c - operators of two channels, a (the feature's channel) and b (its other one), that
 * get their samples at the very same frames. A constant goes with nothing: 0. */
#include "er_math.h"
#include "er_ops.h"
#include "er_sum.h"

static int is_constant(const er_view *v) { return v->lo == v->hi; }
static double root(double square) { return (double)__builtin_sqrtf((float)square); }
static float to_unit(double r) { return r < -1.0 ? -1.0f : r > 1.0 ? 1.0f : (float)r; }

/* ---- at the same frame ---- */

/* Both scaled by their own powers of two, about their own means: see er_moments. */
#define ZA(i) (t->x[i] * t->a - t->b)
#define ZB(i) (t->w[i] * (float)t->s - (float)t->m)
#define ZZ(i) (ZA(i) * ZB(i))
ER_DEFINE_SUM(sum_products, ZZ)

/* Mean of za * zb about their means; neither is constant. */
static double scaled_covariance(er_view *a)
{
    const er_moments *ma = er_view_moments(a), *mb = er_view_moments(a->other);
    const er_terms t = {.x = a->x,
                        .w = a->other->x,
                        .a = ma->scale,
                        .b = ma->c,
                        .s = (double)mb->scale,
                        .m = (double)mb->c};
    return sum_products(&t, a->n) / a->n - ma->rest * mb->rest;
}

/* (1/n) sum (a-mean)(b-mean) over the deviations [1], -1..1 (Pearson 1895). */
static float op_correlation(er_view *v, const float *param)
{
    (void)param;
    if (is_constant(v) || is_constant(v->other)) return 0.0f;
    const double product = scaled_covariance(v);
    return to_unit(product / (root(v->moments.m2) * root(v->other->moments.m2)));
}

/* (1/n) sum (a-mean)(b-mean) [unit of a times unit of b], population. */
static float op_covariance(er_view *v, const float *param)
{
    (void)param;
    if (is_constant(v) || is_constant(v->other)) return 0.0f;
    const double product = scaled_covariance(v);
    return (float)(product / (double)v->moments.scale / (double)v->other->moments.scale);
}

#define SCALED_SQUARE(i) ((t->x[i] * t->a) * (t->x[i] * t->a))
ER_DEFINE_SUM(sum_scaled_squares, SCALED_SQUARE)

/* sum (x * scale)^2; *scale <- a power of two that keeps it in float's range. */
static double energy_of(const er_view *v, double *scale)
{
    const er_terms t = {.x = v->x, .a = er_scale_of(v->hi < -v->lo ? -v->lo : v->hi)};
    *scale = (double)t.a;
    return sum_scaled_squares(&t, v->n);
}

/* sum a^2 / sum b^2 [1], 0..; 0 where all a are zero, also over nothing. */
static float op_energy_ratio(er_view *v, const float *param)
{
    (void)param;
    double of_a, of_b;
    const double a = energy_of(v, &of_a), b = energy_of(v->other, &of_b);
    if (a <= 0.0) return 0.0f;
    const double scale = of_b / of_a, ratio = b > 0.0 ? a / b * scale * scale : DBL_MAX;
    return ratio <= (double)FLT_MAX ? (float)ratio : er_nan();
}

/* ---- at frames apart ---- */

#define PRODUCT(i) (t->x[i] * t->w[i])
ER_DEFINE_SUM(sum_of_products, PRODUCT)

/* to[n] <- x scaled, less its mean, rounded once. */
static void centre(er_view *v, float *to)
{
    const er_moments *m = er_view_moments(v);
    const double scale = (double)m->scale, mean = (double)m->c + m->rest;
    for (uint32_t i = 0; i < v->n; i++) to[i] = (float)((double)v->x[i] * scale - mean);
}

/* The lag of the greatest cross-correlation r(l) = (1/n) sum a[i] b[i+l] over the deviations, both
 * less their means, |l| <= most (Box, Jenkins 1976, 11.1.2). Of equals the smallest |l|, then l >
 * 0. */
static const er_lag *best_of(er_view *v, uint32_t most)
{
    er_lag *best = &v->lag;
    if (best->of == v->other->x && best->most == most) return best;
    *best = (er_lag){.of = v->other->x, .most = most};
    if (is_constant(v) || is_constant(v->other)) return best;
    float *a = v->pair, *b = v->pair + v->n;
    centre(v, a);
    centre(v->other, b);
    double greatest = sum_of_products(&(er_terms){.x = a, .w = b}, v->n);
    for (uint32_t l = 1; l <= most; l++) {
        const double later = sum_of_products(&(er_terms){.x = a, .w = b + l}, v->n - l);
        const double sooner = sum_of_products(&(er_terms){.x = a + l, .w = b}, v->n - l);
        if (later > greatest) greatest = later, best->lag = (int32_t)l;
        if (sooner > greatest) greatest = sooner, best->lag = -(int32_t)l;
    }
    const double size = root(v->moments.m2) * root(v->other->moments.m2);
    best->r = to_unit(greatest / v->n / size);
    return best;
}

/* How much later b does what a does [s]: the lag of the greatest cross-correlation within
 * max_lag frames. */
static float op_best_lag(er_view *v, const float *param)
{
    return (float)(best_of(v, (uint32_t)param[0])->lag / (double)v->rate_hz);
}

/* The greatest cross-correlation within max_lag frames [1], -1..1. */
static float op_lag_correlation(er_view *v, const float *param)
{
    return best_of(v, (uint32_t)param[0])->r;
}

/* ---- at one frequency ---- */

/* Phase of b less that of a at frequency f [rad], -pi..pi: the angle of conj(A) B. */
static float op_phase(er_view *v, const float *param)
{
    if (is_constant(v) || is_constant(v->other)) return 0.0f;
    const double turn = (double)param[0] / (double)v->rate_hz;
    double re_a, im_a, re_b, im_b;
    er_view_tone(v, turn, &re_a, &im_a);
    er_view_tone(v->other, turn, &re_b, &im_b);
    return (float)er_atan2(im_a * re_b - re_a * im_b, re_a * re_b + im_a * im_b);
}

/* ---- the table ---- */

static const er_kernel ROWS[] = {
    ER_OP_TWO(44, correlation, 0, "1", "", none, 0, 0),
    ER_OP_TWO(45, covariance, 0, "x*y", "", none, 0, 0),
    ER_OP_TWO(46, energy_ratio, 0, "1", "", none, 0, 0),
    ER_OP_TWO(47, best_lag, 1, "s", "a whole max_lag, 1 <= max_lag < window [frames]", lag,
              ER_NEED_PAIR, 8),
    ER_OP_TWO(48, lag_correlation, 1, "1", "a whole max_lag, 1 <= max_lag < window [frames]", lag,
              ER_NEED_PAIR, 8),
    ER_OP_TWO(49, phase, 1, "rad", "0 < f < rate/2 [Hz]", tone, 0, 3),
};
const er_table er_ops_pair = {ROWS, sizeof ROWS / sizeof *ROWS};
