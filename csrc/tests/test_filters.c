/* Stream filters, run as the windows run them: answers that can be written down, any cutting, a
 * reset, and saved states of any bytes (run under ASan). */
#include "check.h"
#include "er_internal.h"

enum { N = 512, FROM = 3, BLOCK = 1 << 15 };

static const er_channel columns[8] = {{1, 0, 1, 0}, {1, 0, 1, 0}, {1, 0, 1, 0}, {1, 0, 1, 0},
                                      {1, 0, 1, 0}, {1, 0, 1, 0}, {1, 0, 1, 0}, {1, 0, 1, 0}};

/* One filter over its columns, with windows of `window` frames. */
typedef struct rig {
    er_filter filter;
    er_feature feature;
    er_program p;
    er_windows w;
    uint64_t block[BLOCK];
} rig;

static er_status prepare(rig *g, uint16_t op, const float *param, uint16_t n_from, uint16_t window)
{
    memset(g, 0, sizeof *g);
    g->filter = (er_filter){op, 0, n_from, {0}, {0}};
    for (uint16_t s = 0; s < n_from; s++) g->filter.from[s] = s;
    memcpy(g->filter.param, param, sizeof g->filter.param);
    g->feature = (er_feature){1, n_from, 0, 0, {0}};
    g->p = (er_program){.rate_hz = 20.0f,
                        .n_channels = n_from,
                        .window = window,
                        .hop = window,
                        .n_features = 1,
                        .n_filters = 1,
                        .channels = columns,
                        .features = &g->feature,
                        .filters = &g->filter};
    return er_program_check(&g->p, NULL);
}

/* ASan must see a step past the rows: the block is as long as the windows need, not longer. */
static unsigned char *start(rig *g)
{
    const size_t size = er_features_size(&g->p);
    unsigned char *mem = malloc(size);
    er_arena a = {.base = mem};
    CHECK(size > 0 && size <= sizeof g->block);
    memset(mem, 0xa5, size);
    er_windows_carve(&g->w, &g->p, &a);
    er_windows_init(&g->w);
    return mem;
}

static const er_lane *made(const rig *g) { return &g->w.lanes[g->p.n_channels]; }

/* out <- every sample made of x[n][n_from], pushed in pieces of `cut` (0: of any length); their
 * number. n is below the window. */
static uint32_t play(rig *g, const float *x, uint32_t n, uint32_t cut, float *out)
{
    uint64_t rng = n;
    for (uint32_t at = 0; at < n;) {
        const uint32_t piece = cut ? cut : 1 + rng_below(&rng, 30), rest = n - at;
        at += er_windows_push(&g->w, x + (size_t)at * g->p.n_channels, piece < rest ? piece : rest);
    }
    const er_lane *lane = made(g);
    memcpy(out, lane->row + lane->at, lane->held * sizeof *out);
    return lane->held;
}

/* The series of one channel through `op`. */
static uint32_t series(uint16_t op, float p0, float p1, const float *x, uint32_t n, float *out)
{
    static rig g;
    const float param[ER_MAX_PARAMS] = {p0, p1};
    CHECK(prepare(&g, op, param, 1, 800) == ER_OK);
    unsigned char *mem = start(&g);
    const uint32_t made_n = play(&g, x, n, n, out);
    free(mem);
    return made_n;
}

static float group(uint16_t op, uint16_t n, const float *x)
{
    static rig g;
    float out[8];
    const float param[ER_MAX_PARAMS] = {0};
    CHECK(prepare(&g, op, param, n, 8) == ER_OK);
    unsigned char *mem = start(&g);
    CHECK(play(&g, x, 1, 1, out) == 1);
    free(mem);
    return out[0];
}

static float from_bits(uint32_t bits) { return er_float_from_bits(bits); }
static int is_nan_word(float x) { return er_float_bits(x) == 0x7fc00000u; }
static int near(float got, float want, float by) { return __builtin_fabsf(got - want) <= by; }

/* ---- answers that can be written down ---- */

static void test_steps_and_sums(void)
{
    const float x[] = {1, 4, 2, 2, from_bits(0xff800000u), -6};
    float y[6];
    CHECK(series(1003, 0, 0, x, 6, y) == 6);
    CHECK(y[0] == 0 && y[1] == 3 && y[2] == -2 && y[3] == 0 && is_nan_word(y[4]) && y[5] == -8);
    CHECK(series(1004, 0, 0, x, 6, y) == 6);
    CHECK(y[0] == 0 && y[1] == 60 && y[2] == -40 && is_nan_word(y[4]) && y[5] == -160);
    CHECK(series(1005, 0, 0, x, 6, y) == 6);
    CHECK(y[0] == 0 && y[1] == 0.125f && y[2] == 0.275f && y[3] == 0.375f);
    CHECK(is_nan_word(y[4]) && y[5] == 0.275f);
    const float huge[] = {3e38f, -3e38f};
    CHECK(series(1003, 0, 0, huge, 2, y) == 2 && is_nan_word(y[1]));
    CHECK(series(1004, 0, 0, huge, 2, y) == 2 && is_nan_word(y[1]));
}

static void test_calibrate_clip_decimate(void)
{
    const float x[] = {1, from_bits(0x7f800001u), -3, 8, 0.5f};
    float y[5];
    series(1000, 2, 1, x, 5, y);
    CHECK(y[0] == 3 && is_nan_word(y[1]) && y[2] == -5 && y[3] == 17 && y[4] == 2);
    series(1001, -2, 2, x, 5, y);
    CHECK(y[0] == 1 && is_nan_word(y[1]) && y[2] == -2 && y[3] == 2 && y[4] == 0.5f);
    CHECK(series(1002, 2, 0, x, 5, y) == 3 && y[0] == 1 && y[1] == -3 && y[2] == 0.5f);
}

static void test_an_ema_goes_63_percent_of_a_step_in_tau(void)
{
    float x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = i ? 1.0f : 0.0f;
    series(1006, 0.5f, 0, x, N, y); /* 10 samples */
    CHECK(y[0] == 0 && near(y[10], 0.63212056f, 1e-7f) && near(y[N - 1], 1.0f, 1e-7f));
    series(1006, 1e-4f, 0, x, N, y); /* far below a sample */
    CHECK(y[0] == 0 && y[1] == 1.0f);
    series(1006, 0.03f, 0, x, N, y); /* exp by the powers of two */
    CHECK(near(y[1], 0.81112443f, 1e-7f));
    series(1006, 5e6f, 0, x, N, y); /* 1e8 samples: by its own series */
    CHECK(near(y[100] * 1e6f, 1.0f, 1e-5f));
}

/* The greatest |y| of the second half of a tone of f [Hz]. */
static float gain_at(uint16_t op, float f, float q, uint32_t period)
{
    static const float quarter[] = {0, 1, 0, -1};
    float x[N], y[N], most = 0;
    for (uint32_t i = 0; i < N; i++)
        x[i] = period == 2 ? (i % 2 ? -1.0f : 1.0f) : period == 4 ? quarter[i % 4] : 1.0f;
    series(op, f, q, x, N, y);
    for (uint32_t i = N / 2; i < N; i++)
        most = most < __builtin_fabsf(y[i]) ? __builtin_fabsf(y[i]) : most;
    return most;
}

static void test_biquads_pass_and_stop(void)
{
    enum { LOW = 1007, HIGH, BAND, NOTCH, CONSTANT = 1, NYQUIST = 2, FIVE_HZ = 4 };
    const float q = 0.70710678f;
    CHECK(near(gain_at(LOW, 5, q, CONSTANT), 1, 1e-6f) && gain_at(LOW, 5, q, NYQUIST) < 1e-6f);
    CHECK(near(gain_at(LOW, 5, q, FIVE_HZ), q, 1e-6f)); /* -3 dB at f: the tone meets its peaks */
    CHECK(gain_at(HIGH, 5, q, CONSTANT) < 1e-6f && near(gain_at(HIGH, 5, q, NYQUIST), 1, 1e-6f));
    CHECK(near(gain_at(HIGH, 5, q, FIVE_HZ), q, 1e-6f));
    CHECK(gain_at(BAND, 5, 2, CONSTANT) < 1e-6f && gain_at(BAND, 5, 2, NYQUIST) < 1e-6f);
    CHECK(near(gain_at(BAND, 5, 2, FIVE_HZ), 1, 1e-6f));
    CHECK(near(gain_at(NOTCH, 5, 2, CONSTANT), 1, 1e-6f));
    CHECK(near(gain_at(NOTCH, 5, 2, NYQUIST), 1, 1e-6f) && gain_at(NOTCH, 5, 2, FIVE_HZ) < 1e-6f);
}

static void test_there_is_no_step_at_the_start(void)
{
    float x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = 9.81f;
    const struct {
        uint16_t op;
        float p0, p1, want;
    } cases[] = {{1003, 0, 0, 0},         {1004, 0, 0, 0},     {1006, 3, 0, 9.81f},
                 {1007, 0.01f, 1, 9.81f}, {1008, 0.01f, 1, 0}, {1009, 1, 9, 0},
                 {1010, 1, 9, 9.81f},     {1011, 30, 0, 0},    {1012, 7, 0, 9.81f},
                 {1013, 1, 4, 9.81f}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const uint32_t n = series(cases[k].op, cases[k].p0, cases[k].p1, x, N, y);
        for (uint32_t i = 0; i < n; i++) CHECK(near(y[i], cases[k].want, 2e-6f));
    }
}

static void test_detrend_takes_a_line_away(void)
{
    float x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = 1000.0f + 0.25f * (float)i;
    series(1011, 16, 0, x, N, y);
    for (int i = 15; i < N; i++) CHECK(near(y[i], 0, 2e-6f));
    series(1011, 300, 0, x, N, y); /* several blocks of a sum */
    for (int i = 299; i < N; i++) CHECK(near(y[i], 0, 2e-5f));
    x[100] += 1.0f;
    series(1011, 16, 0, x, N, y); /* 1 - (2(2n-1))/(n(n+1)) of the step stays */
    CHECK(near(y[100], 1 - 62.0f / 272, 1e-6f) && near(y[116], 0, 2e-6f));
}

static void test_moving_median(void)
{
    const float x[] = {5, 1, 9, from_bits(0x7fc00001u), 2, -0.0f, -7, 9, 9};
    const float want[] = {5, 5, 5, 0, 2, 2, 0, 0, 9};
    float y[9];
    series(1012, 3, 0, x, 9, y);
    for (int i = 0; i < 9; i++) CHECK(i == 3 ? is_nan_word(y[i]) : y[i] == want[i]);
    CHECK(er_float_bits(y[6]) == 0);
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void test_moving_median_is_the_sorted_middle(void)
{
    float x[N], y[N], sorted[255];
    uint64_t rng = 4;
    for (uint32_t n = 3; n <= 255; n += n < 9 ? 2 : 82) {
        for (int i = 0; i < N; i++)
            x[i] = i % 3 ? rng_unit(&rng) : (float)((int)rng_below(&rng, 5) - 2);
        series(1012, (float)n, 0, x, N, y);
        for (uint32_t i = n - 1; i < N; i++) {
            memcpy(sorted, x + i + 1 - n, n * sizeof *x);
            qsort(sorted, n, sizeof *sorted, by_value);
            CHECK(y[i] == sorted[n / 2]);
        }
    }
}

static void test_resample(void)
{
    float x[N], y[4 * N];
    for (int i = 0; i < N; i++) x[i] = (float)i / 64;
    /* a ramp keeps its slope and is 10 max/up samples late, but for the images that leak */
    CHECK(series(1013, 1, 2, x, N, y) == N / 2);
    for (int i = 50; i < N / 2; i++) CHECK(near(y[i], (2.0f * (float)i - 20) / 64, 2e-6f));
    CHECK(series(1013, 3, 2, x, N - 1, y) == 767);
    for (int i = 50; i < 767; i++) CHECK(near(y[i], ((float)i * 2 / 3 - 10) / 64, 6e-3f));
    CHECK(series(1013, 4, 1, x, N, y) == 4 * N);
    for (int i = 100; i < 4 * N; i++) CHECK(near(y[i], ((float)i / 4 - 10) / 64, 6e-3f));
    CHECK(series(1013, 1, 32, x, N, y) == N / 32);
    for (int i = 20; i < N / 32; i++) CHECK(near(y[i], (32.0f * (float)i - 320) / 64, 2e-5f));
    /* what is above the new Nyquist frequency goes */
    for (int i = 0; i < N; i++) x[i] = i % 2 ? -1.0f : 1.0f;
    CHECK(series(1013, 1, 4, x, N, y) == N / 4);
    for (int i = 30; i < N / 4; i++) CHECK(near(y[i], 0, 1e-3f));
    /* a number lost is seen by as many outputs as it would be in */
    for (int i = 0; i < N; i++) x[i] = 1.0f;
    x[100] = from_bits(0x7f800000u);
    CHECK(series(1013, 1, 4, x, N, y) == N / 4);
    for (int i = 0; i < N / 4; i++) CHECK(is_nan_word(y[i]) == (4 * i >= 100 && 4 * i <= 180));
}

static void test_groups_of_channels(void)
{
    const float a[] = {3, -4, 12, 84, 0, 0, 0, 0}, tiny[] = {3e-40f, 4e-40f};
    const float huge[] = {3e37f, 4e37f}, over[] = {3e38f, 3e38f}, none[] = {0, -0.0f};
    const float bad[] = {1, 2, from_bits(0xff800000u)};
    CHECK(group(1014, 2, a) == 5 && group(1014, 3, a) == 13 && group(1014, 8, a) == 85);
    CHECK(near(group(1014, 2, tiny) * 0x1p100f, 5e-40f * 0x1p100f, 1e-44f * 0x1p100f));
    CHECK(near(group(1014, 2, huge) / 5e37f, 1, 1e-6f) && group(1014, 2, none) == 0);
    CHECK(is_nan_word(group(1014, 2, over)) && is_nan_word(group(1014, 3, bad)));
    CHECK(group(1015, 2, a) == -1 && group(1015, 8, a) == 95 && is_nan_word(group(1015, 3, bad)));
    CHECK(is_nan_word(group(1015, 2, over)));
    CHECK(group(1016, 2, a) == 7 && group(1016, 2, over) == 0);
}

/* Zeros for ever: the state arrives at 0, it does not stay among the denormals. */
static void test_recursions_come_to_rest(void)
{
    static float x[N], y[N];
    const float ema[ER_MAX_PARAMS] = {0.05f}, low[ER_MAX_PARAMS] = {4, 0.7071f};
    const struct {
        uint16_t op;
        const float *param;
    } cases[] = {{1006, ema}, {1007, low}};
    static rig g;
    x[0] = 1.0f;
    for (int k = 0; k < 2; k++) {
        const double *state;
        CHECK(prepare(&g, cases[k].op, cases[k].param, 1, 800) == ER_OK);
        unsigned char *mem = start(&g);
        play(&g, x, N, 0, y);
        state = made(&g)->state;
        CHECK(state[0] == 0.0 && state[1] == 0.0 && y[1] != 0.0f && y[N - 1] == 0.0f);
        free(mem);
    }
}

/* ---- every filter of the table ---- */

/* The next filter after *index of the table, prepared with its example. */
static int next_filter(rig *g, uint16_t *index, uint16_t window)
{
    er_op_info op;
    while (er_op((*index)++, &op) == ER_OK) {
        if (op.kind != ER_KIND_FILTER) continue;
        CHECK(prepare(g, op.id, op.example, op.n_most < FROM ? op.n_most : FROM, window) == ER_OK);
        return 1;
    }
    return 0;
}

static void make_frames(float *x, uint32_t n, uint64_t seed)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = rng_below(&seed, 60) ? rng_unit(&seed)
                                    : from_bits(0x7f800000u | (uint32_t)rng_next(&seed));
}

static void test_any_cut_and_a_reset_give_the_same_bits(void)
{
    static rig g;
    static float x[N * FROM], whole[N], got[N];
    make_frames(x, N * FROM, 1);
    for (uint16_t i = 0; next_filter(&g, &i, 800);) {
        unsigned char *mem = start(&g);
        const uint32_t n = play(&g, x, N, N, whole);
        CHECK(n == (N * made(&g)->up + made(&g)->down - 1) / made(&g)->down);
        for (uint32_t cut = 0; cut < 9; cut++) {
            er_windows_reset(&g.w);
            CHECK(play(&g, x, N, cut, got) == n && !memcmp(whole, got, n * sizeof *got));
        }
        free(mem);
    }
}

/* A filter that keeps the pace goes on as if the number had not been. */
static void test_what_is_not_finite_leaves_the_state(void)
{
    static rig g;
    static float x[N * FROM], clean[N * FROM], want[N], got[N];
    for (uint16_t i = 0; next_filter(&g, &i, 800);) {
        if (er_filter_find(g.filter.op)->ratio) continue;
        const uint32_t width = g.p.n_channels;
        uint32_t kept = 0, seen = 0;
        make_frames(x, N * width, 2);
        for (uint32_t k = 0; k < N; k++) {
            int finite = 1;
            for (uint32_t c = 0; c < width; c++) finite &= er_is_finite(x[k * width + c]);
            if (finite) memcpy(clean + kept++ * width, x + k * width, width * sizeof *x);
        }
        CHECK(kept < N && kept > N / 2);
        unsigned char *mem = start(&g);
        play(&g, clean, kept, 0, want);
        er_windows_reset(&g.w);
        play(&g, x, N, 0, got);
        for (uint32_t k = 0; k < N; k++) {
            int finite = 1;
            for (uint32_t c = 0; c < width; c++) finite &= er_is_finite(x[k * width + c]);
            CHECK(finite ? !memcmp(&got[k], &want[seen++], 4) : is_nan_word(got[k]));
        }
        free(mem);
    }
}

static void test_no_saved_bytes_break_a_filter(void)
{
    static rig g;
    static float x[64 * FROM];
    static unsigned char any[1 << 13];
    uint64_t rng = 9;
    uint32_t taken_over = 0, refused = 0;
    make_frames(x, 64 * FROM, 3);
    for (uint16_t i = 0; next_filter(&g, &i, 4);) {
        unsigned char *mem = start(&g), *saved;
        const size_t size = er_windows_saved_bytes(&g.w);
        CHECK(size <= sizeof any);
        saved = malloc(size);
        for (int round = 0; round < 200; round++) {
            const uint32_t fill = rng_below(&rng, 4), keep = rng_below(&rng, 3);
            er_windows_reset(&g.w);
            er_windows_push(&g.w, x, 2);
            er_windows_get(&g.w, saved);
            for (size_t b = 0; b < size; b++)
                if (keep == 0 || (keep == 1 && rng_below(&rng, 8) == 0))
                    saved[b] = (unsigned char)(rng_next(&rng) >> rng_below(&rng, 8));
            if (er_windows_put(&g.w, fill, saved) != ER_OK) {
                refused++;
                continue;
            }
            taken_over++;
            for (uint32_t at = 0; at < 64;) {
                float out;
                const uint32_t cut = 1 + rng_below(&rng, 3);
                at += er_windows_push(&g.w, x + at * g.p.n_channels, 64 - at < cut ? 64 - at : cut);
                if (er_windows_full(&g.w)) er_windows_compute(&g.w, &out);
            }
        }
        free(saved), free(mem);
    }
    CHECK(taken_over > 1000 && refused > 500);
}

static void test_a_state_beyond_double_is_refused(void)
{
    static rig g;
    const float param[ER_MAX_PARAMS] = {4, 1};
    const double inf = (double)from_bits(0x7f800000u), ones[2] = {1, 1};
    CHECK(prepare(&g, 1007, param, 1, 8) == ER_OK);
    unsigned char *mem = start(&g);
    for (uint32_t bad = 0; bad < 3; bad++) {
        unsigned char *bytes = malloc(er_windows_saved_bytes(&g.w));
        er_windows_get(&g.w, bytes);
        memcpy(bytes, ones, sizeof ones);
        if (bad) memcpy(bytes + 8 * (bad - 1), &inf, sizeof inf);
        CHECK(er_windows_put(&g.w, 1, bytes) == (bad ? ER_EFORMAT : ER_OK));
        free(bytes);
    }
    free(mem);
}

static void test_parameters_out_of_range_are_refused(void)
{
    static rig g;
    const float nan = from_bits(0x7fc00000u), inf = from_bits(0x7f800000u);
    const struct {
        uint16_t op;
        float p0, p1;
    } bad[] = {
        {1000, 0, 1},    {1000, nan, 1},     {1000, 1, inf},  {1001, 2, 2},    {1001, nan, 1},
        {1001, 0, inf},  {1002, 1, 0},       {1002, 2.5f, 0}, {1002, 4097, 0}, {1002, nan, 0},
        {1003, 1, 0},    {1006, 0, 0},       {1006, -1, 0},   {1006, nan, 0},  {1006, 6e6f, 0},
        {1007, 0, 1},    {1007, 10, 1},      {1007, nan, 1},  {1007, 1, 0},    {1007, 1, 101},
        {1007, 1, nan},  {1008, 1.9e-4f, 1}, {1009, inf, 1},  {1010, -1, 1},   {1011, 2, 0},
        {1011, 1025, 0}, {1011, 3.5f, 0},    {1012, 4, 0},    {1012, 1, 0},    {1012, 257, 0},
        {1013, 1, 1},    {1013, 2, 4},       {1013, 0, 1},    {1013, 1, 33},   {1013, 33, 1},
        {1013, 1.5f, 1}, {1013, 1, nan}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const float param[ER_MAX_PARAMS] = {bad[i].p0, bad[i].p1};
        CHECK(prepare(&g, bad[i].op, param, 1, 800) == ER_EINVAL);
    }
    const struct {
        uint16_t op;
        float p0, p1;
    } good[] = {{1006, 5e6f, 0}, {1007, 2e-4f, 0.1f}, {1007, 9.99f, 100}, {1013, 5, 32},
                {1011, 1024, 0}, {1012, 255, 0},      {1002, 400, 0}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const float param[ER_MAX_PARAMS] = {good[i].p0, good[i].p1};
        CHECK(prepare(&g, good[i].op, param, 1, 800) == ER_OK);
    }
}

int main(void)
{
    test_steps_and_sums();
    test_calibrate_clip_decimate();
    test_an_ema_goes_63_percent_of_a_step_in_tau();
    test_biquads_pass_and_stop();
    test_there_is_no_step_at_the_start();
    test_detrend_takes_a_line_away();
    test_moving_median();
    test_moving_median_is_the_sorted_middle();
    test_resample();
    test_groups_of_channels();
    test_recursions_come_to_rest();
    test_any_cut_and_a_reset_give_the_same_bits();
    test_what_is_not_finite_leaves_the_state();
    test_no_saved_bytes_break_a_filter();
    test_a_state_beyond_double_is_refused();
    test_parameters_out_of_range_are_refused();
    return 0;
}
