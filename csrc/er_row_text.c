/* er_row_text.c - the words of a text field: exact lookup without allocation, and the hash of the
 * bucket operator. The table only finds a word: what it answers does not depend on its hash or on
 * the byte order. */
#include <string.h>

#include "er_row.h"

static const uint64_t FREE = UINT64_MAX;

static uint32_t size_of(const er_slot *k) { return (uint32_t)k->head; }

static er_slot key_of(er_text t)
{
    const uint32_t n = (uint32_t)t.size;
    const unsigned char *b = (const unsigned char *)t.bytes;
    uint64_t first = 0, tail = 0;
    if (n >= 4) {
        first = er_load4(t.bytes);
        if (n >= 8)
            tail = er_load8(t.bytes + n - 8) >> (n < 12 ? 8 * (12 - n) : 0);
        else
            tail = (uint64_t)er_load4(t.bytes + n - 4) >> 8 * (8 - n);
    } else if (n >= 1) {
        first = b[0] | (uint64_t)b[n / 2] << 8 * (n / 2) | (uint64_t)b[n - 1] << 8 * (n - 1);
    }
    return (er_slot){n | first << 32, tail, t.bytes, 0};
}

static const uint64_t ODD = UINT64_C(0x9e3779b97f4a7c15);

/* What lies between a long text's first 4 and last 8 bytes. */
static uint64_t middle_of(const er_slot *k)
{
    uint64_t h = 0;
    for (uint32_t i = 4; i + 8 < size_of(k); i += 8)
        h = (h * ODD ^ h >> 29) + er_load8(k->bytes + i);
    return h;
}

static inline uint32_t hash_of(const er_slot *k, uint64_t seed)
{
    uint64_t h = k->head ^ (k->tail << 29 | k->tail >> 35) ^ seed;
    if (size_of(k) > 12) h += middle_of(k);
    h *= ODD;
    return (uint32_t)(h >> 32 ^ h >> 47);
}

static inline int same(const er_slot *a, const er_slot *b)
{
    if ((a->head ^ b->head) | (a->tail ^ b->tail)) return 0;
    return size_of(a) <= 12 || memcmp(a->bytes, b->bytes, size_of(a)) == 0;
}

/* The slot from `at` on that holds k, or the free one where it belongs: at least half are free. */
static uint32_t next_slot(const er_words *w, const er_slot *k, uint32_t at)
{
    while (w->slots[at].head != FREE && !same(&w->slots[at], k)) at = (at + 1) & w->mask;
    return at;
}

void er_words_carve(er_words *w, uint32_t most, er_arena *a)
{
    uint32_t slots = 2;
    while (slots < 2 * most) slots *= 2;
    w->mask = slots - 1;
    w->slots = er_carve(a, slots * sizeof *w->slots);
}

void er_words_init(er_words *w, uint64_t seed)
{
    w->n = w->moved = 0;
    w->seed = seed * UINT64_C(0xbf58476d1ce4e5b9);
    w->needs_hash = 0;
    for (uint32_t i = 0; i <= w->mask; i++) w->slots[i] = (er_slot){FREE, 0, NULL, ER_CODE_UNKNOWN};
}

int32_t er_words_add(er_words *w, er_text word)
{
    const er_slot key = key_of(word);
    const uint32_t home = hash_of(&key, w->seed) & w->mask;
    er_slot *slot = &w->slots[next_slot(w, &key, home)];
    if (slot->head != FREE) return slot->code;
    w->moved += slot != &w->slots[home];
    *slot = key;
    slot->code = (int32_t)w->n++;
    return slot->code;
}

static inline int32_t code_of(const er_words *w, const er_slot *key)
{
    uint32_t at = hash_of(key, w->seed) & w->mask;
    if (!same(&w->slots[at], key)) at = next_slot(w, key, at);
    return w->slots[at].code;
}

void er_words_codes(const er_words *w, const er_text *texts, uint32_t n, er_code *out)
{
    for (uint32_t i = 0; i < n; i++) {
        out[i] = (er_code){ER_CODE_MISSING, 0};
        if (texts[i].size < 0) continue;
        const er_slot key = key_of(texts[i]);
        out[i].code = code_of(w, &key);
        if (w->needs_hash) out[i].hash = er_murmur3(texts[i].bytes, (uint32_t)texts[i].size);
    }
}

int er_words_views(const er_words *w, const er_column *c, const char *views, uint64_t missing,
                   uint32_t n, er_code *out)
{
    for (uint32_t i = 0; i < n; i++, views += 16) {
        int32_t view[4]; /* size, first bytes; then the rest, or number of buffer and offset */
        out[i] = (er_code){ER_CODE_MISSING, 0};
        if (missing >> i & 1) continue;
        memcpy(view, views, sizeof view);
        er_slot key = {(uint32_t)view[0] | (uint64_t)er_load4(views + 4) << 32, er_load8(views + 8),
                       views + 4, 0};
        if ((uint32_t)view[0] > 12) {
            if (view[0] < 0 || view[2] < 0 || (uint32_t)view[2] >= c->n_buffers || view[3] < 0)
                return 0;
            key = key_of((er_text){(const char *)c->buffers[view[2]] + view[3], view[0]});
        }
        out[i].code = code_of(w, &key);
        if (w->needs_hash) out[i].hash = er_murmur3(key.bytes, (uint32_t)view[0]);
    }
    return 1;
}

/* ---- MurmurHash3_x86_32 (Austin Appleby 2011, public domain), seed 0 ---- */

static uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

static uint32_t scramble(uint32_t k) { return rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u; }

uint32_t er_murmur3(const char *bytes, uint32_t size)
{
    const unsigned char *b = (const unsigned char *)bytes;
    uint32_t h = 0, k = 0, i = 0;
    for (; i + 4 <= size; i += 4) {
        const uint32_t word =
            b[i] | (uint32_t)b[i + 1] << 8 | (uint32_t)b[i + 2] << 16 | (uint32_t)b[i + 3] << 24;
        h = rotate(h ^ scramble(word), 13) * 5 + 0xe6546b64u;
    }
    for (uint32_t j = size; j > i; j--) k = k << 8 | b[j - 1];
    h ^= scramble(k) ^ size;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}
