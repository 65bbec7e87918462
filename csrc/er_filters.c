/* er_filters.c - stream filters that keep no state: a value out of those of one moment. */
#include "er_filters.h"
#include "er_ops.h"

/* ---- calibrate: x * scale + offset [unit that the program gives it] ---- */

static int calibrate_ok(const float *param, float rate_hz)
{
    (void)rate_hz;
    return er_is_finite(param[0]) && param[0] != 0.0f && er_is_finite(param[1]);
}

static void calibrate(const er_run *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        r->out[i] = er_number(r->in[0][i] * r->param[0] + r->param[1]);
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

static void decimate(const er_run *r)
{
    const uint32_t n = (uint32_t)r->param[0];
    float *out = r->out;
    for (uint32_t i = (n - r->first % n) % n; i < r->n; i += n) *out++ = er_number(r->in[0][i]);
}

/* ---- of several channels ---- */

/* x + y + .. [x], added in their order */
static void add(const er_run *r)
{
    for (uint32_t i = 0; i < r->n; i++) r->out[i] = r->in[0][i] + r->in[1][i];
    for (uint32_t s = 2; s < r->n_from; s++)
        for (uint32_t i = 0; i < r->n; i++) r->out[i] += r->in[s][i];
    for (uint32_t i = 0; i < r->n; i++) r->out[i] = er_number(r->out[i]);
}

/* x - y [x] */
static void subtract(const er_run *r)
{
    for (uint32_t i = 0; i < r->n; i++) r->out[i] = er_number(r->in[0][i] - r->in[1][i]);
}

/* The length of sample i where a plain sum of squares leaves float's range. */
static float scaled_length(const er_run *r, uint32_t i)
{
    float most = 0.0f, sum = 0.0f;
    for (uint32_t s = 0; s < r->n_from; s++) {
        const float size = __builtin_fabsf(r->in[s][i]);
        if (!er_is_finite(size)) return er_nan();
        most = most < size ? size : most;
    }
    const float scale = er_scale_of(most);
    for (uint32_t s = 0; s < r->n_from; s++) {
        const float x = r->in[s][i] * scale;
        sum += x * x;
    }
    return er_number((float)((double)__builtin_sqrtf(sum) / (double)scale));
}

/* sqrt(x^2 + y^2 + ..) [x] */
static void magnitude(const er_run *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        r->out[i] = r->in[0][i] * r->in[0][i] + r->in[1][i] * r->in[1][i];
    for (uint32_t s = 2; s < r->n_from; s++)
        for (uint32_t i = 0; i < r->n; i++) r->out[i] += r->in[s][i] * r->in[s][i];
    for (uint32_t i = 0; i < r->n; i++) {
        const float sum = r->out[i];
        r->out[i] = sum > 1e-30f && sum < 1e38f ? __builtin_sqrtf(sum) : scaled_length(r, i);
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
     .run = decimate},
    {.info = {1014, ER_KIND_FILTER, 0, 2, 8, "magnitude", "x", "", {0}},
     .params_ok = er_nothing_ok,
     .run = magnitude},
    {.info = {1015, ER_KIND_FILTER, 0, 2, 8, "add", "x", "", {0}},
     .params_ok = er_nothing_ok,
     .run = add},
    {.info = {1016, ER_KIND_FILTER, 0, 2, 2, "subtract", "x", "", {0}},
     .params_ok = er_nothing_ok,
     .run = subtract},
};
const er_filter_table er_filters = {ROWS, sizeof ROWS / sizeof *ROWS};
