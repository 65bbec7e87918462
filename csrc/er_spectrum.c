/* er_spectrum.c - one-sided power spectrum of 2..4096 real samples, any length.
 *
 * An even length is packed as n/2 complex samples (even ones real, odd ones imaginary). The complex
 * transform is the self-sorting Stockham form of decimation in frequency with radices 4, 2, 3, 5
 * and a plain O(p^2) butterfly for any other prime p (Van Loan, Computational Frameworks for the
 * FFT, 1992, 1.7 and 2). Turns come from an own sine table in double, rounded once to float.
 */
#include "er_internal.h"
#include "er_math.h"

/* ---- the table of turns ---- */

/* exp(-2 pi i k/n). Folding into an eighth of a turn is done in integers, so it is exact. */
static er_complex turn_of(uint32_t k, uint32_t n)
{
    const uint32_t k8 = 8 * k; /* 0 .. 8n: eighths of a turn, times n */
    const uint32_t eighth = k8 / n, quarter = (eighth + 1) / 2; /* nearest quarter turn, 0..4 */
    const uint32_t k4 = 4 * k, mid = quarter * n;
    const int behind = k4 < mid;
    double s, c;
    er_sincos_small(6.283185307179586 * (behind ? mid - k4 : k4 - mid) / (4 * n), &s, &c);
    if (behind) s = -s;
    const double cs[4] = {c, -s, -c, s}, sn[4] = {s, c, -s, -c};
    return (er_complex){(float)cs[quarter % 4], (float)-sn[quarter % 4]};
}

void er_spectrum_carve(er_spectrum *s, uint32_t n, uint16_t taper, er_arena *a)
{
    s->n = n;
    s->taper = taper;
    s->m = n % 2 ? n : n / 2;
    s->turn = er_carve(a, n * sizeof *s->turn);
    s->work[0] = er_carve(a, s->m * sizeof *s->work[0]);
    s->work[1] = er_carve(a, s->m * sizeof *s->work[1]);
    s->power = er_carve(a, (n / 2 + 1) * sizeof *s->power);
}

void er_spectrum_init(er_spectrum *s)
{
    for (uint32_t k = 0; k < s->n; k++) s->turn[k] = turn_of(k, s->n);
}

/* ---- butterflies ---- */

static er_complex add(er_complex a, er_complex b) { return (er_complex){a.re + b.re, a.im + b.im}; }
static er_complex sub(er_complex a, er_complex b) { return (er_complex){a.re - b.re, a.im - b.im}; }
static er_complex scale(er_complex a, float f) { return (er_complex){a.re * f, a.im * f}; }
static er_complex mul(er_complex a, er_complex b)
{
    return (er_complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
/* -i * a */
static er_complex minus_i(er_complex a) { return (er_complex){a.im, -a.re}; }

/* One stage: `len` samples left in each of `stride` interleaved transforms, radix p, m = len/p.
 * y[r + stride*(p*q + j)] = w^(jq) * sum_k x[r + stride*(q + m*k)] exp(-2 pi i jk/p), w = exp(-2 pi
 * i/len) */
typedef struct stage {
    const er_complex *x;
    er_complex *y;
    const er_complex *turn; /* full turn in n_turn steps */
    uint32_t n_turn, stride, m, p;
} stage;

/* w^(jq) of this stage */
static er_complex twiddle(const stage *g, uint32_t j, uint32_t q)
{
    return g->turn[j * q * (g->n_turn / (g->m * g->p))];
}

static void stage2(const stage *g, uint32_t q)
{
    const er_complex w1 = twiddle(g, 1, q);
    const uint32_t far = g->stride * g->m;
    const er_complex *x = g->x + g->stride * q;
    er_complex *y = g->y + g->stride * 2 * q;
    for (uint32_t r = 0; r < g->stride; r++) {
        const er_complex a = x[r], b = x[r + far];
        y[r] = add(a, b);
        y[r + g->stride] = mul(sub(a, b), w1);
    }
}

static void stage3(const stage *g, uint32_t q)
{
    const float sin60 = 0.866025403784438647f;
    const er_complex w1 = twiddle(g, 1, q), w2 = twiddle(g, 2, q);
    const uint32_t far = g->stride * g->m, s = g->stride;
    const er_complex *x = g->x + s * q;
    er_complex *y = g->y + s * 3 * q;
    for (uint32_t r = 0; r < s; r++) {
        const er_complex a = x[r], b = x[r + far], c = x[r + 2 * far];
        const er_complex sum = add(b, c), turn = scale(minus_i(sub(b, c)), sin60);
        const er_complex mid = sub(a, scale(sum, 0.5f));
        y[r] = add(a, sum);
        y[r + s] = mul(add(mid, turn), w1);
        y[r + 2 * s] = mul(sub(mid, turn), w2);
    }
}

static void stage4(const stage *g, uint32_t q)
{
    const er_complex w1 = twiddle(g, 1, q), w2 = twiddle(g, 2, q), w3 = twiddle(g, 3, q);
    const uint32_t far = g->stride * g->m, s = g->stride;
    const er_complex *x = g->x + s * q;
    er_complex *y = g->y + s * 4 * q;
    for (uint32_t r = 0; r < s; r++) {
        const er_complex a = x[r], b = x[r + far], c = x[r + 2 * far], d = x[r + 3 * far];
        const er_complex ac = add(a, c), bd = add(b, d), a_c = sub(a, c), b_d = minus_i(sub(b, d));
        y[r] = add(ac, bd);
        y[r + s] = mul(add(a_c, b_d), w1);
        y[r + 2 * s] = mul(sub(ac, bd), w2);
        y[r + 3 * s] = mul(sub(a_c, b_d), w3);
    }
}

static void stage5(const stage *g, uint32_t q)
{
    const float c1 = 0.309016994374947424f,
                c2 = -0.809016994374947424f; /* cos 72, cos 144 degrees */
    const float s1 = 0.951056516295153572f, s2 = 0.587785252292473129f; /* sin 72, sin 144        */
    const er_complex w1 = twiddle(g, 1, q), w2 = twiddle(g, 2, q), w3 = twiddle(g, 3, q),
                     w4 = twiddle(g, 4, q);
    const uint32_t far = g->stride * g->m, s = g->stride;
    const er_complex *x = g->x + s * q;
    er_complex *y = g->y + s * 5 * q;
    for (uint32_t r = 0; r < s; r++) {
        const er_complex a = x[r], b = x[r + far], c = x[r + 2 * far], d = x[r + 3 * far],
                         e = x[r + 4 * far];
        const er_complex be = add(b, e), cd = add(c, d);
        const er_complex b_e = minus_i(sub(b, e)), c_d = minus_i(sub(c, d));
        const er_complex m1 = add(a, add(scale(be, c1), scale(cd, c2)));
        const er_complex m2 = add(a, add(scale(be, c2), scale(cd, c1)));
        const er_complex t1 = add(scale(b_e, s1), scale(c_d, s2));
        const er_complex t2 = sub(scale(b_e, s2), scale(c_d, s1));
        y[r] = add(a, add(be, cd));
        y[r + s] = mul(add(m1, t1), w1);
        y[r + 2 * s] = mul(add(m2, t2), w2);
        y[r + 3 * s] = mul(sub(m2, t2), w3);
        y[r + 4 * s] = mul(sub(m1, t1), w4);
    }
}

/* Any prime p. Sums of up to 4093 terms: in double, in order. */
static void stage_any(const stage *g, uint32_t q)
{
    const uint32_t step = g->n_turn / g->p, far = g->stride * g->m;
    for (uint32_t r = 0; r < g->stride; r++)
        for (uint32_t j = 0; j < g->p; j++) {
            const er_complex *x = g->x + r + g->stride * q;
            double re = 0.0, im = 0.0;
            for (uint32_t k = 0, jk = 0; k < g->p; k++, x += far) {
                const er_complex w = g->turn[jk * step];
                re += (double)x->re * (double)w.re - (double)x->im * (double)w.im;
                im += (double)x->re * (double)w.im + (double)x->im * (double)w.re;
                jk += j;
                if (jk >= g->p) jk -= g->p;
            }
            g->y[r + g->stride * (g->p * q + j)] =
                mul((er_complex){(float)re, (float)im}, twiddle(g, j, q));
        }
}

static uint32_t radix_of(uint32_t len)
{
    if (len % 4 == 0) return 4;
    for (uint32_t p = 2; p * p <= len; p++)
        if (len % p == 0) return p;
    return len;
}

static void run_stage(const stage *g)
{
    void (*butterfly)(const stage *, uint32_t) = g->p == 2   ? stage2
                                                 : g->p == 3 ? stage3
                                                 : g->p == 4 ? stage4
                                                 : g->p == 5 ? stage5
                                                             : stage_any;
    for (uint32_t q = 0; q < g->m; q++) butterfly(g, q);
}

/* work[0][m] -> its transform; returns the buffer that holds it. */
static const er_complex *transform(er_spectrum *s)
{
    uint32_t from = 0, stride = 1;
    for (uint32_t len = s->m; len > 1; from ^= 1) {
        const uint32_t p = radix_of(len);
        len /= p;
        run_stage(&(stage){s->work[from], s->work[from ^ 1], s->turn, s->n, stride, len, p});
        stride *= p;
    }
    return s->work[from];
}

/* ---- power ---- */

static float norm(er_complex a, float per_n)
{
    const float re = a.re * per_n, im = a.im * per_n;
    return re * re + im * im;
}

/* Bin k of the real transform out of the packed one: X = E + w^k O (Van Loan 1992, 4.3). */
static er_complex unpack(const er_spectrum *s, const er_complex *z, uint32_t k)
{
    const er_complex a = z[k % s->m], b = z[(s->m - k) % s->m];
    const er_complex even = {(a.re + b.re) * 0.5f, (a.im - b.im) * 0.5f};
    const er_complex odd = {(a.im + b.im) * 0.5f, (b.re - a.re) * 0.5f};
    return add(even, mul(odd, s->turn[k]));
}

/* The mean is taken off first: a large constant must not drown a small vibration in rounding. */
void er_spectrum_run(er_spectrum *s, const float *x, float mean)
{
    const uint32_t n = s->n, half = n / 2;
    const int packed = n % 2 == 0;
    er_complex *z = s->work[0];
    for (uint32_t i = 0; i < s->m; i++)
        z[i] = packed ? (er_complex){x[2 * i] - mean, x[2 * i + 1] - mean}
                      : (er_complex){x[i] - mean, 0.0f};
    const er_complex *bins = transform(s);
    const float per_n = 1.0f / (float)n;
    for (uint32_t k = 0; k <= half; k++) {
        const er_complex bin = packed ? unpack(s, bins, k) : bins[k];
        const float power = norm(bin, per_n);
        s->power[k] = k == 0 || 2 * k == n ? power : 2.0f * power;
    }
    const float rest = (packed ? unpack(s, bins, 0) : bins[0]).re * per_n;
    s->power[0] = (mean + rest) * (mean + rest);
}
