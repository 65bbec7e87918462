/* Frames with times through a stream and a walk: one sequence, however it is cut, saved or taken
 * over; run under ASan and UBSan with hostile times. */
#include "../er_internal.h"
#include "times.h"

enum { COLUMNS = 2, WINDOW = 12, HOP = 4, FEATURES = 3, FRAMES = 600, MOST = 9, ROWS = 4096 };

static const er_channel columns[COLUMNS] = {{1.0f, 0.0f, 1, 0}, {0.5f, -1.0f, 4, 0}};
static const er_feature features[FEATURES] = {
    {1, 0, 0, 0, {0}}, {2, 0, 0, 0, {0}}, {5, 1, 0, 0, {0}}};
static const er_policy policy = {1, 2, 3, 2, {0}};
static float x[FRAMES * COLUMNS];
static int64_t times_us[FRAMES];

static er_program program_of(uint8_t time_policy)
{
    return (er_program){.rate_hz = 20.0f,
                        .n_channels = COLUMNS,
                        .window = WINDOW,
                        .hop = HOP,
                        .n_features = FEATURES,
                        .channels = columns,
                        .features = features,
                        .timing = {time_policy, {0}, time_policy ? MOST : 0}};
}

static er_stream *make(const er_program *p)
{
    const er_config c = {p, &policy, NULL, NULL, NULL};
    const size_t size = er_stream_size(&c);
    er_stream *s = NULL;
    CHECK(er_stream_init(&s, &c, malloc(size), size) == ER_OK);
    return s;
}

/* One decided window: all that can be seen of it. */
typedef struct seen {
    er_decision decision;
    float features[FEATURES];
} seen;

/* Windows of frames from..to in cuts of up to `cut`, saved and restored before every `save`-th. */
static uint32_t play(er_stream **s, const er_program *p, uint32_t from, uint32_t to, uint32_t cut,
                     uint32_t save, seen *out)
{
    uint64_t rng = cut;
    uint32_t n = 0, calls = 0;
    while (from < to) {
        const uint32_t most = 1 + rng_below(&rng, cut), rest = to - from;
        uint32_t taken = 0;
        if (save && calls++ % save == 0) {
            const size_t size = er_stream_save_size(*s);
            uint64_t *bytes = malloc(size + 8);
            CHECK(er_stream_save(*s, bytes, size) == ER_OK);
            free(*s), *s = make(p);
            CHECK(er_stream_restore(*s, bytes, size) == ER_OK);
            free(bytes);
        }
        const er_status status = er_step_at(*s, x + (size_t)from * COLUMNS, times_us + from,
                                            most < rest ? most : rest, &taken, &out[n].decision);
        from += taken;
        if (status == ER_AGAIN) continue;
        const double score = 1.0;
        if (status == ER_SCORES) CHECK(er_decide(*s, &score, &out[n].decision) == ER_OK);
        memcpy(out[n].features, er_stream_features(*s), sizeof out[n].features);
        CHECK(++n < ROWS);
    }
    return n;
}

static int same(const seen *a, const seen *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(a[i].features, b[i].features, sizeof a->features) != 0 ||
            memcmp(&a[i].decision, &b[i].decision, sizeof a->decision) != 0)
            return 0;
    return 1;
}

static void test_any_cut_and_any_save_is_one_sequence(void)
{
    static seen want[ROWS], got[ROWS];
    for (uint8_t t = ER_TIME_NONE; t <= ER_TIME_RESET; t++) {
        const er_program p = program_of(t);
        er_stream *whole = make(&p);
        const uint32_t n = play(&whole, &p, 0, FRAMES, 100000, 0, want);
        CHECK(n > 20 && er_stream_frames(whole) == FRAMES);
        for (uint32_t cut = 1; cut < 40; cut++) {
            er_stream *s = make(&p);
            CHECK(play(&s, &p, 0, FRAMES, cut, cut % 3, got) == n && same(want, got, n));
            free(s);
        }
        free(whole);
    }
}

/* The rows of a walk in blocks of `block` frames and `room` rows. */
static uint32_t walk_all(const er_program *p, uint32_t block, uint32_t room, float *rows,
                         er_span *spans, er_clock_counts *counts)
{
    const size_t size = er_walk_size(p);
    void *mem = malloc(size);
    er_walk *w;
    uint32_t n = 0;
    CHECK(er_walk_init(&w, p, mem, size - 1) == ER_ENOSPC);
    CHECK(er_walk_init(&w, p, mem, size) == ER_OK);
    for (uint32_t at = 0; at < FRAMES;) {
        const uint32_t end = FRAMES - at < block ? FRAMES : at + block;
        er_status status = ER_OK;
        while (status == ER_OK) {
            uint32_t taken, some;
            status = er_walk_rows(w, x + (size_t)at * COLUMNS, times_us + at, end - at, &taken,
                                  rows + (size_t)n * FEATURES, spans + n, room, &some);
            CHECK(status >= 0);
            at += taken, n += some;
            CHECK(n + room < ROWS);
        }
        CHECK(at == end);
    }
    CHECK(er_walk_clock(w, counts) == ER_OK);
    free(mem);
    return n;
}

static void test_a_walk_finds_the_rows_of_the_stream(void)
{
    static seen want[ROWS];
    static float rows[ROWS * FEATURES], again[ROWS * FEATURES];
    static er_span spans[ROWS], spans_again[ROWS];
    for (uint8_t t = ER_TIME_NONE; t <= ER_TIME_RESET; t++) {
        const er_program p = program_of(t);
        er_stream *s = make(&p);
        er_clock_counts counts, other;
        const uint32_t n = play(&s, &p, 0, FRAMES, 100000, 0, want);
        CHECK(er_stream_clock(s, &other) == ER_OK);
        CHECK(walk_all(&p, FRAMES, 50, rows, spans, &counts) == n);
        CHECK(memcmp(&counts, &other, sizeof counts) == 0);
        CHECK(t == ER_TIME_NONE || (counts.duplicates && counts.late && counts.resets));
        CHECK(counts.filled ? t < ER_TIME_RESET : t == ER_TIME_NONE || t == ER_TIME_RESET);
        uint32_t marked = 0;
        for (uint32_t i = 0; i < n; i++) {
            CHECK(memcmp(want[i].features, rows + i * FEATURES, sizeof want->features) == 0);
            CHECK((want[i].decision.flags & ~ER_FLAG_NAN) == spans[i].flags);
            CHECK(spans[i].first <= spans[i].last && spans[i].last < FRAMES);
            CHECK(!i || spans[i].last >= spans[i - 1].last);
            CHECK(t != ER_TIME_NONE ||
                  (spans[i].first == i * HOP && spans[i].last == i * HOP + WINDOW - 1));
            marked += (want[i].decision.flags & ER_FLAG_NAN) != 0;
            CHECK(t != ER_TIME_MARK ||
                  !(spans[i].flags & ER_FLAG_FILLED) == !(want[i].decision.flags & ER_FLAG_NAN));
        }
        CHECK(marked == 0 || t == ER_TIME_MARK);
        for (uint32_t block = 1; block < 30; block += 7) {
            CHECK(walk_all(&p, block, 1 + block % 3, again, spans_again, &other) == n);
            CHECK(memcmp(again, rows, n * FEATURES * sizeof *rows) == 0);
            CHECK(memcmp(spans, spans_again, n * sizeof *spans) == 0);
        }
        free(s);
    }
}

static void test_adopt_goes_on_in_the_middle_of_a_fill(void)
{
    const er_program p = program_of(ER_TIME_HOLD), other = program_of(ER_TIME_MARK);
    er_stream *a = make(&p), *b = make(&p), *c = make(&other);
    const int64_t step[2] = {0, 9 * 50000}; /* 8 frames are missing */
    const float two[2 * COLUMNS] = {1.0f, 5.0f, 2.0f, 6.0f};
    float start[11 * COLUMNS] = {0};
    er_decision out;
    uint32_t taken;
    CHECK(er_step_at(a, start, NULL, 10, &taken, &out) == ER_AGAIN && taken == 10);
    CHECK(er_step_at(a, two, step, 0, &taken, &out) == ER_AGAIN && taken == 0);
    const int64_t times[2] = {10 * 50000, 19 * 50000};
    CHECK(er_step_at(a, two, times, 2, &taken, &out) == ER_SCORES && taken == 1);
    CHECK(er_decide(a, &(double){1.0}, &out) == ER_OK && out.flags == ER_FLAG_FILLED);
    CHECK(er_stream_adopt(c, a) == ER_EMISMATCH);
    CHECK(er_stream_adopt(b, a) == ER_OK);
    for (int i = 0; i < 2; i++) {
        er_stream *s = i ? b : a;
        CHECK(er_step_at(s, two + COLUMNS, times + 1, 1, &taken, &out) == ER_SCORES && taken == 0);
        CHECK(er_decide(s, &(double){1.0}, &out) == ER_OK && out.window == 1);
        CHECK(er_step_at(s, two + COLUMNS, times + 1, 1, &taken, &out) == ER_SCORES && taken == 1);
        CHECK(er_decide(s, &(double){1.0}, &out) == ER_OK && out.window == 2);
        er_clock_counts counts;
        CHECK(er_stream_clock(s, &counts) == ER_OK && counts.filled == 8 && counts.resets == 0);
    }
    free(a), free(b), free(c);
}

static void test_a_reset_empties_the_votes(void)
{
    const er_program p = program_of(ER_TIME_RESET);
    er_stream *s = make(&p);
    const float zero[WINDOW * COLUMNS] = {0};
    int64_t times[WINDOW];
    er_decision out;
    uint32_t taken;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < WINDOW; i++) times[i] = round * INT64_C(10000000) + i * 50000;
        CHECK(er_step_at(s, zero, times, WINDOW, &taken, &out) == ER_SCORES && taken == WINDOW);
        CHECK(er_decide(s, &(double){1.0}, &out) == ER_OK);
        CHECK(out.vote == 0 && out.label == ER_ABSTAIN); /* 2 votes are needed, each time anew */
        CHECK(out.flags == (round ? ER_FLAG_RESET : 0));
    }
    free(s);
}

static void test_misuse_is_refused(void)
{
    er_program p = program_of(ER_TIME_HOLD);
    uint64_t mem[512];
    er_walk *w;
    er_clock_counts counts;
    er_span span;
    uint32_t taken, rows;
    float row[FEATURES];
    CHECK(er_walk_size(&p) <= sizeof mem);
    CHECK(er_walk_init(NULL, &p, mem, sizeof mem) == ER_EINVAL);
    CHECK(er_walk_init(&w, &p, NULL, sizeof mem) == ER_EINVAL);
    CHECK(er_walk_init(&w, &p, (char *)mem + 4, sizeof mem) == ER_EINVAL);
    CHECK(er_walk_init(&w, &p, mem, sizeof mem) == ER_OK);
    CHECK(er_walk_rows(w, NULL, NULL, 1, &taken, row, &span, 1, &rows) == ER_EINVAL);
    CHECK(er_walk_rows(w, x, NULL, 1, NULL, row, &span, 1, &rows) == ER_EINVAL);
    CHECK(er_walk_rows(w, x, NULL, 1, &taken, row, &span, 1, NULL) == ER_EINVAL);
    CHECK(er_walk_rows(w, x, NULL, 1, &taken, NULL, &span, 1, &rows) == ER_EINVAL);
    CHECK(er_walk_rows(w, x, NULL, 1, &taken, row, NULL, 1, &rows) == ER_EINVAL);
    CHECK(er_walk_rows(NULL, x, NULL, 1, &taken, row, &span, 1, &rows) == ER_EINVAL);
    CHECK(er_walk_rows(w, x, NULL, 1, &taken, NULL, NULL, 0, &rows) == ER_OK && taken == 0);
    CHECK(er_walk_rows(w, x, NULL, 1, &taken, row, &span, 1, &rows) == ER_AGAIN && taken == 1);
    CHECK(er_walk_rows(w, NULL, NULL, 0, &taken, row, &span, 1, &rows) == ER_AGAIN && taken == 0);
    CHECK(er_walk_clock(NULL, &counts) == ER_EINVAL && er_walk_clock(w, NULL) == ER_EINVAL);
    er_stream *s = make(&p);
    CHECK(er_stream_clock(NULL, &counts) == ER_EINVAL && er_stream_clock(s, NULL) == ER_EINVAL);
    free(s);
    p.timing.most = 0;
    CHECK(er_walk_size(&p) == 0 && er_walk_init(&w, &p, mem, sizeof mem) == ER_EINVAL);
}

/* The bytes of a saved state with another clock in it, the checksum right. */
static er_status restored_with(er_stream *s, const er_clock *clock, uint64_t *bytes, size_t size)
{
    enum { HEADER = 32, CHECK_AT = 24 };
    unsigned char *body = (unsigned char *)bytes + HEADER;
    memcpy(body + ((unsigned char *)s->feed.clock - (unsigned char *)s->state), clock,
           sizeof *clock);
    const uint64_t check = er_hash(0, body, size - HEADER);
    memcpy((unsigned char *)bytes + CHECK_AT, &check, sizeof check);
    return er_stream_restore(s, bytes, size);
}

static void test_a_clock_that_was_never_saved_is_refused(void)
{
    const er_program p = program_of(ER_TIME_HOLD);
    er_stream *s = make(&p);
    uint64_t rng = 4, *bytes = malloc(er_stream_save_size(s));
    const size_t size = er_stream_save_size(s);
    seen out[64];
    uint32_t taken_over = 0;
    play(&s, &p, 0, 45, 45, 0, out);
    const er_clock good = *s->feed.clock;
    CHECK(er_stream_save(s, bytes, size) == ER_OK);
    er_clock bad[5] = {good, good, good, good, {0}};
    bad[0].number++;
    bad[1].number = s->windows.fill - 1u;
    bad[2].at_part = 65536;
    bad[3].waits = 2;
    for (int i = 0; i < 5; i++) CHECK(restored_with(s, &bad[i], bytes, size) == ER_EFORMAT);
    CHECK(memcmp(s->feed.clock, &good, sizeof good) == 0);
    CHECK(restored_with(s, &good, bytes, size) == ER_OK);
    for (int round = 0; round < 20000;
         round++) { /* what is taken over must be safe to go on from */
        er_clock any = good;
        for (int k = 0; k < 3; k++)
            ((unsigned char *)&any)[rng_below(&rng, sizeof any)] = (unsigned char)rng_next(&rng);
        if (restored_with(s, &any, bytes, size) != ER_OK) continue;
        taken_over++;
        uint32_t taken;
        er_decision d;
        if (er_step_at(s, x, times_us, 40, &taken, &d) == ER_SCORES) er_decide(s, &(double){1}, &d);
    }
    CHECK(taken_over > 100);
    free(bytes), free(s);
}

int main(void)
{
    uint64_t rng = 9;
    for (uint32_t i = 0; i < FRAMES * COLUMNS; i++) x[i] = rng_unit(&rng);
    make_times(&rng, times_us, FRAMES, 20);
    test_any_cut_and_any_save_is_one_sequence();
    test_a_walk_finds_the_rows_of_the_stream();
    test_adopt_goes_on_in_the_middle_of_a_fill();
    test_a_reset_empties_the_votes();
    test_misuse_is_refused();
    test_a_clock_that_was_never_saved_is_refused();
    return 0;
}
