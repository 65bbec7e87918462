/* er_spectrum.c - one-sided power spectrum of 2..4096 real samples, any length.
 *
 * An even length is packed as n/2 complex samples (even ones real, odd ones imaginary), transformed
 * by er_fft.c, and taken apart (Van Loan, Computational Frameworks for the FFT, 1992, 4.3).
 */
#include "er_internal.h"
#include "er_sum.h"

/* weight[n] <- Hann 1/2 - 1/2 cos(2 pi k/n) or Hamming 0.54 - 0.46 cos(2 pi k/n), periodic (Harris
 * 1978; scipy get_window, fftbins=True), over the root of its mean square: so all bins of the
 * weighted window still add up to a mean square. */
static void make_taper(float *weight, uint32_t n, uint16_t taper)
{
    const double a = taper == ER_TAPER_HANN ? 0.5 : 0.54, b = 1.0 - a;
    double squares = 0.0;
    for (uint32_t k = 0; k < n; k++) {
        const double w = a - b * (double)er_turn(k, n).re;
        squares += w * w;
    }
    const double mean = squares / n, near = (double)__builtin_sqrtf((float)mean);
    const double root = near - (near * near - mean) / (2.0 * near); /* a double's, by Newton */
    for (uint32_t k = 0; k < n; k++) weight[k] = (float)((a - b * (double)er_turn(k, n).re) / root);
}

void er_spectrum_carve(er_spectrum *s, uint32_t n, uint16_t taper, er_arena *a)
{
    s->n = n;
    s->taper = taper;
    er_fft_carve(&s->fft, n % 2 ? n : n / 2, a);
    s->turn = er_parts_carve(n % 2 ? 0 : n / 2 + 1, a);
    s->power = er_carve(a, (n / 2 + 1) * sizeof *s->power);
    s->weight = taper == ER_TAPER_NONE ? NULL : er_carve(a, n * sizeof *s->weight);
}

void er_spectrum_init(er_spectrum *s)
{
    er_fft_init(&s->fft);
    for (uint32_t k = 0; s->n % 2 == 0 && k <= s->n / 2; k++)
        er_parts_put(s->turn, k, er_turn(k, s->n));
    if (s->weight) make_taper(s->weight, s->n, s->taper);
}

/* ---- in ---- */

static void fill_packed(size_t m, float *restrict re, float *restrict im, const float *restrict x,
                        float mean)
{
    for (size_t i = 0; i < m; i++) {
        re[i] = x[2 * i] - mean;
        im[i] = x[2 * i + 1] - mean;
    }
}

static void fill(size_t m, float *restrict re, float *restrict im, const float *restrict x,
                 float mean)
{
    for (size_t i = 0; i < m; i++) {
        re[i] = x[i] - mean;
        im[i] = 0.0f;
    }
}

/* work[0] <- (x - centre) * weight, rounded once. */
static void fill_tapered(const er_spectrum *s, const float *restrict x, double centre)
{
    const float *restrict w = s->weight;
    float *restrict re = s->fft.work[0].re, *restrict im = s->fft.work[0].im;
    for (size_t i = 0; s->n % 2 == 0 && i < s->fft.m; i++) {
        re[i] = (float)(((double)x[2 * i] - centre) * (double)w[2 * i]);
        im[i] = (float)(((double)x[2 * i + 1] - centre) * (double)w[2 * i + 1]);
    }
    for (size_t i = 0; s->n % 2 == 1 && i < s->fft.m; i++) {
        re[i] = (float)(((double)x[i] - centre) * (double)w[i]);
        im[i] = 0.0f;
    }
}

/* ---- out ---- */

/* Bin k of the real transform: X = E + w^k O, with E and O from bins k and m-k of the packed one.
 */
static inline float power_of(er_complex even, er_complex odd, float wr, float wi, float per_n)
{
    const float re = (even.re + (odd.re * wr - odd.im * wi)) * per_n;
    const float im = (even.im + (odd.re * wi + odd.im * wr)) * per_n;
    return re * re + im * im;
}

/* low[k], high[-k] <- power of bins k and m-k, both from the packed bins k and m-k, 0 < k < m/2. */
static void powers(size_t m, const float *restrict re, const float *restrict im,
                   const float *restrict wr, const float *restrict wi, float per_n,
                   float *restrict low, float *restrict high)
{
    for (size_t k = 1; k < (m + 1) / 2; k++) {
        const er_complex a = {re[k], im[k]}, b = {re[m - k], im[m - k]};
        const er_complex even = {(a.re + b.re) * 0.5f, (a.im - b.im) * 0.5f};
        const er_complex odd = {(a.im + b.im) * 0.5f, (b.re - a.re) * 0.5f};
        const er_complex even2 = {even.re, -even.im}, odd2 = {odd.re, -odd.im};
        low[k] = 2.0f * power_of(even, odd, wr[k], wi[k], per_n);
        *(high - k) = 2.0f * power_of(even2, odd2, wr[m - k], wi[m - k], per_n);
    }
}

/* power[1 .. m] from the packed bins z. */
static void powers_packed(const er_spectrum *s, er_parts z, float per_n)
{
    const uint32_t m = s->fft.m, mid = m / 2;
    const float end = (z.re[0] - z.im[0]) * per_n;
    powers(m, z.re, z.im, s->turn.re, s->turn.im, per_n, s->power, s->power + m);
    if (m % 2 == 0) {
        const er_complex even = {z.re[mid], 0.0f}, odd = {z.im[mid], 0.0f};
        s->power[mid] = 2.0f * power_of(even, odd, s->turn.re[mid], s->turn.im[mid], per_n);
    }
    s->power[m] = end * end;
}

/* power[1 ..] <- that of work[0]; returns bin 0 of the transform over n. */
static float transform(er_spectrum *s)
{
    const float per_n = 1.0f / (float)s->n;
    const er_parts z = er_fft_run(&s->fft);
    if (s->n % 2 == 0) {
        powers_packed(s, z, per_n);
        return (z.re[0] + z.im[0]) * per_n;
    }
    for (uint32_t k = 1; k <= s->n / 2; k++)
        s->power[k] =
            2.0f * power_of(er_parts_at(z, k), (er_complex){0.0f, 0.0f}, 0.0f, 0.0f, per_n);
    return z.re[0] * per_n;
}

/* The mean is taken off first: a large constant must not drown a small vibration in rounding. A
 * taper would spread what its own rounding leaves over bins 0 and 1, so there it is taken off in
 * double. */
void er_spectrum_run(er_spectrum *s, const float *x, float mean)
{
    const er_parts in = s->fft.work[0];
    if (s->weight) {
        double sum, squares;
        er_sum_offsets(x, s->n, mean, &sum, &squares);
        fill_tapered(s, x, (double)mean + sum / s->n);
    } else if (s->n % 2 == 0)
        fill_packed(s->fft.m, in.re, in.im, x, mean);
    else
        fill(s->fft.m, in.re, in.im, x, mean);
    const float rest = transform(s);
    s->power[0] = s->weight ? mean * mean + rest * rest : (mean + rest) * (mean + rest);
}

/* Rounded once as well, a product of two floats needs no double. */
static void fill_whole(size_t m, float *restrict re, float *restrict im, const float *restrict x,
                       const float *restrict w)
{
    for (size_t i = 0; i < m; i++) {
        re[i] = x[2 * i] * w[2 * i];
        im[i] = x[2 * i + 1] * w[2 * i + 1];
    }
}

void er_spectrum_run_whole(er_spectrum *s, const float *x)
{
    if (s->n % 2 == 0)
        fill_whole(s->fft.m, s->fft.work[0].re, s->fft.work[0].im, x, s->weight);
    else
        fill_tapered(s, x, 0.0);
    const float rest = transform(s);
    s->power[0] = rest * rest;
}
