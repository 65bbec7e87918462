/* Every rank of every kind of values equals that of a plain sort: light buckets, heavy ones, one
 * bucket for all, ties, both zeros, the ends of float's range. */
#include "../er_internal.h"
#include "check.h"

enum { MOST = 4096 };
static float x[MOST], sorted[MOST];
static uint64_t memory[MOST + 64];

static float any(uint64_t *rng) { return er_float_from_bits((uint32_t)rng_next(rng)); }

/* One value of kind 0..8. */
static float make(uint64_t *rng, int kind, uint32_t i)
{
    const float u = rng_unit(rng);
    switch (kind) {
    case 0: return u;
    case 1: return i == 3 ? 1e9f : u;                         /* a spike: one heavy bucket  */
    case 2: return i % 2 ? 1e-12f * u : i % 4 ? 1.0f : 2e25f; /* all heavy                  */
    case 3: return (float)rng_below(rng, 3);                  /* ties                       */
    case 4: return rng_below(rng, 2) ? 0.0f : -0.0f;          /* one value                  */
    case 5: return u * 3e38f;                                 /* max - min passes float     */
    case 6: return u * 1e-40f;                                /* denormal                   */
    case 7: return 1.0f / (1.0f + (float)(i * i * i));        /* each bucket unlike another */
    default: {
        const float v = any(rng);
        return er_is_finite(v) ? v : u;
    }
    }
}

static void plain_sort(float *v, uint32_t n)
{
    for (uint32_t gap = n / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < n; i++)
            for (uint32_t k = i; k >= gap && v[k] < v[k - gap]; k -= gap) {
                const float swap = v[k];
                v[k] = v[k - gap];
                v[k - gap] = swap;
            }
}

static void check_all(uint64_t *rng, uint32_t n, int kind)
{
    er_arena arena = {.base = (unsigned char *)memory};
    er_ranks r;
    er_ranks_carve(&r, n, &arena);
    CHECK(arena.used <= sizeof memory);
    for (uint32_t i = 0; i < n; i++) x[i] = sorted[i] = make(rng, kind, i);
    plain_sort(sorted, n);
    er_ranks_fill(&r, x, n, sorted[0], sorted[n - 1]);
    for (uint32_t j = 0; j < 3 * n; j++) { /* in any order, some twice */
        const uint32_t k = j < n ? rng_below(rng, n) : j % n;
        const er_order o = er_ranks_at(&r, k);
        CHECK(o.at == sorted[k]);
        CHECK(o.next == sorted[k + 1 < n ? k + 1 : k]);
    }
}

int main(void)
{
    static const uint32_t sizes[] = {1, 2, 3, 39, 40, 41, 100, 128, 256, 511, 512, 513, 1000, MOST};
    uint64_t rng = 5;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < 9; kind++)
            for (int again = 0; again < 3; again++) check_all(&rng, sizes[s], kind);
    return 0;
}
