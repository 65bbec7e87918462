/* er_model_int8.c - `quantise` and `dense8`: layers of uint8 with the bits of onnxruntime's
 * QuantizeLinear and QGemm (com.microsoft), which round half to even. */
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "er_model.h"

/* q = nearest whole number to v, halves to even, + zero, inside 0..255; NaN -> zero. */
static inline int32_t rounded(float v, float zero)
{
    const float near = 12582912.0f; /* 1.5 * 2^23: what is added to it keeps no fraction */
    const float least = -zero, most = 255.0f - zero;
    v = v > least ? v : v == v ? least : 0.0f;
    v = v < most ? v : most;
    return (int32_t)((v + near) - near + zero);
}

static int scale_ok(float scale) { return scale > 0.0f && er_is_finite(scale); }

/* ---- quantise ---- */

typedef struct scale {
    float scale;
    uint32_t zero; /* 0..255 */
} scale;

static int quantise_ok(const er_model_step *s, const void *constants)
{
    const scale *k = constants;
    return s->n == s->m && s->bytes == sizeof *k && scale_ok(k->scale) && k->zero <= 255;
}

enum { AT_ONCE = 64 };

/* In pieces: a loop over floats alone divides twice as many at once as one that meets doubles. */
static void quantise_run(const er_call *c)
{
    const scale k = *(const scale *)c->constants;
    const float zero = (float)k.zero;
    float v[AT_ONCE];
    int32_t q[AT_ONCE];
    for (uint32_t at = 0; at < c->step->n; at += AT_ONCE) {
        const uint32_t left = c->step->n - at, n = left < AT_ONCE ? left : AT_ONCE;
        const double *from = c->from + at;
        double *to = c->to + at; /* may be where it reads */
        for (uint32_t i = 0; i < n; i++) v[i] = (float)from[i];
        for (uint32_t i = 0; i < n; i++) q[i] = rounded(v[i] / k.scale, zero);
        for (uint32_t i = 0; i < n; i++) to[i] = (double)q[i];
    }
}

const er_step_kernel er_step_quantise = {0, 0, 1, quantise_ok, NULL, quantise_run};

/* ---- dense8 ---- */

enum { LANES = 16, ROWS = 8, MAX_BIAS = 1 << 30 };

typedef struct layer {
    scale x, y;             /* y is 0 where the output is float                */
    const float *scale_w;   /* [M], M = m rounded up to 8                      */
    const uint8_t *zero_w;  /* [M]                                             */
    const int32_t *bias;    /* [M], -2^30 .. 2^30: no sum leaves int32         */
    const uint8_t *weights; /* [m][N], N = n rounded up to 16, 0 from n on     */
} layer;

static layer layer_of(const er_model_step *s, const void *constants)
{
    const unsigned char *at = (const unsigned char *)constants + 2 * sizeof(scale);
    const size_t rows = er_up(s->m, ROWS);
    layer l = {.scale_w = (const void *)at,
               .zero_w = at + 4 * rows,
               .bias = (const void *)(at + 5 * rows),
               .weights = at + 9 * rows};
    memcpy(&l.x, constants, sizeof l.x);
    memcpy(&l.y, (const unsigned char *)constants + sizeof l.x, sizeof l.y);
    return l;
}

static int dense8_ok(const er_model_step *s, const void *constants)
{
    const uint64_t cells = (uint64_t)s->m * er_up(s->n, LANES);
    if (s->n > ER_MAX_DENSE8 || s->bytes != 2 * sizeof(scale) + 9 * er_up(s->m, ROWS) + cells)
        return 0;
    const layer l = layer_of(s, constants);
    const int y_ok = s->variant ? scale_ok(l.y.scale) : l.y.scale == 0.0f && l.y.zero == 0;
    if (!scale_ok(l.x.scale) || l.x.zero > 255 || !y_ok || l.y.zero > 255) return 0;
    for (uint32_t j = 0; j < s->m; j++)
        if (!scale_ok(l.scale_w[j]) || l.bias[j] > MAX_BIAS || l.bias[j] < -MAX_BIAS) return 0;
    return 1;
}

static size_t dense8_work(const er_model_step *s, const void *constants)
{
    (void)constants;
    return er_up(s->n, LANES) * sizeof(int16_t) + er_up(s->m, ROWS) * sizeof(int32_t);
}

/* x[N] <- values minus their zero, 0 from n on; returns their sum. */
static int32_t shifted(const er_call *c, int32_t zero, int16_t *restrict x)
{
    int32_t sum = 0;
    const uint32_t n = c->step->n, end = er_up(n, LANES);
    const double *restrict from = c->from;
    for (uint32_t i = 0; i < n; i++) {
        const double least = from[i] > 0.0 ? from[i] : 0.0;
        x[i] = (int16_t)((int32_t)(least < 255.0 ? least : 255.0) - zero);
    }
    for (uint32_t i = n; i < end; i++) x[i] = 0;
    for (uint32_t i = 0; i < end; i++) sum += x[i];
    return sum;
}

/* acc[4] <- four rows of weights, n a multiple of 16. The sums are exact in any order, so both
 * shapes are one meaning: x86 multiplies 16 bits and adds pairs in one instruction, which no
 * compiler is sure to find; elsewhere compilers know the plain loop. */
#ifdef __SSE2__
static inline __m128i products(__m128i sum, __m128i low, __m128i high, const uint8_t *w)
{
    const __m128i bytes = _mm_loadu_si128((const void *)w), zero = _mm_setzero_si128();
    sum = _mm_add_epi32(sum, _mm_madd_epi16(low, _mm_unpacklo_epi8(bytes, zero)));
    return _mm_add_epi32(sum, _mm_madd_epi16(high, _mm_unpackhi_epi8(bytes, zero)));
}

static void four_dots(const int16_t *restrict x, const uint8_t *const *w, uint32_t n,
                      int32_t *restrict acc)
{
    __m128i a = _mm_setzero_si128(), b = a, c = a, d = a;
    for (uint32_t i = 0; i < n; i += LANES) {
        const __m128i low = _mm_loadu_si128((const void *)(x + i));
        const __m128i high = _mm_loadu_si128((const void *)(x + i + 8));
        a = products(a, low, high, w[0] + i);
        b = products(b, low, high, w[1] + i);
        c = products(c, low, high, w[2] + i);
        d = products(d, low, high, w[3] + i);
    }
    const __m128i ab = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    const __m128i cd = _mm_add_epi32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
    _mm_storeu_si128((void *)acc,
                     _mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd)));
}
#else
static void four_dots(const int16_t *restrict x, const uint8_t *const *w, uint32_t n,
                      int32_t *restrict acc)
{
    n &= ~15u; /* what it is, so that no rest is thought of */
    for (uint32_t r = 0; r < 4; r++) {
        const uint8_t *restrict row = w[r];
        int32_t sum = 0;
        for (uint32_t i = 0; i < n; i++) sum += x[i] * (int16_t)row[i];
        acc[r] = sum;
    }
}
#endif

static void dense8_run(const er_call *c)
{
    const er_model_step *s = c->step;
    const layer l = layer_of(s, c->constants);
    const uint32_t n = er_up(s->n, LANES), m = s->m;
    int16_t *x = c->work;
    int32_t *acc = (int32_t *)(void *)(x + n);
    const int32_t sum = shifted(c, (int32_t)l.x.zero, x);
    for (uint32_t j = 0; j < m;
         j += 4) { /* the last row stands for what is missing: acc has room */
        const uint8_t *w[4];
        for (uint32_t r = 0; r < 4; r++) w[r] = l.weights + (size_t)(j + r < m ? j + r : m - 1) * n;
        four_dots(x, w, n, acc + j);
    }
    for (uint32_t j = 0; j < m; j++) acc[j] += l.bias[j] - l.zero_w[j] * sum;
    double *restrict to = c->to;
    if (s->variant) {
        for (uint32_t j = 0; j < m; j++)
            acc[j] =
                rounded((float)acc[j] * (l.x.scale * l.scale_w[j] / l.y.scale), (float)l.y.zero);
        for (uint32_t j = 0; j < m; j++) to[j] = (double)acc[j];
    } else {
        for (uint32_t j = 0; j < m; j++)
            to[j] = (double)((float)acc[j] * (l.x.scale * l.scale_w[j]));
    }
}

const er_step_kernel er_step_dense8 = {0, 1, 0, dense8_ok, dense8_work, dense8_run};
