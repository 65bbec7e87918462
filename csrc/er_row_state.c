/* er_row_state.c - what row operators hold between records, as bytes: header, then one word a
 * stateful step. In this machine's byte order: a state never leaves its device. */
#include <string.h>

#include "er_row.h"

typedef struct header {
    uint32_t magic;   /* "ERR1" as a number: another byte order does not match */
    uint32_t version; /* 1 */
    uint64_t shape;   /* of the program that saved */
    uint64_t check;   /* hash of all that follows */
} header;
enum { MAGIC = 0x31525245, VERSION = 1 };

void er_row_reset(er_row *r)
{
    const double nothing = (double)er_nan();
    const er_code none = {ER_CODE_MISSING, 0};
    for (uint32_t i = 0; i < r->n_steps; i++) {
        const er_row_step *s = &r->steps[i];
        if (!s->arg.state) continue;
        if (s->kernel->kind == ER_TEXT)
            memcpy(s->arg.state, &none, sizeof none);
        else
            memcpy(s->arg.state, &nothing, sizeof nothing);
    }
}

size_t er_row_save_size(const er_row *r)
{
    return r ? sizeof(header) + r->n_state * sizeof *r->state : 0;
}

er_status er_row_save(const er_row *r, void *bytes, size_t size)
{
    if (!r || !bytes) return ER_EINVAL;
    if (size < er_row_save_size(r)) return ER_ENOSPC;
    const size_t n = r->n_state * sizeof *r->state;
    const header h = {MAGIC, VERSION, r->shape, er_hash(0, r->state, n)};
    memcpy(bytes, &h, sizeof h);
    memcpy((unsigned char *)bytes + sizeof h, r->state, n);
    return ER_OK;
}

int er_row_state_ok(const er_row *r, const unsigned char *state)
{
    for (uint32_t i = 0; i < r->n_steps; i++) {
        const er_row_step *s = &r->steps[i];
        er_code t;
        if (!s->arg.state || s->kernel->kind != ER_TEXT) continue;
        memcpy(&t, state + (size_t)(s->arg.state - r->state) * sizeof *r->state, sizeof t);
        if (t.code < ER_CODE_MISSING || t.code >= (int32_t)er_row_words(r, s->cell)->n) return 0;
    }
    return 1;
}

er_status er_row_restore(er_row *r, const void *bytes, size_t size)
{
    header h;
    if (!r || !bytes) return ER_EINVAL;
    if (size < sizeof h) return ER_EFORMAT;
    memcpy(&h, bytes, sizeof h);
    if (h.magic != MAGIC || h.version != VERSION) return ER_EFORMAT;
    if (h.shape != r->shape) return ER_EMISMATCH;
    const unsigned char *state = (const unsigned char *)bytes + sizeof h;
    if (size != er_row_save_size(r) || h.check != er_hash(0, state, size - sizeof h) ||
        !er_row_state_ok(r, state))
        return ER_EFORMAT;
    memcpy(r->state, state, size - sizeof h);
    return ER_OK;
}
