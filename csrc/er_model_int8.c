/* er_model_int8.c - `quantise` and `dense8`: layers of uint8 with the bits of onnxruntime's
 * QuantizeLinear and QGemm (com.microsoft), which round half to even. */
#include <string.h>

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

static void quantise_run(const er_call *c)
{
    const scale k = *(const scale *)c->constants;
    for (uint32_t i = 0; i < c->step->n; i++)
        c->to[i] = (double)rounded((float)c->from[i] / k.scale, (float)k.zero);
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

/* sum[2] <- two rows of weights, n a multiple of 16. Products of 16 bits are added in pairs, by one
 * instruction on x86 and ARM, if the loop has the shape that the compiler knows; the sums are
 * exact, so both shapes are one meaning. A value read once is used twice. */
#ifdef __clang__
static int32_t dot(const int16_t *restrict x, const uint8_t *restrict w, uint32_t n)
{
    int32_t a[8] = {0};
    for (uint32_t i = 0; i + LANES <= n; i += LANES)
        for (uint32_t k = 0; k < 8; k++)
            a[k] += x[i + k] * (int16_t)w[i + k] + x[i + k + 8] * (int16_t)w[i + k + 8];
    return a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
}

static void two_dots(const int16_t *restrict x, const uint8_t *restrict first,
                     const uint8_t *restrict second, uint32_t n, int32_t *restrict sum)
{
    sum[0] = dot(x, first, n);
    sum[1] = dot(x, second, n);
}
#else
static void two_dots(const int16_t *restrict x, const uint8_t *restrict first,
                     const uint8_t *restrict second, uint32_t n, int32_t *restrict sum)
{
    int32_t a = 0, b = 0;
    n &= ~15u; /* what it is, so that no rest is thought of */
    for (uint32_t i = 0; i < n; i++) {
        a += x[i] * (int16_t)first[i];
        b += x[i] * (int16_t)second[i];
    }
    sum[0] = a;
    sum[1] = b;
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
    for (uint32_t j = 0; j < m; j += 2) { /* a last odd row is taken twice: acc has room */
        const uint8_t *w = l.weights + (size_t)j * n;
        two_dots(x, w, j + 1 < m ? w + n : w, n, acc + j);
    }
    for (uint32_t j = 0; j < m; j++) acc[j] += l.bias[j] - l.zero_w[j] * sum;
    if (s->variant)
        for (uint32_t j = 0; j < m; j++)
            c->to[j] = (double)rounded((float)acc[j] * (l.x.scale * l.scale_w[j] / l.y.scale),
                                       (float)l.y.zero);
    else
        for (uint32_t j = 0; j < m; j++)
            c->to[j] = (double)((float)acc[j] * (l.x.scale * l.scale_w[j]));
}

const er_step_kernel er_step_dense8 = {0, 1, 0, dense8_ok, dense8_work, dense8_run};
