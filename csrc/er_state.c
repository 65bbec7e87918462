/* er_state.c - a stream's changing state as bytes, and taking over from another stream.
 *
 * Saved: header, the block er_state..features, the filters' states, then the samples held of every
 * channel (values, not raw; room for a window, the rest zero), then what row operators hold. In
 * this machine's byte order: a state never leaves its device.
 */
#include <string.h>

#include "er_internal.h"
#include "er_row.h"

typedef struct header {
    uint32_t magic;   /* "ERS1" as a number: another byte order does not match */
    uint32_t version; /* 2 */
    uint64_t shape;   /* of the stream that saved */
    uint64_t size;    /* with this header [bytes] */
    uint64_t check;   /* hash of all that follows */
} header;
enum { MAGIC = 0x31535245, VERSION = 2 };

static size_t row_bytes(const er_stream *s)
{
    return s->row ? s->row->n_state * sizeof *s->row->state : 0;
}

size_t er_stream_save_size(const er_stream *s)
{
    if (!s) return 0;
    return sizeof(header) + s->block_bytes + er_windows_saved_bytes(&s->windows) + row_bytes(s);
}

er_status er_stream_save(const er_stream *s, void *bytes, size_t size)
{
    if (!s || !bytes || s->pending) return ER_EINVAL;
    if (size < er_stream_save_size(s)) return ER_ENOSPC;
    unsigned char *body = (unsigned char *)bytes + sizeof(header);
    s->state->fill = s->windows.fill;
    memcpy(body, s->state, s->block_bytes);
    unsigned char *windows = body + s->block_bytes;
    er_windows_get(&s->windows, windows);
    if (s->row) memcpy(windows + er_windows_saved_bytes(&s->windows), s->row->state, row_bytes(s));
    const size_t total = er_stream_save_size(s);
    const header h = {MAGIC, VERSION, s->shape, total, er_hash(0, body, total - sizeof(header))};
    memcpy(bytes, &h, sizeof h);
    return ER_OK;
}

/* ---- restore: everything is checked before anything is changed ---- */

static int state_ok(const er_stream *s, const er_state *n)
{
    const er_program *p = s->c.program;
    if (n->fill >= p->window || n->counted > ER_PERIOD_WINDOWS ||
        !er_votes_ok(&n->votes, s->c.policy))
        return 0;
    /* frames = complete windows * hop + fill, always (modulo 2^64 on hostile bytes), unless gaps
     * are filled and windows start anew: then of the frames on the grid since the last start */
    return s->feed.clock || n->frames == n->windows * p->hop + n->fill;
}

static int clock_ok(const er_stream *s, const unsigned char *block, uint32_t fill)
{
    er_clock c;
    if (!s->feed.clock) return 1;
    memcpy(&c, block + ((const unsigned char *)s->feed.clock - (const unsigned char *)s->state),
           sizeof c);
    return er_clock_ok(&c, &s->feed.grid) && c.number >= fill &&
           (c.number - fill) % s->c.program->hop == 0;
}

static int tallies_ok(const er_stream *s, const unsigned char *block)
{
    const unsigned char *at =
        block + ((const unsigned char *)s->tallies - (const unsigned char *)s->state);
    for (uint32_t r = 0; r < s->n_rows; r++) {
        er_tally t;
        memcpy(&t, at + r * sizeof t, sizeof t);
        if (!er_tally_ok(&t)) return 0;
    }
    return 1;
}

er_status er_stream_restore(er_stream *s, const void *bytes, size_t size)
{
    header h;
    er_state n;
    if (!s || !bytes || (uintptr_t)bytes % 8) return ER_EINVAL;
    if (size < sizeof h) return ER_EFORMAT;
    memcpy(&h, bytes, sizeof h);
    if (h.magic != MAGIC || h.version != VERSION) return ER_EFORMAT;
    if (h.shape != s->shape) return ER_EMISMATCH;
    const unsigned char *block = (const unsigned char *)bytes + sizeof h;
    if (size != er_stream_save_size(s) || h.size != size ||
        h.check != er_hash(0, block, size - sizeof h))
        return ER_EFORMAT;
    memcpy(&n, block, sizeof n);
    const unsigned char *windows = block + s->block_bytes,
                        *row = windows + er_windows_saved_bytes(&s->windows);
    if (!state_ok(s, &n) || !clock_ok(s, block, n.fill) || !tallies_ok(s, block) ||
        (s->row && !er_row_state_ok(s->row, row)) ||
        er_windows_put(&s->windows, n.fill, windows) != ER_OK)
        return ER_EFORMAT;
    memcpy(s->state, block, s->block_bytes);
    if (s->row) memcpy(s->row->state, row, row_bytes(s));
    s->pending = 0;
    return ER_OK;
}

/* ---- adopt ---- */

static int same_frames(const er_program *a, const er_program *b)
{
    if (a->rate_hz != b->rate_hz || a->n_channels != b->n_channels || a->window != b->window ||
        a->hop != b->hop || a->n_filters != b->n_filters ||
        memcmp(&a->timing, &b->timing, sizeof a->timing))
        return 0;
    for (uint32_t c = 0; c < a->n_channels; c++)
        if (a->channels[c].scale != b->channels[c].scale ||
            a->channels[c].offset != b->channels[c].offset ||
            a->channels[c].every != b->channels[c].every)
            return 0;
    for (uint32_t i = 0; i < a->n_filters; i++) {
        const er_filter *f = &a->filters[i], *g = &b->filters[i];
        if (f->op != g->op || f->n_from != g->n_from || memcmp(f->from, g->from, sizeof f->from) ||
            memcmp(f->param, g->param, sizeof f->param))
            return 0;
    }
    return 1;
}

static void take_windows(er_windows *to, const er_windows *from)
{
    memcpy(to->filter_state, from->filter_state, to->filter_bytes);
    to->at = 0;
    to->last = ER_NO_WINDOW;
    to->fill = from->fill;
    for (uint32_t c = 0; c < er_program_lanes(to->p); c++) {
        er_lane *lane = &to->lanes[c];
        lane->at = 0;
        lane->held = from->lanes[c].held;
        memcpy(lane->row, from->lanes[c].row + from->lanes[c].at, lane->held * sizeof(float));
    }
}

/* The record goes over where both make the same of it; else it is missing until the next one. */
static void take_record(er_stream *to, const er_stream *from)
{
    if (!to->row) return;
    const uint32_t n = to->c.rows->n_cells;
    const int is_same = from->row && from->row->shape == to->row->shape;
    er_row_reset(to->row);
    for (uint32_t i = 0; i < n; i++) to->cells[i] = is_same ? from->cells[i] : er_nan();
    if (is_same) memcpy(to->row->state, from->row->state, row_bytes(to));
}

er_status er_stream_adopt(er_stream *to, const er_stream *from)
{
    if (!to || !from || to == from || from->pending) return ER_EINVAL;
    if (!same_frames(to->c.program, from->c.program)) return ER_EMISMATCH;
    memset(to->state, 0, to->block_bytes);
    er_votes_reset(&to->state->votes);
    er_summary_reset(to);
    to->state->frames = from->state->frames;
    to->state->windows = from->state->windows;
    to->pending = 0;
    take_windows(&to->windows, &from->windows);
    take_record(to, from);
    er_feed_adopt(&to->feed, &from->feed, to->c.program->n_channels);
    return ER_OK;
}
