/* er_model.c - a model's file is checked once (er_model_open), then its steps run in place. */
#include <string.h>

#include "er_model.h"

enum { HEADER_BYTES = 40 };

typedef struct header {
    char magic[4]; /* ERM1 */
    uint16_t n_features, n_outputs;
    uint32_t n_steps, n_values, out, flags;
    uint64_t size;     /* of the file [bytes] */
    uint64_t reserved; /* 0 */
} header;
_Static_assert(sizeof(header) == HEADER_BYTES, "wire size");

/* ---- open ---- */

static int header_ok(const header *h, size_t size)
{
    return memcmp(h->magic, "ERM1", 4) == 0 && h->size == size && h->reserved == 0 &&
           h->flags <= ER_MODEL_TAKES_NAN && h->n_features >= 1 &&
           h->n_features <= ER_MAX_FEATURES && h->n_outputs >= 1 &&
           h->n_outputs <= ER_MAX_CLASSES && h->n_steps >= 1 && h->n_steps <= ER_MAX_STEPS &&
           h->n_values > h->n_features && h->n_values <= ER_MAX_VALUES &&
           HEADER_BYTES + h->n_steps * sizeof(er_model_step) <= size;
}

/* n values from `first` on, none at or behind `end`? */
static int inside(uint32_t first, uint32_t n, uint32_t end)
{
    return n >= 1 && n <= end && first <= end - n;
}

/* What every step keeps to. Values below `written` hold something: a step writes on top of them or
 * right behind them, so there are never holes. */
static int step_ok(const header *h, const er_model_step *s, const er_step_kernel *k,
                   uint32_t written)
{
    const int apart = !inside(s->from, s->n, written) || !inside(s->to, s->m, h->n_values) ? 0
                      : s->from == s->to && s->n == s->m ? k->in_place
                      : s->from < s->to                  ? s->from + s->n <= s->to
                                                         : s->to + s->m <= s->from;
    return apart && s->to >= h->n_features && s->to <= written && s->reserved == 0 &&
           s->variant >= k->least && s->variant <= k->most;
}

/* Constants lie one after another, from `cursor` on; a step without any names no place. */
static int place_ok(const er_model_step *s, uint64_t cursor, size_t size)
{
    return s->at == (s->bytes ? cursor : 0) && s->bytes % 8 == 0 && s->bytes <= size - cursor;
}

static er_status steps_check(const header *h, er_model *m)
{
    const unsigned char *bytes = m->bytes;
    const er_model_step *step = (const void *)(bytes + HEADER_BYTES);
    uint64_t cursor = HEADER_BYTES + h->n_steps * sizeof *step;
    uint32_t written = h->n_features;
    for (uint32_t i = 0; i < h->n_steps; i++) {
        const er_model_step *s = &step[i];
        const er_step_kernel *k = er_step_find(s->op);
        if (!k) return ER_EOP;
        if (!step_ok(h, s, k, written) || !place_ok(s, cursor, (size_t)h->size) ||
            !k->ok(s, bytes + cursor))
            return ER_EFORMAT;
        const size_t work = k->work ? k->work(s, bytes + cursor) : 0;
        if (work > m->work_bytes) m->work_bytes = (uint32_t)work;
        if (s->to + s->m > written) written = s->to + s->m;
        cursor += s->bytes;
    }
    if (cursor != h->size || h->out < h->n_features || !inside(h->out, h->n_outputs, written))
        return ER_EFORMAT;
    m->shape[0] = h->n_steps;
    m->shape[1] = (uint32_t)(er_hash(0, step, h->n_steps * sizeof *step) >> 32);
    return ER_OK;
}

er_status er_model_open(er_model *out, const void *bytes, size_t size)
{
    header h;
    if (!out || !bytes || (uintptr_t)bytes % 8) return ER_EINVAL;
    if (size >= 4 && memcmp(bytes, "ERF1", 4) == 0) return er_forest_open(out, bytes, size);
    if (size < HEADER_BYTES) return ER_EFORMAT;
    memcpy(&h, bytes, sizeof h);
    if (!header_ok(&h, size)) return ER_EFORMAT;
    er_model m = {.bytes = bytes,
                  .n_steps = h.n_steps,
                  .n_values = h.n_values,
                  .out = h.out,
                  .flags = h.flags,
                  .n_features = h.n_features,
                  .n_outputs = h.n_outputs};
    const er_status status = steps_check(&h, &m);
    if (status == ER_OK) *out = m;
    return status;
}

/* ---- run ---- */

size_t er_model_size(const er_model *m)
{
    return m ? (size_t)m->n_values * sizeof(double) + m->work_bytes : 0;
}

static void run_steps(const er_model *m, const float *x, double *value)
{
    const unsigned char *bytes = m->bytes;
    const er_model_step *step = (const void *)(bytes + HEADER_BYTES);
    er_call c = {.work = value + m->n_values};
    for (uint32_t i = 0; i < m->n_features; i++) value[i] = (double)x[i];
    for (uint32_t i = 0; i < m->n_steps; i++) {
        const er_model_step *s = &step[i];
        c.step = s;
        c.constants = bytes + s->at;
        c.from = value + s->from;
        c.to = value + s->to;
        c.row = s->from + s->n <= m->n_features ? x + s->from : NULL;
        er_step_find(s->op)->run(&c);
    }
}

er_status er_model_run(const er_model *m, const float *x, void *scratch, double *scores)
{
    if (!m || !x || !scores || (uintptr_t)scratch % 8) return ER_EINVAL;
    if (!m->n_steps) {
        er_forest_run(m, x, scores);
        return ER_OK;
    }
    if (!scratch) return ER_EINVAL;
    run_steps(m, x, scratch);
    const double *out = (double *)scratch + m->out;
    for (uint32_t c = 0; c < m->n_outputs; c++) /* the sign of a NaN is the hardware's */
        scores[c] = out[c] == out[c] ? out[c] : (double)er_nan();
    return ER_OK;
}
