/* er_windows.c - frames in, through the filters, into the window of every channel; features of a
 * full window out. */
#include <string.h>

#include "er_internal.h"

/* ---- memory ---- */

static er_lane lane_of(const er_program *p, const er_pace *pace, uint32_t c)
{
    const int is_column = c < p->n_channels;
    const er_filter *f = is_column ? NULL : &p->filters[c - p->n_channels];
    const er_filter_kernel *k = f ? er_filter_find(f->op) : NULL;
    uint32_t up = 1, down = is_column ? p->channels[c].every : 1;
    if (k && k->ratio) k->ratio(f->param, &up, &down);
    return (er_lane){.pace = pace[c],
                     .up = up,
                     .down = down,
                     .taper = f ? f->taper : p->channels[c].taper,
                     .rate_hz = er_program_rate(p, &pace[c]),
                     .kernel = k};
}

static unsigned needs_of(const er_program *p, uint32_t channel)
{
    unsigned needs = 0;
    for (uint32_t i = 0; i < p->n_features; i++)
        if (p->features[i].channel == channel) needs |= er_kernel_find(p->features[i].op)->needs;
    return needs;
}

/* The first channel that needs the same spectrum plan as channel c. */
static uint32_t plan_owner(const er_program *p, const er_pace *pace, uint32_t c)
{
    const er_lane mine = lane_of(p, pace, c);
    for (uint32_t i = 0; i < c; i++) {
        const er_lane other = lane_of(p, pace, i);
        if ((needs_of(p, i) & ER_NEED_SPECTRUM) && other.pace.n == mine.pace.n &&
            other.taper == mine.taper)
            return i;
    }
    return c;
}

static void carve_filter(er_lane *lane, const er_filter *f, float rate_hz, er_arena *tables,
                         er_arena *states)
{
    const er_filter_kernel *k = lane->kernel;
    if (k->table_bytes) lane->table = er_carve(tables, k->table_bytes(f->param, rate_hz));
    if (k->state_bytes) lane->state = er_carve(states, k->state_bytes(f->param, rate_hz));
}

static void carve_plans(er_windows *w, const er_pace *pace, er_arena *a)
{
    const er_program *p = w->p;
    uint16_t plan_of[ER_MAX_LANES];
    for (uint32_t c = 0; c < er_program_lanes(p); c++)
        if (needs_of(p, c) & ER_NEED_SPECTRUM) w->n_plans += plan_owner(p, pace, c) == c;
    w->plans =
        er_carve_both(a, w->n_plans * sizeof *w->plans, (size_t)w->n_plans * ER_SPECTRUM_SMALL);
    for (uint32_t c = 0, next = 0; c < er_program_lanes(p); c++) {
        if (!(needs_of(p, c) & ER_NEED_SPECTRUM)) continue;
        const uint32_t owner = plan_owner(p, pace, c);
        plan_of[c] = owner == c ? (uint16_t)next++ : plan_of[owner];
        er_spectrum plan;
        if (owner == c) er_spectrum_carve(&plan, pace[c].n, lane_of(p, pace, c).taper, a);
        if (!a->base) continue;
        if (owner == c) w->plans[plan_of[c]] = plan;
        w->lanes[c].spectrum = &w->plans[plan_of[c]];
    }
}

/* Where `a` only counts, its pieces are no memory: nothing is written to them. */
void er_windows_carve(er_windows *w, const er_program *p, er_arena *a)
{
    er_pace pace[ER_MAX_LANES];
    uint32_t none, longest = 0;
    unsigned needs = 0;
    er_program_paces(p, pace, &none);
    memset(w, 0, sizeof *w);
    w->p = p;
    w->kernel = er_carve_both(a, p->n_features * sizeof *w->kernel,
                              (size_t)p->n_features * ER_POINTER_SMALL);
    w->order = er_carve(a, p->n_features * sizeof *w->order);
    w->lanes = er_carve_both(a, er_program_lanes(p) * sizeof *w->lanes,
                             (size_t)er_program_lanes(p) * ER_LANE_SMALL);
    er_arena states = {0};
    for (uint32_t pass = 0; pass < 2; pass++) {
        /* first how many bytes the states of all filters take, then where they are */
        if (pass == 1) {
            w->filter_bytes = states.used;
            w->filter_state = er_carve(a, states.used);
            states = (er_arena){.base = w->filter_state};
        }
        for (uint32_t c = 0; c < er_program_lanes(p); c++) {
            er_lane lane = lane_of(p, pace, c);
            er_arena count = {0};
            if (pass == 1) lane.row = er_carve(a, 2u * lane.pace.n * sizeof *lane.row);
            if (lane.kernel) {
                const er_filter *f = &p->filters[c - p->n_channels];
                carve_filter(&lane, f, er_program_rate(p, &pace[f->from[0]]), pass ? a : &count,
                             &states);
            }
            if (pass == 1 && a->base) w->lanes[c] = lane;
            longest = lane.pace.n > longest ? lane.pace.n : longest;
        }
    }
    for (uint32_t c = 0; c < er_program_lanes(p); c++) needs |= needs_of(p, c);
    if (needs & ER_NEED_RANKS) er_ranks_carve(&w->ranks, longest, a);
    if (needs & ER_NEED_VALUES) w->values = er_carve(a, longest * sizeof *w->values);
    if (needs & ER_NEED_PAIR) w->pair = er_carve(a, 2u * longest * sizeof *w->pair);
    carve_plans(w, pace, a);
    w->mels = er_mels_carve(p, pace, a, &w->n_mels);
}

void er_windows_init(er_windows *w)
{
    const er_program *p = w->p;
    uint32_t at = 0;
    for (uint32_t c = 0; c < er_program_lanes(p); c++)
        for (uint32_t i = 0; i < p->n_features; i++)
            if (p->features[i].channel == c) w->order[at++] = (uint16_t)i;
    for (uint32_t i = 0; i < p->n_features; i++) w->kernel[i] = er_kernel_find(p->features[i].op);
    for (uint32_t i = 0; i < w->n_plans; i++) er_spectrum_init(&w->plans[i]);
    for (uint32_t i = 0; i < w->n_mels; i++) er_mel_init(&w->mels[i]);
    for (uint32_t i = 0; i < p->n_filters; i++) {
        const er_lane *lane = &w->lanes[p->n_channels + i];
        const er_filter *f = &p->filters[i];
        if (lane->kernel->design)
            lane->kernel->design(lane->table, f->param, w->lanes[f->from[0]].rate_hz);
    }
    er_windows_reset(w);
}

void er_windows_reset(er_windows *w)
{
    const er_program *p = w->p;
    w->at = w->fill = 0;
    w->last = ER_NO_WINDOW;
    for (uint32_t c = 0; c < er_program_lanes(p); c++) w->lanes[c].at = w->lanes[c].held = 0;
    memset(w->filter_state, 0, w->filter_bytes);
}

/* ---- frames in ---- */

/* Samples of lane c after `fill` frames of the window. A window starts at a whole sample of every
 * lane, so it depends on nothing else. The lanes that c reads are at `fill` already. */
static uint32_t held_after(const er_windows *w, uint32_t c, uint32_t fill)
{
    const er_lane *lane = &w->lanes[c];
    const uint32_t n =
        lane->kernel ? w->lanes[w->p->filters[c - w->p->n_channels].from[0]].held : fill;
    return (n * lane->up + lane->down - 1) / lane->down;
}

static void push_column(er_lane *lane, const er_program *p, uint32_t c, const float *x,
                        uint32_t first, uint32_t take)
{
    const er_channel ch = p->channels[c];
    const uint32_t width = p->n_channels, every = ch.every;
    float *restrict to = lane->row + lane->at + lane->held;
    const uint32_t start = (every - first % every) % every, n = (take + every - 1 - start) / every;
    const size_t at = (size_t)start * width + c, step = (size_t)every * width;
    for (uint32_t i = 0; i < n; i++) to[i] = x[at + i * step] * ch.scale + ch.offset;
}

static void push_filter(er_windows *w, er_lane *lane, const er_filter *f, uint32_t n)
{
    er_run run = {.n = n,
                  .out = lane->row + lane->at + lane->held,
                  .param = f->param,
                  .table = lane->table,
                  .state = lane->state,
                  .n_from = f->n_from};
    for (uint32_t s = 0; s < f->n_from; s++) {
        const er_lane *from = &w->lanes[f->from[s]]; /* has taken these n samples already */
        run.first = from->held - n;
        run.in[s] = from->row + from->at + run.first;
    }
    if (n) lane->kernel->run(&run);
}

uint32_t er_windows_push(er_windows *w, const float *x, uint32_t n)
{
    const er_program *p = w->p;
    const uint32_t room = p->window - w->fill, take = n < room ? n : room, fill = w->fill + take;
    uint32_t brought[ER_MAX_LANES];
    for (uint32_t c = 0; c < er_program_lanes(p); c++) {
        er_lane *lane = &w->lanes[c];
        const uint32_t held = held_after(w, c, fill);
        if (c < p->n_channels) {
            push_column(lane, p, c, x, w->fill, take);
        } else {
            const er_filter *f = &p->filters[c - p->n_channels];
            push_filter(w, lane, f, brought[f->from[0]]);
        }
        brought[c] = held - lane->held;
        lane->held = held;
    }
    w->fill = fill;
    return take;
}

/* A row is two windows long, so samples move back to its start only once in window/hop windows;
 * even then the window that was full stays whole behind them: it begins at `at`, past window - hop.
 */
static void advance(er_windows *w)
{
    const uint32_t window = w->p->window, hop = w->p->hop;
    w->last = w->at;
    w->at += hop;
    w->fill -= hop;
    const int is_far = w->at > window;
    if (is_far) w->at = 0;
    for (uint32_t c = 0; c < er_program_lanes(w->p); c++) {
        er_lane *lane = &w->lanes[c];
        lane->at += lane->pace.hop;
        lane->held -= lane->pace.hop;
        if (!is_far) continue;
        memmove(lane->row, lane->row + lane->at, lane->held * sizeof(float));
        lane->at = 0;
    }
}

const float *er_windows_last(const er_windows *w, uint32_t c, uint32_t *n)
{
    const er_lane *lane = &w->lanes[c];
    *n = lane->pace.n;
    /* frames that came since may stand where it stood */
    if (w->last == ER_NO_WINDOW || w->fill + w->p->hop != w->p->window) return NULL;
    return lane->row + w->last / w->p->hop * lane->pace.hop;
}

/* ---- saved ---- */

static size_t room_of(const er_lane *lane) { return lane->pace.n * sizeof(float); }

size_t er_windows_saved_bytes(const er_windows *w)
{
    size_t bytes = w->filter_bytes;
    for (uint32_t c = 0; c < er_program_lanes(w->p); c++) bytes += room_of(&w->lanes[c]);
    return bytes;
}

void er_windows_get(const er_windows *w, unsigned char *bytes)
{
    memset(bytes, 0, er_windows_saved_bytes(w));
    memcpy(bytes, w->filter_state, w->filter_bytes);
    bytes += w->filter_bytes;
    for (uint32_t c = 0; c < er_program_lanes(w->p); c++) {
        const er_lane *lane = &w->lanes[c];
        memcpy(bytes, lane->row + lane->at, lane->held * sizeof(float));
        bytes += room_of(lane);
    }
}

static int states_ok(const er_windows *w, const unsigned char *bytes)
{
    const er_program *p = w->p;
    int ok = 1;
    for (uint32_t i = 0; i < p->n_filters; i++) {
        const er_lane *lane = &w->lanes[p->n_channels + i];
        if (!lane->kernel->state_ok) continue;
        const size_t at = (size_t)((unsigned char *)lane->state - w->filter_state);
        ok &= lane->kernel->state_ok(bytes + at, lane->table, p->filters[i].param);
    }
    return ok;
}

er_status er_windows_put(er_windows *w, uint32_t fill, const unsigned char *bytes)
{
    if (!states_ok(w, bytes)) return ER_EFORMAT;
    memcpy(w->filter_state, bytes, w->filter_bytes);
    bytes += w->filter_bytes;
    w->at = 0;
    w->last = ER_NO_WINDOW;
    w->fill = fill;
    for (uint32_t c = 0; c < er_program_lanes(w->p); c++) {
        er_lane *lane = &w->lanes[c];
        lane->at = 0;
        lane->held = held_after(w, c, fill);
        memcpy(lane->row, bytes, lane->held * sizeof(float));
        bytes += room_of(lane);
    }
    return ER_OK;
}

/* ---- features out ---- */

enum { WIDE = 32 };

/* lo and hi <- least and greatest of x[n], by lanes and then by halves: a plain minimum cannot be
 * vectorised, because its order decides which zero and which NaN is kept. */
static void extremes(const float *restrict x, size_t n, float *restrict lo, float *restrict hi)
{
    size_t i = 0;
    for (size_t l = 0; l < WIDE; l++) lo[l] = hi[l] = x[0];
    for (; i + WIDE <= n; i += WIDE)
        for (size_t l = 0; l < WIDE; l++) {
            lo[l] = x[i + l] < lo[l] ? x[i + l] : lo[l];
            hi[l] = x[i + l] > hi[l] ? x[i + l] : hi[l];
        }
    for (size_t l = 0; i + l < n; l++) {
        lo[l] = x[i + l] < lo[l] ? x[i + l] : lo[l];
        hi[l] = x[i + l] > hi[l] ? x[i + l] : hi[l];
    }
    for (size_t half = WIDE / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) {
            lo[l] = lo[l + half] < lo[l] ? lo[l + half] : lo[l];
            hi[l] = hi[l + half] > hi[l] ? hi[l + half] : hi[l];
        }
}

/* Fill lo and hi; 0 if a value is not finite. -0 counts as 0. */
static int scan(er_view *v)
{
    float lo[WIDE], hi[WIDE];
    uint32_t rest = 0; /* x - x is 0 of every number, NaN of the others */
    extremes(v->x, v->n, lo, hi);
    for (size_t i = 0; i < v->n; i++) rest |= er_float_bits(v->x[i] - v->x[i]);
    v->lo = lo[0] + 0.0f;
    v->hi = hi[0] + 0.0f;
    return rest == 0;
}

static er_view view_of(er_windows *w, uint32_t channel)
{
    const er_lane *lane = &w->lanes[channel];
    return (er_view){.x = lane->row + lane->at,
                     .n = lane->pace.n,
                     .rate_hz = lane->rate_hz,
                     .ranks = &w->ranks,
                     .values = w->values,
                     .pair = w->pair,
                     .mels = w->mels,
                     .spectrum = lane->spectrum};
}

/* One bit pattern for every number that is not finite, one for zero. */
static float canonical(float x) { return er_is_finite(x) ? x + 0.0f : er_nan(); }

/* A channel as it is seen; features are sorted by channel, so one is kept. */
typedef struct seen {
    uint32_t channel;
    int finite;
    er_view view;
} seen;

static void look(seen *s, er_windows *w, uint32_t channel)
{
    if (s->channel == channel) return;
    s->channel = channel;
    s->view = view_of(w, channel);
    for (uint32_t i = 0; i < w->n_mels; i++) w->mels[i].is_made = 0;
    s->finite = scan(&s->view);
}

void er_windows_compute(er_windows *w, float *out)
{
    const er_program *p = w->p;
    seen one = {.channel = ER_MAX_LANES}, two = {.channel = ER_MAX_LANES};
    for (uint32_t i = 0; i < p->n_features; i++) {
        const uint32_t f = w->order[i];
        const int is_pair = w->kernel[f]->info.n_most == 2;
        look(&one, w, p->features[f].channel);
        if (is_pair) look(&two, w, p->features[f].other);
        one.view.other = is_pair ? &two.view : NULL;
        out[f] = one.finite && (!is_pair || two.finite)
                     ? canonical(w->kernel[f]->run(&one.view, p->features[f].param))
                     : er_nan();
    }
    advance(w);
}

/* ---- features alone ---- */

uint64_t er_features_rows(const er_program *p, uint64_t n_frames)
{
    if (er_program_check(p, NULL) != ER_OK || n_frames < p->window) return 0;
    return 1 + (n_frames - p->window) / p->hop;
}

size_t er_features_size(const er_program *p)
{
    if (er_program_check(p, NULL) != ER_OK) return 0;
    er_arena count = {0};
    er_windows w;
    er_windows_carve(&w, p, &count);
    return count.used;
}

er_status er_features_batch(const er_program *p, const float *x, uint64_t n_frames, float *out,
                            uint64_t out_rows, void *mem, size_t size)
{
    const er_status status = er_program_check(p, NULL);
    if (status != ER_OK) return status;
    if (!mem || (uintptr_t)mem % 8) return ER_EINVAL;
    const uint64_t rows = er_features_rows(p, n_frames);
    if ((!x && n_frames) || (!out && rows)) return ER_EINVAL;
    if (out_rows < rows || size < er_features_size(p)) return ER_ENOSPC;
    er_arena arena = {.base = mem};
    er_windows w;
    er_windows_carve(&w, p, &arena);
    er_windows_init(&w);
    for (uint64_t row = 0; row < rows; row++) {
        x += (size_t)er_windows_push(&w, x, p->window) * p->n_channels;
        er_windows_compute(&w, out + row * p->n_features);
    }
    return ER_OK;
}
