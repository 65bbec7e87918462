/* er_row_ops.c - the row operators: see er_row.h. A result that is not finite becomes NaN where it
 * is written, not here, so that a later stage still sees it. */
#include "er_math.h"
#include "er_row.h"

/* One row alone passes by the loop, which compilers make wide. */
#define EACH(expression)                                                                           \
    do {                                                                                           \
        double *to = out;                                                                          \
        uint32_t i = 0;                                                                            \
        to[i] = (expression);                                                                      \
        if (a->n == 1) return;                                                                     \
        for (i = 1; i < a->n; i++) to[i] = (expression);                                           \
    } while (0)

static double nan_double(void) { return (double)er_nan(); }

/* ---- one number ---- */

static void row_value(const er_row_arg *a, void *out) { EACH(a->x[i]); }

static void row_impute(const er_row_arg *a, void *out)
{
    const double constant = a->param[0];
    EACH(a->x[i] != a->x[i] ? constant : a->x[i]);
}

static void row_impute_last(const er_row_arg *a, void *out)
{
    double last, *to = out;
    memcpy(&last, a->state, sizeof last);
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->x[i] == a->x[i]) last = a->x[i];
        to[i] = last;
    }
    memcpy(a->state, &last, sizeof last);
}

static void row_missing(const er_row_arg *a, void *out) { EACH(a->x[i] != a->x[i] ? 1.0 : 0.0); }

/* (x - centre) / scale: scikit-learn's StandardScaler and RobustScaler, operation by operation. */
static void row_standardise(const er_row_arg *a, void *out)
{
    const double centre = a->param[0], scale = a->param[1];
    EACH((a->x[i] - centre) / scale);
}

/* x * s + (0 - low * s), s = 1 / (high - low): scikit-learn's MinMaxScaler. */
static void row_min_max(const er_row_arg *a, void *out)
{
    const double s = 1.0 / (a->param[1] - a->param[0]), shift = 0.0 - a->param[0] * s;
    if (a->param[2] == 0.0) {
        EACH(a->x[i] * s + shift);
        return;
    }
    double *to = out;
    for (uint32_t i = 0; i < a->n; i++) {
        const double y = a->x[i] * s + shift;
        to[i] = y < 0.0 ? 0.0 : y > 1.0 ? 1.0 : y;
    }
}

static void row_clip(const er_row_arg *a, void *out)
{
    const double low = a->param[0], high = a->param[1];
    EACH(a->x[i] < low ? low : a->x[i] > high ? high : a->x[i]);
}

static double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ln(x), x >= 1/2^53, finite: x = 2^k m with m in sqrt(1/2)..sqrt(2), ln m = 2 atanh((m-1)/(m+1))
 * (Abramowitz, Stegun 1964, 4.1.27); ln 2 in two parts, so that k times the first is exact. */
static double ln(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += UINT64_C(0x3ff0000000000000) - UINT64_C(0x3fe6a09e667f3bcd);
    const double k = (double)((int)(bits >> 52) - 1023);
    const double m = double_of((bits & UINT64_C(0xfffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd));
    const double s = (m - 1.0) / (m + 1.0), z = s * s;
    double sum = 0.0;
    for (int i = 25; i > 1; i -= 2) sum = z * (1.0 / i + sum);
    return k * 6.93147180369123816490e-01 +
           (2.0 * s + (2.0 * s * sum + k * 1.90821492927058770002e-10));
}

/* ln(1 + x); what 1 + x loses is put back by x / ((1 + x) - 1) (Kahan; HP-15C Advanced Functions
 * 1982). */
static double log1p_of(double x)
{
    const double u = 1.0 + x;
    if (!(x > -1.0)) return nan_double();
    if (u == 1.0 || u - u != 0.0) return x;
    return ln(u) * (x / (u - 1.0));
}

static void row_log1p(const er_row_arg *a, void *out) { EACH(log1p_of(a->x[i])); }

static double bucket_of(double x, const double *edges, uint32_t n)
{
    uint32_t bucket = 0;
    for (uint32_t e = 0; e < n; e++) bucket += x >= edges[e];
    return x != x ? x : (double)bucket;
}

static void row_bucketise(const er_row_arg *a, void *out)
{
    double *to = out;
    if (a->n == 1) {
        to[0] = bucket_of(a->x[0], a->param, a->n_params);
        return;
    }
    /* Four edges at a time, so that a sum stays in a register. */
    for (uint32_t i = 0; i < a->n; i++) to[i] = a->x[i] != a->x[i] ? a->x[i] : 0.0;
    for (uint32_t e = 0; e < a->n_params; e += 4) {
        double edge[4];
        for (uint32_t k = 0; k < 4; k++)
            edge[k] = e + k < a->n_params ? a->param[e + k] : nan_double();
        for (uint32_t i = 0; i < a->n; i++)
            to[i] += (a->x[i] >= edge[0] ? 1.0 : 0.0) + (a->x[i] >= edge[1] ? 1.0 : 0.0) +
                     (a->x[i] >= edge[2] ? 1.0 : 0.0) + (a->x[i] >= edge[3] ? 1.0 : 0.0);
    }
}

static void row_one_hot(const er_row_arg *a, void *out)
{
    EACH(a->x[i] == a->param[0] ? 1.0 : 0.0);
}

static void row_unknown(const er_row_arg *a, void *out)
{
    double *to = out;
    for (uint32_t i = 0; i < a->n; i++) {
        int known = a->x[i] != a->x[i];
        for (uint32_t k = 0; k < a->n_params; k++) known |= a->x[i] == a->param[k];
        to[i] = known ? 0.0 : 1.0;
    }
}

/* ---- time: unix milliseconds UTC ---- */

enum { DAY_MS = 86400000, HOUR_MS = 3600000 };

/* Whole hour of the day and weekday, Monday 0; 0 where there is no such time. 8.64e15 ms are
 * 100 million days, the range of ECMAScript's dates. */
static int clock_of(double ms, double offset_min, int *hour, int *weekday)
{
    const double local = ms + offset_min * 60000.0;
    if (!(local >= -8.64e15 && local <= 8.64e15)) return 0;
    int64_t t = (int64_t)local;
    t -= (double)t > local;
    int64_t day = t / DAY_MS;
    day -= day * DAY_MS > t;
    *hour = (int)((t - day * DAY_MS) / HOUR_MS);
    *weekday = (int)((day % 7 + 10) % 7); /* 1970-01-01 was a Thursday */
    return 1;
}

static double sine(int part, int of)
{
    double s, c;
    er_sincos_turn((double)(2 * part > of ? of - part : part) / of, &s, &c);
    return 2 * part > of ? -s : s;
}

static double cosine(int part, int of)
{
    double s, c;
    er_sincos_turn((double)(2 * part > of ? of - part : part) / of, &s, &c);
    return c;
}

#define CLOCK(expression)                                                                          \
    do {                                                                                           \
        double *to = out;                                                                          \
        for (uint32_t i = 0; i < a->n; i++) {                                                      \
            int hour = 0, weekday = 0;                                                             \
            const int ok = clock_of(a->x[i], a->param[0], &hour, &weekday);                        \
            to[i] = ok ? (expression) : nan_double();                                              \
            (void)hour, (void)weekday;                                                             \
        }                                                                                          \
    } while (0)

static void row_hour(const er_row_arg *a, void *out) { CLOCK(hour); }
static void row_weekday(const er_row_arg *a, void *out) { CLOCK(weekday); }
static void row_hour_sin(const er_row_arg *a, void *out) { CLOCK(sine(hour, 24)); }
static void row_hour_cos(const er_row_arg *a, void *out) { CLOCK(cosine(hour, 24)); }
static void row_weekday_sin(const er_row_arg *a, void *out) { CLOCK(sine(weekday, 7)); }
static void row_weekday_cos(const er_row_arg *a, void *out) { CLOCK(cosine(weekday, 7)); }

/* ---- two numbers ---- */

static void row_product(const er_row_arg *a, void *out) { EACH(a->x[i] * a->y[i]); }

static void row_ratio(const er_row_arg *a, void *out)
{
    EACH(a->y[i] == 0.0 ? nan_double() : a->x[i] / a->y[i]);
}

/* ---- texts ---- */

static void text_impute(const er_row_arg *a, void *out)
{
    const er_code constant = {a->code, a->hash};
    er_code *to = out;
    for (uint32_t i = 0; i < a->n; i++)
        to[i] = a->t[i].code == ER_CODE_MISSING ? constant : a->t[i];
}

static void text_impute_last(const er_row_arg *a, void *out)
{
    er_code last, *to = out;
    memcpy(&last, a->state, sizeof last);
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->t[i].code != ER_CODE_MISSING) last = a->t[i];
        to[i] = last;
    }
    memcpy(a->state, &last, sizeof last);
}

static void text_missing(const er_row_arg *a, void *out)
{
    EACH(a->t[i].code == ER_CODE_MISSING ? 1.0 : 0.0);
}

static void text_one_hot(const er_row_arg *a, void *out)
{
    EACH(a->t[i].code == a->code ? 1.0 : 0.0);
}

static void text_unknown(const er_row_arg *a, void *out)
{
    double *to = out;
    for (uint32_t i = 0; i < a->n; i++) {
        const int32_t code = a->t[i].code;
        to[i] = code == ER_CODE_UNKNOWN || (code >= 0 && a->map[code] < 0) ? 1.0 : 0.0;
    }
}

static void text_ordinal(const er_row_arg *a, void *out)
{
    double *to = out;
    for (uint32_t i = 0; i < a->n; i++) {
        const int32_t code = a->t[i].code, place = code >= 0 ? a->map[code] : -1;
        to[i] = place >= 0 ? place : a->param[0];
    }
}

static void text_hash_bucket(const er_row_arg *a, void *out)
{
    const uint32_t buckets = (uint32_t)a->param[0];
    EACH(a->t[i].code == ER_CODE_MISSING ? nan_double() : a->t[i].hash % buckets);
}

/* ---- parameters; all are finite ---- */

static int any(const double *p, uint32_t n) { return (void)p, (void)n, 1; }
static int scale(const double *p, uint32_t n) { return (void)n, p[1] != 0.0; }
static int clipped(const double *p, uint32_t n) { return (void)n, p[0] <= p[1]; }

static int whole(double x, double least, double most)
{
    return x >= least && x <= most && (double)(int32_t)x == x;
}

static int range(const double *p, uint32_t n)
{
    (void)n;
    const double size = p[1] - p[0], s = 1.0 / size; /* |low * s| <= 2^53: doubles lie no closer */
    return size > 0.0 && s - s == 0.0 && s > 0.0 && whole(p[2], 0.0, 1.0);
}

static int ascending(const double *p, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        if (!(p[i - 1] < p[i])) return 0;
    return 1;
}

static int buckets(const double *p, uint32_t n) { return (void)n, whole(p[0], 1.0, 16777216.0); }
static int minutes(const double *p, uint32_t n) { return (void)n, whole(p[0], -1440.0, 1440.0); }

/* ---- the table ---- */

#define N ER_NUMBER
#define T ER_TEXT
#define LIST ER_MAX_LIST   /* as a number of parameters: 1..256 */
#define WORDS ER_MAX_WORDS /* as a number of words: 1..1024     */
#define OFFSET "offset from UTC, whole, -1440 <= offset <= 1440 [min]"

/* id, what it reads, gives, values read, parameters, words, needs, check, kernel, then name, unit
 * and limits; the second row of an operator is for texts. */
static const er_row_kernel KERNELS[] = {
    {2000, N, N, 1, 0, 0, 0, any, row_value, "value", "x", ""},
    {2001, N, N, 1, 1, 0, 0, any, row_impute, "impute", "x", "a constant; for a text a word"},
    {2001, T, T, 1, 0, 1, 0, any, text_impute, NULL, NULL, NULL},
    {2002, N, N, 1, 0, 0, ER_ROW_STATE, any, row_impute_last, "impute_last", "x", ""},
    {2002, T, T, 1, 0, 0, ER_ROW_STATE, any, text_impute_last, NULL, NULL, NULL},
    {2003, N, N, 1, 0, 0, 0, any, row_missing, "missing", "1", ""},
    {2003, T, N, 1, 0, 0, 0, any, text_missing, NULL, NULL, NULL},
    {2004, N, N, 1, 2, 0, 0, scale, row_standardise, "standardise", "1",
     "mean, and a scale other than 0"},
    {2005, N, N, 1, 3, 0, 0, range, row_min_max, "min_max", "1", "low < high, and clip 0 or 1"},
    {2006, N, N, 1, 2, 0, 0, scale, row_standardise, "robust_scale", "1",
     "centre, and an iqr other than 0"},
    {2007, N, N, 1, 0, 0, 0, any, row_log1p, "log1p", "1", ""},
    {2008, N, N, 1, 2, 0, 0, clipped, row_clip, "clip", "x", "low <= high"},
    {2009, N, N, 1, LIST, 0, 0, ascending, row_bucketise, "bucketise", "count",
     "1..256 edges, ascending"},
    {2010, N, N, 1, 1, 0, 0, any, row_one_hot, "one_hot", "1", "a number; for a text a word"},
    {2010, T, N, 1, 0, 1, 0, any, text_one_hot, NULL, NULL, NULL},
    {2011, N, N, 1, LIST, 0, 0, any, row_unknown, "unknown", "1",
     "1..256 numbers; for a text 1..1024 words"},
    {2011, T, N, 1, 0, WORDS, ER_ROW_MAP, any, text_unknown, NULL, NULL, NULL},
    {2012, T, N, 1, 1, WORDS, ER_ROW_MAP, any, text_ordinal, "ordinal", "1",
     "the number of any other text, and 1..1024 words"},
    {2013, T, N, 1, 1, 0, ER_ROW_HASH, buckets, text_hash_bucket, "hash_bucket", "1",
     "a whole number of buckets, 1..16777216"},
    {2014, N, N, 1, 1, 0, 0, minutes, row_hour, "hour", "h", OFFSET},
    {2015, N, N, 1, 1, 0, 0, minutes, row_weekday, "weekday", "1", OFFSET},
    {2016, N, N, 1, 1, 0, 0, minutes, row_hour_sin, "hour_sin", "1", OFFSET},
    {2017, N, N, 1, 1, 0, 0, minutes, row_hour_cos, "hour_cos", "1", OFFSET},
    {2018, N, N, 1, 1, 0, 0, minutes, row_weekday_sin, "weekday_sin", "1", OFFSET},
    {2019, N, N, 1, 1, 0, 0, minutes, row_weekday_cos, "weekday_cos", "1", OFFSET},
    {2020, N, N, 2, 0, 0, 0, any, row_product, "product", "x*y", ""},
    {2021, N, N, 2, 0, 0, 0, any, row_ratio, "ratio", "x/y", ""},
};
enum { N_KERNELS = sizeof KERNELS / sizeof KERNELS[0] };

const er_row_kernel *er_row_kernel_find(uint16_t id, uint16_t kind)
{
    for (uint32_t i = 0; i < N_KERNELS; i++)
        if (KERNELS[i].id == id && KERNELS[i].kind == kind) return &KERNELS[i];
    return NULL;
}

er_status er_row_op(uint16_t index, er_op_info *out)
{
    for (uint32_t i = 0; i < N_KERNELS; i++) {
        const er_row_kernel *k = &KERNELS[i];
        if (!k->name || index--) continue;
        const uint32_t n_params = k->n_params == LIST ? 1 : k->n_params;
        *out = (er_op_info){k->id,   ER_KIND_ROW, (uint16_t)n_params, k->n_from, k->n_from,
                            k->name, k->unit,     k->limits,          {0}};
        return ER_OK;
    }
    return ER_EINVAL;
}
