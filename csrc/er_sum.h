/* er_sum.h - the one way this core adds floats.
 *
 * Terms are cut into blocks of 128. In a block, term i goes to float lane i % 8; lanes are added as
 * ((0+4)+(2+6)) + ((1+5)+(3+7)). Block sums are added in order in double. This order is part of the
 * meaning of every operator: it fills SIMD registers at any width and gives the same bits on all.
 */
#ifndef ER_SUM_H
#define ER_SUM_H

#include <stdint.h>

enum { ER_SUM_LANES = 8, ER_SUM_BLOCK = 128 };

/* What a term is made of: x[i], weights w[i] and constants, the meaning of which the term gives. */
typedef struct er_terms {
    const float *x, *w;
    float a, b;
    double s, m;
    uint32_t lag;
} er_terms;

/* Defines `static double name(const er_terms *t, uint32_t n)`: the sum of TERM(i), i < n, a float
 * expression of t and i. The two inner loops are one order; the first vectorises. */
#define ER_DEFINE_SUM(name, TERM)                                                                  \
    static double name(const er_terms *from, uint32_t n)                                           \
    {                                                                                              \
        const er_terms copy = *from, *const t = &copy; /* no store can alias it */                 \
        double total = 0.0;                                                                        \
        (void)t;                                                                                   \
        for (uint32_t at = 0; at < n; at += ER_SUM_BLOCK) {                                        \
            const uint32_t end = n - at < ER_SUM_BLOCK ? n : at + ER_SUM_BLOCK;                    \
            float lane[ER_SUM_LANES] = {0};                                                        \
            uint32_t i = at;                                                                       \
            for (; i + ER_SUM_LANES <= end; i += ER_SUM_LANES)                                     \
                for (uint32_t l = 0; l < ER_SUM_LANES; l++) lane[l] += TERM((i + l));              \
            for (uint32_t l = 0; i + l < end; l++) lane[l] += TERM((i + l));                       \
            total += (double)er_sum_tree(lane);                                                    \
        }                                                                                          \
        return total;                                                                              \
    }

static inline float er_sum_tree(const float a[ER_SUM_LANES])
{
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* Sum of x[i], i < n. */
double er_sum(const float *x, uint32_t n);
/* Sum of (x[i]-c)*(x[i]-c), i < n. */
double er_sum_squares(const float *x, uint32_t n, float c);
/* Sum of x[i]-c, i < n. */
double er_sum_offsets(const float *x, uint32_t n, float c);
/* Sum of |x[i+1]-x[i]|, i < n-1. */
double er_sum_steps(const float *x, uint32_t n);

#endif
