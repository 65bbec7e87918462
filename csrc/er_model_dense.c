/* er_model_dense.c - layers: `dense` in double, `dense32` in float, and the steps that are rows of
 * constants against the values, `distance` and `gauss`. The order of every sum is part of the
 * meaning; the shapes of the loops are what compilers turn into vectors. */
#include <string.h>

#include "er_exp.h"
#include "er_model.h"

/* ---- dense: to[j] = bias[j] + sum from[i] w[j][i] ---- */

/* Term i is added to lane i % 4, the lanes as (0 + 2) + (1 + 3). */
static double dot(const double *restrict x, const double *restrict w, uint32_t n)
{
    double lane[4] = {0.0, 0.0, 0.0, 0.0};
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (uint32_t l = 0; l < 4; l++) lane[l] += x[i + l] * w[i + l];
    for (uint32_t l = 0; i + l < n; l++) lane[l] += x[i + l] * w[i + l];
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

static int dense_ok(const er_model_step *s, const void *constants)
{
    const uint64_t n = (uint64_t)s->m * s->n + s->m;
    return s->bytes == n * sizeof(double) && er_all_finite(constants, (size_t)n);
}

static void dense_run(const er_call *c)
{
    const uint32_t n = c->step->n, m = c->step->m;
    const double *w = c->constants, *bias = w + (size_t)m * n;
    for (uint32_t j = 0; j < m; j++) c->to[j] = bias[j] + dot(c->from, w + (size_t)j * n, n);
}

const er_step_kernel er_step_dense = {0, 0, 0, dense_ok, NULL, dense_run};

/* ---- dense32 ---- */

enum { RELU = 1, TANH = 2, LOGISTIC = 3, FEW = 8, MANY = 32 };

static int dense32_ok(const er_model_step *s, const void *constants)
{
    const uint64_t n = (uint64_t)er_up(s->m, FEW) * (s->n + 1);
    return s->bytes == n * sizeof(float) && er_all_finite_float(constants, (size_t)n);
}

static size_t dense32_work(const er_model_step *s, const void *constants)
{
    (void)constants;
    return (er_up(s->n, 2) + er_up(s->m, FEW)) * sizeof(float);
}

/* acc[width] <- bias + sum x[i] w[i][..], i ascending; rows of w are `stride` long. */
static inline void columns(const float *restrict x, uint32_t n, const float *restrict w,
                           uint32_t stride, const float *restrict bias, float *restrict acc,
                           uint32_t width)
{
    float sum[MANY];
    for (uint32_t l = 0; l < width; l++) sum[l] = bias[l];
    for (uint32_t i = 0; i < n; i++, w += stride)
        for (uint32_t l = 0; l < width; l++) sum[l] += x[i] * w[l];
    for (uint32_t l = 0; l < width; l++) acc[l] = sum[l];
}

static void activate(uint16_t how, float *acc, uint32_t m)
{
    if (how == RELU)
        for (uint32_t j = 0; j < m; j++) acc[j] = acc[j] < 0.0f ? 0.0f : acc[j];
    if (how == TANH)
        for (uint32_t j = 0; j < m; j++) acc[j] = (float)er_tanh((double)acc[j]);
    if (how == LOGISTIC)
        for (uint32_t j = 0; j < m; j++) acc[j] = (float)er_logistic((double)acc[j]);
}

static void dense32_run(const er_call *c)
{
    const uint32_t n = c->step->n, m = c->step->m, stride = er_up(m, FEW);
    const float *x = er_call_floats(c), *w = c->constants, *bias = w + (size_t)stride * n;
    float *acc = (float *)c->work + er_up(n, 2);
    uint32_t j = 0;
    for (; j + MANY <= stride; j += MANY) columns(x, n, w + j, stride, bias + j, acc + j, MANY);
    for (; j < stride; j += FEW) columns(x, n, w + j, stride, bias + j, acc + j, FEW);
    activate(c->step->variant, acc, m);
    for (j = 0; j < m; j++) c->to[j] = (double)acc[j];
}

const er_step_kernel er_step_dense32 = {0, LOGISTIC, 0, dense32_ok, dense32_work, dense32_run};

/* ---- distance: of centres ---- */

enum { SQUARE = 0, ROOT = 1, MINUS_ROOT = 2, MINUS_SQUARE = 3 };

static int distance_ok(const er_model_step *s, const void *constants)
{
    const uint64_t n = (uint64_t)s->m * s->n;
    return s->bytes == n * sizeof(double) && er_all_finite(constants, (size_t)n);
}

/* The lanes of dot(). */
static double apart(const double *restrict x, const double *restrict centre, uint32_t n)
{
    double lane[4] = {0.0, 0.0, 0.0, 0.0};
    for (uint32_t i = 0; i < n; i++) {
        const double d = x[i] - centre[i];
        lane[i % 4] += d * d;
    }
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

static void distance_run(const er_call *c)
{
    const uint32_t n = c->step->n, how = c->step->variant;
    const double *centre = c->constants;
    for (uint32_t j = 0; j < c->step->m; j++) {
        const double square = apart(c->from, centre + (size_t)j * n, n);
        const double size = how == ROOT || how == MINUS_ROOT ? er_root(square) : square;
        c->to[j] = how >= MINUS_ROOT ? -size : size;
    }
}

const er_step_kernel er_step_distance = {SQUARE, MINUS_SQUARE, 0, distance_ok, NULL, distance_run};

/* ---- gauss: log_prior[m], mean[m][n], var[m][n] ---- */

static int gauss_ok(const er_model_step *s, const void *constants)
{
    const double *x = constants;
    const uint64_t cells = (uint64_t)s->m * s->n, n = 2 * cells + s->m;
    if (s->bytes != n * sizeof(double) || !er_all_finite(x, (size_t)n)) return 0;
    for (uint64_t i = n - cells; i < n; i++)
        if (!(x[i] > 0.0)) return 0;
    return 1;
}

static void gauss_run(const er_call *c)
{
    const uint32_t n = c->step->n, m = c->step->m;
    const double *prior = c->constants, *mean = prior + m, *var = mean + (size_t)m * n;
    for (uint32_t j = 0; j < m; j++, mean += n, var += n) {
        double lane[4] = {0.0, 0.0, 0.0, 0.0};
        for (uint32_t i = 0; i < n; i++) {
            const double d = c->from[i] - mean[i];
            lane[i % 4] += d * d / var[i];
        }
        c->to[j] = prior[j] - 0.5 * ((lane[0] + lane[2]) + (lane[1] + lane[3]));
    }
}

const er_step_kernel er_step_gauss = {0, 0, 0, gauss_ok, NULL, gauss_run};
