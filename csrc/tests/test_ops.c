/* Operators on windows whose answers can be written down. */
#include "check.h"

enum { N = 40 };
static uint64_t memory[200000];

static float one(uint16_t op, const float *x, uint16_t n, float p0, float p1)
{
    const er_channel channel = {1.0f, 0.0f, 1, 0};
    const er_feature feature = {op, 0, 0, 0, {p0, p1}};
    const er_program p = {20.0f, 1, n, n, 1, 0, &channel, &feature, NULL, {0}};
    float out = -1.0f;
    CHECK(er_features_size(&p) > 0 && er_features_size(&p) <= sizeof memory);
    CHECK(er_features_batch(&p, x, n, &out, 1, memory, sizeof memory) == ER_OK);
    return out;
}

static void test_values_that_can_be_written_down(void)
{
    const float x[] = {1, -2, 3, -4};
    CHECK(one(1, x, 4, 0, 0) == -0.5f);
    CHECK(one(2, x, 4, 0, 0) == __builtin_sqrtf(7.25f));
    CHECK(one(3, x, 4, 0, 0) == __builtin_sqrtf(7.5f));
    CHECK(one(4, x, 4, 0, 0) == -4.0f);
    CHECK(one(5, x, 4, 0, 0) == 3.0f);
    CHECK(one(6, x, 4, 0, 0) == -0.5f);
    CHECK(one(7, x, 4, 0, 0) == 3.0f);
    CHECK(one(8, x, 4, 0, 0) == 5.0f);
    CHECK(one(9, x, 4, 0, 5) == 0.25f);   /* DC: the mean's square */
    CHECK(one(9, x, 4, 10, 11) == 6.25f); /* Nyquist: ((1+2+3+4)/4)^2 */
    CHECK(one(9, x, 4, 0, 11) == 7.5f);   /* Parseval */
}

static int near(float got, float want) { return __builtin_fabsf(got - want) <= 2e-6f; }

static void test_later_operators_on_values_that_can_be_written_down(void)
{
    const float x[] = {1, -2, 3, -4};
    CHECK(one(10, x, 4, 0, 0) == 7.25f && one(11, x, 4, 0, 0) == 30.0f);
    CHECK(one(12, x, 4, 0, 0) == 7.0f);
    CHECK(one(13, x, 4, 0, 0) == 0.75f && one(14, x, 4, 0, 0) == 0.5f);
    CHECK(near(one(15, x, 4, 0, 0), 0.0f) && near(one(16, x, 4, 0, 0), 77.5625f / 52.5625f - 3));
    CHECK(one(17, x, 4, 0, 0) == -4.0f && one(17, x, 4, 1, 0) == 3.0f);
    CHECK(one(17, x, 4, 0.5f, 0) == -0.5f && one(18, x, 4, 0, 0) == 4.0f);
    CHECK(one(19, x, 4, 0, 0) == 2.5f && one(20, x, 4, 0, 0) == 15.0f);
    CHECK(one(21, x, 4, 0, 0) == 3.0f && near(one(22, x, 4, 0, 0), -20.0f));
    CHECK(near(one(23, x, 4, 1, 0), -19.75f / 29) && near(one(24, x, 4, 0, 0), 4 / 2.7386128f));
    CHECK(near(one(25, x, 4, 0, 0), 2.7386128f / 2.5f));
    CHECK(one(28, x, 4, 1, 0) == 1.0f && one(29, x, 4, 1, 0) == 2.0f);
    CHECK(one(30, x, 4, -3, 0) == 3.0f && one(30, x, 4, 3, 0) == 0.0f);
    CHECK(one(31, x, 4, 0, 0) == 1.0f && one(32, x, 4, 0, 0) == -4.0f);
    CHECK(one(33, x, 4, 0, 0) == -5.0f && one(34, x, 4, 0, 0) == 4.0f);
    CHECK(one(40, x, 4, 0, 0) == 10.0f && one(41, x, 4, 0, 0) == 6.25f);
    CHECK(near(one(42, x, 4, 5, 0), 1.0f)); /* 2/16 * ((1-3)^2 + (4-2)^2) */
    CHECK(near(one(43, x, 4, 2, 0), 0.6931472f));
}

static void test_shape_does_not_depend_on_scale(void)
{
    const uint16_t ops[] = {15, 16, 24, 25, 26, 27};
    uint64_t rng = 3;
    float x[N], big[N], small[N];
    for (int i = 0; i < N; i++)
        x[i] = rng_unit(&rng), big[i] = x[i] * 0x1p127f, small[i] = x[i] * 0x1p-126f;
    for (int i = 0; i < N; i++) x[i] = small[i] * 0x1p126f; /* what small could hold */
    for (int o = 0; o < 6; o++) {
        CHECK(near(one(ops[o], small, N, 0, 0), one(ops[o], x, N, 0, 0)));
        CHECK(near(one(ops[o], big, N, 0, 0), one(ops[o], x, N, 0, 0)));
    }
}

static void test_parameters_out_of_range_are_refused(void)
{
    float nan, huge;
    const uint32_t nan_bits = 0x7fc00000u, huge_bits = 0x7f800000u;
    memcpy(&nan, &nan_bits, 4), memcpy(&huge, &huge_bits, 4);
    const struct {
        uint16_t op;
        float param;
    } bad[] = {{17, -0.1f}, {17, 1.1f}, {17, nan},   {23, 0},    {23, 40},  {23, 1.5f}, {23, nan},
               {28, nan},   {29, huge}, {30, -huge}, {37, 0},    {37, 1},   {42, 0},    {42, 10},
               {42, nan},   {43, 1},    {43, 257},   {43, 2.5f}, {43, huge}};
    const er_channel channel = {1.0f, 0.0f, 1, 0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const er_feature f = {bad[i].op, 0, 0, 0, {bad[i].param, 0}};
        const er_program p = {20.0f, 1, N, N, 1, 0, &channel, &f, NULL, {0}};
        uint32_t where;
        CHECK(er_program_check(&p, &where) == ER_EINVAL && where == 0);
    }
}

/* A constant has its own mean and no deviation, whatever the rounding of its sum. */
static void test_a_constant_has_no_deviation(void)
{
    float x[N];
    for (int i = 0; i < N; i++) x[i] = 0.1f;
    CHECK(one(1, x, N, 0, 0) == 0.1f);
    CHECK(one(2, x, N, 0, 0) == 0.0f);
    CHECK(one(6, x, N, 0, 0) == 0.1f);
}

static void test_nan_and_infinity_give_the_one_nan(void)
{
    const uint32_t bad[] = {0x7fc00001u, 0xffc00000u, 0x7f800000u, 0xff800000u};
    for (int b = 0; b < 4; b++)
        for (uint16_t op = 1; op <= 9; op++)
            for (int at = 0; at < N; at += 13) {
                float x[N] = {0}, got;
                uint32_t bits;
                memcpy(&x[at], &bad[b], 4);
                got = one(op, x, N, 0, op == 9 ? 5.0f : 0.0f);
                memcpy(&bits, &got, 4);
                CHECK(bits == 0x7fc00000u);
            }
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void test_median_is_the_sorted_middle(void)
{
    uint64_t rng = 1;
    for (uint32_t round = 0; round < 400; round++) {
        static float x[4096], sorted[4096];
        const uint16_t n = (uint16_t)(2 + rng_below(&rng, round % 8 ? 100 : 4095));
        for (uint32_t i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)rng_next(&rng);
            memcpy(&x[i], &bits, 4);
            if (round % 2 || x[i] - x[i] != 0.0f) x[i] = (float)((int)rng_below(&rng, 9) - 4);
        }
        memcpy(sorted, x, sizeof sorted);
        qsort(sorted, n, sizeof *sorted, by_value);
        const double two = (double)sorted[(n - 1) / 2] + (double)sorted[n / 2];
        CHECK(one(6, x, n, 0, 0) == (float)(two / 2.0));
    }
}

static void test_every_length_keeps_parseval(void)
{
    static float x[4096];
    uint64_t rng = 2;
    for (int i = 0; i < 4096; i++) x[i] = rng_unit(&rng);
    for (uint32_t n = 2; n <= 4096; n += n < 300 ? 1 : 211) {
        const float rms = one(3, x, (uint16_t)n, 0, 0);
        const float ratio = one(9, x, (uint16_t)n, 0, 20) / (rms * rms);
        CHECK(ratio > 0.999999f - 1e-6f && ratio < 1.000001f + 1e-6f);
    }
}

static void test_bad_programs_are_refused_by_index(void)
{
    const er_channel channel = {1.0f, 0.0f, 1, 0};
    er_feature f[3] = {{1, 0, 0, 0, {0}}, {9, 0, 0, 0, {0.5f, 4.0f}}, {5, 0, 0, 0, {0}}};
    er_program p = {20.0f, 1, 40, 20, 3, 0, &channel, f, NULL, {0}};
    uint32_t where = 9;
    CHECK(er_program_check(&p, &where) == ER_OK);
    f[2].op = 77;
    CHECK(er_program_check(&p, &where) == ER_EOP && where == 2);
    f[2].op = 5, f[2].param[1] = 1.0f;
    CHECK(er_program_check(&p, &where) == ER_EINVAL && where == 2);
    f[1].param[0] = 4.0f;
    CHECK(er_program_check(&p, &where) == ER_EINVAL && where == 1);
    f[0].channel = 1;
    CHECK(er_program_check(&p, &where) == ER_EINVAL && where == 0);
    p.hop = 41;
    CHECK(er_program_check(&p, &where) == ER_EINVAL && where == 3);
    CHECK(er_features_size(&p) == 0);
}

static void test_a_channel_tells_its_pace(void)
{
    const er_channel channels[2] = {{1.0f, 0.0f, 1, 0}, {1.0f, 0.0f, 4, 0}};
    const er_feature f = {1, 0, 0, 0, {0}};
    er_filter filters[2] = {{1002, 0, 1, {1}, {2}}, {1002, 0, 1, {0}, {3}}};
    const er_program p = {20.0f, 2, 40, 40, 1, 2, channels, &f, filters, {0}};
    float rate;
    uint16_t window;
    CHECK(er_program_channel(&p, 0, &rate, &window) == ER_OK && rate == 20.0f && window == 40);
    CHECK(er_program_channel(&p, 1, &rate, &window) == ER_OK && rate == 5.0f && window == 10);
    CHECK(er_program_channel(&p, 2, &rate, &window) == ER_OK && rate == 2.5f && window == 5);
    CHECK(er_program_channel(&p, 3, &rate, &window) == ER_EINVAL); /* 40 / 3 is not whole */
    filters[1].param[0] = 4.0f;
    CHECK(er_program_channel(&p, 3, &rate, &window) == ER_OK && rate == 5.0f && window == 10);
    CHECK(er_program_channel(&p, 4, &rate, &window) == ER_EINVAL);
    CHECK(er_program_channel(&p, 0, NULL, &window) == ER_EINVAL);
    CHECK(er_program_channel(&p, 0, &rate, NULL) == ER_EINVAL);
    CHECK(er_program_channel(NULL, 0, &rate, &window) == ER_EINVAL);
}

int main(void)
{
    test_values_that_can_be_written_down();
    test_later_operators_on_values_that_can_be_written_down();
    test_shape_does_not_depend_on_scale();
    test_parameters_out_of_range_are_refused();
    test_a_constant_has_no_deviation();
    test_nan_and_infinity_give_the_one_nan();
    test_median_is_the_sorted_middle();
    test_every_length_keeps_parseval();
    test_bad_programs_are_refused_by_index();
    test_a_channel_tells_its_pace();
    return 0;
}
