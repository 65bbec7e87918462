/* The clock alone: drift, jitter, gaps, late frames, steps of the clock, hostile times. */
#include "../er_internal.h"
#include "check.h"

static const int64_t YEARS_3 = INT64_C(94672800000000); /* [us] */

static er_grid grid_of(uint8_t policy, uint32_t most, float rate_hz)
{
    const er_timing t = {policy, {0}, most};
    er_grid g;
    CHECK(er_timing_ok(&t, rate_hz));
    er_grid_init(&g, &t, rate_hz);
    return g;
}

/* As er_feed does it, with nothing behind the clock. Returns frames made of this one. */
static uint32_t enter(er_clock *c, const er_grid *g, int64_t time_us)
{
    const er_channel channel = {.scale = 1.0f, .every = 1};
    const float x = 1.0f;
    float held = 0.0f, out;
    uint32_t made = 0;
    const er_verdict verdict = er_clock_judge(c, g, time_us);
    CHECK(c->waits == (verdict == ER_FILL || verdict == ER_RESET));
    if (!c->waits) return verdict == ER_TAKE;
    for (; er_clock_fills(c); made++) er_clock_fill(c, g, &channel, 1, &held, &x, &out);
    er_clock_pass(c);
    return made + 1;
}

static int is_clean(const er_clock *c)
{
    return c->counts.duplicates + c->counts.late + c->counts.filled + c->counts.resets == 0;
}

/* ---- the tolerance that er_clock.h states ---- */

/* Time of frame k of a sensor whose rate is rate_hz * (1 + drift), with an error of the time. */
static int64_t sensor_us(int64_t start, uint32_t k, double rate_hz, double drift, double error)
{
    const double us = ((double)k + error) * 1e6 / (rate_hz * (1.0 + drift));
    return start + (int64_t)(us + 1e9) - 1000000000; /* rounds down, below 0 as well */
}

static void test_any_rate_within_2_percent_is_taken_whole(void)
{
    static const float rates[] = {0.001f, 0.1f,   1.0f,     20.0f,    29.97f,
                                  50.0f,  100.0f, 44100.0f, 48000.0f, 100000.0f};
    static const double drifts[] = {-0.0196, -0.01, -1e-4, 0.0, 2e-5, 0.013, 0.02};
    static const int64_t starts[] = {0, -1, 1700000000000000, INT64_C(94672800000000)};
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
        for (size_t d = 0; d < sizeof drifts / sizeof *drifts; d++) {
            const er_grid g = grid_of(ER_TIME_RESET, 1, rates[r]);
            er_clock c = {0};
            for (uint32_t k = 0; k < 20000; k++) {
                const int64_t t =
                    sensor_us(starts[(r + d) % 4], k, (double)rates[r], drifts[d], 0.0);
                CHECK(enter(&c, &g, t) == 1 && is_clean(&c));
            }
        }
}

/* Errors of 1/8 period, by chance, and the worst there are: in the sign of the loop's own answer.
 */
static void test_jitter_of_an_eighth_is_taken_whole(void)
{
    static const double drifts[] = {-0.0196, 0.0, 0.02};
    for (size_t d = 0; d < 3; d++)
        for (uint32_t turn = 1; turn < 60; turn++) {
            const er_grid g = grid_of(ER_TIME_RESET, 1, 29.97f);
            er_clock c = {0};
            uint64_t rng = turn;
            for (uint32_t k = 0; k < 4000; k++) {
                const double chance = (double)rng_unit(&rng) * 0.124;
                const double worst = k % (2 * turn) < turn ? 0.124 : -0.124;
                const double error = turn < 10 ? chance : worst;
                CHECK(enter(&c, &g, sensor_us(0, k, 29.97, drifts[d], error)) == 1);
            }
            CHECK(is_clean(&c));
        }
}

static void test_the_grid_learns_the_true_rate(void)
{
    const er_grid g = grid_of(ER_TIME_HOLD, 5000, 50.0f);
    er_clock c = {0};
    for (uint32_t k = 0; k < 3000; k++) enter(&c, &g, sensor_us(0, k, 50.0, 0.015, 0.0));
    CHECK(llabs(c.period * 1015 / 1000 - g.period) < g.period / 100000);
    /* and so it counts a long gap right, where the nominal rate would be 30 frames off */
    CHECK(enter(&c, &g, sensor_us(0, 5000, 50.0, 0.015, 0.0)) == 2001);
    CHECK(c.counts.filled == 2000);
}

static void test_a_rate_far_off_drops_or_fills(void)
{
    const er_grid g = grid_of(ER_TIME_HOLD, 5, 50.0f);
    er_clock fast = {0}, slow = {0};
    for (uint32_t k = 0; k < 10000; k++) {
        enter(&fast, &g, sensor_us(0, k, 50.0, 0.10, 0.0));
        enter(&slow, &g, sensor_us(0, k, 50.0, -0.10, 0.0));
    }
    CHECK(fast.counts.duplicates > 400 && fast.counts.filled == 0);
    CHECK(slow.counts.filled > 500 && slow.counts.duplicates == 0);
}

/* ---- gaps ---- */

static void test_a_gap_is_filled_by_the_policy(void)
{
    static const er_channel channels[2] = {{.scale = 1.0f, .every = 1},
                                           {.scale = 1.0f, .every = 2}};
    const float last[4] = {1.0f, 10.0f, 2.0f, 99.0f}, next[2] = {6.0f, 20.0f};
    for (uint8_t policy = ER_TIME_HOLD; policy <= ER_TIME_MARK; policy++) {
        const er_grid g = grid_of(policy, 3, 100.0f);
        er_clock c = {0};
        float held[2] = {0}, out[2];
        CHECK(er_clock_judge(&c, &g, 0) == ER_TAKE);
        er_clock_hold(channels, 2, last, 1, 0, held);
        CHECK(er_clock_judge(&c, &g, 10000) == ER_TAKE);
        er_clock_hold(channels, 2, last + 2, 1, 1, held);
        er_clock_hold(channels, 2, last, 0, 1, held);
        CHECK(held[0] == 2.0f && held[1] == 10.0f); /* frame 1 does not count there */
        CHECK(er_clock_judge(&c, &g, 50000) == ER_FILL && c.gap == 3);
        for (uint32_t i = 1; er_clock_fills(&c); i++) {
            er_clock_fill(&c, &g, channels, 2, held, next, out);
            if (policy == ER_TIME_HOLD) CHECK(out[0] == 2.0f && out[1] == 10.0f);
            if (policy == ER_TIME_INTERPOLATE) CHECK(out[0] == 2.0f + (float)i && out[1] == 10.0f);
            if (policy == ER_TIME_MARK) CHECK(out[0] != out[0] && out[1] != out[1]);
        }
        er_clock_hold(channels, 2, next, 1, c.number, held);
        er_clock_pass(&c);
        CHECK(c.number == 6 && c.whole == 5 && held[0] == 6.0f && held[1] == 10.0f);
        CHECK(enter(&c, &g, 60000) == 1);
        CHECK(er_clock_judge(&c, &g, 110000) == ER_RESET); /* 4 missing: more than `most` */
        CHECK(c.counts.resets == 1 && c.counts.filled == 3);
        CHECK(c.number == 0 && c.whole == 0);
    }
}

static void test_policy_reset_takes_no_gap(void)
{
    const er_grid g = grid_of(ER_TIME_RESET, 100, 100.0f);
    er_clock c = {0};
    CHECK(enter(&c, &g, 0) == 1 && enter(&c, &g, 14999) == 1 && is_clean(&c));
    CHECK(er_clock_judge(&c, &g, 44999) == ER_RESET && c.counts.resets == 1);
}

static void test_the_frame_after_a_gap_sets_the_phase(void)
{
    const er_grid g = grid_of(ER_TIME_HOLD, 100, 100.0f);
    er_clock c = {0};
    CHECK(enter(&c, &g, 0) == 1);
    CHECK(enter(&c, &g, 104900) == 10); /* 0.49 of a period past its grid point */
    for (int64_t k = 1; k < 1000; k++) {
        CHECK(enter(&c, &g, 104900 + k * 10000 + (k % 2 ? 1200 : -1200)) == 1);
    }
    CHECK(c.counts.filled == 9);
}

static void test_half_of_all_frames_lost_is_counted_right(void)
{
    for (int sign = -1; sign <= 1; sign += 2) {
        const er_grid g = grid_of(ER_TIME_HOLD, 50, 20.0f);
        er_clock c = {0};
        uint64_t rng = 3;
        uint32_t last = 0, made = 0;
        for (uint32_t k = 0; k < 200000; k++) {
            if (k && rng_below(&rng, 2)) continue;
            const double error = (double)rng_unit(&rng) * 0.1;
            made += enter(&c, &g, sensor_us(0, k, 20.0, 0.0196 * sign, error));
            last = k;
        }
        CHECK(made == last + 1 && c.counts.duplicates + c.counts.late + c.counts.resets == 0);
    }
}

/* ---- duplicates, late frames, steps of the clock ---- */

static void test_duplicates_and_late_frames_are_dropped_and_counted(void)
{
    const er_grid g = grid_of(ER_TIME_HOLD, 8, 100.0f);
    er_clock c = {0};
    for (int64_t k = 0; k < 20; k++) CHECK(enter(&c, &g, k * 10000) == 1);
    CHECK(enter(&c, &g, 190000) == 0 && c.counts.duplicates == 1);
    CHECK(enter(&c, &g, 193000) == 0 && c.counts.duplicates == 2);
    CHECK(enter(&c, &g, 180000) == 0 && c.counts.late == 1);
    CHECK(enter(&c, &g, 110000) == 0 && c.counts.late == 2); /* 8 frames back: the most */
    CHECK(enter(&c, &g, 200000) == 1 && c.counts.resets == 0);
    CHECK(enter(&c, &g, 110000) == 1 && c.counts.resets == 1); /* 9 frames back */
}

static void test_a_clock_set_back_an_hour_is_one_reset(void)
{
    const er_grid g = grid_of(ER_TIME_HOLD, 50, 100.0f);
    er_clock c = {0};
    for (int64_t k = 0; k < 100; k++) enter(&c, &g, YEARS_3 + k * 10000);
    for (int64_t k = 100; k < 200; k++)
        CHECK(enter(&c, &g, YEARS_3 + k * 10000 - INT64_C(3600000000)) == 1);
    for (int64_t k = 200; k < 300; k++) CHECK(enter(&c, &g, YEARS_3 + k * 10000) == 1);
    CHECK(c.counts.resets == 2 && c.counts.late + c.counts.duplicates + c.counts.filled == 0);
}

static void test_a_small_step_back_drops_no_more_than_the_step(void)
{
    const er_grid g = grid_of(ER_TIME_HOLD, 50, 100.0f);
    er_clock c = {0};
    for (int64_t k = 0; k < 100; k++) enter(&c, &g, k * 10000);
    for (int64_t k = 100; k < 200; k++) enter(&c, &g, k * 10000 - 300000);
    CHECK(c.counts.late + c.counts.duplicates == 30 && c.counts.resets == 0);
}

/* ---- without times ---- */

static void test_frames_without_times_stand_one_period_apart(void)
{
    const er_grid g = grid_of(ER_TIME_RESET, 4, 29.97f);
    er_clock c = {0};
    CHECK(enter(&c, &g, 1000000) == 1);
    er_clock_skip(&c, &g, 0);
    er_clock_skip(&c, &g, 99);
    CHECK(enter(&c, &g, 1000000 + 3336670) == 1 && is_clean(&c));
    er_clock empty = {0};
    er_clock_skip(&empty, &g, 0);
    CHECK(empty.period == 0);
    for (int i = 0; i < 1000; i++) er_clock_skip(&empty, &g, UINT32_MAX);
    CHECK(er_clock_ok(&empty, &g));
    const er_grid slowest = grid_of(ER_TIME_RESET, 4, 0.001f);
    er_clock far = {0};
    for (int i = 0; i < 1000; i++) er_clock_skip(&far, &slowest, UINT32_MAX);
    CHECK(far.at_us == ER_TIME_LIMIT && er_clock_ok(&far, &slowest));
}

/* ---- hostile ---- */

static int64_t hostile_us(uint64_t *rng, int64_t last, int64_t period_us)
{
    const uint64_t any = rng_next(rng);
    switch (rng_below(rng, 12)) {
    case 0: return (int64_t)(any >> 1) * (any & 1 ? 1 : -1);
    case 1: return INT64_MIN + (int64_t)(any & 3);
    case 2: return INT64_MAX - (int64_t)(any & 3);
    case 3: return (any & 1 ? ER_TIME_LIMIT : -ER_TIME_LIMIT) + (int64_t)(any >> 1 & 7) - 4;
    case 4: return 0;
    default: break;
    }
    if (last > ER_TIME_LIMIT || last < -ER_TIME_LIMIT) return 0;
    return last + (int64_t)(any % 9) * period_us / 2 - 2 * period_us;
}

static void test_no_times_make_more_than_declared(void)
{
    static const float rates[] = {0.001f, 20.0f, 100000.0f};
    static const uint32_t mosts[] = {1, 7, ER_MAX_GAP};
    uint64_t rng = 11;
    for (uint32_t round = 0; round < 36; round++) {
        const uint32_t most = mosts[round % 3];
        const er_grid g = grid_of((uint8_t)(1 + round % 4), most, rates[round / 3 % 3]);
        const uint32_t n = most == ER_MAX_GAP ? 20000 : 420000; /* 10^7 in all */
        er_clock c = {0};
        int64_t last = 0;
        for (uint32_t k = 0; k < n; k++) {
            last = hostile_us(&rng, last, g.period / ER_TIME_ONE);
            CHECK(enter(&c, &g, last) <= most + 1 && er_clock_ok(&c, &g));
        }
        CHECK(c.counts.resets > 0 && c.counts.duplicates > 0);
    }
}

static void test_a_bad_timing_or_state_is_refused(void)
{
    static const er_timing bad[] = {{ER_TIME_NONE, {0}, 1},       {ER_TIME_HOLD, {0}, 0},
                                    {ER_TIME_HOLD, {0}, 65536},   {5, {0}, 3},
                                    {ER_TIME_HOLD, {1, 0, 0}, 3}, {ER_TIME_HOLD, {0, 1, 0}, 3},
                                    {ER_TIME_HOLD, {0, 0, 1}, 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!er_timing_ok(&bad[i], 20.0f));
    const er_grid ignored = grid_of(ER_TIME_NONE, 0, 1e30f);
    CHECK(ignored.period == 0);
    const er_timing none = {0}, hold = {ER_TIME_HOLD, {0}, 3};
    CHECK(er_timing_ok(&none, 1e30f) && er_timing_ok(&none, 1e-30f));
    CHECK(!er_timing_ok(&hold, 1e6f) && !er_timing_ok(&hold, 1e-4f));
    const er_grid g = grid_of(ER_TIME_HOLD, 3, 20.0f);
    er_clock good = {0}, bad_state[11];
    CHECK(er_clock_ok(&good, &g));
    bad_state[0] = good, bad_state[0].gap = 1;
    enter(&good, &g, 5);
    CHECK(er_clock_ok(&good, &g));
    for (size_t i = 1; i < 11; i++) bad_state[i] = good;
    bad_state[1].at_part = ER_TIME_ONE;
    bad_state[2].at_us = ER_TIME_LIMIT + 1;
    bad_state[3].at_us = INT64_MIN;
    bad_state[4].period = g.period + g.slack + 1;
    bad_state[5].period = g.period - g.slack - 1;
    bad_state[6].waits = 2;
    bad_state[7].gap = 1;
    bad_state[8].waits = 1, bad_state[8].gap = 4;
    bad_state[9].waits = 1, bad_state[9].gap = 1, bad_state[9].made = 2;
    bad_state[10].period = 0;
    for (size_t i = 0; i < 11; i++) CHECK(!er_clock_ok(&bad_state[i], &g));
    good.waits = good.gap = good.made = 1;
    CHECK(er_clock_ok(&good, &g));
}

int main(void)
{
    test_any_rate_within_2_percent_is_taken_whole();
    test_jitter_of_an_eighth_is_taken_whole();
    test_the_grid_learns_the_true_rate();
    test_a_rate_far_off_drops_or_fills();
    test_a_gap_is_filled_by_the_policy();
    test_policy_reset_takes_no_gap();
    test_the_frame_after_a_gap_sets_the_phase();
    test_half_of_all_frames_lost_is_counted_right();
    test_duplicates_and_late_frames_are_dropped_and_counted();
    test_a_clock_set_back_an_hour_is_one_reset();
    test_a_small_step_back_drops_no_more_than_the_step();
    test_frames_without_times_stand_one_period_apart();
    test_no_times_make_more_than_declared();
    test_a_bad_timing_or_state_is_refused();
    return 0;
}
