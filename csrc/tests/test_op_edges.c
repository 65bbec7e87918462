/* Operators where they have no shape to tell of, and mel filters that differ in one thing. */
#include "er_internal.h"

#include "check.h"

enum { LONGEST = 128, FEATURES = 8 };
static float x[2 * LONGEST];
static uint64_t memory[1 << 15];

/* One operator over one window of x[n] at 20 Hz. */
static float one(uint16_t op, float param, uint32_t n)
{
    const er_channel c = {1.0f, 0.0f, 1, 0};
    const er_feature f = {.op = op, .param = {param}};
    const er_program p = {.rate_hz = 20.0f,
                          .n_channels = 1,
                          .window = (uint16_t)n,
                          .hop = (uint16_t)n,
                          .n_features = 1,
                          .channels = &c,
                          .features = &f};
    float out;
    CHECK(er_features_batch(&p, x, n, &out, 1, memory, sizeof memory) == ER_OK);
    return out;
}

static void test_silence_has_no_shape(void)
{
    memset(x, 0, sizeof x);
    for (uint32_t n = 2; n <= LONGEST; n++)
        for (uint16_t op = 24; op <= 27; op++) CHECK(one(op, 0, n) == 0.0f);
}

/* A flat spectrum is 1, a single line is 0, and rounding passes neither. */
static void test_entropy_stays_in_its_range(void)
{
    enum { ENTROPY = 39 };
    for (uint32_t n = 4; n <= LONGEST; n++) {
        memset(x, 0, sizeof x);
        x[n / 3] = 1.0f;
        const float flat = one(ENTROPY, 0, n);
        CHECK(flat <= 1.0f && flat > (n % 2 ? 0.999f : 0.8f));
        for (uint32_t i = 0; i < n; i++) x[i] = i % 2 ? 0.7f : -0.7f;
        if (n % 2 == 0) CHECK(one(ENTROPY, 0, n) >= 0.0f && one(ENTROPY, 0, n) < 1e-3f);
    }
    for (float a = 1e19f; a < 1.8e19f; a *= 1.01f) { /* a power whose inverse is denormal */
        for (uint32_t i = 0; i < 8; i++) x[i] = i % 2 ? a : -a;
        CHECK(one(ENTROPY, 0, 8) >= 0.0f && one(ENTROPY, 0, 8) < 1e-3f);
    }
}

/* Each feature has a filter bank of its own where one number differs, and gives what it gives
 * alone. */
static void test_mel_banks_are_shared_by_equals_alone(void)
{
    enum { MEL = 51, MFCC = 52 };
    static const er_channel channels[] = {{1.0f, 0.0f, 1, 0}, {1.0f, 0.0f, 2, 0}};
    static const er_feature all[FEATURES] = {
        {MFCC, 0, 0, 0, {1, 10, 32, 16}}, {MFCC, 0, 0, 0, {5, 10, 32, 16}},
        {MFCC, 0, 0, 0, {2, 10, 32, 16}}, {MEL, 0, 0, 0, {3, 10, 32, 8}},
        {MFCC, 0, 0, 0, {3, 10, 31, 16}}, {MEL, 0, 0, 0, {3, 9, 32, 16}},
        {MFCC, 1, 0, 0, {3, 10, 32, 16}}, {MEL, 0, 0, 0, {0, 1, 2, 1}}};
    const uint32_t n = LONGEST;
    uint64_t rng = 4;
    for (uint32_t i = 0; i < 2 * n; i++) x[i] = rng_unit(&rng);
    for (float rate = 10.0f; rate < 50000.0f; rate *= 1.7f) {
        er_program p = {.rate_hz = rate,
                        .n_channels = 2,
                        .window = (uint16_t)n,
                        .hop = (uint16_t)n,
                        .n_features = FEATURES,
                        .channels = channels,
                        .features = all};
        float together[FEATURES], alone;
        CHECK(er_features_batch(&p, x, n, together, 1, memory, sizeof memory) == ER_OK);
        p.n_features = 1;
        for (uint32_t i = 0; i < FEATURES; i++) {
            p.features = &all[i];
            CHECK(er_features_batch(&p, x, n, &alone, 1, memory, sizeof memory) == ER_OK);
            CHECK(memcmp(&alone, &together[i], sizeof alone) == 0);
        }
    }
}

/* ---- records beside windows, in a saved state ---- */

static const er_field text = {ER_TEXT, 0};
static const er_text red = {"red", 3};
static const er_cell last = {2002, 0, 0, 0, 0, 0, NULL, NULL};
static const er_cell hot[] = {{2010, 1, 0, 0, 0, 1, NULL, &red}, {2010, 0, 0, 0, 0, 1, NULL, &red}};
static const er_row_program rows = {1, 1, 1, 0, &text, &last, hot};
static const er_row_program others = {1, 0, 1, 0, &text, NULL, hot + 1};

static er_stream *start(const er_row_program *r)
{
    static const er_channel c = {1.0f, 0.0f, 1, 0};
    static const er_feature mean = {.op = 1};
    static const er_policy policy = {1, 1, 1, 0, {0}};
    static const er_program p = {.rate_hz = 1,
                                 .n_channels = 1,
                                 .window = 4,
                                 .hop = 2,
                                 .n_features = 1,
                                 .channels = &c,
                                 .features = &mean};
    const er_config config = {&p, &policy, NULL, NULL, r};
    er_stream *s;
    void *mem = malloc(er_stream_size(&config));
    CHECK(er_stream_init(&s, &config, mem, er_stream_size(&config)) == ER_OK);
    return s;
}

static void test_a_saved_record_is_checked_too(void)
{
    enum { HEADER = 32, CHECK_AT = 24 };
    er_stream *s = start(&rows);
    const size_t size = er_stream_save_size(s);
    unsigned char *bytes = malloc(size), *bad = malloc(size);
    uint32_t refused = 0;
    CHECK(er_stream_save(s, bytes, size) == ER_OK);
    for (size_t at = HEADER; at + 4 <= size; at += 4) {
        memcpy(bad, bytes, size);
        memset(bad + at, 0x7f, 4);
        const uint64_t check = er_hash(0, bad + HEADER, size - HEADER);
        memcpy(bad + CHECK_AT, &check, sizeof check);
        const er_status status = er_stream_restore(s, bad, size);
        CHECK(status == ER_OK || status == ER_EFORMAT);
        refused += status != ER_OK;
    }
    CHECK(refused > 3);
    free(s), free(bytes), free(bad);
}

static void test_a_record_is_taken_over_by_the_same_rows(void)
{
    const er_row_program *const kinds[] = {NULL, &rows, &others};
    float x4[4] = {1, 2, 3, 4};
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            er_stream *from = start(kinds[a]), *to = start(kinds[b]);
            uint32_t taken;
            er_decision d;
            if (a)
                CHECK(er_row_run(er_stream_row(from), NULL, &red, er_stream_cells(from)) == ER_OK);
            CHECK(er_step(from, x4, 3, &taken, &d) == ER_AGAIN);
            CHECK(er_stream_adopt(to, from) == ER_OK);
            const er_status status = er_step(to, x4, 1, &taken, &d);
            CHECK(status == (b && a != b ? ER_OK : ER_SCORES)); /* other rows: no record yet */
            CHECK(!b == !er_stream_cells(to));
            free(from), free(to);
        }
}

int main(void)
{
    test_silence_has_no_shape();
    test_entropy_stays_in_its_range();
    test_mel_banks_are_shared_by_equals_alone();
    test_a_saved_record_is_checked_too();
    test_a_record_is_taken_over_by_the_same_rows();
    return 0;
}
