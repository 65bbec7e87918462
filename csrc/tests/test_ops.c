/* Operators on windows whose answers can be written down. */
#include "check.h"

enum { N = 40 };
static uint64_t memory[200000];

static float one(uint16_t op, const float *x, uint16_t n, float p0, float p1)
{
    const er_channel channel = {1.0f, 0.0f};
    const er_feature feature = {op, 0, {p0, p1}};
    const er_program p = {20.0f, 1, n, n, 1, &channel, &feature};
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
    const er_channel channel = {1.0f, 0.0f};
    er_feature f[3] = {{1, 0, {0, 0}}, {9, 0, {0.5f, 4.0f}}, {5, 0, {0, 0}}};
    er_program p = {20.0f, 1, 40, 20, 3, &channel, f};
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

int main(void)
{
    test_values_that_can_be_written_down();
    test_a_constant_has_no_deviation();
    test_nan_and_infinity_give_the_one_nan();
    test_median_is_the_sorted_middle();
    test_every_length_keeps_parseval();
    test_bad_programs_are_refused_by_index();
    return 0;
}
