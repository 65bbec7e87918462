/* er_summary.c - exact counts over all windows of a period: bins frozen at training, integer sums.
 */
#include <string.h>

#include "er_internal.h"

int er_bins_ok(const er_bins *b)
{
    if (!er_is_finite(b->centre) || !er_is_finite(b->scale) || !(b->scale > 0.0f) ||
        b->n_bins < 1 || b->n_bins > ER_MAX_BINS || !b->edges)
        return 0;
    for (uint32_t i = 0; i <= b->n_bins; i++)
        if (!er_is_finite(b->edges[i]) || (i > 0 && !(b->edges[i - 1] < b->edges[i]))) return 0;
    return 1;
}

void er_tally_reset(er_tally *t)
{
    memset(t, 0, sizeof *t);
    t->min = t->max = er_nan();
}

/* What a period can hold at most; so no sum can overflow: 2^22 windows of z^2 <= 2^40. */
int er_tally_ok(const er_tally *t)
{
    if (t->n > ER_PERIOD_WINDOWS || t->n_nan > ER_PERIOD_WINDOWS - t->n) return 0;
    const int64_t limit = (int64_t)t->n * ER_Z_LIMIT, limit_sq = limit * ER_Z_LIMIT;
    return t->first >= -ER_Z_LIMIT && t->first <= ER_Z_LIMIT && t->last >= -ER_Z_LIMIT &&
           t->last <= ER_Z_LIMIT && t->sum >= -limit && t->sum <= limit && t->sum_sq >= 0 &&
           t->sum_sq <= limit_sq && t->sum_lag >= -limit_sq && t->sum_lag <= limit_sq;
}

/* z = (x-centre)/scale in steps of 2^-16, rounded to nearest (halves away from 0), clamped first.
 */
static int32_t z_of(const er_bins *b, float x)
{
    const double z = ((double)x - (double)b->centre) / (double)b->scale * 65536.0;
    if (z >= ER_Z_LIMIT) return ER_Z_LIMIT;
    if (z <= -ER_Z_LIMIT) return -ER_Z_LIMIT;
    return (int32_t)(z < 0.0 ? z - 0.5 : z + 0.5);
}

/* 0 below the first edge, b+1 in bin b, n_bins+1 above the last edge. */
static uint32_t slot_of(const er_bins *b, float x)
{
    uint32_t passed = 0;
    for (uint32_t i = 0; i <= b->n_bins; i++) passed += b->edges[i] <= x;
    return passed > b->n_bins && x == b->edges[b->n_bins] ? b->n_bins : passed;
}

int er_tally_add(er_tally *t, uint32_t *counts, const er_bins *b, float x)
{
    if (x != x) {
        t->n_nan++;
        return 0;
    }
    const int32_t z = z_of(b, x);
    const int is_first = t->n == 0;
    t->min = is_first || x < t->min ? x : t->min;
    t->max = is_first || t->max < x ? x : t->max;
    if (is_first) t->first = z;
    t->sum += z;
    t->sum_sq += (int64_t)z * z;
    t->sum_lag += is_first ? 0 : (int64_t)z * t->last;
    t->last = z;
    t->n++;
    counts[slot_of(b, x)]++;
    return (z == ER_Z_LIMIT) | (z == -ER_Z_LIMIT);
}

/* ---- a sketch of times ---- */

static uint32_t sketch_bin(uint64_t ns)
{
    if (ns == 0) return 0;
    if (ns >> 40) return ER_SKETCH_BINS - 1u;
    uint64_t e = 0;
    while (ns >> (e + 1)) e++;
    const uint64_t s = (e < 16 ? ns << (16 - e) : ns >> (e - 16)) & 0xffffu; /* [2^-16] */
    const uint64_t cubic = 6 * s * s * s + (50 * s << 32) - (21 * s * s << 16);
    return 1u + (uint32_t)(((35 * e << 48) + cubic) >> 49);
}

er_status er_sketch_add(uint32_t *counts, uint64_t ns)
{
    if (!counts) return ER_EINVAL;
    const uint32_t bin = sketch_bin(ns);
    counts[bin] += counts[bin] < UINT32_MAX;
    return ER_OK;
}

/* ---- the public face, on a stream ---- */

er_status er_summary_row(const er_stream *s, uint32_t row, er_tally *out, uint32_t *counts,
                         uint32_t n_counts)
{
    if (!s || !out || !counts || row >= s->n_rows) return ER_EINVAL;
    const uint32_t n = s->c.bins[row].n_bins + 2u;
    if (n_counts < n) return ER_ENOSPC;
    const uint32_t *from = s->counts;
    for (uint32_t r = 0; r < row; r++) from += s->c.bins[r].n_bins + 2u;
    *out = s->tallies[row];
    memcpy(counts, from, n * sizeof *counts);
    return ER_OK;
}

er_status er_summary_labels(const er_stream *s, uint32_t *labels, uint32_t n_labels)
{
    if (!s || !labels) return ER_EINVAL;
    if (n_labels < s->c.policy->n_classes + 1u) return ER_ENOSPC;
    memcpy(labels, s->labels, (s->c.policy->n_classes + 1u) * sizeof *labels);
    return ER_OK;
}

void er_summary_reset(er_stream *s)
{
    if (!s) return;
    s->state->counted = 0;
    for (uint32_t r = 0; r < s->n_rows; r++) er_tally_reset(&s->tallies[r]);
    memset(s->counts, 0, s->n_counts * sizeof *s->counts);
    memset(s->labels, 0, (s->c.policy->n_classes + 1u) * sizeof *s->labels);
}
