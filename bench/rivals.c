/* rivals.c - what is measured from C: er_ranks.c beside quickselect, and er_step() itself.
 *
 * Quickselect: Hoare's selection (1961) with the median of
 * three as pivot and both ends moving at once, on floats. Asked for several ranks of one window it
 * keeps what it has put in order: the median first, then each quarter in its half alone.
 */
#include <string.h>

#include "er_internal.h"

enum { MOST = 4096 };

static void swap(float *a, float *b)
{
    const float v = *a;
    *a = *b;
    *b = v;
}

/* x[k] <- the k-th least of x[lo..hi], nothing greater before it, nothing less after it. */
static void quickselect(float *x, long lo, long hi, long k)
{
    while (lo < hi) {
        const long mid = lo + (hi - lo) / 2;
        if (x[mid] < x[lo]) swap(&x[mid], &x[lo]);
        if (x[hi] < x[lo]) swap(&x[hi], &x[lo]);
        if (x[hi] < x[mid]) swap(&x[hi], &x[mid]);
        const float pivot = x[mid];
        long i = lo, j = hi;
        while (i <= j) {
            while (x[i] < pivot) i++;
            while (pivot < x[j]) j--;
            if (i <= j) swap(&x[i++], &x[j--]);
        }
        if (k <= j)
            hi = j;
        else if (k >= i)
            lo = i;
        else
            return;
    }
}

static float least(const float *x, long n)
{
    float v = x[0];
    for (long i = 1; i < n; i++) v = x[i] < v ? x[i] : v;
    return v;
}

/* out[6] <- the values at a quarter, a half and three quarters of n-1, each with the next. */
static void by_quickselect(const float *x, long n, float *out)
{
    static float own[MOST];
    const long k[3] = {(n - 1) / 4, (n - 1) / 2, 3 * (n - 1) / 4};
    memcpy(own, x, (size_t)n * sizeof *x);
    quickselect(own, 0, n - 1, k[1]);
    quickselect(own, 0, k[1] - 1, k[0]);
    quickselect(own, k[1] + 1, n - 1, k[2]);
    const long end[3] = {k[1] + 1, k[2] + 1, n};
    for (int i = 0; i < 3; i++) {
        out[2 * i] = own[k[i]];
        out[2 * i + 1] = least(own + k[i] + 1, end[i] - k[i] - 1);
    }
}

static void by_ranks(const float *x, long n, float *out)
{
    static uint64_t memory[2 * MOST];
    static er_ranks r;
    if (!r.x) er_ranks_carve(&r, MOST, &(er_arena){(unsigned char *)memory, 0});
    const long k[3] = {(n - 1) / 4, (n - 1) / 2, 3 * (n - 1) / 4};
    float lo = x[0], hi = x[0]; /* in a window they are known; here they count */
    for (long i = 1; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    er_ranks_fill(&r, x, (uint32_t)n, lo, hi);
    for (int i = 0; i < 3; i++) {
        const er_order o = er_ranks_at(&r, (uint32_t)k[i]);
        out[2 * i] = o.at;
        out[2 * i + 1] = o.next;
    }
}

/* out[count][6] <- of each of x[count][n]; which: 0 er_ranks, 1 quickselect. */
void ranks_of(int which, const float *x, long count, long n, float *out)
{
    for (long i = 0; i < count; i++) (which ? by_quickselect : by_ranks)(x + i * n, n, out + 6 * i);
}

/* er_step() without a frame, `count` times: the work in C that a call from Python stands on. */
void steps_of(er_stream *s, uint32_t *taken, er_decision *out, long count)
{
    static const float none[1];
    for (long i = 0; i < count; i++) er_step(s, none, 0, taken, out);
}
