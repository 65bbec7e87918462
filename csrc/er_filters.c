/* er_filters.c - stream filters that keep no state: one value out of the values of one moment. */
#include "er_filters.h"

/* One NaN for every value that is not finite. */
static float number(float x) { return er_is_finite(x) ? x : er_nan(); }

/* ---- calibrate: x * scale + offset [unit that the program gives it] ---- */

static int calibrate_ok(const float *param, float rate_hz)
{
    (void)rate_hz;
    return er_is_finite(param[0]) && param[0] != 0.0f && er_is_finite(param[1]);
}

static void calibrate(const er_run *r)
{
    for (uint32_t i = 0; i < r->n; i++) r->out[i] = number(r->in[0][i] * r->param[0] + r->param[1]);
}

/* ---- clip: x, or the limit that it passes [unit of x] ---- */

static int clip_ok(const float *param, float rate_hz)
{
    (void)rate_hz;
    return er_is_finite(param[0]) && er_is_finite(param[1]) && param[0] < param[1];
}

static void clip(const er_run *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const float x = r->in[0][i], lo = r->param[0], hi = r->param[1];
        r->out[i] = er_is_finite(x) ? (x < lo ? lo : hi < x ? hi : x) : er_nan();
    }
}

/* ---- decimate: every n-th sample, the first one on ---- */

static int decimate_ok(const float *param, float rate_hz)
{
    (void)rate_hz;
    return param[0] >= 2.0f && param[0] <= 4096.0f && (float)(uint32_t)param[0] == param[0];
}

static void decimate_ratio(const float *param, uint32_t *up, uint32_t *down)
{
    *up = 1;
    *down = (uint32_t)param[0];
}

typedef struct decimate_state {
    uint64_t skip; /* samples to pass over before the next one is taken */
} decimate_state;

static size_t decimate_state_bytes(const float *param, float rate_hz)
{
    (void)param, (void)rate_hz;
    return sizeof(decimate_state);
}

static void decimate_reset(void *state, const void *table, const float *param)
{
    (void)table, (void)param;
    ((decimate_state *)state)->skip = 0;
}

static int decimate_state_ok(const void *state, const void *table, const float *param)
{
    (void)table;
    return ((const decimate_state *)state)->skip < (uint64_t)param[0];
}

static void decimate(const er_run *r)
{
    decimate_state *s = r->state;
    float *out = r->out;
    for (uint32_t i = 0; i < r->n; i++) {
        if (s->skip == 0) *out++ = number(r->in[0][i]);
        s->skip = s->skip == 0 ? (uint64_t)r->param[0] - 1 : s->skip - 1;
    }
}

/* ---- the table ---- */

static const er_filter_kernel ROWS[] = {
    {.info = {1000,
              ER_KIND_FILTER,
              2,
              1,
              1,
              "calibrate",
              "x",
              "scale not 0, offset [unit of x]",
              {2, 0.5f}},
     .params_ok = calibrate_ok,
     .run = calibrate},
    {.info = {1001, ER_KIND_FILTER, 2, 1, 1, "clip", "x", "lo < hi [unit of x]", {-0.5f, 0.5f}},
     .params_ok = clip_ok,
     .run = clip},
    {.info = {1002, ER_KIND_FILTER, 1, 1, 1, "decimate", "x", "a whole n, 2 <= n <= 4096", {2}},
     .params_ok = decimate_ok,
     .ratio = decimate_ratio,
     .state_bytes = decimate_state_bytes,
     .reset = decimate_reset,
     .state_ok = decimate_state_ok,
     .run = decimate},
};
const er_filter_table er_filters = {ROWS, sizeof ROWS / sizeof *ROWS};
