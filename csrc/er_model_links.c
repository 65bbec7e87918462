/* er_model_links.c - steps that go from raw sums to scores, one value at a time or a whole row:
 * `affine`, `unary`, `softmax`, `pair`, `normalise`, `lerp`. */
#include <string.h>

#include "er_exp.h"
#include "er_model.h"

/* ---- affine ---- */

enum { SUB = 1, MUL = 2, DIV = 4, ADD = 8 };

static int affine_ok(const er_model_step *s, const void *constants)
{
    uint64_t parts = 0;
    for (uint32_t v = s->variant; v; v >>= 1) parts += v & 1;
    const uint64_t n = parts * s->n;
    return s->n == s->m && s->bytes == n * sizeof(double) && er_all_finite(constants, (size_t)n);
}

static void affine_run(const er_call *c)
{
    const uint32_t n = c->step->n, how = c->step->variant;
    const double *k = c->constants;
    double *x = c->to;
    memmove(x, c->from, n * sizeof *x);
    if (how & SUB)
        for (uint32_t i = 0; i < n; i++) x[i] -= *k++;
    if (how & MUL)
        for (uint32_t i = 0; i < n; i++) x[i] *= *k++;
    if (how & DIV)
        for (uint32_t i = 0; i < n; i++) x[i] /= *k++;
    if (how & ADD)
        for (uint32_t i = 0; i < n; i++) x[i] += *k++;
}

const er_step_kernel er_step_affine = {1, SUB | MUL | DIV | ADD, 1, affine_ok, NULL, affine_run};

/* ---- unary ---- */

enum { RELU = 1, TANH, LOGISTIC, EXP, SQRT, NEG, EXP2, LOG };

static int same_length(const er_model_step *s, const void *constants)
{
    (void)constants;
    return s->n == s->m && s->bytes == 0;
}

static double relu(double x) { return x < 0.0 ? 0.0 : x; }
static double neg(double x) { return -x; }

static void unary_run(const er_call *c)
{
    static double (*const FUNCTION[])(double) = {
        [RELU] = relu,    [TANH] = er_tanh, [LOGISTIC] = er_logistic, [EXP] = er_exp,
        [SQRT] = er_root, [NEG] = neg,      [EXP2] = er_power2,       [LOG] = er_log};
    for (uint32_t i = 0; i < c->step->n; i++) c->to[i] = FUNCTION[c->step->variant](c->from[i]);
}

const er_step_kernel er_step_unary = {RELU, LOG, 1, same_length, NULL, unary_run};

/* ---- softmax ---- */

static void softmax_run(const er_call *c)
{
    const uint32_t n = c->step->n;
    double most = c->from[0], sum = 0.0;
    for (uint32_t i = 1; i < n; i++)
        if (c->from[i] > most) most = c->from[i];
    for (uint32_t i = 0; i < n; i++) {
        c->to[i] = er_exp(c->from[i] - most);
        sum += c->to[i];
    }
    for (uint32_t i = 0; i < n; i++) c->to[i] /= sum;
}

const er_step_kernel er_step_softmax = {0, 0, 1, same_length, NULL, softmax_run};

/* ---- pair ---- */

static int pair_ok(const er_model_step *s, const void *constants)
{
    (void)constants;
    return s->n == 1 && s->m == 2 && s->bytes == 0;
}

static void pair_run(const er_call *c)
{
    const double p = c->from[0];
    c->to[0] = c->step->variant ? -p : 1.0 - p;
    c->to[1] = p;
}

const er_step_kernel er_step_pair = {0, 1, 0, pair_ok, NULL, pair_run};

/* ---- normalise ---- */

enum { EVEN = 0, DIVIDE = 1, KEEP = 2 }; /* what a sum of 0 gives */

static void normalise_run(const er_call *c)
{
    const uint32_t n = c->step->n;
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) sum += c->from[i];
    const uint16_t how = sum == 0.0 ? c->step->variant : DIVIDE;
    for (uint32_t i = 0; i < n; i++)
        c->to[i] = how == EVEN ? 1.0 / n : how == KEEP ? c->from[i] : c->from[i] / sum;
}

const er_step_kernel er_step_normalise = {EVEN, KEEP, 1, same_length, NULL, normalise_run};

/* ---- lerp: counts[n], then all x, then all y ---- */

static int lerp_ok(const er_model_step *s, const void *constants)
{
    const uint32_t *count = constants;
    const uint64_t head = (uint64_t)er_up(s->n, 2) * sizeof *count;
    uint64_t points = 0;
    if (s->n != s->m || s->bytes < head) return 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (count[i] < 2 || count[i] > 65535) return 0;
        points += count[i];
    }
    if (s->bytes != head + 2 * points * sizeof(double)) return 0;
    const double *x = (const void *)((const unsigned char *)constants + head);
    if (!er_all_finite(x, (size_t)(2 * points))) return 0;
    for (uint32_t i = 0; i < s->n; x += count[i++])
        for (uint32_t p = 1; p < count[i]; p++)
            if (!(x[p - 1] < x[p])) return 0;
    return 1;
}

/* Between the points on both sides of v, at the ends beyond them. */
static double between(double v, const double *x, const double *y, uint32_t n)
{
    uint32_t low = 0, high = n - 1;
    if (v <= x[0]) return y[0];
    if (v >= x[n - 1]) return y[n - 1];
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (x[middle] <= v)
            low = middle;
        else
            high = middle;
    }
    return (y[high] - y[low]) / (x[high] - x[low]) * (v - x[low]) + y[low];
}

static void lerp_run(const er_call *c)
{
    const uint32_t n = c->step->n, *count = c->constants;
    size_t points = 0;
    for (uint32_t i = 0; i < n; i++) points += count[i];
    const double *x = (const void *)(count + er_up(n, 2)), *y = x + points;
    for (uint32_t i = 0; i < n; x += count[i], y += count[i], i++)
        c->to[i] = between(c->from[i], x, y, count[i]);
}

const er_step_kernel er_step_lerp = {0, 0, 1, lerp_ok, NULL, lerp_run};
