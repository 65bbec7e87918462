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

/* Sum of x[i], i < n. */
double er_sum(const float *x, uint32_t n);
/* Sum of (x[i]-c)*(x[i]-c), i < n. */
double er_sum_squares(const float *x, uint32_t n, float c);
/* Sum of x[i]-c, i < n. */
double er_sum_offsets(const float *x, uint32_t n, float c);
/* Sum of |x[i+1]-x[i]|, i < n-1. */
double er_sum_steps(const float *x, uint32_t n);

#endif
