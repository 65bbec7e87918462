/* er_feed.c - frames, with or without times, into the windows: what a stream and a batch share.
 *
 * One frame in may make several on the grid. A feed stops where a window is full, between two of
 * them as well: the clock knows how many are made, and the next call gives the same frame again. */
#include <string.h>

#include "er_internal.h"

/* ---- memory ---- */

void er_feed_carve(er_feed *f, const er_program *p, er_arena *a)
{
    f->clock = NULL;
    if (p->timing.policy == ER_TIME_NONE) return;
    f->clock = er_carve(a, sizeof *f->clock);
    f->held = er_carve(a, p->n_channels * sizeof *f->held);
}

void er_feed_carve_made(er_feed *f, const er_program *p, er_arena *a)
{
    if (p->timing.policy != ER_TIME_NONE) f->made = er_carve(a, p->n_channels * sizeof *f->made);
}

void er_feed_init(er_feed *f, const er_program *p)
{
    er_grid_init(&f->grid, &p->timing, p->rate_hz);
    if (!f->clock) return;
    memset(f->clock, 0, sizeof *f->clock);
    memset(f->held, 0, p->n_channels * sizeof *f->held);
}

void er_feed_adopt(er_feed *to, const er_feed *from, uint32_t n_channels)
{
    if (!to->clock) return;
    *to->clock = *from->clock;
    memcpy(to->held, from->held, n_channels * sizeof *to->held);
}

/* ---- where windows start and end, in frames given ---- */

/* n frames enter the windows: the first is of frame `from` given, each other of the one after. */
static void note(er_starts *s, uint32_t hop, uint64_t from, uint32_t n)
{
    const uint32_t past = (uint32_t)(s->number % hop);
    for (uint32_t i = past ? hop - past : 0; i < n; i += hop)
        s->frame[(s->number + i) / hop % s->n] = from + i;
    s->number += n;
    if (n) s->last = from + n - 1;
}

/* ---- frames in ---- */

static void enter(er_feed *f, er_windows *w, const float *x, uint32_t n, uint64_t number)
{
    er_windows_push(w, x, n);
    er_clock_hold(w->p->channels, w->p->n_channels, x, n, number, f->held);
    if (!f->starts) return;
    note(f->starts, w->p->hop, f->starts->given, n);
    f->starts->given += n;
    if (n) f->starts->taken = f->starts->given - 1;
}

/* Frames that follow one another, up to the first that does not, or the end of the window. */
static uint32_t run_of(er_feed *f, const er_windows *w, const int64_t *times_us, uint32_t n,
                       er_verdict *verdict)
{
    const uint32_t room = w->p->window - w->fill;
    if (n > room) n = room;
    *verdict = ER_TAKE;
    if (!times_us) return er_clock_skip(f->clock, &f->grid, n), n;
    for (uint32_t i = 0; i < n; i++) {
        *verdict = er_clock_judge(f->clock, &f->grid, times_us[i]);
        if (*verdict != ER_TAKE) return i;
    }
    return n;
}

/* The frames missing before x, then x; 0 if the window is full before that. */
static uint32_t enter_waiting(er_feed *f, er_windows *w, const float *x)
{
    const er_program *p = w->p;
    for (; er_clock_fills(f->clock); er_windows_push(w, f->made, 1)) {
        if (er_windows_full(w)) return 0;
        er_clock_fill(f->clock, &f->grid, p->channels, p->n_channels, f->held, x, f->made);
        if (!f->starts) continue;
        note(f->starts, p->hop, f->starts->taken, 1);
        f->starts->last = f->starts->given;
    }
    if (er_windows_full(w)) return 0;
    enter(f, w, x, 1, f->clock->number);
    er_clock_pass(f->clock);
    return 1;
}

static void start_anew(er_feed *f, er_windows *w)
{
    er_windows_reset(w);
    if (f->starts) f->starts->number = 0;
}

static uint32_t feed_plain(er_feed *f, er_windows *w, const float *x, uint32_t n)
{
    const uint32_t taken = er_windows_push(w, x, n);
    if (!f->starts) return taken;
    note(f->starts, w->p->hop, f->starts->given, taken);
    f->starts->given += taken;
    return taken;
}

uint32_t er_feed_push(er_feed *f, er_windows *w, const float *x, const int64_t *times_us,
                      uint32_t n)
{
    if (!f->clock) return feed_plain(f, w, x, n);
    uint32_t at = 0;
    while (at < n && !er_windows_full(w)) {
        const float *next = x + (size_t)at * w->p->n_channels;
        if (f->clock->waits) {
            at += enter_waiting(f, w, next);
            continue;
        }
        er_verdict verdict;
        const uint64_t number = f->clock->number;
        const uint32_t run = run_of(f, w, times_us ? times_us + at : NULL, n - at, &verdict);
        enter(f, w, next, run, number);
        at += run;
        if (verdict == ER_RESET) start_anew(f, w);
        if (verdict == ER_DROP) {
            at++;
            if (f->starts) f->starts->given++;
        }
    }
    return at;
}

uint32_t er_feed_flags(const er_feed *f, uint32_t window)
{
    const er_clock *c = f->clock;
    if (!c) return 0;
    const uint64_t first = c->number - window; /* of the full window */
    return (c->whole > first ? ER_FLAG_FILLED : 0) |
           (first == 0 && c->counts.resets ? ER_FLAG_RESET : 0);
}
