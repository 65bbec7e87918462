/* er_sum.h - the one way this core adds floats.
 *
 * Terms are cut into blocks of 128. In a block, term i goes to float lane i % 8; lanes are added as
 * ((0+4)+(2+6)) + ((1+5)+(3+7)). Block sums are added in order in double. This order is part of the
 * meaning of every operator: it fills SIMD registers at any width and gives the same bits on all.
 */
#ifndef ER_SUM_H
#define ER_SUM_H

#include <stddef.h>
#include <stdint.h>

enum { ER_SUM_LANES = 8, ER_SUM_BLOCK = 128 };

/* What a term is made of: x[i], weights w[i] and constants, the meaning of which the term gives. */
typedef struct er_terms {
    const float *x, *w;
    float a, b;
    double s, m;
    uint32_t lag;
} er_terms;

static inline float er_sum_tree(const float a[ER_SUM_LANES])
{
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* Sum of one block, term[n], n <= 128. */
float er_sum_block(const float *term, size_t n);

/* Defines `static double name(const er_terms *t, size_t n)`: the sum of TERM(i), i < n, a float
 * expression of t and i. The terms of a block are written down before they are added: so the first
 * loop is the same work on neighbours, whatever the term, and every compiler vectorises both. */
#define ER_DEFINE_SUM(name, TERM)                                                                  \
    static double name(const er_terms *from, size_t n)                                             \
    {                                                                                              \
        const er_terms copy = *from, *const t = &copy; /* no store can alias it */                 \
        float term[ER_SUM_BLOCK];                                                                  \
        double total = 0.0;                                                                        \
        for (size_t at = 0; at < n; at += ER_SUM_BLOCK) {                                          \
            const size_t len = n - at < ER_SUM_BLOCK ? n - at : ER_SUM_BLOCK;                      \
            for (size_t i = 0; i < len; i++) term[i] = TERM((at + i));                             \
            total += (double)er_sum_block(term, len);                                              \
        }                                                                                          \
        return total;                                                                              \
    }

/* Sum of x[i], i < n. */
double er_sum(const float *x, uint32_t n);
/* Sum of x[i]*x[i], i < n. */
double er_sum_squares(const float *x, uint32_t n);
/* Sums of x[i]-c and of (x[i]-c)*(x[i]-c), i < n. */
void er_sum_offsets(const float *x, uint32_t n, float c, double *sum, double *squares);
/* Sum of |x[i+1]-x[i]|, i < n-1. */
double er_sum_steps(const float *x, uint32_t n);

#endif
