/* er_sum.c - see er_sum.h for the order, which must never change. */
#include "er_sum.h"

#define VALUE(i) (t->x[i])
#define OFFSET(i) (t->x[i] - t->a)
#define SQUARE(i) ((t->x[i] - t->a) * (t->x[i] - t->a))
#define STEP(i) __builtin_fabsf(t->x[i + 1] - t->x[i])

ER_DEFINE_SUM(values, VALUE)
ER_DEFINE_SUM(offsets, OFFSET)
ER_DEFINE_SUM(squares, SQUARE)
ER_DEFINE_SUM(steps, STEP)

double er_sum(const float *x, uint32_t n) { return values(&(er_terms){.x = x}, n); }

double er_sum_offsets(const float *x, uint32_t n, float c)
{
    return offsets(&(er_terms){.x = x, .a = c}, n);
}

double er_sum_squares(const float *x, uint32_t n, float c)
{
    return squares(&(er_terms){.x = x, .a = c}, n);
}

double er_sum_steps(const float *x, uint32_t n) { return steps(&(er_terms){.x = x}, n - 1); }
