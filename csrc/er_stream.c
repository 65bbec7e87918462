/* er_stream.c - one stream: window, features, model, policy, summary in one call. */
#include <string.h>

#include "er_internal.h"
#include "er_row.h"

/* ---- life ---- */

static uint32_t vector_of(const er_config *c)
{
    return c->program->n_features + (c->rows ? c->rows->n_cells : 0u);
}

static er_status config_check(const er_config *c)
{
    if (!c) return ER_EINVAL;
    const er_status status = er_program_check(c->program, NULL);
    if (status != ER_OK) return status;
    if (c->rows ? er_row_size(c->rows) == 0 : c->program->n_channels == 0) return ER_EINVAL;
    const uint32_t n_vector = vector_of(c);
    if (!er_policy_ok(c->policy) || n_vector > ER_MAX_FEATURES) return ER_EINVAL;
    const er_model *m = c->model;
    if (m && (m->n_features != n_vector || m->n_outputs != c->policy->n_classes)) return ER_EINVAL;
    const uint32_t n_rows = n_vector + c->policy->n_classes;
    for (uint32_t r = 0; c->bins && r < n_rows; r++)
        if (!er_bins_ok(&c->bins[r])) return ER_EINVAL;
    return ER_OK;
}

/* Lay out s over the arena: first what is saved, in one block, then the window. */
static void carve(er_stream *s, const er_config *c, er_arena *a)
{
    const uint32_t n_classes = c->policy->n_classes;
    s->c = *c;
    s->n_vector = vector_of(c);
    s->n_rows = c->bins ? s->n_vector + n_classes : 0;
    s->n_counts = 0;
    for (uint32_t r = 0; r < s->n_rows; r++) s->n_counts += c->bins[r].n_bins + 2u;
    const size_t start = a->used;
    s->state = er_carve(a, sizeof *s->state);
    s->scores = er_carve(a, n_classes * sizeof *s->scores);
    s->tallies = er_carve(a, s->n_rows * sizeof *s->tallies);
    s->counts = er_carve(a, s->n_counts * sizeof *s->counts);
    s->labels = er_carve(a, (n_classes + 1u) * sizeof *s->labels);
    s->features = er_carve(a, s->n_vector * sizeof *s->features);
    s->cells = er_carve(a, (s->n_vector - c->program->n_features) * sizeof *s->cells);
    er_feed_carve(&s->feed, c->program, a);
    s->block_bytes = a->used - start;
    er_feed_carve_made(&s->feed, c->program, a);
    s->scratch = er_carve(a, er_model_size(c->model));
    const er_arena row = c->rows ? er_row_count(c->rows) : (er_arena){0};
    s->row = c->rows ? er_carve_both(a, row.used, row.small) : NULL;
    er_windows_carve(&s->windows, c->program, a);
}

static er_arena count_of(const er_config *c)
{
    if (config_check(c) != ER_OK) return (er_arena){0};
    er_stream s;
    er_arena count = {.used = (sizeof s + 7) / 8 * 8, .small = ER_STREAM_SMALL};
    carve(&s, c, &count);
    return count;
}

size_t er_stream_size(const er_config *c) { return count_of(c).used; }

size_t er_stream_size_32(const er_config *c) { return count_of(c).small; }

#define HASH(h, value) er_hash(h, &(value), sizeof(value))

/* Everything a saved state only makes sense with: program, policy, bins, the model's dimensions. */
static uint64_t shape_of(const er_config *c)
{
    const er_program *p = c->program;
    const er_policy *q = c->policy;
    uint64_t h = HASH(0, p->rate_hz);
    const uint16_t dims[] = {p->n_channels, p->window, p->hop,  p->n_features, q->n_classes,
                             q->k,          q->n,      q->hold, p->n_filters};
    const er_model *m = c->model;
    const uint32_t model[] = {m != NULL, m ? m->shape[0] : 0, m ? m->shape[1] : 0, c->bins != NULL};
    h = HASH(h, dims);
    h = HASH(h, p->timing);
    h = HASH(h, model);
    h = er_hash(h, p->channels, p->n_channels * sizeof *p->channels);
    h = er_hash(h, p->features, p->n_features * sizeof *p->features);
    h = er_hash(h, p->filters, p->n_filters * sizeof *p->filters);
    h = er_hash(h, q->threshold_ppm, q->n_classes * sizeof *q->threshold_ppm);
    for (uint32_t r = 0; c->bins && r < vector_of(c) + q->n_classes; r++) {
        const er_bins *b = &c->bins[r];
        h = HASH(h, b->centre);
        h = HASH(h, b->scale);
        h = er_hash(h, b->edges, (b->n_bins + 1u) * sizeof *b->edges);
    }
    return h;
}

er_status er_stream_init(er_stream **out, const er_config *c, void *mem, size_t size)
{
    const er_status status = config_check(c);
    if (status != ER_OK) return status;
    if (!out || !mem || (uintptr_t)mem % 8) return ER_EINVAL;
    if (size < er_stream_size(c)) return ER_ENOSPC;
    er_stream *s = mem;
    memset(s, 0, sizeof *s);
    er_arena arena = {.base = mem, .used = (sizeof *s + 7) / 8 * 8};
    carve(s, c, &arena);
    memset(s->state, 0, s->block_bytes);
    er_votes_reset(&s->state->votes);
    er_summary_reset(s);
    er_feed_init(&s->feed, c->program);
    er_windows_init(&s->windows);
    s->shape = shape_of(c);
    if (c->rows) {
        er_row_init(&s->row, c->rows, s->row, er_row_size(c->rows));
        for (uint32_t i = 0; i < c->rows->n_cells; i++) s->cells[i] = er_nan();
        s->shape = HASH(s->shape, s->row->shape);
    }
    *out = s;
    return ER_OK;
}

/* ---- one window ---- */

/* ER_FLAG_RANGE, or 0. */
static uint32_t count_window(er_stream *s, int32_t label)
{
    if (s->state->counted == ER_PERIOD_WINDOWS) return 0;
    uint32_t flag = 0;
    s->state->counted++;
    s->labels[label == ER_ABSTAIN ? s->c.policy->n_classes : (uint32_t)label]++;
    uint32_t *counts = s->counts;
    for (uint32_t r = 0; r < s->n_rows; r++) {
        const uint32_t nv = s->n_vector;
        const float x = r < nv ? s->features[r] : (float)s->scores[r - nv];
        const int is_far = er_tally_add(&s->tallies[r], counts, &s->c.bins[r], x);
        if (is_far && r < nv) flag = ER_FLAG_RANGE;
        counts += s->c.bins[r].n_bins + 2u;
    }
    return flag;
}

/* Scores are in place (NaN: nobody was asked). */
static er_status decide(er_stream *s, er_decision *out)
{
    int32_t vote;
    float margin;
    const int ok = er_policy_vote(s->c.policy, s->scores, &vote, &margin);
    *out = (er_decision){.window = s->state->windows,
                         .label = er_policy_label(s->c.policy, &s->state->votes, vote),
                         .vote = vote,
                         .margin = margin,
                         .flags = (ok ? 0 : ER_FLAG_NAN) |
                                  er_feed_flags(&s->feed, s->c.program->window)};
    out->flags |= count_window(s, out->label);
    s->state->windows++;
    s->pending = 0;
    return ER_OK;
}

static int has_nan(const float *x, uint32_t n)
{
    int nan = 0;
    for (uint32_t i = 0; i < n; i++) nan |= x[i] != x[i];
    return nan;
}

/* Frames used. What was voted before a reset says nothing of the time after it. */
static uint32_t feed(er_stream *s, const float *x, const int64_t *times_us, uint32_t n_frames)
{
    const er_clock *c = s->feed.clock;
    const uint64_t resets = c ? c->counts.resets : 0;
    const uint32_t taken = er_feed_push(&s->feed, &s->windows, x, times_us, n_frames);
    if (c && c->counts.resets != resets) er_votes_reset(&s->state->votes);
    s->state->frames += taken;
    return taken;
}

er_status er_step_at(er_stream *s, const float *x, const int64_t *times_us, uint32_t n_frames,
                     uint32_t *taken, er_decision *out)
{
    if (!s || !taken || !out || s->pending) return ER_EINVAL;
    if (!x && n_frames && s->c.program->n_channels) return ER_EINVAL;
    *taken = feed(s, x, times_us, n_frames);
    if (!er_windows_full(&s->windows)) return ER_AGAIN;
    er_windows_compute(&s->windows, s->features);
    const uint32_t n_features = s->c.program->n_features;
    memcpy(s->features + n_features, s->cells, (s->n_vector - n_features) * sizeof *s->cells);
    const er_model *m = s->c.model;
    const int takes_nan = m && m->flags & ER_MODEL_TAKES_NAN;
    if (!takes_nan && has_nan(s->features, s->n_vector)) {
        for (uint32_t c = 0; c < s->c.policy->n_classes; c++) s->scores[c] = (double)er_nan();
        return decide(s, out);
    }
    if (!m) {
        s->pending = 1;
        return ER_SCORES;
    }
    er_model_run(m, s->features, s->scratch, s->scores);
    return decide(s, out);
}

er_status er_step(er_stream *s, const float *x, uint32_t n_frames, uint32_t *taken,
                  er_decision *out)
{
    return er_step_at(s, x, NULL, n_frames, taken, out);
}

er_status er_decide(er_stream *s, const double *scores, er_decision *out)
{
    if (!s || !scores || !out || !s->pending) return ER_EINVAL;
    memmove(s->scores, scores, s->c.policy->n_classes * sizeof *scores);
    return decide(s, out);
}

/* ---- read ---- */

er_row *er_stream_row(er_stream *s) { return s->row; }

float *er_stream_cells(er_stream *s) { return s->row ? s->cells : NULL; }

const float *er_stream_features(const er_stream *s) { return s->features; }

const double *er_stream_scores(const er_stream *s) { return s->scores; }

const float *er_stream_window(const er_stream *s, uint32_t channel, uint32_t *n)
{
    if (!s || !n || channel >= s->c.program->n_channels) return NULL;
    return er_windows_last(&s->windows, channel, n);
}

er_status er_stream_clock(const er_stream *s, er_clock_counts *out)
{
    if (!s || !out) return ER_EINVAL;
    *out = s->feed.clock ? s->feed.clock->counts : (er_clock_counts){0};
    return ER_OK;
}

uint64_t er_stream_frames(const er_stream *s) { return s->state->frames; }

uint64_t er_stream_windows(const er_stream *s) { return s->state->windows; }
