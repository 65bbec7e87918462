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

static inline uint32_t folded(uint64_t h)
{
    h *= ODD;
    return (uint32_t)(h >> 32 ^ h >> 47);
}

/* Of up to 12 bytes, all of which the key holds. */
static inline uint64_t short_key(const er_slot *k, uint64_t seed)
{
    return k->head ^ (k->tail << 29 | k->tail >> 35) ^ seed;
}

static inline uint32_t short_hash(const er_slot *k, uint64_t seed)
{
    return folded(short_key(k, seed));
}

static inline uint32_t hash_of(const er_slot *k, uint64_t seed)
{
    return folded(short_key(k, seed) + (size_of(k) > 12 ? middle_of(k) : 0));
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
    w->slots = er_carve_both(a, slots * sizeof *w->slots, (size_t)slots * ER_SLOT_SMALL);
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

/* The code of a view beyond its 12 bytes, or of any other than the word that a table finds first.
 */
static int view_code(const er_words *w, const er_column *c, const char *view, er_code *out)
{
    int32_t part[4]; /* size, first bytes; then the rest, or number of buffer and offset */
    memcpy(part, view, sizeof part);
    if (part[0] < 0) return 0;
    er_text text = {view + 4, part[0]};
    if (part[0] > 12) {
        if (part[2] < 0 || (uint32_t)part[2] >= c->n_buffers || part[3] < 0) return 0;
        text.bytes = (const char *)c->buffers[part[2]] + part[3];
    }
    er_words_codes(w, &text, 1, out);
    return 1;
}

int er_words_views(const er_words *w, const er_column *c, const char *views, uint64_t missing,
                   uint32_t n, er_code *restrict out)
{
    const er_slot *restrict slots = w->slots;
    const uint64_t seed = w->seed;
    const uint32_t mask = w->mask, most = w->needs_hash ? 0 : 13;
    for (uint32_t i = 0; i < n; i++, views += 16) {
        uint32_t size;
        memcpy(&size, views, sizeof size);
        const er_slot key = {size | (uint64_t)er_load4(views + 4) << 32, er_load8(views + 8), NULL,
                             0};
        const er_slot *slot = &slots[short_hash(&key, seed) & mask];
        if (missing >> i & 1) {
            out[i] = (er_code){ER_CODE_MISSING, 0};
        } else if (size < most && ((slot->head ^ key.head) | (slot->tail ^ key.tail)) == 0) {
            out[i] = (er_code){slot->code, 0};
        } else if (!view_code(w, c, views, &out[i])) {
            return 0;
        }
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
