/* Operators of two channels, tapers and mel energies on windows whose answers can be written down.
 */
#include "check.h"
#include "er_math.h"

enum { N = 64, CORRELATION = 44, COVARIANCE, ENERGY_RATIO, BEST_LAG, LAG_CORRELATION, PHASE };
enum { HJORTH_ACTIVITY = 50, MEL, MFCC, LOG_MEL };
static uint64_t memory[200000];

static int near(float got, double want)
{
    const double off = (double)got - want;
    return off <= 4e-6 && off >= -4e-6;
}

static er_program of(const er_channel *channels, const er_feature *f, uint16_t window)
{
    return (er_program){.rate_hz = 20.0f,
                        .n_channels = 2,
                        .window = window,
                        .hop = window,
                        .n_features = 1,
                        .channels = channels,
                        .features = f};
}

/* One feature of a (and b, which may be NULL where the operator takes one). */
static float run(er_feature f, const float *a, const float *b, uint16_t n, uint16_t taper)
{
    static float frames[2 * 4096];
    const er_channel channels[2] = {{1.0f, 0.0f, 1, taper}, {1.0f, 0.0f, 1, 0}};
    const er_program p = of(channels, &f, n);
    float out = -1.0f;
    for (uint32_t i = 0; i < n; i++) frames[2 * i] = a[i], frames[2 * i + 1] = b ? b[i] : 0.0f;
    CHECK(er_features_size(&p) > 0 && er_features_size(&p) <= sizeof memory);
    CHECK(er_features_batch(&p, frames, n, &out, 1, memory, sizeof memory) == ER_OK);
    return out;
}

static float two(uint16_t op, const float *a, const float *b, uint16_t n, float param)
{
    return run((er_feature){op, 0, 1, 0, {param}}, a, b, n, 0);
}

static void test_pairs_that_can_be_written_down(void)
{
    const float x[] = {1, -2, 3, -4}, up[] = {0, 1, 2, 3}, none[] = {0, 0, 0, 0};
    const float minus[] = {-1, 2, -3, 4}, flat[] = {7, 7, 7, 7}, tiny[] = {1e-30f, 0, 0, 0};
    CHECK(two(CORRELATION, x, x, 4, 0) == 1.0f && two(CORRELATION, x, minus, 4, 0) == -1.0f);
    CHECK(near(two(COVARIANCE, x, up, 4, 0), -1.25)); /* (-2+6-12)/4 + 0.5 * 1.5 */
    CHECK(near(two(CORRELATION, x, up, 4, 0), -1.25 / 3.0103986));
    CHECK(near(two(ENERGY_RATIO, x, up, 4, 0), 30.0 / 14));
    CHECK(two(ENERGY_RATIO, none, x, 4, 0) == 0.0f && two(ENERGY_RATIO, none, none, 4, 0) == 0.0f);
    const float nothing = two(ENERGY_RATIO, x, none, 4, 0), far = two(ENERGY_RATIO, x, tiny, 4, 0);
    CHECK(nothing != nothing && far != far);
    for (uint16_t op = CORRELATION; op <= PHASE; op++) {
        const float param = op == BEST_LAG || op == LAG_CORRELATION ? 2 : op == PHASE ? 5 : 0;
        if (op == ENERGY_RATIO) continue;
        CHECK(two(op, x, flat, 4, param) == 0.0f && two(op, flat, x, 4, param) == 0.0f);
    }
    CHECK(run((er_feature){HJORTH_ACTIVITY, 0, 0, 0, {0}}, x, NULL, 4, 0) == 7.25f);
}

static void test_a_lag_is_found_both_ways(void)
{
    float a[N] = {0}, b[N] = {0};
    a[30] = 1, a[31] = 2, b[33] = 1, b[34] = 2;
    CHECK(near(two(BEST_LAG, a, b, N, 8), 3 / 20.0) && near(two(BEST_LAG, b, a, N, 8), -3 / 20.0));
    CHECK(two(LAG_CORRELATION, a, b, N, 8) > 0.99f && two(LAG_CORRELATION, a, b, N, 2) < 0.5f);
    /* both of one pair in one program: one search */
    const er_channel channels[2] = {{1.0f, 0.0f, 1, 0}, {1.0f, 0.0f, 1, 0}};
    const er_feature f[] = {{BEST_LAG, 0, 1, 0, {8}},
                            {LAG_CORRELATION, 0, 1, 0, {8}},
                            {BEST_LAG, 0, 1, 0, {2}},
                            {BEST_LAG, 0, 0, 0, {8}}};
    er_program p = of(channels, f, N);
    float frames[2 * N], out[4];
    p.n_features = 4;
    for (int i = 0; i < N; i++) frames[2 * i] = a[i], frames[2 * i + 1] = b[i];
    CHECK(er_features_batch(&p, frames, N, out, 1, memory, sizeof memory) == ER_OK);
    CHECK(near(out[0], 0.15) && out[1] == two(LAG_CORRELATION, a, b, N, 8) && out[3] == 0.0f);
}

static void test_phase_goes_all_the_way_round(void)
{
    const float r = 0.70710678f, turn[8] = {1, r, 0, -r, -1, -r, 0, r};
    float a[N], b[N];
    for (int eighth = -3; eighth <= 4; eighth++) {
        for (int i = 0; i < N; i++) a[i] = turn[i % 8], b[i] = turn[(i + eighth + 8) % 8];
        const float phase = two(PHASE, a, b, N, 20.0f / 8);
        CHECK(near(eighth == 4 && phase < 0 ? -phase : phase, 0.7853981633974483 * eighth));
    }
    CHECK(er_atan2(0.0, 0.0) == 0.0);
}

static void test_a_tapered_tone_keeps_its_power(void)
{
    float x[N];
    const er_feature all = {9, 0, 0, 0, {0, 11}}, dc = {9, 0, 0, 0, {0, 0.1f}};
    for (int i = 0; i < N; i++) x[i] = 3.0f + (i % 2 ? -1.0f : 1.0f) * (i / 2 % 2 ? -1.0f : 1.0f);
    for (uint16_t taper = ER_TAPER_NONE; taper <= ER_TAPER_HAMMING; taper++) {
        CHECK(near(run(all, x, NULL, N, taper) / 10, 1.0));
        CHECK(near(run(dc, x, NULL, N, taper) / 9, 1.0));
        const float odd = run(all, x, NULL, 63, taper); /* another transform */
        CHECK(odd > 9.8f && odd < 10.2f);
    }
}

/* The mean square of |X|^2 under triangles: silence is the floor, an impulse is flat. */
static void test_mel_of_silence_and_of_an_impulse(void)
{
    static float x[4096];
    CHECK(run((er_feature){MEL, 0, 0, 0, {3, 10, 32, 16}}, x, NULL, N, 0) == 0.0f);
    CHECK(near(run((er_feature){MFCC, 0, 0, 0, {0, 16, 32, 16}}, x, NULL, N, 0) / 100, -4.0));
    CHECK(near(run((er_feature){MFCC, 0, 0, 0, {1, 5, 32, 16}}, x, NULL, N, 0), 0.0));
    x[16] = 1.0f; /* Hann is 1 there */
    float sum = 0.0f;
    for (float band = 0; band < 4; band++)
        sum += run((er_feature){MEL, 0, 0, 0, {band, 4, 32, 32}}, x, NULL, 32, 0);
    CHECK(sum > 6.2f && sum < 6.6f); /* four areas of 1, bins of 20/32 Hz: 4 * 32/20 */
    x[2048] = 2.0f;
    CHECK(run((er_feature){MEL, 0, 0, 0, {0, 1, 4096, 1}}, x, NULL, 4096, 0) > 0.0f);
    CHECK(run((er_feature){MEL, 0, 0, 0, {0, 1, 2, 2}}, x, NULL, 2, 0) == 0.0f);
    CHECK(run((er_feature){MEL, 0, 0, 0, {0, 3, 31, 7}}, x, NULL, 40, 0) > 0.0f);
}

static void test_high_rates_use_the_logarithmic_part(void)
{
    float x[2 * N], out = 0.0f;
    const er_channel channels[2] = {{1.0f, 0.0f, 1, 0}, {1.0f, 0.0f, 1, 0}};
    const er_feature f = {MEL, 0, 0, 0, {9, 10, N, N}};
    er_program p = of(channels, &f, N);
    p.rate_hz = 44100.0f;
    for (int i = 0; i < 2 * N; i++) x[i] = i % 4 < 2 ? 1.0f : -1.0f; /* Nyquist */
    CHECK(er_features_batch(&p, x, N, &out, 1, memory, sizeof memory) == ER_OK && out > 0.0f);
}

/* Sums are shared where rate, mels, frame and hop agree, and only there. */
static void test_features_that_differ_in_one_thing(void)
{
    static const er_feature f[] = {{MFCC, 0, 0, 0, {3, 8, 16, 8}},
                                   {MFCC, 0, 0, 0, {1, 8, 16, 8}},
                                   {MFCC, 0, 0, 0, {3, 9, 16, 8}},
                                   {MFCC, 0, 0, 0, {3, 8, 15, 8}},
                                   {MFCC, 0, 0, 0, {3, 8, 16, 9}},
                                   {MFCC, 1, 0, 0, {3, 8, 16, 8}},
                                   {MFCC, 2, 0, 0, {3, 8, 16, 8}},
                                   {LOG_MEL, 0, 0, 0, {3, 8, 16, 8}},
                                   {1, 0, 0, 0, {0}}};
    enum { FEATURES = sizeof f / sizeof *f };
    const er_channel channels[3] = {{1, 0, 1, 0}, {1, 0, 2, 0}, {-2, 1, 1, 0}};
    uint64_t rng = 5;
    float x[3 * N], together[FEATURES], alone;
    for (int i = 0; i < 3 * N; i++) x[i] = rng_unit(&rng);
    er_program p = of(channels, f, N);
    p.n_channels = 3, p.n_features = FEATURES;
    CHECK(er_features_batch(&p, x, N, together, 1, memory, sizeof memory) == ER_OK);
    for (int i = 0; i < FEATURES; i++) {
        er_program single = of(channels, &f[i], N);
        single.n_channels = 3;
        CHECK(er_features_batch(&single, x, N, &alone, 1, memory, sizeof memory) == ER_OK);
        CHECK(alone == together[i] && (i == 0 || alone != together[0]));
    }
}

static void test_bad_parameters_are_refused(void)
{
    const float bad[][4] = {{0, 0, 32, 16},   {10, 10, 32, 16},   {0, 257, 32, 16},
                            {0, 10, 1, 16},   {0, 10, 65, 16},    {0, 10, 32, 0},
                            {0, 10, 32, 65},  {0.5f, 10, 32, 16}, {-1, 10, 32, 8},
                            {0, 9.5f, 32, 8}, {0, 10, 32.5f, 8},  {0, 10, 32, 8.5f}};
    const er_channel channels[2] = {{1.0f, 0.0f, 1, 0}, {1.0f, 0.0f, 1, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        er_feature f = {MEL, 0, 0, 0, {0}};
        memcpy(f.param, bad[i], sizeof bad[i]);
        const er_program p = of(channels, &f, N);
        CHECK(er_program_check(&p, NULL) == ER_EINVAL);
    }
    const er_feature past = {CORRELATION, 0, 2, 0, {0}}, single = {1, 0, 1, 0, {0}};
    const er_program p = of(channels, &past, N), q = of(channels, &single, N);
    CHECK(er_program_check(&p, NULL) == ER_EINVAL && er_program_check(&q, NULL) == ER_EINVAL);
}

int main(void)
{
    test_pairs_that_can_be_written_down();
    test_a_lag_is_found_both_ways();
    test_phase_goes_all_the_way_round();
    test_a_tapered_tone_keeps_its_power();
    test_mel_of_silence_and_of_an_impulse();
    test_high_rates_use_the_logarithmic_part();
    test_features_that_differ_in_one_thing();
    test_bad_parameters_are_refused();
    return 0;
}
