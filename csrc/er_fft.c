/* er_fft.c - complex transform of any length, 1..4096.
 *
 * The self-sorting Stockham form of decimation in frequency with radices 4, 2, 3, 5 and a plain
 * O(p^2) butterfly for any other prime p (Van Loan, Computational Frameworks for the FFT, 1992,
 * 1.7). Turns come from an own sine table in double, rounded once to float.
 *
 * Real and imaginary parts lie apart and every loop is over neighbours, so that it vectorises at
 * any width; the order of operations in a butterfly is the same in all shapes of loop.
 */
#include "er_internal.h"
#include "er_math.h"

/* ---- turns ---- */

/* exp(-2 pi i k/n). Folding into an eighth of a turn is done in integers, so it is exact. */
er_complex er_turn(uint32_t k, uint32_t n)
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

static uint32_t radix_of(uint32_t len)
{
    if (len % 4 == 0) return 4;
    for (uint32_t p = 2; p * p <= len; p++)
        if (len % p == 0) return p;
    return len;
}

/* Turns of a stage of radix p and m = len/p: w^(jq) at (j-1)*m + q, 0 < j < p; then those of its
 * butterfly, where that is a plain one. */
static uint32_t turns_of(uint32_t p, uint32_t m) { return (p - 1) * m + (p > 5 ? p : 0); }

void er_fft_carve(er_fft *f, uint32_t m, er_arena *a)
{
    uint32_t turns = 0;
    for (uint32_t len = m; len > 1; len /= radix_of(len))
        turns += turns_of(radix_of(len), len / radix_of(len));
    f->m = m;
    f->turn = er_parts_carve(turns, a);
    f->work[0] = er_parts_carve(m, a);
    f->work[1] = er_parts_carve(m, a);
}

er_parts er_parts_carve(uint32_t n, er_arena *a)
{
    float *re = er_carve(a, n * sizeof *re);
    return (er_parts){re, er_carve(a, n * sizeof *re)};
}

void er_fft_init(er_fft *f)
{
    uint32_t at = 0;
    for (uint32_t len = f->m; len > 1;) {
        const uint32_t p = radix_of(len), m = len / p;
        for (uint32_t j = 1; j < p; j++)
            for (uint32_t q = 0; q < m; q++) er_parts_put(f->turn, at++, er_turn(j * q, len));
        for (uint32_t k = 0; k < p && p > 5; k++) er_parts_put(f->turn, at++, er_turn(k, p));
        len = m;
    }
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
    er_parts x, y, turn;
    uint32_t stride, m, p;
} stage;

/* Butterflies of radix p, in place; w[j] = w^(jq), 0 < j < p. */
static inline void fly2(er_complex *v, const er_complex *w)
{
    const er_complex a = v[0], b = v[1];
    v[0] = add(a, b);
    v[1] = mul(sub(a, b), w[1]);
}

static inline void fly3(er_complex *v, const er_complex *w)
{
    const float sin60 = 0.866025403784438647f;
    const er_complex a = v[0], sum = add(v[1], v[2]);
    const er_complex turn = scale(minus_i(sub(v[1], v[2])), sin60);
    const er_complex mid = sub(a, scale(sum, 0.5f));
    v[0] = add(a, sum);
    v[1] = mul(add(mid, turn), w[1]);
    v[2] = mul(sub(mid, turn), w[2]);
}

static inline void fly4(er_complex *v, const er_complex *w)
{
    const er_complex ac = add(v[0], v[2]), bd = add(v[1], v[3]);
    const er_complex a_c = sub(v[0], v[2]), b_d = minus_i(sub(v[1], v[3]));
    v[0] = add(ac, bd);
    v[1] = mul(add(a_c, b_d), w[1]);
    v[2] = mul(sub(ac, bd), w[2]);
    v[3] = mul(sub(a_c, b_d), w[3]);
}

static inline void fly5(er_complex *v, const er_complex *w)
{
    const float c1 = 0.309016994374947424f, c2 = -0.809016994374947424f; /* cos 72, 144 degrees */
    const float s1 = 0.951056516295153572f, s2 = 0.587785252292473129f;  /* sin 72, 144 degrees */
    const er_complex a = v[0], be = add(v[1], v[4]), cd = add(v[2], v[3]);
    const er_complex b_e = minus_i(sub(v[1], v[4])), c_d = minus_i(sub(v[2], v[3]));
    const er_complex m1 = add(a, add(scale(be, c1), scale(cd, c2)));
    const er_complex m2 = add(a, add(scale(be, c2), scale(cd, c1)));
    const er_complex t1 = add(scale(b_e, s1), scale(c_d, s2));
    const er_complex t2 = sub(scale(b_e, s2), scale(c_d, s1));
    v[0] = add(a, add(be, cd));
    v[1] = mul(add(m1, t1), w[1]);
    v[2] = mul(add(m2, t2), w[2]);
    v[3] = mul(sub(m2, t2), w[3]);
    v[4] = mul(sub(m1, t1), w[4]);
}

/* ---- stages ---- */

#define EACH2(X) X(0) X(1)
#define EACH3(X) EACH2(X) X(2)
#define EACH4(X) EACH3(X) X(3)
#define EACH5(X) EACH4(X) X(4)

#define TURNS(j) ((size_t)(j ? j - 1 : 0) * m + q) /* w[0] is not used */
#define TURN_OF(j) w[j] = (er_complex){wr[TURNS(j)], wi[TURNS(j)]};
#define TAKE(k) v[k] = (er_complex){xr[q + k * m], xi[q + k * m]};
#define GIVE(j) yr[V * q + j] = v[j].re, yi[V * q + j] = v[j].im;

#define ROWS(k)                                                                                    \
    , const float *restrict xr##k, const float *restrict xi##k, float *restrict yr##k,             \
        float *restrict yi##k
#define TAKE_ROW(k) v[k] = (er_complex){xr##k[r], xi##k[r]};
#define GIVE_ROW(j) yr##j[r] = v[j].re, yi##j[r] = v[j].im;
#define ROWS_AT(k) , x.re + k *far, x.im + k *far, y.re + k *s, y.im + k *s

/* The first stage (stride 1) walks along q, the later ones along r, by fours where that fits; each
 * row is a pointer of its own, so that a compiler knows them apart. */
#define STAGE(P)                                                                                   \
    static void first##P(size_t m, const float *restrict xr, const float *restrict xi,             \
                         float *restrict yr, float *restrict yi, const float *restrict wr,         \
                         const float *restrict wi)                                                 \
    {                                                                                              \
        enum { V = P };                                                                            \
        for (size_t q = 0; q < m; q++) {                                                           \
            er_complex v[P], w[P];                                                                 \
            EACH##P(TAKE) EACH##P(TURN_OF) fly##P(v, w);                                           \
            EACH##P(GIVE)                                                                          \
        }                                                                                          \
    }                                                                                              \
    static inline void along##P(size_t n, const er_complex *w EACH##P(ROWS))                       \
    {                                                                                              \
        for (size_t r = 0; r < n; r++) {                                                           \
            er_complex v[P];                                                                       \
            EACH##P(TAKE_ROW) fly##P(v, w);                                                        \
            EACH##P(GIVE_ROW)                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void stage##P(const stage *g)                                                           \
    {                                                                                              \
        const size_t s = g->stride, m = g->m, far = s * m;                                         \
        const float *const wr = g->turn.re, *const wi = g->turn.im;                                \
        if (s == 1) {                                                                              \
            first##P(m, g->x.re, g->x.im, g->y.re, g->y.im, wr, wi);                               \
            return;                                                                                \
        }                                                                                          \
        for (size_t q = 0; q < m; q++) {                                                           \
            er_complex w[P];                                                                       \
            er_parts x = {g->x.re + s * q, g->x.im + s * q};                                       \
            er_parts y = {g->y.re + s * P * q, g->y.im + s * P * q};                               \
            EACH##P(TURN_OF) size_t r = 0;                                                         \
            for (; r + 4 <= s; r += 4, x.re += 4, x.im += 4, y.re += 4, y.im += 4)                 \
                along##P(4, w EACH##P(ROWS_AT));                                                   \
            along##P(s - r, w EACH##P(ROWS_AT));                                                   \
        }                                                                                          \
    }
STAGE(2)
STAGE(3)
STAGE(4)
STAGE(5)

/* Any prime p. Sums of up to 4093 terms: in double, in order. */
static void stage_any(const stage *g)
{
    const uint32_t s = g->stride, m = g->m, p = g->p, far = s * m;
    const float *const roots_re = g->turn.re + (p - 1) * m, *const roots_im =
                                                                g->turn.im + (p - 1) * m;
    for (uint32_t q = 0; q < m; q++)
        for (uint32_t r = 0; r < s; r++)
            for (uint32_t j = 0; j < p; j++) {
                const float *xr = g->x.re + r + s * q, *xi = g->x.im + r + s * q;
                double re = 0.0, im = 0.0;
                for (uint32_t k = 0, jk = 0; k < p; k++, xr += far, xi += far) {
                    const double wr = (double)roots_re[jk], wi = (double)roots_im[jk];
                    re += (double)*xr * wr - (double)*xi * wi;
                    im += (double)*xr * wi + (double)*xi * wr;
                    jk += j;
                    if (jk >= p) jk -= p;
                }
                const er_complex w =
                    j ? er_parts_at(g->turn, (j - 1) * m + q) : (er_complex){1.0f, 0.0f};
                er_parts_put(g->y, r + s * (p * q + j), mul((er_complex){(float)re, (float)im}, w));
            }
}

er_parts er_fft_run(er_fft *f)
{
    uint32_t from = 0, stride = 1, at = 0;
    for (uint32_t len = f->m; len > 1; from ^= 1) {
        const uint32_t p = radix_of(len), m = len / p;
        const stage g = {
            f->work[from], f->work[from ^ 1], {f->turn.re + at, f->turn.im + at}, stride, m, p};
        (p == 2 ? stage2 : p == 3 ? stage3 : p == 4 ? stage4 : p == 5 ? stage5 : stage_any)(&g);
        at += turns_of(p, m);
        stride *= p;
        len = m;
    }
    return f->work[from];
}
