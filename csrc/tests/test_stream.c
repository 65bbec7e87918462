/* A stream: cut anywhere, saved anywhere, restored from any bytes (run under ASan). */
#include "check.h"

enum { CHANNELS = 2, WINDOW = 12, HOP = 5, FEATURES = 4, CLASSES = 3, FRAMES = 400 };

static const er_channel channels[CHANNELS] = {{1.0f, 0.0f, 1, 0}, {0.5f, -1.0f, 1, 0}};
static const er_feature features[FEATURES] = {
    {1, 0, 0, 0, {0}}, {2, 1, 0, 0, {0}}, {9, 0, 0, 0, {0, 5}}, {6, 1, 0, 0, {0}}};
static const er_program program = {20.0f, CHANNELS, WINDOW,   HOP,  FEATURES,
                                   0,     channels, features, NULL, {0}};
static const er_policy policy = {CLASSES, 2, 3, 4, {300000, 300000, 300000}};
static const float edges[] = {-0.5f, 0.0f, 0.5f};
static er_bins bins[FEATURES + CLASSES];
static uint64_t forest_bytes[2048];
static er_model forest;
static float x[FRAMES * CHANNELS];

static er_stream *make(const er_model *f)
{
    const er_config c = {&program, &policy, bins, f, NULL};
    const size_t size = er_stream_size(&c);
    void *mem = malloc(size);
    er_stream *s = NULL;
    CHECK(size > 0 && er_stream_init(&s, &c, mem, size - 1) == ER_ENOSPC);
    CHECK(er_stream_init(&s, &c, mem, size) == ER_OK && (void *)s == mem);
    return s;
}

/* Decisions of frames from..to in pieces of `cut`; returns their number. */
static uint32_t play(er_stream *s, uint32_t from, uint32_t to, uint32_t cut, er_decision *out)
{
    uint32_t n = 0;
    while (from < to) {
        uint32_t taken = 0;
        const er_status status = er_step(s, x + (size_t)from * CHANNELS,
                                         to - from < cut ? to - from : cut, &taken, &out[n]);
        from += taken;
        if (status == ER_SCORES) {
            const double scores[CLASSES] = {0.2, 0.5, 0.3};
            CHECK(er_step(s, x, 1, &taken, &out[n]) == ER_EINVAL);
            CHECK(er_decide(s, scores, &out[n]) == ER_OK);
        }
        n += status != ER_AGAIN;
    }
    return n;
}

static int same(const er_decision *a, const er_decision *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (a[i].window != b[i].window || a[i].label != b[i].label || a[i].vote != b[i].vote ||
            a[i].margin != b[i].margin || a[i].flags != b[i].flags)
            return 0;
    return 1;
}

static void test_any_cut_and_any_save_is_one_sequence(void)
{
    er_decision want[FRAMES], got[FRAMES];
    er_stream *whole = make(&forest);
    const uint32_t n = play(whole, 0, FRAMES, FRAMES, want);
    CHECK(n == 1 + (FRAMES - WINDOW) / HOP && want[n - 1].window == n - 1);
    for (uint32_t cut = 1; cut < 40; cut++) {
        er_stream *first = make(&forest), *second = make(&forest);
        const size_t size = er_stream_save_size(first);
        void *bytes = malloc(size), *after = malloc(size), *after_whole = malloc(size);
        const uint32_t middle = cut * 9, k = play(first, 0, middle, cut, got);
        CHECK(er_stream_save(first, bytes, size) == ER_OK);
        CHECK(er_stream_restore(second, bytes, size) == ER_OK);
        CHECK(k + play(second, middle, FRAMES, cut, got + k) == n && same(want, got, n));
        CHECK(er_stream_save(second, after, size) == ER_OK);
        CHECK(er_stream_save(whole, after_whole, size) == ER_OK);
        CHECK(memcmp(after, after_whole, size) == 0);
        free(bytes), free(after), free(after_whole), free(first), free(second);
    }
    free(whole);
}

static void test_adopt_goes_on_with_the_next_window(void)
{
    er_decision out[FRAMES];
    er_stream *old = make(&forest), *new = make(NULL);
    const uint32_t k = play(old, 0, 203, 7, out);
    CHECK(er_stream_adopt(new, old) == ER_OK);
    CHECK(er_stream_frames(new) == 203 && er_stream_windows(new) == k);
    play(new, 203, FRAMES, 7, out);
    CHECK(out[0].window == k && out[0].vote == 1);
    play(old, 203, FRAMES, 400, out);
    CHECK(memcmp(er_stream_features(old), er_stream_features(new), sizeof(float) * FEATURES) == 0);
    free(old), free(new);
}

/* The checksum as er_stream_save() computes it, so that altered bytes get past it. */
static uint64_t hash(uint64_t h, const unsigned char *b, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, b + i, n - i < 8 ? n - i : 8);
        h ^= word;
        h = (h << 23 | h >> 41) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return (h ^ n) * UINT64_C(0x9e3779b97f4a7c15);
}

static void test_no_bytes_break_a_restore(void)
{
    enum { HEADER = 32, CHECK_AT = 24 };
    er_decision out[FRAMES];
    er_stream *s = make(&forest);
    const size_t size = er_stream_save_size(s);
    unsigned char *bytes = malloc(size), *bad = malloc(size);
    uint64_t rng = 5;
    uint32_t taken_over = 0;
    play(s, 0, 203, 203, out);
    CHECK(er_stream_save(s, bytes, size) == ER_OK);
    for (size_t i = 0; i < size; i++) {
        memcpy(bad, bytes, size);
        bad[i] ^= (unsigned char)(1u << rng_below(&rng, 8));
        CHECK(er_stream_restore(s, bad, size) < 0);
        CHECK(er_stream_restore(s, bytes, i) == ER_EFORMAT);
    }
    for (int round = 0; round < 5000; round++) {
        memcpy(bad, bytes, size);
        for (int k = 0; k < 2; k++)
            bad[HEADER + rng_below(&rng, 200)] = (unsigned char)rng_next(&rng);
        const uint64_t check = hash(0, bad + HEADER, size - HEADER);
        memcpy(bad + CHECK_AT, &check, 8);
        if (er_stream_restore(s, bad, size) != ER_OK) continue;
        taken_over++;
        play(s, 0, 60, 17, out);
    }
    CHECK(taken_over > 0);
    free(bytes), free(bad), free(s);
}

static void test_a_nan_window_abstains_with_its_flag(void)
{
    er_stream *s = make(NULL);
    er_decision out;
    float nan[WINDOW * CHANNELS] = {0};
    uint32_t taken, counts[4];
    er_tally t;
    memset(&nan[5], 0xff, sizeof nan[5]);
    CHECK(er_step(s, nan, WINDOW, &taken, &out) == ER_OK);
    CHECK(out.label == ER_ABSTAIN && out.vote == ER_ABSTAIN && out.flags == ER_FLAG_NAN);
    CHECK(er_summary_row(s, 1, &t, counts, 4) == ER_OK && t.n == 0 && t.n_nan == 1);
    CHECK(er_summary_row(s, FEATURES, &t, counts, 4) == ER_OK && t.n_nan == 1);
    CHECK(er_summary_row(s, 0, &t, counts, 3) == ER_ENOSPC);
    free(s);
}

/* The window of a decision is the frames it was made of, until frames of the next one come. */
static void test_the_last_window_is_the_frames_that_came(void)
{
    static const er_channel two[CHANNELS] = {{1.0f, 0.0f, 1, 0}, {0.5f, -1.0f, 4, 0}};
    static const er_program slow = {20.0f, CHANNELS, WINDOW,   4,    FEATURES,
                                    0,     two,      features, NULL, {0}};
    const er_config c = {&slow, &policy, bins, &forest, NULL};
    er_stream *s = NULL, *other = NULL;
    CHECK(er_stream_init(&s, &c, malloc(er_stream_size(&c)), er_stream_size(&c)) == ER_OK);
    CHECK(er_stream_init(&other, &c, malloc(er_stream_size(&c)), er_stream_size(&c)) == ER_OK);
    const size_t size = er_stream_save_size(s);
    void *saved = malloc(size);
    er_decision out;
    uint32_t taken, n;
    CHECK(er_stream_window(s, 0, &n) == NULL);
    for (uint32_t at = 0; at < FRAMES; at += taken) {
        if (er_step(s, x + (size_t)at * CHANNELS, FRAMES - at, &taken, &out) != ER_OK) break;
        const uint32_t first = at + taken - WINDOW;
        const float *fast = er_stream_window(s, 0, &n);
        CHECK(fast && n == WINDOW);
        for (uint32_t i = 0; i < WINDOW; i++) CHECK(fast[i] == x[(size_t)(first + i) * CHANNELS]);
        const float *often = er_stream_window(s, 1, &n);
        CHECK(often && n == WINDOW / 4);
        for (uint32_t i = 0; i < WINDOW / 4; i++)
            CHECK(often[i] == x[(size_t)(first + 4 * i) * CHANNELS + 1] * 0.5f - 1.0f);
        CHECK(er_stream_adopt(other, s) == ER_OK && er_stream_window(other, 0, &n) == NULL);
        CHECK(er_stream_window(s, CHANNELS, &n) == NULL && er_stream_window(s, 0, NULL) == NULL);
        CHECK(er_stream_window(NULL, 0, &n) == NULL);
    }
    CHECK(out.window > 50 && er_stream_save(s, saved, size) == ER_OK);
    CHECK(er_stream_restore(s, saved, size) == ER_OK && er_stream_window(s, 0, &n) == NULL);
    for (uint32_t at = 0; er_step(s, x, 1, &taken, &out) == ER_AGAIN; at++)
        CHECK(er_stream_window(s, 0, &n) == NULL);
    CHECK(er_stream_window(s, 0, &n) && er_step(s, x, 1, &taken, &out) == ER_AGAIN);
    CHECK(er_stream_window(s, 0, &n) == NULL);
    free(saved), free(s), free(other);
}

int main(void)
{
    uint64_t rng = 6;
    for (uint32_t i = 0; i < FRAMES * CHANNELS; i++) x[i] = rng_unit(&rng);
    for (uint32_t r = 0; r < FEATURES + CLASSES; r++) bins[r] = (er_bins){0.1f, 0.3f, 2, edges};
    const size_t size = make_forest(&rng, forest_bytes, sizeof forest_bytes, FEATURES, CLASSES, 9);
    CHECK(er_model_open(&forest, forest_bytes, size) == ER_OK);
    CHECK(er_fpu_check() == ER_OK);
    test_any_cut_and_any_save_is_one_sequence();
    test_adopt_goes_on_with_the_next_window();
    test_no_bytes_break_a_restore();
    test_a_nan_window_abstains_with_its_flag();
    test_the_last_window_is_the_frames_that_came();
    return 0;
}
