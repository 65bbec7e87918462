/* er_walk.c - rows of a recording with times, and of which frames each row is. */
#include <string.h>

#include "er_internal.h"

struct er_walk {
    er_windows windows;
    er_feed feed;
    er_starts starts;
};

static void carve(er_walk *w, const er_program *p, er_arena *a)
{
    memset(w, 0, sizeof *w);
    w->starts.n = ((uint32_t)p->window + p->hop - 1) / p->hop;
    w->starts.frame = er_carve(a, w->starts.n * sizeof *w->starts.frame);
    er_feed_carve(&w->feed, p, a);
    er_feed_carve_made(&w->feed, p, a);
    er_windows_carve(&w->windows, p, a);
}

size_t er_walk_size(const er_program *p)
{
    if (er_program_check(p, NULL) != ER_OK) return 0;
    er_walk w;
    er_arena count = {.used = (sizeof w + 7) / 8 * 8};
    carve(&w, p, &count);
    return count.used;
}

er_status er_walk_init(er_walk **out, const er_program *p, void *mem, size_t size)
{
    const er_status status = er_program_check(p, NULL);
    if (status != ER_OK) return status;
    if (!out || !mem || (uintptr_t)mem % 8) return ER_EINVAL;
    if (size < er_walk_size(p)) return ER_ENOSPC;
    er_walk *w = mem;
    er_arena arena = {.base = mem, .used = (sizeof *w + 7) / 8 * 8};
    carve(w, p, &arena);
    er_windows_init(&w->windows);
    er_feed_init(&w->feed, p);
    w->feed.starts = &w->starts;
    *out = w;
    return ER_OK;
}

static er_span span_of(const er_walk *w)
{
    const er_program *p = w->windows.p;
    const er_starts *s = &w->starts;
    return (er_span){.first = s->frame[(s->number - p->window) / p->hop % s->n],
                     .last = s->last,
                     .flags = er_feed_flags(&w->feed, p->window)};
}

er_status er_walk_rows(er_walk *w, const float *x, const int64_t *times_us, uint32_t n_frames,
                       uint32_t *taken, float *out, er_span *spans, uint32_t out_rows,
                       uint32_t *rows)
{
    if (!w || !taken || !rows || (!x && n_frames) || ((!out || !spans) && out_rows))
        return ER_EINVAL;
    const er_program *p = w->windows.p;
    *taken = *rows = 0;
    while (*rows < out_rows) {
        if (*taken == n_frames) return ER_AGAIN;
        *taken += er_feed_push(&w->feed, &w->windows, x + (size_t)*taken * p->n_channels,
                               times_us ? times_us + *taken : NULL, n_frames - *taken);
        if (!er_windows_full(&w->windows)) continue;
        spans[*rows] = span_of(w);
        er_windows_compute(&w->windows, out + (size_t)*rows * p->n_features);
        (*rows)++;
    }
    return ER_OK;
}

er_status er_walk_clock(const er_walk *w, er_clock_counts *out)
{
    if (!w || !out) return ER_EINVAL;
    *out = w->feed.clock ? w->feed.clock->counts : (er_clock_counts){0};
    return ER_OK;
}
