/* er_sum.c - see er_sum.h for the order, which must never change. */
#include "er_sum.h"

float er_sum_block(const float *restrict term, size_t n)
{
    float lane[ER_SUM_LANES] = {0};
    size_t i = 0;
    for (; i + ER_SUM_LANES <= n; i += ER_SUM_LANES)
        for (size_t l = 0; l < ER_SUM_LANES; l++) lane[l] += term[i + l];
    for (size_t l = 0; i + l < n; l++) lane[l] += term[i + l];
    return er_sum_tree(lane);
}

#define SQUARE(i) (t->x[i] * t->x[i])
#define STEP(i) __builtin_fabsf(t->x[i + 1] - t->x[i])

ER_DEFINE_SUM(squares, SQUARE)
ER_DEFINE_SUM(steps, STEP)

double er_sum(const float *x, uint32_t n)
{
    double total = 0.0;
    for (uint32_t at = 0; at < n; at += ER_SUM_BLOCK)
        total += (double)er_sum_block(x + at, n - at < ER_SUM_BLOCK ? n - at : ER_SUM_BLOCK);
    return total;
}

double er_sum_squares(const float *x, uint32_t n) { return squares(&(er_terms){.x = x}, n); }

/* Both terms of a block in one loop. */
static void offsets_of(const float *restrict x, size_t n, float c, float *restrict d,
                       float *restrict d2)
{
    for (size_t i = 0; i < n; i++) {
        d[i] = x[i] - c;
        d2[i] = (x[i] - c) * (x[i] - c);
    }
}

void er_sum_offsets(const float *x, uint32_t n, float c, double *sum, double *squared)
{
    float d[ER_SUM_BLOCK], d2[ER_SUM_BLOCK];
    *sum = *squared = 0.0;
    for (uint32_t at = 0; at < n; at += ER_SUM_BLOCK) {
        const uint32_t len = n - at < ER_SUM_BLOCK ? n - at : ER_SUM_BLOCK;
        offsets_of(x + at, len, c, d, d2);
        *sum += (double)er_sum_block(d, len);
        *squared += (double)er_sum_block(d2, len);
    }
}

double er_sum_steps(const float *x, uint32_t n) { return steps(&(er_terms){.x = x}, n - 1); }
