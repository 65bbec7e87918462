/* er_ops_order.c - operators on the sorted values, and on their histogram: exact, no sum involved.
 */
#include "er_math.h"
#include "er_ops.h"
/* The k-th least value of the window and the next. */
static er_order order_of(er_view *v, uint32_t k)
{
    if (!v->has_ranks) er_ranks_fill(v->ranks, v->x, v->n, v->lo, v->hi);
    v->has_ranks = 1;
    return er_ranks_at(v->ranks, k);
}

/* Middle value; of an even n the mean of the two middle ones, rounded once [unit of x]. */
static float op_median(er_view *v, const float *param)
{
    (void)param;
    const er_order o = order_of(v, (v->n - 1) / 2);
    return v->n % 2 ? o.at : (float)(((double)o.at + (double)o.next) / 2.0);
}

/* At h = p * (n-1) between the sorted values floor(h) and floor(h)+1, linear (Hyndman, Fan 1996,
 * type 7). */
static double quantile(er_view *v, double p)
{
    const double h = p * (v->n - 1);
    const uint32_t k = (uint32_t)h;
    const er_order o = order_of(v, k);
    return (double)o.at + ((double)o.next - (double)o.at) * (h - k);
}

/* Value below which the part p of the values lies [unit of x]. */
static float op_quantile(er_view *v, const float *param)
{
    return (float)quantile(v, (double)param[0]);
}

/* quantile(0.75) - quantile(0.25) [unit of x]. */
static float op_iqr(er_view *v, const float *param)
{
    (void)param;
    return (float)(quantile(v, 0.75) - quantile(v, 0.25));
}

/* Median of |x - median| [unit of x]. The median of an even n is a + h: |(x - a) - h| keeps the
 * bits that a rounded median would lose on a large offset. */
static float op_mad(er_view *v, const float *param)
{
    (void)param;
    const uint32_t k = (v->n - 1) / 2;
    const er_order mid = order_of(v, k);
    const float half = v->n % 2 ? 0.0f : (mid.next - mid.at) * 0.5f;
    float greatest = 0.0f, *const off = v->values;
    int finite = 1;
    for (uint32_t i = 0; i < v->n; i++) {
        off[i] = __builtin_fabsf((v->x[i] - mid.at) - half);
        finite &= er_is_finite(off[i]);
        greatest = off[i] > greatest ? off[i] : greatest;
    }
    if (!finite) return er_nan();
    er_ranks_fill(v->ranks, off, v->n, 0.0f, greatest);
    v->has_ranks = 0; /* they are of these values now */
    const er_order o = er_ranks_at(v->ranks, k);
    return v->n % 2 ? o.at : (float)(((double)o.at + (double)o.next) / 2.0);
}

/* Entropy of the histogram of `bins` equal bins over min..max, -sum p ln p [nat], 0..ln(bins); bin
 * = floor((x - min) * bins / (max - min)) in double, the last one with its upper edge. */
static float op_histogram_entropy(er_view *v, const float *param)
{
    if (v->lo == v->hi) return 0.0f;
    const uint32_t bins = (uint32_t)param[0];
    const double lo = (double)v->lo, width = (double)v->hi - lo;
    uint16_t count[ER_MAX_HISTOGRAM] = {0};
    double sum = 0.0;
    for (uint32_t i = 0; i < v->n; i++) {
        const uint32_t bin = (uint32_t)(((double)v->x[i] - lo) * bins / width);
        count[bin < bins ? bin : bins - 1]++;
    }
    for (uint32_t b = 0; b < bins; b++)
        if (count[b]) sum += count[b] * er_log2((float)count[b]);
    return (float)((er_log2((float)v->n) - sum / v->n) * 0.693147180559945309);
}

/* ---- the table ---- */

static const er_kernel ROWS[] = {
    ER_OP(6, median, 0, "x", "", none, ER_NEED_RANKS, 0),
    ER_OP(17, quantile, 1, "x", "0 <= p <= 1", probability, ER_NEED_RANKS, 0.25f),
    ER_OP(18, iqr, 0, "x", "", none, ER_NEED_RANKS, 0),
    ER_OP(19, mad, 0, "x", "", none, ER_NEED_RANKS | ER_NEED_VALUES, 0),
    ER_OP(43, histogram_entropy, 1, "1", "a whole number of bins, 2 <= bins <= 256", histogram, 0,
          10),
};
const er_table er_ops_order = {ROWS, sizeof ROWS / sizeof *ROWS};
