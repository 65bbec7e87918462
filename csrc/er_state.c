/* er_state.c - a stream's changing state as bytes, and taking over from another stream.
 *
 * Saved: header, the block er_state..features, then fill frames of every channel (values, not raw;
 * room for window-1, the rest zero). In this machine's byte order: a state never leaves its device.
 */
#include <string.h>

#include "er_internal.h"

typedef struct header {
    uint32_t magic;   /* "ERS1" as a number: another byte order does not match */
    uint32_t version; /* 1 */
    uint64_t shape;   /* of the stream that saved */
    uint64_t size;    /* with this header [bytes] */
    uint64_t check;   /* hash of all that follows */
} header;
enum { MAGIC = 0x31535245, VERSION = 1 };

static size_t frames_bytes(const er_stream *s)
{
    const er_program *p = s->c.program;
    return (size_t)p->n_channels * (p->window - 1u) * sizeof(float);
}

size_t er_stream_save_size(const er_stream *s)
{
    return s ? sizeof(header) + s->block_bytes + frames_bytes(s) : 0;
}

static const float *held(const er_stream *s, uint32_t channel)
{
    return s->windows.rows + (size_t)channel * 2 * s->c.program->window + s->windows.at;
}

er_status er_stream_save(const er_stream *s, void *bytes, size_t size)
{
    if (!s || !bytes || s->pending) return ER_EINVAL;
    if (size < er_stream_save_size(s)) return ER_ENOSPC;
    const uint32_t fill = s->windows.fill;
    unsigned char *body = (unsigned char *)bytes + sizeof(header), *at = body + s->block_bytes;
    s->state->fill = fill;
    memcpy(body, s->state, s->block_bytes);
    memset(at, 0, frames_bytes(s));
    for (uint32_t c = 0; c < s->c.program->n_channels; c++)
        memcpy(at + (size_t)c * fill * sizeof(float), held(s, c), fill * sizeof(float));
    const size_t total = er_stream_save_size(s);
    const header h = {MAGIC, VERSION, s->shape, total, er_hash(0, body, total - sizeof(header))};
    memcpy(bytes, &h, sizeof h);
    return ER_OK;
}

/* ---- restore: everything is checked before anything is changed ---- */

static int state_ok(const er_stream *s, const er_state *n)
{
    const er_program *p = s->c.program;
    /* frames = complete windows * hop + fill, always (modulo 2^64 on hostile bytes) */
    return n->fill < p->window && n->counted <= ER_PERIOD_WINDOWS &&
           n->frames == n->windows * p->hop + n->fill && er_votes_ok(&n->votes, s->c.policy);
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
    if (!s || !bytes) return ER_EINVAL;
    if (size < sizeof h) return ER_EFORMAT;
    memcpy(&h, bytes, sizeof h);
    if (h.magic != MAGIC || h.version != VERSION) return ER_EFORMAT;
    if (h.shape != s->shape) return ER_EMISMATCH;
    const unsigned char *block = (const unsigned char *)bytes + sizeof h,
                        *at = block + s->block_bytes;
    if (size != er_stream_save_size(s) || h.size != size ||
        h.check != er_hash(0, block, size - sizeof h))
        return ER_EFORMAT;
    memcpy(&n, block, sizeof n);
    if (!state_ok(s, &n) || !tallies_ok(s, block)) return ER_EFORMAT;
    memcpy(s->state, block, s->block_bytes);
    s->pending = 0;
    s->windows.at = 0;
    s->windows.fill = n.fill;
    for (uint32_t c = 0; c < s->c.program->n_channels; c++)
        memcpy(s->windows.rows + (size_t)c * 2 * s->c.program->window,
               at + (size_t)c * n.fill * sizeof(float), n.fill * sizeof(float));
    return ER_OK;
}

/* ---- adopt ---- */

static int same_frames(const er_program *a, const er_program *b)
{
    if (a->rate_hz != b->rate_hz || a->n_channels != b->n_channels || a->window != b->window ||
        a->hop != b->hop)
        return 0;
    for (uint32_t c = 0; c < a->n_channels; c++)
        if (a->channels[c].scale != b->channels[c].scale ||
            a->channels[c].offset != b->channels[c].offset)
            return 0;
    return 1;
}

er_status er_stream_adopt(er_stream *to, const er_stream *from)
{
    if (!to || !from || to == from || from->pending) return ER_EINVAL;
    if (!same_frames(to->c.program, from->c.program)) return ER_EMISMATCH;
    const uint32_t fill = from->windows.fill;
    memset(to->state, 0, to->block_bytes);
    er_votes_reset(&to->state->votes);
    er_summary_reset(to);
    to->state->frames = from->state->frames;
    to->state->windows = from->state->windows;
    to->pending = 0;
    to->windows.at = 0;
    to->windows.fill = fill;
    for (uint32_t c = 0; c < to->c.program->n_channels; c++)
        memcpy(to->windows.rows + (size_t)c * 2 * to->c.program->window, held(from, c),
               fill * sizeof(float));
    return ER_OK;
}
