/* er_ops_order.c - operators on the sorted values, and on their histogram: exact, no sum involved.
 */
#include "er_math.h"
#include "er_ops.h"

/* The k-th least of key[n], all in lo..hi; key is overwritten. Histogram of 256 equal bins, keep
 * the bin that holds k, repeat: lo..hi shrinks 256 times a round, so four rounds at most. */
static uint32_t select_key(uint32_t *key, uint32_t n, uint32_t k, uint32_t lo, uint32_t hi)
{
    while (lo < hi) {
        const uint32_t bits = 32 - (uint32_t)__builtin_clz(hi - lo),
                       shift = bits > 8 ? bits - 8 : 0;
        uint16_t count[256] = {0};
        for (uint32_t i = 0; i < n; i++) count[(key[i] - lo) >> shift]++;
        uint32_t bin = 0, kept = 0;
        while (k >= count[bin]) k -= count[bin++];
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t x = key[i];
            key[kept] = x;
            kept += (x - lo) >> shift == bin;
        }
        n = kept;
        if (n == 1) return key[0];
        lo += bin << shift;
        const uint32_t top = lo + ((1u << shift) - 1u);
        hi = top < hi ? top : hi;
    }
    return lo;
}

/* The k-th least of x[n], short n. Take values as pivots, from the middle on, and count: a pass is
 * a few vector compares, a pivot outside what is still possible costs nothing, so about 2 ln n
 * passes do. */
static float select_short(const float *x, uint32_t n, uint32_t k)
{
    float above = -er_float_from_bits(0x7f800000u), below = er_float_from_bits(0x7f800000u);
    for (uint32_t i = n / 2;; i = i + 1 < n ? i + 1 : 0) {
        const float pivot = x[i];
        if (!(pivot > above && pivot < below)) continue;
        uint32_t less = 0, not_more = 0;
        for (uint32_t j = 0; j < n; j++) {
            less += x[j] < pivot;
            not_more += x[j] <= pivot;
        }
        if (less > k)
            below = pivot;
        else if (not_more <= k)
            above = pivot;
        else
            return pivot; /* reached: x's k-th least always lies between above and below */
    }
}

static float select_long(const float *x, uint32_t n, uint32_t k, uint32_t *keys)
{
    uint32_t lo = 0xffffffffu, hi = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t key = er_key_of(x[i]);
        keys[i] = key;
        lo = key < lo ? key : lo;
        hi = hi < key ? key : hi;
    }
    return er_value_of(select_key(keys, n, k, lo, hi));
}

/* The k-th least of x[n] and the next; the last one is its own next. */
static er_order select_two(const float *x, uint32_t n, uint32_t k, uint32_t *keys)
{
    const float a = n <= 128 ? select_short(x, n, k) : select_long(x, n, k, keys);
    const float above = er_float_from_bits(0x7f800000u);
    uint32_t not_above = 0;
    float b = above; /* least value above a, if a is not itself the next */
    for (uint32_t i = 0; i < n; i++) {
        not_above += x[i] <= a;
        b = x[i] > a && x[i] < b ? x[i] : b;
    }
    return (er_order){k, a, not_above > k + 1 || b == above ? a : b};
}

/* The same of the window; several operators ask for one k. */
static er_order order_of(er_view *v, uint32_t k)
{
    for (uint32_t i = 0; i < v->n_orders; i++)
        if (v->orders[i].k == k) return v->orders[i];
    const er_order o = select_two(v->x, v->n, k, v->keys);
    if (v->n_orders < ER_ORDERS) v->orders[v->n_orders++] = o;
    return o;
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
    for (uint32_t i = 0; i < v->n; i++) v->values[i] = __builtin_fabsf((v->x[i] - mid.at) - half);
    for (uint32_t i = 0; i < v->n; i++)
        if (!er_is_finite(v->values[i])) return er_nan();
    const er_order o = select_two(v->values, v->n, k, v->keys);
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
    ER_OP(6, median, 0, "x", "", none, ER_NEED_KEYS, 0),
    ER_OP(17, quantile, 1, "x", "0 <= p <= 1", probability, ER_NEED_KEYS, 0.25f),
    ER_OP(18, iqr, 0, "x", "", none, ER_NEED_KEYS, 0),
    ER_OP(19, mad, 0, "x", "", none, ER_NEED_KEYS | ER_NEED_VALUES, 0),
    ER_OP(43, histogram_entropy, 1, "1", "a whole number of bins, 2 <= bins <= 256", histogram, 0,
          10),
};
const er_table er_ops_order = {ROWS, sizeof ROWS / sizeof *ROWS};
