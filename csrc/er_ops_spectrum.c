/* er_ops_spectrum.c - operators on the one-sided power spectrum of the window, P[k] at k * rate/n.
 *
 * Those of shape leave DC out: with total = P[1] + .. + P[n/2]. Where total is below 1e-30 [x^2]
 * the window has no spectrum (a constant, or squares under float's range) and they are 0.
 */
#include "er_math.h"
#include "er_ops.h"
#include "er_sum.h"

static const float *power_of(er_view *v)
{
    if (!v->has_power) er_spectrum_run(v->spectrum, v->x, er_view_mean(v));
    v->has_power = 1;
    return v->spectrum->power;
}

/* First bin k with k * rate/n >= f. Both products are exact in double (24 + 13 bits). */
static uint32_t bin_from(float f, float rate_hz, uint32_t n)
{
    const uint32_t end = n / 2 + 1;
    const double want = (double)f * n, rate = (double)rate_hz;
    if (want > rate * (end - 1)) return end;
    uint32_t k = (uint32_t)(f / rate_hz * (float)n); /* in float: at most 1/1000 too much */
    while (k * rate < want) k++;
    return k;
}

/* Mean power of f0 <= f < f1 [x^2]: the sum of the one-sided periodogram (rectangular window), bin
 * k at f = k * rate / n. By Parseval all bins, with DC and Nyquist, add up to the mean square. */
static float op_band_power(er_view *v, const float *param)
{
    const uint32_t from = bin_from(param[0], v->rate_hz, v->n);
    const uint32_t to = bin_from(param[1], v->rate_hz, v->n);
    return (float)er_sum(power_of(v) + from, to - from);
}

/* ---- shape ---- */

/* The bins above DC. */
typedef struct band {
    const float *power; /* [m], of k = 1 .. m      */
    uint32_t m;         /* n/2                     */
    double total;       /* their sum [x^2]         */
    double step_hz;     /* rate/n                  */
    float instead;      /* the answer, where !ok   */
    int ok;             /* there is a spectrum     */
} band;

static band band_of(er_view *v)
{
    band b = {.power = power_of(v) + 1, .m = v->n / 2, .step_hz = (double)v->rate_hz / v->n};
    if (!v->has_total) v->total = er_sum(b.power, b.m);
    v->has_total = 1;
    b.total = v->total;
    b.ok = b.total >= 1e-30 && b.total <= (double)FLT_MAX;
    b.instead = b.total < 1e-30 ? 0.0f : er_nan();
    return b;
}

#define MOMENT_1(i) ((float)(int32_t)(i + 1) * t->x[i])
#define MOMENT_2(i) (((float)(int32_t)(i + 1) - t->a) * ((float)(int32_t)(i + 1) - t->a) * t->x[i])
ER_DEFINE_SUM(sum_first, MOMENT_1)
ER_DEFINE_SUM(sum_second, MOMENT_2)

/* sum k P / sum P, in bins. */
static double centroid(const band *b)
{
    return sum_first(&(er_terms){.x = b->power}, b->m) / b->total;
}

/* sum f P / sum P [Hz]. */
static float op_spectral_centroid(er_view *v, const float *param)
{
    (void)param;
    const band b = band_of(v);
    return b.ok ? (float)(centroid(&b) * b.step_hz) : b.instead;
}

/* sqrt(sum (f - centroid)^2 P / sum P) [Hz]. */
static float op_spectral_spread(er_view *v, const float *param)
{
    (void)param;
    const band b = band_of(v);
    if (!b.ok) return b.instead;
    const er_terms t = {.x = b.power, .a = (float)centroid(&b)};
    return (float)((double)__builtin_sqrtf((float)(sum_second(&t, b.m) / b.total)) * b.step_hz);
}

/* Least f with sum of P up to f >= fraction * sum P [Hz]. Both sums in double, in order, so that
 * fractions near 1 are reached. */
static float op_spectral_rolloff(er_view *v, const float *param)
{
    const band b = band_of(v);
    if (!b.ok) return b.instead;
    double total = 0.0, sum = (double)b.power[0];
    for (uint32_t i = 0; i < b.m; i++) total += (double)b.power[i];
    uint32_t k = 1;
    while (k < b.m && sum < (double)param[0] * total) sum += (double)b.power[k++];
    return (float)(k * b.step_hz);
}

/* log2 of P over its mean, at least 1e-8 (-80 dB): below lies the rounding of a float transform. */
#define LEVEL(i) (t->x[i] * t->a < 1e-8f ? 1e-8f : t->x[i] * t->a)
#define LOG_LEVEL(i) er_log2f(LEVEL(i))
ER_DEFINE_SUM(sum_logs, LOG_LEVEL)

/* Geometric over arithmetic mean of P [1], 0..1. */
static float op_spectral_flatness(er_view *v, const float *param)
{
    (void)param;
    const band b = band_of(v);
    if (!b.ok) return b.instead;
    const er_terms t = {.x = b.power, .a = (float)(b.m / b.total)};
    const double log = sum_logs(&t, b.m) / b.m;
    return (float)er_exp2(log < 0.0 ? log : 0.0);
}

/* p log2 p with p = P / total; the log of nearly nothing is cut where p log p is nothing. */
#define PART(i) (t->x[i] * t->a)
#define PART_LOG(i) (PART(i) * er_log2f(PART(i) < 1e-30f ? 1e-30f : PART(i)))
ER_DEFINE_SUM(sum_parts, PART_LOG)

/* -sum p log p / log(bins), p = P / sum P [1], 0..1; one bin alone: 0. */
static float op_spectral_entropy(er_view *v, const float *param)
{
    (void)param;
    const band b = band_of(v);
    if (!b.ok || b.m < 2) return b.ok ? 0.0f : b.instead;
    const er_terms t = {.x = b.power, .a = (float)(1.0 / b.total)};
    const float entropy = (float)(-sum_parts(&t, b.m) / er_log2((float)b.m));
    return entropy < 0.0f ? 0.0f : entropy > 1.0f ? 1.0f : entropy;
}

/* Of several, the lowest. */
static uint32_t greatest(const band *b)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < b->m; i++) best = b->power[best] < b->power[i] ? i : best;
    return best;
}

/* Frequency of the greatest P [Hz]. */
static float op_dominant_frequency(er_view *v, const float *param)
{
    (void)param;
    const band b = band_of(v);
    return b.ok ? (float)((greatest(&b) + 1) * b.step_hz) : b.instead;
}

/* The greatest P [x^2]. */
static float op_dominant_power(er_view *v, const float *param)
{
    (void)param;
    const band b = band_of(v);
    return b.total <= (double)FLT_MAX ? b.power[greatest(&b)] : er_nan();
}

/* ---- one frequency ---- */

/* Eight turning phases in double instead of Goertzel's recursion, which loses digits at low f
 * (Gentleman 1969). */
void er_view_tone(er_view *v, double turn, double *to_re, double *to_im)
{
    enum { LANES = ER_SUM_LANES };
    const double centre = er_view_centre(v);
    double sin1, cos1, c[LANES] = {1.0}, s[LANES] = {0.0}, re[LANES] = {0}, im[LANES] = {0};
    er_sincos_turn(turn, &sin1, &cos1);
    for (uint32_t l = 1; l < LANES; l++) {
        c[l] = c[l - 1] * cos1 - s[l - 1] * sin1;
        s[l] = s[l - 1] * cos1 + c[l - 1] * sin1;
    }
    const double cos8 = c[7] * cos1 - s[7] * sin1, sin8 = s[7] * cos1 + c[7] * sin1;
    for (uint32_t i = 0; i < v->n; i += LANES) {
        const uint32_t rest = v->n - i < LANES ? v->n - i : LANES;
        for (uint32_t l = 0; l < rest; l++) {
            const double d = (double)v->x[i + l] - centre, turned = c[l] * cos8 - s[l] * sin8;
            re[l] += d * c[l];
            im[l] += d * s[l];
            s[l] = s[l] * cos8 + c[l] * sin8;
            c[l] = turned;
        }
    }
    for (uint32_t l = LANES / 2; l > 0; l /= 2)
        for (uint32_t k = 0; k < l; k++) re[k] += re[k + l], im[k] += im[k + l];
    *to_re = re[0];
    *to_im = im[0];
}

/* Power of frequency f, 2/n^2 |sum (x - mean) exp(-2 pi i f t)|^2 [x^2]: P[k] where f is a bin
 * below Nyquist, any f between. */
static float op_goertzel(er_view *v, const float *param)
{
    const double n = v->n;
    double re, im;
    er_view_tone(v, (double)param[0] / (double)v->rate_hz, &re, &im);
    return (float)(2.0 * (re * re + im * im) / (n * n));
}

/* ---- the table ---- */

static const er_kernel ROWS[] = {
    ER_OP(9, band_power, 2, "x^2", "0 <= f0 < f1 and f0 <= rate/2 [Hz]", band, ER_NEED_SPECTRUM, 1,
          4),
    ER_OP(35, spectral_centroid, 0, "Hz", "", none, ER_NEED_SPECTRUM, 0),
    ER_OP(36, spectral_spread, 0, "Hz", "", none, ER_NEED_SPECTRUM, 0),
    ER_OP(37, spectral_rolloff, 1, "Hz", "0 < fraction < 1", fraction, ER_NEED_SPECTRUM, 0.85f),
    ER_OP(38, spectral_flatness, 0, "1", "", none, ER_NEED_SPECTRUM, 0),
    ER_OP(39, spectral_entropy, 0, "1", "", none, ER_NEED_SPECTRUM, 0),
    ER_OP(40, dominant_frequency, 0, "Hz", "", none, ER_NEED_SPECTRUM, 0),
    ER_OP(41, dominant_power, 0, "x^2", "", none, ER_NEED_SPECTRUM, 0),
    ER_OP(42, goertzel, 1, "x^2", "0 < f < rate/2 [Hz]", tone, 0, 3),
};
const er_table er_ops_spectrum = {ROWS, sizeof ROWS / sizeof *ROWS};
