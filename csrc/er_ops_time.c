/* er_ops_time.c - operators on the values in time: sums, extremes, counts. */
#include "er_ops.h"
#include "er_sum.h"

/* ---- mean and what follows from it ---- */

static float clamp(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }

/* Clamped to min..max, where rounding alone can leave it: so a constant has exactly its own mean,
 * and a std of exactly 0. */
float er_view_mean(er_view *v)
{
    if (!v->has_mean) v->mean = clamp((float)(er_sum(v->x, v->n) / v->n), v->lo, v->hi);
    v->has_mean = 1;
    return v->mean;
}

const er_offsets *er_view_offsets(er_view *v)
{
    er_offsets *o = &v->offsets;
    if (!v->has_offsets) er_sum_offsets(v->x, v->n, er_view_mean(v), &o->sum, &o->squares);
    v->has_offsets = 1;
    return o;
}

double er_view_centre(er_view *v)
{
    return (double)er_view_mean(v) + er_view_offsets(v)->sum / v->n;
}

/* (1/n) sum x [unit of x]. */
static float op_mean(er_view *v, const float *param)
{
    (void)param;
    return er_view_mean(v);
}

/* Population variance in double, at least 0; not finite where squares pass float's range. Two
 * passes with the corrected mean: sum d^2 - (sum d)^2/n with d = x - float(mean) (Chan, Golub,
 * LeVeque 1983, eq. 1.7). */
static double variance(er_view *v)
{
    const er_offsets *d = er_view_offsets(v);
    const double square = d->squares - d->sum * d->sum / v->n;
    return square > 0.0 ? square / v->n : square <= 0.0 ? 0.0 : square;
}

/* Population standard deviation sqrt((1/n) sum (x-mean)^2) [unit of x]. */
static float op_std(er_view *v, const float *param)
{
    (void)param;
    const double square = variance(v);
    return square > 0.0 ? __builtin_sqrtf((float)square) : 0.0f; /* NaN: 0, as it shipped */
}

/* Population variance (1/n) sum (x-mean)^2 [square of x's unit]. */
static float op_var(er_view *v, const float *param)
{
    (void)param;
    return (float)variance(v);
}

/* Hjorth's activity (1970): the variance under the name that goes with his other two. */
static float op_hjorth_activity(er_view *v, const float *param) { return op_var(v, param); }

/* sqrt((1/n) sum x^2) [unit of x]. */
static float op_rms(er_view *v, const float *param)
{
    (void)param;
    return __builtin_sqrtf((float)(er_sum_squares(v->x, v->n) / v->n));
}

/* sum x^2 [square of x's unit]. */
static float op_energy(er_view *v, const float *param)
{
    (void)param;
    return (float)er_sum_squares(v->x, v->n);
}

#define TREND(i) (((float)(int32_t)(i) - t->a) * (t->x[i] - t->b))
ER_DEFINE_SUM(trends, TREND)

/* Slope of the least-squares line over time [unit of x per second]: sum (i-c)(x-mean) / sum (i-c)^2
 * * rate, c = (n-1)/2. The rounding of the mean is multiplied by sum (i-c) = 0. */
static float op_slope(er_view *v, const float *param)
{
    (void)param;
    const double n = v->n, squares = n * (n * n - 1.0) / 12.0;
    const er_terms t = {.x = v->x, .a = (float)(v->n - 1) * 0.5f, .b = er_view_mean(v)};
    return (float)(trends(&t, v->n) / squares * (double)v->rate_hz);
}

/* ---- extremes and places ---- */

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

/* max - min [unit of x]. */
static float op_range(er_view *v, const float *param)
{
    (void)param;
    return v->hi - v->lo;
}

static float place_of(const er_view *v, float value)
{
    uint32_t i = 0;
    while (v->x[i] != value) i++; /* ends: lo and hi are values of x */
    return (float)i / (float)v->n;
}

/* Index of the first least value over n [1], 0 <= place < 1. */
static float op_argmin(er_view *v, const float *param)
{
    (void)param;
    return place_of(v, v->lo);
}

/* Index of the first greatest value over n [1], 0 <= place < 1. */
static float op_argmax(er_view *v, const float *param)
{
    (void)param;
    return place_of(v, v->hi);
}

/* Oldest value [unit of x]. */
static float op_first(er_view *v, const float *param)
{
    (void)param;
    return v->x[0];
}

/* Newest value [unit of x]. */
static float op_last(er_view *v, const float *param)
{
    (void)param;
    return v->x[v->n - 1];
}

/* Newest value minus the oldest [unit of x]. */
static float op_delta(er_view *v, const float *param)
{
    (void)param;
    return v->x[v->n - 1] - v->x[0];
}

/* ---- neighbours ---- */

/* Neighbours of which exactly one is below t. */
static float crossings(const er_view *v, float t)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i < v->n; i++) count += (v->x[i - 1] < t) != (v->x[i] < t);
    return (float)count;
}

/* Neighbours of which exactly one is below zero [count], 0..n-1. */
static float op_zero_crossings(er_view *v, const float *param)
{
    (void)param;
    return crossings(v, 0.0f);
}

/* Neighbours of which exactly one is below the mean [count], 0..n-1. x < centre in double is x < t
 * with t the least float that is not below centre. */
static float op_mean_crossings(er_view *v, const float *param)
{
    (void)param;
    const double centre = er_view_centre(v);
    float t = (float)centre;
    if (!er_is_finite(t)) return er_nan();
    if ((double)t < centre) t = er_value_of(er_key_of(t) + 1);
    return crossings(v, t);
}

/* Mean absolute difference of neighbours, (1/(n-1)) sum |x[i+1]-x[i]| [unit of x]. */
static float op_mad_diff(er_view *v, const float *param)
{
    (void)param;
    return (float)(er_sum_steps(v->x, v->n) / (v->n - 1));
}

/* sum |x[i+1]-x[i]| [unit of x]. */
static float op_abs_sum_change(er_view *v, const float *param)
{
    (void)param;
    return (float)er_sum_steps(v->x, v->n);
}

/* ---- counts ---- */

/* Values above the threshold [count], 0..n. */
static float op_count_above(er_view *v, const float *param)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < v->n; i++) count += v->x[i] > param[0];
    return (float)count;
}

/* Values below the threshold [count], 0..n. */
static float op_count_below(er_view *v, const float *param)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < v->n; i++) count += v->x[i] < param[0];
    return (float)count;
}

/* Most values in a row above the threshold [count], 0..n. */
static float op_longest_run_above(er_view *v, const float *param)
{
    uint32_t run = 0, longest = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        run = v->x[i] > param[0] ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return (float)longest;
}

/* Frames in the window [count]: n. */
static float op_count(er_view *v, const float *param)
{
    (void)param;
    return (float)v->n;
}

/* ---- the table ---- */

static const er_kernel ROWS[] = {
    ER_OP(1, mean, 0, "x", "", none, 0, 0),
    ER_OP(2, std, 0, "x", "", none, 0, 0),
    ER_OP(3, rms, 0, "x", "", none, 0, 0),
    ER_OP(4, min, 0, "x", "", none, 0, 0),
    ER_OP(5, max, 0, "x", "", none, 0, 0),
    ER_OP(7, zero_crossings, 0, "count", "", none, 0, 0),
    ER_OP(8, mad_diff, 0, "x", "", none, 0, 0),
    ER_OP(10, var, 0, "x^2", "", none, 0, 0),
    ER_OP(11, energy, 0, "x^2", "", none, 0, 0),
    ER_OP(12, range, 0, "x", "", none, 0, 0),
    ER_OP(13, argmin, 0, "1", "", none, 0, 0),
    ER_OP(14, argmax, 0, "1", "", none, 0, 0),
    ER_OP(20, abs_sum_change, 0, "x", "", none, 0, 0),
    ER_OP(21, mean_crossings, 0, "count", "", none, 0, 0),
    ER_OP(22, slope, 0, "x/s", "", none, 0, 0),
    ER_OP(28, count_above, 1, "count", "a threshold that float32 can hold", threshold, 0, 0),
    ER_OP(29, count_below, 1, "count", "a threshold that float32 can hold", threshold, 0, 0),
    ER_OP(30, longest_run_above, 1, "count", "a threshold that float32 can hold", threshold, 0, 0),
    ER_OP(31, first, 0, "x", "", none, 0, 0),
    ER_OP(32, last, 0, "x", "", none, 0, 0),
    ER_OP(33, delta, 0, "x", "", none, 0, 0),
    ER_OP(34, count, 0, "count", "", none, 0, 0),
    ER_OP(50, hjorth_activity, 0, "x^2", "", none, 0, 0),
};
const er_table er_ops_time = {ROWS, sizeof ROWS / sizeof *ROWS};
