/* Every kind of step but trees computes what FORMAT.md says: each expected value is written a
 * second time, plainly. */
#include <math.h>

#include "model.h"

static unsigned char *file = (unsigned char *)made.file;

/* ---- layers ---- */

static uint64_t rng = 5;
static float x[256];
static double got[64];

/* No short fraction: sums of such round, so that their order shows. */
static double unit(void) { return (double)rng_unit(&rng) / 3.0; }

static void features(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) x[i] = 2.0f * rng_unit(&rng);
}

static const uint64_t infinite_bits = UINT64_C(0x7ff0000000000000);

/* The last float or double of the constants is made infinite: refused. */
static void refuse_infinite(size_t size_of)
{
    er_model m;
    memcpy(file + made.size - size_of, (const char *)&infinite_bits + (size_of == 4 ? 4 : 0),
           size_of);
    CHECK(er_model_open(&m, file, made.size) == (size_of == 4 ? ER_OK : ER_EFORMAT));
}

static void test_dense_adds_in_four_lanes(void)
{
    for (uint32_t n = 1; n < 12; n++) {
        double w[3 * 12], bias[3];
        for (uint32_t i = 0; i < 3 * n; i++) w[i] = unit();
        for (uint32_t j = 0; j < 3; j++) bias[j] = unit();
        part_doubles(w, 3 * n), part_doubles(bias, 3);
        CHECK(model_of(DENSE, 0, (uint16_t)n, 3) == ER_OK);
        features(n);
        model_run(x, got);
        for (uint32_t j = 0; j < 3; j++) {
            double lane[4] = {0};
            for (uint32_t i = 0; i < n; i++) lane[i % 4] += (double)x[i] * w[j * n + i];
            CHECK(got[j] == bias[j] + ((lane[0] + lane[2]) + (lane[1] + lane[3])));
        }
        refuse_infinite(8);
        part_doubles(w, 3 * n);
        CHECK(model_of(DENSE, 0, (uint16_t)n, 3) == ER_EFORMAT);
    }
}

static float act(uint16_t how, float v)
{
    switch (how) {
    case 1: return v > 0.0f ? v : 0.0f;
    case 2: return (float)tanh((double)v);
    case 3: return (float)(1.0 / (1.0 + exp(-(double)v)));
    default: return v;
    }
}

static void test_dense32_adds_in_float_in_order(void)
{
    enum { N = 5 };
    for (uint32_t m = 1; m < 44; m += 7)
        for (uint16_t how = 0; how < 4; how++) {
            const uint32_t stride = (m + 7) / 8 * 8;
            float w[N * 48] = {0}, bias[48] = {0};
            for (uint32_t i = 0; i < N * stride; i++) w[i] = i % stride < m ? rng_unit(&rng) : 0;
            for (uint32_t j = 0; j < m; j++) bias[j] = rng_unit(&rng);
            part_floats(w, N * stride), part_floats(bias, stride);
            CHECK(model_of(DENSE32, how, N, (uint16_t)m) == ER_OK);
            features(N);
            model_run(x, got);
            for (uint32_t j = 0; j < m; j++) {
                float sum = bias[j];
                for (uint32_t i = 0; i < N; i++) sum += x[i] * w[i * stride + j];
                CHECK(fabs(got[j] - (double)act(how, sum)) <= (how > 1 ? 6e-8 : 0.0));
            }
            refuse_infinite(8);
        }
    part_float(0.0f), part_pad();
    CHECK(model_of(DENSE32, 0, 1, 1) == ER_EFORMAT);
}

/* Behind another step its values are rounded to float first. */
static void test_floats_are_rounded_from_values(void)
{
    const double third[1] = {3.0};
    float w[8] = {1.0f}, bias[8] = {0.0f};
    model_begin();
    part_doubles(third, 1);
    model_step(AFFINE, 4, 0, 1, 1, 1);
    part_floats(w, 8), part_floats(bias, 8);
    model_step(DENSE32, 0, 1, 1, 2, 1);
    CHECK(model_end(1, 1, 3, 2, 0) == ER_OK);
    x[0] = 1.0f;
    model_run(x, got);
    CHECK(got[0] == (double)(float)(1.0 / 3.0));
}

static void test_distances_and_gauss(void)
{
    enum { N = 6, M = 3 };
    double k[2 * N * M + M];
    for (uint32_t i = 0; i < 2 * N * M + M; i++) k[i] = 1.5 + unit();
    for (uint16_t how = 0; how < 4; how++) {
        part_doubles(k, N * M);
        CHECK(model_of(DISTANCE, how, N, M) == ER_OK);
        features(N);
        model_run(x, got);
        for (uint32_t j = 0; j < M; j++) {
            double sum = 0.0;
            for (uint32_t i = 0; i < N; i++) sum += pow((double)x[i] - k[j * N + i], 2.0);
            const double want = how == 1 || how == 2 ? sqrt(sum) : sum;
            CHECK(fabs(got[j] - (how < 2 ? want : -want)) < 1e-13);
        }
        refuse_infinite(8);
    }
    part_doubles(k, N);
    CHECK(model_of(DISTANCE, 0, N, M) == ER_EFORMAT);
    part_doubles(k, 2 * N * M + M);
    CHECK(model_of(GAUSS, 0, N, M) == ER_OK);
    model_run(x, got);
    for (uint32_t j = 0; j < M; j++) {
        double sum = 0.0;
        for (uint32_t i = 0; i < N; i++)
            sum += pow((double)x[i] - k[M + j * N + i], 2.0) / k[M + N * M + j * N + i];
        CHECK(fabs(got[j] - (k[j] - 0.5 * sum)) < 1e-12);
    }
    refuse_infinite(8);
    k[2 * N * M + M - 1] = 0.0; /* a variance */
    part_doubles(k, 2 * N * M + M);
    CHECK(model_of(GAUSS, 0, N, M) == ER_EFORMAT);
    part_doubles(k, N);
    CHECK(model_of(GAUSS, 0, N, M) == ER_EFORMAT);
}

/* ---- int8 ---- */

static double quantised(double v, float scale, int zero)
{
    const float r = rintf((float)v / scale) + (float)zero;
    return v != v ? zero : r < 0.0f ? 0.0 : r > 255.0f ? 255.0 : (double)r;
}

static void test_quantise_rounds_halves_to_even(void)
{
    static const float in[] = {0.0f, 0.25f, 0.75f, -0.25f, -0.75f, 1e30f, -1e30f, 63.4f, 62.25f};
    enum { N = sizeof in / sizeof *in };
    part_float(0.5f), part_u32(128);
    CHECK(model_of(QUANTISE, 0, N, N) == ER_OK);
    memcpy(x, in, sizeof in);
    model_run(x, got);
    for (uint32_t i = 0; i < N; i++) CHECK(got[i] == quantised((double)in[i], 0.5f, 128));
    CHECK(got[1] == 128.0 && got[2] == 130.0 && got[5] == 255.0 && got[6] == 0.0);
    x[0] = (float)NAN;
    model_run(x, got);
    CHECK(got[0] == 128.0);
    static const struct {
        float scale;
        uint32_t zero;
        uint16_t n;
        int words;
    } bad[] = {{0.0f, 0, 2, 2},   {-1.0f, 0, 2, 2}, {(float)INFINITY, 0, 2, 2},
               {1.0f, 256, 2, 2}, {1.0f, 0, 1, 2},  {1.0f, 0, 2, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        part_float(bad[i].scale), part_u32(bad[i].zero);
        if (bad[i].words > 2) part_u32(0), part_u32(0);
        CHECK(model_of(QUANTISE, 0, bad[i].n, 2) == ER_EFORMAT);
    }
}

typedef struct layer {
    float scale_x, scale_y;
    uint32_t zero_x, zero_y;
    float scale_w[8];
    uint8_t zero_w[8], w[5][32];
    int32_t bias[8];
} layer;

/* 20 inputs, 5 outputs; behind a quantise step of scale 1. */
static er_status open_layer(const layer *l, uint16_t variant)
{
    model_begin();
    part_float(1.0f), part_u32(0);
    model_step(QUANTISE, 0, 0, 20, 20, 20);
    part_float(l->scale_x), part_u32(l->zero_x), part_float(l->scale_y), part_u32(l->zero_y);
    part_floats(l->scale_w, 8), part_add(l->zero_w, 8), part_add(l->bias, 32);
    part_add(l->w, sizeof l->w);
    model_step(DENSE8, variant, 20, 20, 40, 5);
    return model_end(20, 5, 45, 40, 0);
}

static layer some_layer(uint16_t variant)
{
    layer l = {.scale_x = 0.05f, .zero_x = 117};
    if (variant) l.scale_y = 0.02f, l.zero_y = 99;
    for (uint32_t j = 0; j < 8; j++) {
        l.scale_w[j] = j < 5 ? 0.001f * (1.0f + (float)j) : 0.0f;
        l.zero_w[j] = (uint8_t)rng_below(&rng, 256);
        l.bias[j] = j < 5 ? (int32_t)rng_below(&rng, 20000) - 10000 : 0;
    }
    for (uint32_t i = 0; i < 100; i++) l.w[i / 20][i % 20] = (uint8_t)rng_below(&rng, 256);
    return l;
}

static void test_dense8_sums_whole_numbers(void)
{
    for (int round = 0; round < 40; round++) {
        const uint16_t variant = (uint16_t)(round % 2);
        const layer l = some_layer(variant);
        CHECK(open_layer(&l, variant) == ER_OK);
        for (uint32_t i = 0; i < 20; i++) x[i] = (float)rng_below(&rng, 256);
        model_run(x, got);
        for (uint32_t j = 0; j < 5; j++) {
            int32_t acc = l.bias[j];
            for (uint32_t i = 0; i < 20; i++)
                acc += ((int32_t)x[i] - (int32_t)l.zero_x) * (l.w[j][i] - l.zero_w[j]);
            const float scale = l.scale_x * l.scale_w[j];
            const float y = (float)acc * (variant ? scale / l.scale_y : scale);
            CHECK(got[j] == (variant ? quantised((double)y, 1.0f, (int)l.zero_y) : (double)y));
        }
    }
}

/* Without a quantise step before it: what is outside 0..255 counts as the end, NaN as 0. */
static void test_dense8_takes_any_value(void)
{
    static const float in[] = {(float)NAN, -5.0f, 300.0f, 1e38f, (float)INFINITY, 7.9f};
    static const double as[] = {0.0, 0.0, 255.0, 255.0, 255.0, 7.0};
    for (uint32_t i = 0; i < 6; i++) {
        uint8_t w[16] = {1};
        part_float(1.0f), part_u32(0), part_float(0.0f), part_u32(0), part_float(1.0f);
        for (int j = 1; j < 8; j++) part_u32(0);
        part_u32(0), part_u32(0);
        for (int j = 0; j < 8; j++) part_u32(0);
        part_add(w, 16);
        CHECK(model_of(DENSE8, 0, 1, 1) == ER_OK);
        x[0] = in[i];
        model_run(x, got);
        CHECK(got[0] == as[i]);
    }
}

#define BAD_LAYER(variant, change)                                                                 \
    do {                                                                                           \
        layer l = some_layer(variant);                                                             \
        change;                                                                                    \
        CHECK(open_layer(&l, variant) == ER_EFORMAT);                                              \
    } while (0)

static void test_a_layer_out_of_range_is_refused(void)
{
    BAD_LAYER(1, l.scale_x = 0.0f);
    BAD_LAYER(1, l.zero_x = 256);
    BAD_LAYER(1, l.scale_y = 0.0f);
    BAD_LAYER(1, l.zero_y = 256);
    BAD_LAYER(0, l.scale_y = 1.0f);
    BAD_LAYER(0, l.zero_y = 1);
    BAD_LAYER(1, l.scale_w[4] = -1.0f);
    BAD_LAYER(1, l.bias[4] = (1 << 30) + 1);
    BAD_LAYER(1, l.bias[4] = -(1 << 30) - 1);
    part_float(1.0f), part_u32(0);
    CHECK(model_of(DENSE8, 0, 1, 1) == ER_EFORMAT);
    model_begin(); /* too many inputs for sums in int32 */
    for (uint32_t to = 1000; to < 3000; to += 1000) model_step(UNARY, 1, to - 1000, 1000, to, 1000);
    part_float(1.0f), part_u32(0);
    model_step(DENSE8, 0, 0, 1025, 3000, 1);
    CHECK(model_end(1000, 1, 3001, 3000, 0) == ER_EFORMAT);
}

/* ---- links ---- */

static void test_affine_leaves_out_parts(void)
{
    const double k[4] = {0.3, 7.0, 3.0, -2.0};
    for (uint16_t how = 1; how < 16; how++) {
        double want = (double)(x[0] = 1.7f);
        if (how & 1) part_doubles(&k[0], 1), want -= k[0];
        if (how & 2) part_doubles(&k[1], 1), want *= k[1];
        if (how & 4) part_doubles(&k[2], 1), want /= k[2];
        if (how & 8) part_doubles(&k[3], 1), want += k[3];
        CHECK(model_of(AFFINE, how, 1, 1) == ER_OK);
        model_run(x, got);
        CHECK(got[0] == want);
        refuse_infinite(8);
    }
    part_doubles(k, 2);
    CHECK(model_of(AFFINE, 1, 2, 1) == ER_EFORMAT);
    part_doubles(k, 2);
    CHECK(model_of(AFFINE, 1, 1, 1) == ER_EFORMAT);
}

static double reference(uint16_t how, double v)
{
    switch (how) {
    case 1: return v < 0.0 ? 0.0 : v;
    case 2: return tanh(v);
    case 3: return 1.0 / (1.0 + exp(-v));
    case 4: return exp(v);
    case 5: return sqrt(v);
    case 6: return -v;
    case 7: return exp2(v);
    default: return log(v);
    }
}

static int near(double a, double b, double most)
{
    return a == b || (a != a && b != b) || fabs(a - b) <= most * fabs(b);
}

static void test_functions_are_near_the_exact_ones(void)
{
    static const float edge[] = {
        0.0f,   -0.0f,   1e-40f, 1e-30f,     1e38f,           -1e38f,          709.7f,  -745.0f,
        710.5f, -760.0f, 1.0f,   -1.0f,      1023.9f,         -1074.0f,        1025.0f, -1100.0f,
        0.625f, 0.626f,  -0.7f,  (float)NAN, (float)INFINITY, (float)-INFINITY};
    enum { EDGES = sizeof edge / sizeof *edge };
    for (uint16_t how = 1; how <= 8; how++) {
        CHECK(model_of(UNARY, how, 1, 1) == ER_OK);
        for (uint32_t i = 0; i < 3000 + EDGES; i++) {
            x[0] = i < EDGES ? edge[i] : rng_unit(&rng) * (i % 3 ? 700.0f : 3.0f);
            model_run(x, got);
            const double want = reference(how, (double)x[0]);
            CHECK(near(got[0], want, 5e-16) || fabs(got[0] - want) <= 1e-323);
        }
    }
    CHECK(model_of(UNARY, 1, 2, 1) == ER_EFORMAT);
    part_u32(0), part_u32(0);
    CHECK(model_of(UNARY, 1, 1, 1) == ER_EFORMAT);
}

/* Values no float holds: denormal doubles through log and sqrt. */
static void test_denormal_doubles_have_a_root_and_a_logarithm(void)
{
    const double tiny[2] = {1e-280, 1e-41};
    for (uint16_t how = 5; how < 9; how += 3) {
        model_begin();
        part_doubles(tiny, 1);
        model_step(AFFINE, 2, 0, 1, 1, 1);
        model_step(UNARY, how, 1, 1, 1, 1);
        CHECK(model_end(1, 1, 2, 1, 0) == ER_OK);
        x[0] = (float)tiny[1] * 1e5f;
        model_run(x, got);
        CHECK(near(got[0], reference(how, (double)x[0] * 1e-280), 5e-16));
    }
}

static void test_rows_become_scores(void)
{
    const float in[3] = {0.5f, 2.0f, -1.0f};
    memcpy(x, in, sizeof in);
    CHECK(model_of(SOFTMAX, 0, 3, 3) == ER_OK);
    model_run(x, got);
    const double e[3] = {exp(-1.5), 1.0, exp(-3.0)};
    for (uint32_t i = 0; i < 3; i++) CHECK(near(got[i], e[i] / (e[0] + e[1] + e[2]), 5e-16));
    for (uint16_t how = 0; how < 3; how++) {
        CHECK(model_of(PAIR, how % 2, 1, 2) == ER_OK);
        model_run(x, got);
        CHECK(got[0] == (how == 1 ? -0.5 : 0.5) && got[1] == 0.5);
        CHECK(model_of(NORMALISE, how, 3, 3) == ER_OK);
        model_run(x, got);
        CHECK(got[0] == 0.5 / 1.5 && got[1] == 2.0 / 1.5 && got[2] == -1.0 / 1.5);
        const float none[3] = {1.0f, -1.0f, 0.0f};
        model_run(none, got);
        const uint64_t nan_bits = UINT64_C(0x7ff8000000000000);
        CHECK(how == 1 ? memcmp(&got[2], &nan_bits, 8) == 0 : got[2] == (how ? 0.0 : 1.0 / 3));
    }
    CHECK(model_of(PAIR, 0, 2, 2) == ER_EFORMAT && model_of(PAIR, 0, 1, 3) == ER_EFORMAT);
    part_u32(0), part_u32(0);
    CHECK(model_of(PAIR, 0, 1, 2) == ER_EFORMAT);
}

static er_status open_lerp(uint32_t n0, double second_x, uint16_t m)
{
    const double px[5] = {-1.0, 0.0, 2.0, 1.0, second_x}, py[5] = {5.0, 1.0, 2.0, 0.0, 8.0};
    part_u32(n0), part_u32(2);
    part_doubles(px, 5), part_doubles(py, 5);
    return model_of(LERP, 0, 2, m);
}

static void test_lerp_goes_through_its_points(void)
{
    static const float in[] = {-3.0f, -1.0f, -0.5f, 0.0f, 1.5f, 2.0f, 9.0f, (float)NAN};
    static const double want[] = {5.0, 5.0, 3.0, 1.0, 1.75, 2.0, 2.0};
    for (uint32_t i = 0; i < 8; i++) {
        CHECK(open_lerp(3, 3.0, 2) == ER_OK);
        x[0] = in[i];
        x[1] = 2.0f;
        model_run(x, got);
        CHECK(i < 7 ? got[0] == want[i] : got[0] != got[0]);
        CHECK(got[1] == 4.0);
    }
    refuse_infinite(8);
    CHECK(open_lerp(1, 3.0, 2) == ER_EFORMAT && open_lerp(65536, 3.0, 2) == ER_EFORMAT);
    CHECK(open_lerp(2, 3.0, 2) == ER_EFORMAT); /* a size of other counts */
    CHECK(open_lerp(3, 1.0, 2) == ER_EFORMAT && open_lerp(3, 3.0, 1) == ER_EFORMAT);
    CHECK(model_of(LERP, 0, 2, 2) == ER_EFORMAT);
}

static void test_parts_are_blended_and_vote(void)
{
    const double weight[4] = {0.5, 2.0, 1.0, 3.5};
    const float in[6] = {1.0f, 2.0f, 4.0f, 3.0f, 7.0f, 7.0f};
    memcpy(x, in, sizeof in);
    part_doubles(weight, 4);
    CHECK(model_of(BLEND, 0, 6, 2) == ER_OK);
    model_run(x, got);
    CHECK(got[0] == (0.5 * 1.0 + 2.0 * 4.0 + 7.0) / 3.5);
    CHECK(got[1] == (0.5 * 2.0 + 2.0 * 3.0 + 7.0) / 3.5);
    refuse_infinite(8);
    part_doubles(weight, 3);
    CHECK(model_of(VOTE, 0, 6, 2) == ER_OK);
    model_run(x, got);
    CHECK(got[0] == 2.0 + 1.0 && got[1] == 0.5); /* equal: the first */
    refuse_infinite(8);
    for (uint16_t op = BLEND; op <= VOTE; op++) {
        part_doubles(weight, 2);
        CHECK(model_of(op, 0, 6, 2) == ER_EFORMAT);
        part_doubles(weight, 1);
        CHECK(model_of(op, 0, 3, 2) == ER_EFORMAT);
    }
}

static void test_pick_moves_values(void)
{
    const float in[3] = {1.0f, 2.0f, 4.0f};
    part_u32(2), part_u32(0), part_u32(2), part_pad();
    CHECK(model_of(PICK, 0, 3, 3) == ER_OK);
    model_run(in, got);
    CHECK(got[0] == 4.0 && got[1] == 1.0 && got[2] == 4.0);
    part_u32(3), part_pad();
    CHECK(model_of(PICK, 0, 3, 1) == ER_EFORMAT);
    CHECK(model_of(PICK, 0, 3, 1) == ER_EFORMAT);
}

int main(void)
{
    test_dense_adds_in_four_lanes();
    test_dense32_adds_in_float_in_order();
    test_floats_are_rounded_from_values();
    test_distances_and_gauss();
    test_quantise_rounds_halves_to_even();
    test_dense8_sums_whole_numbers();
    test_dense8_takes_any_value();
    test_a_layer_out_of_range_is_refused();
    test_affine_leaves_out_parts();
    test_functions_are_near_the_exact_ones();
    test_denormal_doubles_have_a_root_and_a_logarithm();
    test_rows_become_scores();
    test_lerp_goes_through_its_points();
    test_parts_are_blended_and_vote();
    test_pick_moves_values();
    return 0;
}
