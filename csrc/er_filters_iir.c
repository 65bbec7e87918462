/* er_filters_iir.c - stream filters that remember their own past: steps, sums and recursions.
 *
 * State is double, so that years of samples do not wear it. Every filter starts as if its first
 * number had stood there for ever: there is no step at the start.
 */
#include "er_filters.h"
#include "er_math.h"

/* What a filter of one or two numbers remembers; saved as bytes, so without padding. */
typedef struct memory {
    double a, b;
    uint64_t started; /* 0: no number has come yet, else 1 */
} memory;
_Static_assert(sizeof(memory) == 24, "no padding: it is saved as bytes");

static size_t memory_bytes(const float *param, float rate_hz)
{
    (void)param, (void)rate_hz;
    return sizeof(memory);
}

static int memory_ok(const void *state, const void *table, const float *param)
{
    const memory *m = state;
    (void)table, (void)param;
    return m->started <= 1 && m->a - m->a == 0.0 && m->b - m->b == 0.0;
}

/* Zeros keep coming and what is left is far below any float: recursions would crawl through double
 * denormals, which are slow, and never arrive. */
static int is_faint(float x, double y) { return x == 0.0f && y < 1e-60 && y > -1e-60; }

/* ---- one factor made of the rate or a parameter ---- */

static size_t factor_bytes(const float *param, float rate_hz)
{
    (void)param, (void)rate_hz;
    return sizeof(double);
}

/* ---- difference: x[i] - x[i-1] [x]; derivative: by the time between [x/s] ---- */

static void difference(const er_run *r)
{
    memory *m = r->state;
    for (uint32_t i = 0; i < r->n; i++) {
        const float x = r->in[0][i];
        if (!er_is_finite(x)) {
            r->out[i] = er_nan();
            continue;
        }
        r->out[i] = m->started ? er_number((float)((double)x - m->a)) : 0.0f;
        *m = (memory){(double)x, 0.0, 1};
    }
}

static void derivative_design(void *table, const float *param, float rate_hz)
{
    (void)param;
    *(double *)table = (double)rate_hz;
}

static void derivative(const er_run *r)
{
    memory *m = r->state;
    const double rate = *(const double *)r->table;
    for (uint32_t i = 0; i < r->n; i++) {
        const float x = r->in[0][i];
        if (!er_is_finite(x)) {
            r->out[i] = er_nan();
            continue;
        }
        r->out[i] = m->started ? er_number((float)(((double)x - m->a) * rate)) : 0.0f;
        *m = (memory){(double)x, 0.0, 1};
    }
}

/* ---- integrate: trapezoids from 0 at the first number on [x*s] ---- */

static void integrate_design(void *table, const float *param, float rate_hz)
{
    (void)param;
    *(double *)table = 0.5 / (double)rate_hz;
}

static void integrate(const er_run *r)
{
    memory *m = r->state; /* a: the number before, b: the sum */
    const double half = *(const double *)r->table;
    for (uint32_t i = 0; i < r->n; i++) {
        const float x = r->in[0][i];
        if (!er_is_finite(x)) {
            r->out[i] = er_nan();
            continue;
        }
        if (m->started) m->b += (m->a + (double)x) * half;
        m->a = (double)x;
        m->started = 1;
        r->out[i] = er_number((float)m->b);
    }
}

/* ---- ema: y += alpha * (x - y) [x], alpha = 1 - exp(-1/(tau*rate)) ---- */

static int ema_ok(const float *param, float rate_hz)
{
    return param[0] > 0.0f && (double)param[0] * (double)rate_hz <= 1e8;
}

/* 1 - exp(-u), u > 0: by its own series where the difference would cancel. */
static double one_minus_exp(double u)
{
    if (u >= 40.0) return 1.0; /* exp(-40) is below half an ulp of 1 */
    if (u > 0.5) return 1.0 - er_exp2(-u * 1.4426950408889634);
    double sum = 1.0;
    for (int i = 16; i > 1; i--) sum = 1.0 - u / i * sum;
    return u * sum;
}

static void ema_design(void *table, const float *param, float rate_hz)
{
    *(double *)table = one_minus_exp(1.0 / ((double)param[0] * (double)rate_hz));
}

static void ema(const er_run *r)
{
    memory m = *(memory *)r->state;
    const double alpha = *(const double *)r->table;
    for (uint32_t i = 0; i < r->n; i++) {
        const float x = r->in[0][i];
        if (!er_is_finite(x)) {
            r->out[i] = er_nan();
            continue;
        }
        if (!m.started) m = (memory){(double)x, 0.0, 1};
        m.a += alpha * ((double)x - m.a);
        r->out[i] = (float)m.a;
        if (is_faint(x, m.a)) m.a = 0.0;
    }
    *(memory *)r->state = m;
}

/* ---- biquads: Bristow-Johnson, Cookbook formulae for audio EQ biquad filter coefficients, 1994;
 * transposed direct form II ---- */

typedef struct biquad {
    double b0, b1, b2, a1, a2; /* a0 = 1                    */
    double dc;                 /* what a constant becomes, times it: 0 or 1 */
} biquad;

/* Below rate/1e5 the poles stand so near to 1 that their rounding in double shows in a float; the
 * last digits of the factor leave room for the rounding of f itself. */
static int biquad_ok(const float *param, float rate_hz)
{
    const double f = (double)param[0], rate = (double)rate_hz;
    return f >= 0.999999e-5 * rate && f < rate / 2.0 && param[1] >= 0.1f && param[1] <= 100.0f;
}

static size_t biquad_bytes(const float *param, float rate_hz)
{
    (void)param, (void)rate_hz;
    return sizeof(biquad);
}

typedef struct corner {
    double cosine;    /* cos w, w = 2 pi f / rate                  */
    double low, high; /* 1 - cos w and 1 + cos w, without cancelling */
    double alpha;     /* sin w / (2 q)                             */
} corner;

static corner corner_of(const float *param, float rate_hz)
{
    const double turn = (double)param[0] / (double)rate_hz;
    double s, c, half_s, half_c;
    er_sincos_turn(turn, &s, &c);
    er_sincos_turn(turn / 2.0, &half_s, &half_c);
    return (corner){c, 2.0 * half_s * half_s, 2.0 * half_c * half_c, s / (2.0 * (double)param[1])};
}

static void put_biquad(void *table, const corner *k, double b0, double b1, double b2, double dc)
{
    const double a0 = 1.0 + k->alpha;
    *(biquad *)table =
        (biquad){b0 / a0, b1 / a0, b2 / a0, -2.0 * k->cosine / a0, (1.0 - k->alpha) / a0, dc};
}

static void lowpass_design(void *table, const float *param, float rate_hz)
{
    const corner k = corner_of(param, rate_hz);
    put_biquad(table, &k, k.low / 2.0, k.low, k.low / 2.0, 1.0);
}

static void highpass_design(void *table, const float *param, float rate_hz)
{
    const corner k = corner_of(param, rate_hz);
    put_biquad(table, &k, k.high / 2.0, -k.high, k.high / 2.0, 0.0);
}

static void bandpass_design(void *table, const float *param, float rate_hz)
{
    const corner k = corner_of(param, rate_hz);
    put_biquad(table, &k, k.alpha, 0.0, -k.alpha, 0.0);
}

static void notch_design(void *table, const float *param, float rate_hz)
{
    const corner k = corner_of(param, rate_hz);
    put_biquad(table, &k, 1.0, -2.0 * k.cosine, 1.0, 1.0);
}

static void biquad_run(const er_run *r)
{
    memory *m = r->state;
    const biquad k = *(const biquad *)r->table;
    double s1 = m->a, s2 = m->b;
    for (uint32_t i = 0; i < r->n; i++) {
        const float in = r->in[0][i];
        if (!er_is_finite(in)) {
            r->out[i] = er_nan();
            continue;
        }
        const double x = (double)in;
        if (!m->started) {
            s1 = (k.dc - k.b0) * x;
            s2 = (k.b2 - k.a2 * k.dc) * x;
            m->started = 1;
        }
        const double y = k.b0 * x + s1;
        s1 = (k.b1 * x + s2) - k.a1 * y;
        s2 = k.b2 * x - k.a2 * y;
        if (is_faint(in, s1) && is_faint(in, s2)) s1 = s2 = 0.0;
        r->out[i] = er_number((float)y);
    }
    m->a = s1;
    m->b = s2;
}

/* ---- the table ---- */

#define REMEMBERS .state_bytes = memory_bytes, .state_ok = memory_ok
#define CORNER "rate/100000 <= f < rate/2 [Hz], 0.1 <= q <= 100"
#define BIQUAD(id, name, ...)                                                                      \
    {.info = {id, ER_KIND_FILTER, 2, 1, 1, #name, "x", CORNER, {__VA_ARGS__}},                     \
     .params_ok = biquad_ok,                                                                       \
     .table_bytes = biquad_bytes,                                                                  \
     .design = name##_design,                                                                      \
     REMEMBERS,                                                                                    \
     .run = biquad_run}

static const er_filter_kernel ROWS[] = {
    {.info = {1003, ER_KIND_FILTER, 0, 1, 1, "difference", "x", "", {0}},
     .params_ok = er_nothing_ok,
     REMEMBERS,
     .run = difference},
    {.info = {1004, ER_KIND_FILTER, 0, 1, 1, "derivative", "x/s", "", {0}},
     .params_ok = er_nothing_ok,
     .table_bytes = factor_bytes,
     .design = derivative_design,
     REMEMBERS,
     .run = derivative},
    {.info = {1005, ER_KIND_FILTER, 0, 1, 1, "integrate", "x*s", "", {0}},
     .params_ok = er_nothing_ok,
     .table_bytes = factor_bytes,
     .design = integrate_design,
     REMEMBERS,
     .run = integrate},
    {.info = {1006,
              ER_KIND_FILTER,
              1,
              1,
              1,
              "ema",
              "x",
              "0 < tau [s], tau * rate <= 100000000",
              {0.5f}},
     .params_ok = ema_ok,
     .table_bytes = factor_bytes,
     .design = ema_design,
     REMEMBERS,
     .run = ema},
    BIQUAD(1007, lowpass, 4, 0.7071f),
    BIQUAD(1008, highpass, 0.5f, 0.7071f),
    BIQUAD(1009, bandpass, 3, 2),
    BIQUAD(1010, notch, 5, 10),
};
const er_filter_table er_filters_iir = {ROWS, sizeof ROWS / sizeof *ROWS};
