/* er_sum.c - see er_sum.h for the order, which must never change. */
#include "er_sum.h"
#include "er_internal.h"

static float tree(const float a[ER_SUM_LANES])
{
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* One block: TERM(i) uses the names x and c. The two loops are one order; the first vectorises. */
#define DEFINE_BLOCK(name, TERM)                                                                   \
    static float name(const float *x, uint32_t n, float c)                                         \
    {                                                                                              \
        float lane[ER_SUM_LANES] = {0};                                                            \
        uint32_t i = 0;                                                                            \
        (void)c;                                                                                   \
        for (; i + ER_SUM_LANES <= n; i += ER_SUM_LANES)                                           \
            for (uint32_t l = 0; l < ER_SUM_LANES; l++) lane[l] += TERM(i + l);                    \
        for (uint32_t l = 0; i + l < n; l++) lane[l] += TERM(i + l);                               \
        return tree(lane);                                                                         \
    }

#define VALUE(i) (x[i])
#define OFFSET(i) (x[i] - c)
#define SQUARE(i) ((x[i] - c) * (x[i] - c))
#define STEP(i) __builtin_fabsf(x[(i) + 1] - x[i])

DEFINE_BLOCK(block_values, VALUE)
DEFINE_BLOCK(block_offsets, OFFSET)
DEFINE_BLOCK(block_squares, SQUARE)
DEFINE_BLOCK(block_steps, STEP)

typedef float block_fn(const float *x, uint32_t n, float c);

static inline double add_blocks(block_fn *block, const float *x, uint32_t n, float c)
{
    double total = 0.0;
    for (uint32_t at = 0; at < n; at += ER_SUM_BLOCK) {
        const uint32_t rest = n - at;
        total += (double)block(x + at, rest < ER_SUM_BLOCK ? rest : ER_SUM_BLOCK, c);
    }
    return total;
}

double er_sum(const float *x, uint32_t n) { return add_blocks(block_values, x, n, 0.0f); }

double er_sum_offsets(const float *x, uint32_t n, float c)
{
    return add_blocks(block_offsets, x, n, c);
}

double er_sum_squares(const float *x, uint32_t n, float c)
{
    return add_blocks(block_squares, x, n, c);
}

double er_sum_steps(const float *x, uint32_t n) { return add_blocks(block_steps, x, n - 1, 0.0f); }
