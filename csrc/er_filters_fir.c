/* er_filters_fir.c - stream filters over the last n samples: detrend, moving median, resample.
 *
 * Before the first sample of a stream stand n copies of it, so nothing steps at the start.
 */
#include "er_filters.h"
#include "er_math.h"
#include "er_ops.h"
#include "er_sum.h"

/* ---- the last n samples ---- */

typedef struct past {
    uint32_t at;      /* where the next sample goes, 0..n-1 */
    uint32_t started; /* 0: no sample has come yet, else 1  */
    float x[];        /* [2n]: each sample twice, n apart, so that the last n stand in one piece */
} past;

/* The last n samples with x, oldest first. */
static const float *past_push(past *p, uint32_t n, float x)
{
    if (!p->started)
        for (uint32_t i = 0; i < 2 * n; i++) p->x[i] = x;
    p->started = 1;
    p->x[p->at] = p->x[p->at + n] = x;
    p->at = p->at + 1 == n ? 0 : p->at + 1;
    return p->x + p->at;
}

static size_t past_bytes(uint32_t n) { return sizeof(past) + 2 * n * sizeof(float); }

static int past_ok(const past *p, uint32_t n) { return p->at < n && p->started <= 1; }

#define WEIGHTED(i) (t->w[i] * t->x[i])
#define WEIGHTED_OFFSET(i) (t->w[i] * (t->x[i] - t->a))
ER_DEFINE_SUM(sum_weighted, WEIGHTED)
ER_DEFINE_SUM(sum_weighted_offsets, WEIGHTED_OFFSET)

/* ---- detrend: x minus the least-squares line through the last n samples, at the newest [x] ----
 */

static int detrend_ok(const float *param, float rate_hz)
{
    (void)rate_hz;
    return er_is_whole(param[0], 3, 1024);
}

static size_t detrend_table_bytes(const float *param, float rate_hz)
{
    (void)rate_hz;
    return (size_t)param[0] * sizeof(float);
}

static size_t detrend_state_bytes(const float *param, float rate_hz)
{
    (void)rate_hz;
    return past_bytes((uint32_t)param[0]);
}

/* The line's value at the newest of n samples is the sum of w[j] x[j], j = 0 the oldest:
 * w[j] = (6j + 4 - 2n) / (n(n+1)). They add up to 1. */
static void detrend_design(void *table, const float *param, float rate_hz)
{
    float *w = table;
    const double n = (double)param[0];
    (void)rate_hz;
    for (uint32_t j = 0; j < (uint32_t)n; j++)
        w[j] = (float)((6.0 * j + 4.0 - 2.0 * n) / (n * (n + 1.0)));
}

static int detrend_state_ok(const void *state, const void *table, const float *param)
{
    (void)table;
    return past_ok(state, (uint32_t)param[0]);
}

/* Of differences from x, which are exact where the signal is small beside its offset. */
static void detrend(const er_run *r)
{
    const uint32_t n = (uint32_t)r->param[0];
    for (uint32_t i = 0; i < r->n; i++) {
        const float x = r->in[0][i];
        if (!er_is_finite(x)) {
            r->out[i] = er_nan();
            continue;
        }
        const er_terms t = {.x = past_push(r->state, n, x), .w = r->table, .a = x};
        r->out[i] = er_number((float)(0.0 - sum_weighted_offsets(&t, n)));
    }
}

/* ---- moving_median: of the last n numbers, n odd [x] ---- */

static int moving_median_ok(const float *param, float rate_hz)
{
    (void)rate_hz;
    return er_is_whole(param[0], 3, 255) && (uint32_t)param[0] % 2 == 1;
}

typedef struct median_state {
    uint32_t at;      /* the oldest of come[], 0..n-1       */
    uint32_t started; /* 0: no number has come yet, else 1  */
    uint32_t key[];   /* [n] in order of coming, [n] in order of size; see er_key_of() */
} median_state;

static size_t moving_median_state_bytes(const float *param, float rate_hz)
{
    (void)rate_hz;
    return sizeof(median_state) + 2 * (size_t)param[0] * sizeof(uint32_t);
}

static int moving_median_state_ok(const void *state, const void *table, const float *param)
{
    const median_state *m = state;
    (void)table;
    return m->at < (uint32_t)param[0] && m->started <= 1;
}

/* The first of n ascending keys, n > 0, that is not below `key`; n where there is none. Without a
 * branch on what is found: no CPU could guess it. */
static uint32_t place_of(const uint32_t *keys, uint32_t n, uint32_t key)
{
    uint32_t from = 0;
    while (n > 1) {
        const uint32_t half = n / 2;
        from += (uint32_t)(keys[from + half - 1] < key) * half;
        n -= half;
    }
    return from + (keys[from] < key);
}

/* Safe whatever is in `keys`: a restored state may hold anything. */
static void replace(uint32_t *keys, uint32_t n, uint32_t old, uint32_t new)
{
    const uint32_t found = place_of(keys, n, old), i = found < n ? found : n - 1;
    const uint32_t j = place_of(keys, n, new);
    if (j > i) {
        memmove(keys + i, keys + i + 1, (j - 1 - i) * sizeof *keys);
        keys[j - 1] = new;
    } else {
        memmove(keys + j + 1, keys + j, (i - j) * sizeof *keys);
        keys[j] = new;
    }
}

static void moving_median(const er_run *r)
{
    median_state *m = r->state;
    const uint32_t n = (uint32_t)r->param[0];
    uint32_t *come = m->key, *sorted = m->key + n;
    for (uint32_t i = 0; i < r->n; i++) {
        const float x = r->in[0][i];
        if (!er_is_finite(x)) {
            r->out[i] = er_nan();
            continue;
        }
        const uint32_t key = er_key_of(x);
        for (uint32_t k = 0; !m->started && k < 2 * n; k++) m->key[k] = key;
        m->started = 1;
        replace(sorted, n, come[m->at], key);
        come[m->at] = key;
        m->at = m->at + 1 == n ? 0 : m->at + 1;
        r->out[i] = er_number(er_value_of(sorted[n / 2]));
    }
}

/* ---- resample: up/down times the rate, through a lowpass below both Nyquist frequencies [x] ----
 *
 * Polyphase form of: up - 1 zeros between samples, the lowpass, every down-th. The lowpass is the
 * one of scipy.signal.resample_poly: a sinc of 20 max(up, down) + 1 taps under a Kaiser window with
 * beta 5, scaled to a gain of 1; it is not moved back, so the output is 10 max(up, down) / up
 * samples late. */

static int resample_ok(const float *param, float rate_hz)
{
    (void)rate_hz;
    if (!er_is_whole(param[0], 1, 32) || !er_is_whole(param[1], 1, 32)) return 0;
    uint32_t a = (uint32_t)param[0], b = (uint32_t)param[1];
    if (a == 1 && b == 1) return 0;
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a == 1;
}

static void resample_ratio(const float *param, uint32_t *up, uint32_t *down)
{
    *up = (uint32_t)param[0];
    *down = (uint32_t)param[1];
}

static uint32_t greater_of(const float *param)
{
    return (uint32_t)(param[0] < param[1] ? param[1] : param[0]);
}

/* Input samples that one output sample is made of. */
static uint32_t reach_of(const float *param)
{
    return 20 * greater_of(param) / (uint32_t)param[0] + 1;
}

static size_t resample_table_bytes(const float *param, float rate_hz)
{
    (void)rate_hz;
    return (size_t)param[0] * reach_of(param) * sizeof(float);
}

static size_t resample_state_bytes(const float *param, float rate_hz)
{
    (void)rate_hz;
    return past_bytes(reach_of(param));
}

/* I0(2 sqrt(y)), the modified Bessel function (Abramowitz, Stegun 1964, 9.6.12); 0 <= y <= 6.25. */
static double bessel_i0(double y)
{
    double sum = 1.0;
    for (int k = 30; k > 0; k--) sum = 1.0 + y / (k * k) * sum;
    return sum;
}

/* Tap at distance m from the middle, without the scale; m 0..10*most. */
static double tap_of(uint32_t m, uint32_t most)
{
    const double x = (double)m / (10.0 * most);
    const double kaiser = bessel_i0(6.25 * (1.0 - x * x)); /* beta 5: (5/2)^2 */
    if (m == 0) return kaiser;
    const uint32_t turn = m % (2 * most); /* sin(pi m/most) */
    double s, c;
    er_sincos_turn((double)(turn > most ? 2 * most - turn : turn) / (2.0 * most), &s, &c);
    return (turn > most ? -s : s) * most / (3.141592653589793 * m) * kaiser;
}

/* Row p of the table: the taps p, p + up, p + 2 up .. in the order of the samples they are for,
 * oldest first. */
static void resample_design(void *table, const float *param, float rate_hz)
{
    float *w = table;
    const uint32_t most = greater_of(param), up = (uint32_t)param[0], reach = reach_of(param);
    const uint32_t middle = 10 * most;
    double sum = tap_of(0, most);
    (void)rate_hz;
    for (uint32_t m = 1; m <= middle; m++) sum += 2.0 * tap_of(m, most);
    for (uint32_t p = 0; p < up; p++)
        for (uint32_t j = 0; j < reach; j++) {
            const uint32_t k = p + (reach - 1 - j) * up;
            const uint32_t m = k < middle ? middle - k : k - middle;
            w[p * reach + j] = m <= middle ? (float)(tap_of(m, most) * up / sum) : 0.0f;
        }
}

static int resample_state_ok(const void *state, const void *table, const float *param)
{
    (void)table;
    return past_ok(state, reach_of(param));
}

/* Output m stands at m * down / up input samples; a number that is not finite stays in its place,
 * and outputs that it is part of are NaN. */
static void resample(const er_run *r)
{
    const uint32_t up = (uint32_t)r->param[0], down = (uint32_t)r->param[1];
    const uint32_t reach = reach_of(r->param);
    const float *table = r->table;
    float *out = r->out;
    uint32_t phase = (down - r->first * up % down) % down; /* of the next output, in 1/up samples */
    for (uint32_t i = 0; i < r->n; i++) {
        er_terms t = {.x = past_push(r->state, reach, r->in[0][i])};
        for (; phase < up; phase += down) {
            t.w = table + phase * reach;
            *out++ = er_number((float)sum_weighted(&t, reach));
        }
        phase -= up;
    }
}

/* ---- the table ---- */

static const er_filter_kernel ROWS[] = {
    {.info = {1011, ER_KIND_FILTER, 1, 1, 1, "detrend", "x", "a whole n, 3 <= n <= 1024", {16}},
     .params_ok = detrend_ok,
     .table_bytes = detrend_table_bytes,
     .state_bytes = detrend_state_bytes,
     .design = detrend_design,
     .state_ok = detrend_state_ok,
     .run = detrend},
    {.info = {1012, ER_KIND_FILTER, 1, 1, 1, "moving_median", "x", "an odd n, 3 <= n <= 255", {5}},
     .params_ok = moving_median_ok,
     .state_bytes = moving_median_state_bytes,
     .state_ok = moving_median_state_ok,
     .run = moving_median},
    {.info = {1013,
              ER_KIND_FILTER,
              2,
              1,
              1,
              "resample",
              "x",
              "whole up and down, 1..32, without a common divisor, not both 1",
              {1, 2}},
     .params_ok = resample_ok,
     .ratio = resample_ratio,
     .table_bytes = resample_table_bytes,
     .state_bytes = resample_state_bytes,
     .design = resample_design,
     .state_ok = resample_state_ok,
     .run = resample},
};
const er_filter_table er_filters_fir = {ROWS, sizeof ROWS / sizeof *ROWS};
