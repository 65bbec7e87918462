/* er_clock.c - see er_clock.h: which frame is next, which is missing, which came too late. */
#include "er_internal.h"

/* ---- grid ---- */

int er_timing_ok(const er_timing *t, float rate_hz)
{
    if (t->reserved[0] || t->reserved[1] || t->reserved[2]) return 0;
    if (t->policy == ER_TIME_NONE) return t->most == 0;
    return t->policy <= ER_TIME_RESET && t->most >= 1 && t->most <= ER_MAX_GAP &&
           rate_hz >= 0.001f && rate_hz <= 100000.0f;
}

void er_grid_init(er_grid *g, const er_timing *t, float rate_hz)
{
    *g = (er_grid){.timing = *t};
    if (t->policy == ER_TIME_NONE) return;
    g->period = (int64_t)(1e6 * (double)ER_TIME_ONE / (double)rate_hz + 0.5);
    g->slack = g->period / 50;
    g->away_us = (t->most + INT64_C(2)) * (g->period + g->slack) / ER_TIME_ONE + 1;
}

int er_clock_ok(const er_clock *c, const er_grid *g)
{
    if (c->period == 0) {
        const er_clock none = {.counts = c->counts};
        return memcmp(c, &none, sizeof none) == 0;
    }
    return c->period >= g->period - g->slack && c->period <= g->period + g->slack &&
           c->at_us >= -ER_TIME_LIMIT && c->at_us <= ER_TIME_LIMIT && c->at_part < ER_TIME_ONE &&
           c->gap <= g->timing.most && c->made <= c->gap && c->waits <= 1 && (c->waits || !c->gap);
}

/* ---- time ---- */

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* The last frame stands at time_us - back/65536. */
static void stand_at(er_clock *c, int64_t time_us, int64_t back)
{
    const int64_t whole = floor_div(-back, ER_TIME_ONE);
    c->at_us = clamp(time_us + whole, -ER_TIME_LIMIT, ER_TIME_LIMIT);
    c->at_part = (uint32_t)(-back - whole * ER_TIME_ONE);
}

static er_verdict restart(er_clock *c, const er_grid *g, int64_t time_us)
{
    stand_at(c, time_us, 0);
    c->period = g->period;
    c->number = c->whole = 0;
    c->waits = 1;
    c->counts.resets++;
    return ER_RESET;
}

static er_verdict first(er_clock *c, const er_grid *g, int64_t time_us)
{
    stand_at(c, time_us, 0);
    c->period = g->period;
    c->number = 1;
    return ER_TAKE;
}

/* The frame came `error` after its grid point: the grid follows, phase first. */
static void follow(er_clock *c, const er_grid *g, int64_t time_us, int64_t error)
{
    stand_at(c, time_us, error - error / 8);
    c->period = clamp(c->period + error / 256, g->period - g->slack, g->period + g->slack);
}

static er_verdict take(er_clock *c, const er_grid *g, int64_t time_us, int64_t error)
{
    follow(c, g, time_us, error);
    c->number++;
    return ER_TAKE;
}

static er_verdict drop(uint64_t *count) { return ++*count, ER_DROP; }

/* A sensor that was off need not come back in phase: its next frame sets it. */
static er_verdict open_gap(er_clock *c, int64_t time_us, uint32_t frames)
{
    stand_at(c, time_us, 0);
    c->gap = frames;
    c->waits = 1;
    return ER_FILL;
}

er_verdict er_clock_judge(er_clock *c, const er_grid *g, int64_t time_us)
{
    const int64_t most = g->timing.most;
    time_us = clamp(time_us, -ER_TIME_LIMIT, ER_TIME_LIMIT);
    if (c->period == 0) return first(c, g, time_us);
    const int64_t away_us = time_us - c->at_us;
    if (away_us > g->away_us || away_us < -g->away_us) return restart(c, g, time_us);
    const int64_t error = away_us * ER_TIME_ONE - c->at_part - c->period;
    const int64_t from = error + c->period / 2; /* where the next grid point begins */
    if (from >= 0 && from < c->period) return take(c, g, time_us, error);
    const int64_t past = floor_div(from, c->period); /* frames past the next grid point */
    if (past > most || past < -1 - most) return restart(c, g, time_us);
    if (past < 0) return drop(past == -1 ? &c->counts.duplicates : &c->counts.late);
    if (g->timing.policy == ER_TIME_RESET) return restart(c, g, time_us);
    return open_gap(c, time_us, (uint32_t)past);
}

void er_clock_skip(er_clock *c, const er_grid *g, uint32_t n)
{
    if (n == 0) return;
    if (c->period == 0) {
        first(c, g, 0);
        n--;
    }
    const int64_t parts = c->at_part + (c->period % ER_TIME_ONE) * n;
    const int64_t whole = c->period / ER_TIME_ONE * n + parts / ER_TIME_ONE;
    c->at_us = clamp(c->at_us + whole, -ER_TIME_LIMIT, ER_TIME_LIMIT);
    c->at_part = (uint32_t)(parts % ER_TIME_ONE);
    c->number += n;
}

/* ---- frames ---- */

static float missing(const er_clock *c, const er_grid *g, uint16_t every, float held, float next)
{
    if (g->timing.policy == ER_TIME_MARK) return er_nan();
    if (g->timing.policy == ER_TIME_HOLD || every > 1) return held;
    const float part = (float)(c->made + 1) / (float)(c->gap + 1);
    return held + part * (next - held);
}

void er_clock_fill(er_clock *c, const er_grid *g, const er_channel *channels, uint32_t width,
                   const float *held, const float *next, float *out)
{
    for (uint32_t i = 0; i < width; i++)
        out[i] = missing(c, g, channels[i].every, held[i], next[i]);
    c->made++;
    c->number++;
    c->whole = c->number;
    c->counts.filled++;
}

void er_clock_pass(er_clock *c)
{
    c->number++;
    c->gap = c->made = c->waits = 0;
}

void er_clock_hold(const er_channel *channels, uint32_t width, const float *x, uint32_t n,
                   uint64_t number, float *held)
{
    for (uint32_t i = 0; n && i < width; i++) {
        const uint64_t back = (number + n - 1) % channels[i].every; /* since the last that counts */
        if (back < n) held[i] = x[(size_t)(n - 1 - (uint32_t)back) * width + i];
    }
}
