/* er_row_text.c - the words of a text field: exact lookup without allocation, and the hash of the
 * bucket operator. The table only finds a word: what it answers does not depend on its hash or on
 * the byte order. */
#include <string.h>

#include "er_row.h"

static uint64_t load8(const char *b)
{
    uint64_t word;
    memcpy(&word, b, sizeof word);
    return word;
}

static uint32_t load4(const char *b)
{
    uint32_t word;
    memcpy(&word, b, sizeof word);
    return word;
}

static er_slot key_of(er_text t)
{
    const uint32_t n = (uint32_t)t.size;
    er_slot k = {0, 0, n, 0, t.bytes};
    if (n >= 8) {
        k.head = load8(t.bytes);
        k.tail = load8(t.bytes + n - 8);
    } else if (n >= 4) {
        k.head = load4(t.bytes);
        k.tail = load4(t.bytes + n - 4);
    } else if (n >= 1) {
        const unsigned char *b = (const unsigned char *)t.bytes;
        k.head = b[0] | (uint64_t)b[n / 2] << 8 | (uint64_t)b[n - 1] << 16;
    }
    return k;
}

static uint32_t hash_of(const er_slot *k)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = k->head ^ (k->tail << 29 | k->tail >> 35) ^ k->size;
    for (uint32_t i = 8; i + 8 < k->size; i += 8) h = (h * odd ^ h >> 29) + load8(k->bytes + i);
    h *= odd;
    return (uint32_t)(h >> 32 ^ h >> 47);
}

static int same(const er_slot *a, const er_slot *b)
{
    if ((a->head ^ b->head) | (a->tail ^ b->tail) | (a->size ^ b->size)) return 0;
    return a->size <= 16 || memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* The slot that holds k, or the free one where it belongs: at least half of them are free. */
static er_slot *find(const er_words *w, const er_slot *k)
{
    uint32_t at = hash_of(k) & w->mask;
    while (!same(&w->slots[at], k) && w->slots[at].size != UINT32_MAX) at = (at + 1) & w->mask;
    return &w->slots[at];
}

void er_words_carve(er_words *w, uint32_t most, er_arena *a)
{
    uint32_t slots = 2;
    while (slots < 2 * most) slots *= 2;
    w->mask = slots - 1;
    w->slots = er_carve(a, slots * sizeof *w->slots);
}

void er_words_init(er_words *w)
{
    w->n = 0;
    w->needs_hash = 0;
    for (uint32_t i = 0; i <= w->mask; i++)
        w->slots[i] = (er_slot){0, 0, UINT32_MAX, ER_CODE_UNKNOWN, NULL};
}

int32_t er_words_add(er_words *w, er_text word)
{
    const er_slot key = key_of(word);
    er_slot *slot = find(w, &key);
    if (slot->size != UINT32_MAX) return slot->code;
    *slot = key;
    slot->code = (int32_t)w->n++;
    return slot->code;
}

void er_words_codes(const er_words *w, const er_text *texts, uint32_t n, er_code *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const er_text text = texts[i];
        out[i] = (er_code){ER_CODE_MISSING, 0};
        if (text.size < 0) continue;
        const er_slot key = key_of(text);
        out[i].code = find(w, &key)->code;
        if (w->needs_hash) out[i].hash = er_murmur3(text.bytes, (uint32_t)text.size);
    }
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
