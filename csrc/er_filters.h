/* er_filters.h - the stream filters: each er_filters*.c ends with the rows of its kernels.
 *
 * To add one: write its functions and its row (the next free id of 1000..1999) in er_filters*.c,
 * and the same id and name in edge_runtime/features/reference/. run() sees every sample once, in
 * order, in stretches of any length, so it must give the same samples however they are cut. Where
 * an input is not finite it writes NaN and leaves its state as it is.
 */
#ifndef ER_FILTERS_H
#define ER_FILTERS_H

#include "er_internal.h"

typedef struct er_filter_table {
    const er_filter_kernel *rows;
    uint32_t n;
} er_filter_table;

extern const er_filter_table er_filters, er_filters_iir, er_filters_fir;

/* One NaN for every value that is not finite. */
static inline float er_number(float x) { return er_is_finite(x) ? x : er_nan(); }

/* The check of a filter without parameters. */
static inline int er_nothing_ok(const float *param, float rate_hz)
{
    (void)param, (void)rate_hz;
    return 1;
}

#endif
