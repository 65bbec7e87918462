/* digest_clock.h - a part of digest.c: every timing policy on times with gaps, duplicates, late
 * frames, drift and steps, by a walk over a program with a slow channel and a filter. */
#include "times.h"

static void digest_policy(uint8_t policy, const char *name)
{
    enum { FRAMES = 8192, ROWS = 64 };
    static int64_t times_us[FRAMES];
    static const er_channel columns[CHANNELS] = {
        {1.0f, 0.0f, 1, 0}, {0.5f, -0.3f, 1, 0}, {2.0f, 0.1f, 5, 0}};
    static const er_feature made[] = {{1, 0, 0, 0, {0}}, {2, 1, 0, 0, {0}}, {5, 2, 0, 0, {0}}};
    const er_program p = {.rate_hz = 20.0f,
                          .n_channels = CHANNELS,
                          .window = 40,
                          .hop = 15,
                          .n_features = 3,
                          .channels = columns,
                          .features = made,
                          .timing = {policy, {0}, 7}};
    uint64_t rng = 500u + policy, h = 0;
    float rows[ROWS * 3];
    er_span spans[ROWS];
    er_walk *walk;
    er_clock_counts counts;
    make_times(&rng, times_us, FRAMES, 20);
    for (size_t i = 0; i < FRAMES * CHANNELS; i++) x[i] = in_unit(&rng);
    CHECK(er_walk_init(&walk, &p, memory, sizeof memory) == ER_OK);
    for (uint32_t at = 0, taken, n; at < FRAMES; at += taken) {
        CHECK(er_walk_rows(walk, x + (size_t)at * CHANNELS, times_us + at, FRAMES - at, &taken,
                           rows, spans, ROWS, &n) >= 0);
        h = fnv(fnv(h, rows, n * 3 * sizeof *rows), spans, n * sizeof *spans);
    }
    CHECK(er_walk_clock(walk, &counts) == ER_OK);
    printf("clock.%s %016llx\n", name, (unsigned long long)fnv(h, &counts, sizeof counts));
}

static void digest_clock(void)
{
    digest_policy(ER_TIME_HOLD, "hold");
    digest_policy(ER_TIME_INTERPOLATE, "interpolate");
    digest_policy(ER_TIME_MARK, "mark");
    digest_policy(ER_TIME_RESET, "reset");
}
