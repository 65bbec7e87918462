/* er_ranks.c - a counting sort into buckets of equal width, then a sort of those buckets alone that
 * hold a wanted rank. No rounding can change an answer: (v - lo) * scale never decreases with v, so
 * the buckets ascend whatever it rounds to, and within a bucket the values themselves are compared.
 *
 * A heavy bucket (one spike far from all the rest) is sorted by the digits of its values' bits, so
 * the worst case is linear too.
 */
#include "er_ops.h"

enum { BUCKETS = 256, FEW = 40 };

void er_ranks_carve(er_ranks *r, uint32_t n, er_arena *a)
{
    r->x = er_carve(a, n * sizeof *r->x);
    r->spare = er_carve(a, n * sizeof *r->spare);
    r->end = er_carve(a, BUCKETS * sizeof *r->end);
}

/* ---- into buckets ---- */

static uint32_t bucket_of(float v, float lo, float scale)
{
    return (uint32_t)(int32_t)((v - lo) * scale);
}

/* end[b] <- start of bucket b, from counts. */
static void add_up(uint16_t *end, uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t b = 0; b < n; b++) {
        const uint32_t count = end[b];
        end[b] = (uint16_t)sum;
        sum += count;
    }
}

void er_ranks_fill(er_ranks *r, const float *restrict v, uint32_t n, float lo, float hi)
{
    const uint32_t buckets = n > 512 ? BUCKETS : BUCKETS / 2;
    const float width = hi - lo, scale = ((float)buckets - 0.1f) / width;
    uint8_t *restrict bucket = (uint8_t *)r->spare;
    uint16_t *restrict end = r->end;
    float *restrict x = r->x;
    r->n = n;
    r->lo = lo;
    r->scale = 0.0f;
    if (n <= FEW || !(width > 1e-30f && width < 1e30f)) { /* there scale is not finite */
        memcpy(x, v, n * sizeof *v);
        end[0] = (uint16_t)n;
        return;
    }
    r->scale = scale;
    memset(end, 0, buckets * sizeof *end);
    for (uint32_t i = 0; i < n; i++) bucket[i] = (uint8_t)bucket_of(v[i], lo, scale);
    for (uint32_t i = 0; i < n; i++) end[bucket[i]]++;
    add_up(end, buckets);
    for (uint32_t i = 0; i < n; i++) x[end[bucket[i]]++] = v[i];
}

/* ---- one bucket ---- */

static int is_sorted(const float *x, uint32_t n)
{
    uint32_t i = 1;
    while (i < n && x[i - 1] <= x[i]) i++;
    return i >= n;
}

static void sort_few(float *x, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        const float v = x[i];
        uint32_t at = i;
        for (; at > 0 && v < x[at - 1]; at--) x[at] = x[at - 1];
        x[at] = v;
    }
}

/* By each byte of the keys, the lowest first; a byte that all share is left out. */
static void sort_many(float *x, uint32_t n, uint32_t *spare)
{
    uint32_t *from = spare, *to = (uint32_t *)(void *)x, differ = 0;
    for (uint32_t i = 0; i < n; i++) from[i] = er_key_of(x[i]);
    for (uint32_t i = 1; i < n; i++) differ |= from[i] ^ from[0];
    for (uint32_t shift = 0; shift < 32; shift += 8) {
        uint16_t at[256] = {0};
        if (!(differ >> shift & 255)) continue;
        for (uint32_t i = 0; i < n; i++) at[from[i] >> shift & 255]++;
        add_up(at, 256);
        for (uint32_t i = 0; i < n; i++) to[at[from[i] >> shift & 255]++] = from[i];
        uint32_t *const other = from;
        from = to;
        to = other;
    }
    for (uint32_t i = 0; i < n; i++) x[i] = er_value_of(from[i]);
}

/* The end of the bucket that stands at k, which is sorted on return. */
static uint32_t sort_around(er_ranks *r, uint32_t k)
{
    const uint32_t b = r->scale == 0.0f ? 0 : bucket_of(r->x[k], r->lo, r->scale);
    const uint32_t start = b ? r->end[b - 1] : 0, n = r->end[b] - start;
    float *const x = r->x + start;
    if (!is_sorted(x, n)) (n <= FEW ? sort_few(x, n) : sort_many(x, n, r->spare));
    return r->end[b];
}

er_order er_ranks_at(er_ranks *r, uint32_t k)
{
    const uint32_t end = sort_around(r, k), next = k + 1 < r->n ? k + 1 : k;
    if (next == end) sort_around(r, next);
    return (er_order){r->x[k], r->x[next]};
}
