/* Channels of different rates: which programs there are, and what a batch of one asks for. */
#include "check.h"

enum { MAX = 6 };

/* Columns at 20, 10 and 20 Hz, windows of 40 frames. */
typedef struct rig {
    er_channel channels[3];
    er_filter filters[MAX];
    er_feature features[2];
    er_program p;
} rig;

static rig make(void)
{
    return (rig){
        .channels = {{1, 0, 1, 0}, {1, 0, 2, 0}, {1, 0, 1, 0}},
        .features = {{1, 0, 0, 0, {0}}, {1, 1, 0, 0, {0}}},
        .p = {.rate_hz = 20.0f, .n_channels = 3, .window = 40, .hop = 20, .n_features = 2}};
}

static er_status check(rig *g, uint32_t *where)
{
    g->p.channels = g->channels;
    g->p.filters = g->filters;
    g->p.features = g->features;
    return er_program_check(&g->p, where);
}

static er_filter filter(uint16_t op, float p0, float p1, uint16_t n_from, uint16_t a, uint16_t b)
{
    return (er_filter){op, 0, n_from, {a, b}, {p0, p1}};
}

enum { DECIMATE = 1002, LOWPASS = 1007, RESAMPLE = 1013, ADD = 1015, PROGRAM = 2, FIRST = 3 };

/* The status with these filters, 0-terminated; the last one is looked at. */
static er_status with(const er_filter *filters, uint32_t *where)
{
    rig g = make();
    while (filters[g.p.n_filters].op) {
        g.filters[g.p.n_filters] = filters[g.p.n_filters];
        g.p.n_filters++;
    }
    return check(&g, where);
}

static void test_samples_must_be_whole_in_a_window_and_a_hop(void)
{
    const struct {
        er_filter f;
        er_status status;
    } cases[] = {
        {filter(DECIMATE, 20, 0, 1, 0, 0), ER_OK},    {filter(DECIMATE, 10, 0, 1, 1, 0), ER_OK},
        {filter(DECIMATE, 8, 0, 1, 0, 0), ER_ERATE},  {filter(DECIMATE, 40, 0, 1, 0, 0), ER_ERATE},
        {filter(DECIMATE, 20, 0, 1, 1, 0), ER_ERATE}, {filter(RESAMPLE, 3, 4, 1, 0, 0), ER_OK},
        {filter(RESAMPLE, 3, 8, 1, 0, 0), ER_ERATE},  {filter(RESAMPLE, 2, 3, 1, 0, 0), ER_ERATE},
        {filter(LOWPASS, 9, 1, 1, 0, 0), ER_OK},      {filter(LOWPASS, 9, 1, 1, 1, 0), ER_EINVAL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const er_filter filters[2] = {cases[i].f};
        uint32_t where = 99;
        CHECK(with(filters, &where) == cases[i].status);
        CHECK(where == (cases[i].status ? FIRST : PROGRAM));
    }
    rig g = make();
    const er_filter up = filter(RESAMPLE, 32, 1, 1, 0, 0);
    uint32_t where;
    g.p.window = g.p.hop = 128;
    g.p.n_filters = 1;
    g.filters[0] = up;
    CHECK(check(&g, &where) == ER_OK);
    g.p.window = g.p.hop = 130; /* 4160 samples */
    CHECK(check(&g, &where) == ER_ERATE && where == FIRST);
    g.filters[0] = filter(DECIMATE, 130, 0, 1, 0, 0); /* one sample */
    CHECK(check(&g, &where) == ER_ERATE && where == FIRST);
}

static void test_channels_that_meet_come_with_the_same_frames(void)
{
    uint32_t where;
    /* column 0 halved, by either filter, is at the frames of column 1 */
    const er_filter halved[] = {filter(DECIMATE, 2, 0, 1, 0, 0),
                                filter(ADD, 0, 0, 2, 1, 3),
                                filter(RESAMPLE, 1, 2, 1, 2, 0),
                                filter(ADD, 0, 0, 2, 5, 4),
                                {0}};
    CHECK(with(halved, &where) == ER_OK);
    const er_filter in_steps[] = {filter(DECIMATE, 2, 0, 1, 0, 0),
                                  filter(DECIMATE, 5, 0, 1, 3, 0),
                                  filter(DECIMATE, 5, 0, 1, 1, 0),
                                  filter(ADD, 0, 0, 2, 4, 5),
                                  {0}};
    CHECK(with(in_steps, &where) == ER_OK);
    /* made in the same steps of the same channel */
    const er_filter alike[] = {filter(RESAMPLE, 3, 2, 1, 0, 0),
                               filter(RESAMPLE, 3, 2, 1, 2, 0),
                               filter(ADD, 0, 0, 2, 3, 4),
                               {0}};
    CHECK(with(alike, &where) == ER_OK);
    /* 1/2 and then 3 brings three samples every second frame, 3/2 one or two every frame */
    const er_filter unlike[] = {filter(RESAMPLE, 3, 2, 1, 0, 0),
                                filter(RESAMPLE, 3, 1, 1, 1, 0),
                                filter(ADD, 0, 0, 2, 3, 4),
                                {0}};
    CHECK(with(unlike, &where) == ER_ERATE && where == FIRST + 2);
    const er_filter others[] = {filter(RESAMPLE, 3, 2, 1, 0, 0),
                                filter(RESAMPLE, 3, 2, 1, 1, 0),
                                filter(RESAMPLE, 3, 4, 1, 0, 0),
                                filter(RESAMPLE, 2, 1, 1, 2, 0),
                                filter(RESAMPLE, 1, 2, 1, 6, 0),
                                filter(ADD, 0, 0, 2, 4, 5),
                                {0}};
    CHECK(with(others, &where) == ER_ERATE && where == FIRST + 5);
    const er_filter lower[] = {filter(RESAMPLE, 3, 2, 1, 0, 0),
                               filter(DECIMATE, 2, 0, 1, 0, 0),
                               filter(ADD, 0, 0, 2, 4, 1),
                               {0}};
    CHECK(with(lower, &where) == ER_OK);
    const er_filter fifth[] = {
        filter(RESAMPLE, 3, 2, 1, 0, 0), filter(DECIMATE, 5, 0, 1, 0, 0), {0}};
    CHECK(with(fifth, &where) == ER_OK);
    const er_filter rates[] = {filter(ADD, 0, 0, 2, 0, 1), {0}};
    CHECK(with(rates, &where) == ER_ERATE && where == FIRST);
    const er_filter back[] = {filter(RESAMPLE, 2, 1, 1, 1, 0), filter(ADD, 0, 0, 2, 0, 3), {0}};
    CHECK(with(back, &where) == ER_ERATE && where == FIRST + 1);
}

static void test_bad_filters_are_refused_by_index(void)
{
    const er_filter good = filter(ADD, 0, 0, 2, 0, 2);
    er_filter bad[2] = {good};
    uint32_t where;
    CHECK(with(bad, &where) == ER_OK);
    bad[0] = good, bad[0].op = 1999;
    CHECK(with(bad, &where) == ER_EOP && where == FIRST);
    bad[0] = good, bad[0].n_from = 1;
    CHECK(with(bad, &where) == ER_EINVAL && where == FIRST);
    bad[0] = filter(LOWPASS, 5, 1, 2, 0, 2);
    CHECK(with(bad, &where) == ER_EINVAL && where == FIRST);
    bad[0] = good, bad[0].taper = 3;
    CHECK(with(bad, &where) == ER_EINVAL && where == FIRST);
    bad[0] = good, bad[0].from[1] = 3; /* itself */
    CHECK(with(bad, &where) == ER_EINVAL && where == FIRST);
    bad[0] = good, bad[0].from[2] = 1; /* not used */
    CHECK(with(bad, &where) == ER_EINVAL && where == FIRST);
    bad[0] = good, bad[0].param[0] = 1;
    CHECK(with(bad, &where) == ER_EINVAL && where == FIRST);
}

static void test_bad_shapes_are_refused(void)
{
    uint32_t where, bits = 0x7f800000u;
    float inf;
    memcpy(&inf, &bits, 4);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        rig g = make();                                                                            \
        change;                                                                                    \
        CHECK(check(&g, &where) == ER_EINVAL && where == g.p.n_features);                          \
    } while (0)
    REFUSED(g.p.rate_hz = 0);
    REFUSED(g.p.rate_hz = inf);
    REFUSED(g.p.n_channels = 0);
    REFUSED(g.p.n_channels = 65);
    REFUSED(g.p.n_filters = 65);
    REFUSED(g.p.window = 1);
    REFUSED(g.p.window = 4098);
    REFUSED(g.p.hop = 0);
    REFUSED(g.p.n_features = 0);
    REFUSED(g.p.n_features = 1025);
    REFUSED(g.channels[1].scale = 0);
    REFUSED(g.channels[1].scale = inf);
    REFUSED(g.channels[1].offset = inf);
    REFUSED(g.channels[1].taper = 3);
    REFUSED(g.channels[1].every = 0);
    REFUSED(g.channels[1].every = 3);
    REFUSED(g.channels[1].every = 8); /* the hop */
    REFUSED(g.p.hop = 40; g.channels[1].every = 40);
    rig g = make();
    CHECK(check(&g, NULL) == ER_OK && er_program_check(NULL, &where) == ER_EINVAL && where == 0);
    float rate;
    uint16_t window;
    g.channels[1].every = 3;
    CHECK(er_program_channel(&g.p, 0, &rate, &window) == ER_EINVAL);
    g.channels[1].every = 2;
    CHECK(er_program_channel(&g.p, 1, &rate, &window) == ER_OK && rate == 10 && window == 20);
    g.p.channels = NULL;
    CHECK(er_program_check(&g.p, NULL) == ER_EINVAL);
    CHECK(check(&g, NULL) == ER_OK);
    g.p.features = NULL;
    CHECK(er_program_check(&g.p, NULL) == ER_EINVAL);
    CHECK(check(&g, NULL) == ER_OK);
    g.p.n_filters = 1, g.p.filters = NULL;
    CHECK(er_program_check(&g.p, NULL) == ER_EINVAL);
}

static void test_features_of_bad_channels_are_refused(void)
{
    uint32_t where;
    rig g = make();
    g.features[1].other = 1; /* mean takes one */
    CHECK(check(&g, &where) == ER_EINVAL && where == 1);
    g = make(), g.features[1].reserved = 1;
    CHECK(check(&g, &where) == ER_EINVAL && where == 1);
    g = make(), g.features[1].channel = 3;
    CHECK(check(&g, &where) == ER_EINVAL && where == 1);
    g = make(), g.features[1].param[3] = 1;
    CHECK(check(&g, &where) == ER_EINVAL && where == 1);
}

static void test_two_channels_of_a_feature_have_one_rate(void)
{
    static uint64_t memory[1 << 12];
    static float x[40 * 3], out[2];
    uint32_t where, nan = 0x7fc00000u, bits;
    uint64_t rng = 13;
    rig g = make();
    for (int i = 0; i < 40 * 3; i++) x[i] = rng_unit(&rng);
    g.features[1] = (er_feature){44, 0, 1, 0, {0}}; /* correlation */
    CHECK(check(&g, &where) == ER_ERATE && where == 1);
    g.features[1].other = 3;
    CHECK(check(&g, &where) == ER_EINVAL && where == 1);
    g.filters[0] = filter(DECIMATE, 2, 0, 1, 0, 0); /* column 0 at the rate of column 1 */
    g.p.n_filters = 1;
    g.features[1].channel = 1;
    CHECK(check(&g, &where) == ER_OK);
    CHECK(er_features_batch(&g.p, x, 40, out, 1, memory, sizeof memory) == ER_OK);
    CHECK(out[1] > -1 && out[1] < 1 && out[1] != 0);
    g.features[0] = (er_feature){48, 0, 2, 0, {3}}; /* lag_correlation: with scratch for a pair */
    CHECK(er_features_batch(&g.p, x, 40, out, 1, memory, sizeof memory) == ER_OK);
    CHECK(out[0] > -1 && out[0] < 1 && out[0] != 0);
    memcpy(&x[4 * 3], &nan, 4);
    CHECK(er_features_batch(&g.p, x, 40, out, 1, memory, sizeof memory) == ER_OK);
    memcpy(&bits, &out[1], 4);
    CHECK(bits == nan);
}

static void test_a_batch_checks_its_arguments(void)
{
    static uint64_t memory[1 << 12];
    static float x[100 * 3], out[8];
    rig g = make();
    CHECK(check(&g, NULL) == ER_OK);
    const size_t size = er_features_size(&g.p);
    CHECK(size > 0 && size <= sizeof memory);
    CHECK(er_features_rows(&g.p, 39) == 0 && er_features_rows(&g.p, 40) == 1 &&
          er_features_rows(&g.p, 100) == 4);
    CHECK(er_features_batch(&g.p, x, 100, out, 4, memory, size) == ER_OK);
    CHECK(er_features_batch(&g.p, NULL, 0, NULL, 0, memory, size) == ER_OK);
    CHECK(er_features_batch(&g.p, NULL, 100, out, 4, memory, size) == ER_EINVAL);
    CHECK(er_features_batch(&g.p, x, 100, NULL, 4, memory, size) == ER_EINVAL);
    CHECK(er_features_batch(&g.p, x, 100, out, 4, NULL, size) == ER_EINVAL);
    CHECK(er_features_batch(&g.p, x, 100, out, 4, (char *)memory + 4, size) == ER_EINVAL);
    CHECK(er_features_batch(&g.p, x, 100, out, 3, memory, size) == ER_ENOSPC);
    CHECK(er_features_batch(&g.p, x, 100, out, 4, memory, size - 1) == ER_ENOSPC);
    g.p.hop = 41;
    CHECK(er_features_batch(&g.p, x, 100, out, 4, memory, size) == ER_EINVAL);
    CHECK(er_features_rows(&g.p, 100) == 0 && er_features_size(&g.p) == 0);
}

/* Spectra of one length and taper share a plan, others do not. */
static void test_plans_are_shared(void)
{
    static uint64_t memory[1 << 12];
    static float x[40 * 3], out[6];
    const er_feature features[] = {
        {9, 0, 0, 0, {0, 5}}, {9, 1, 0, 0, {0, 5}}, {9, 2, 0, 0, {0, 5}}, {9, 3, 0, 0, {0, 5}}};
    uint64_t rng = 8;
    size_t sizes[3];
    for (int i = 0; i < 40 * 3; i++) x[i] = rng_unit(&rng);
    for (int k = 0; k < 3; k++) {
        rig g = make();
        g.filters[0] = filter(1000, 1, 0, 1, 2, 0); /* column 2 again */
        g.p.n_filters = 1;
        g.channels[2].taper = k > 0;
        g.filters[0].taper = k > 1 ? 2 : 0;
        CHECK(check(&g, NULL) == ER_OK);
        g.p.features = features;
        g.p.n_features = 4;
        sizes[k] = er_features_size(&g.p);
        CHECK(er_features_batch(&g.p, x, 40, out, 1, memory, sizeof memory) == ER_OK);
        CHECK((out[2] == out[3]) == (k == 0));
    }
    CHECK(sizes[0] < sizes[1] && sizes[1] < sizes[2]);
    rig g = make();
    g.features[1] = (er_feature){9, 2, 0, 0, {0, 5}}; /* one plan, not of the first channel */
    CHECK(check(&g, NULL) == ER_OK);
    CHECK(er_features_batch(&g.p, x, 40, out, 1, memory, sizeof memory) == ER_OK);
}

/* A slow column and its filters give, frame by frame, what they give alone at their own rate;
 * what stands in the frames between does not count. */
static void test_a_slow_channel_gives_what_it_gives_alone(void)
{
    static uint64_t memory[1 << 12], block[1 << 12];
    static float x[400 * 3], slow[200], out[19 * 2], alone[19 * 2];
    const er_feature last[] = {{32, 1, 0, 0, {0}}, {32, 3, 0, 0, {0}}};
    const er_feature last_alone[] = {{32, 0, 0, 0, {0}}, {32, 1, 0, 0, {0}}};
    const er_filter smooth = filter(LOWPASS, 2, 0.7f, 1, 1, 0);
    er_filter smooth_alone = smooth;
    uint64_t rng = 12;
    rig g = make(), h = make();
    for (int i = 0; i < 400 * 3; i++) x[i] = rng_unit(&rng);
    for (int i = 0; i < 200; i++) slow[i] = x[2 * i * 3 + 1], x[(2 * i + 1) * 3 + 1] = 1e30f;
    g.filters[0] = smooth;
    g.p.n_filters = 1;
    CHECK(check(&g, NULL) == ER_OK);
    g.p.features = last;
    smooth_alone.from[0] = 0;
    h.p.rate_hz = 10.0f, h.p.window = 20, h.p.hop = 10, h.p.n_channels = 1;
    h.p.n_filters = 1;
    h.filters[0] = smooth_alone;
    CHECK(check(&h, NULL) == ER_OK);
    h.p.features = last_alone;
    CHECK(er_features_batch(&h.p, slow, 200, alone, 19, memory, sizeof memory) == ER_OK);
    CHECK(er_features_batch(&g.p, x, 400, out, 19, memory, sizeof memory) == ER_OK);
    CHECK(memcmp(out, alone, sizeof out) == 0);
    const er_policy policy = {1, 1, 1, 0, {0}};
    const er_config c = {.program = &g.p, .policy = &policy};
    const double score = 1;
    for (uint32_t cut = 1; cut < 8; cut++) {
        er_stream *s;
        CHECK(er_stream_init(&s, &c, block, sizeof block) == ER_OK);
        for (uint32_t at = 0, row = 0, taken; at < 400; at += taken) {
            er_decision d;
            const uint32_t n = 400 - at < cut ? 400 - at : cut;
            if (er_step(s, x + (size_t)at * 3, n, &taken, &d) == ER_AGAIN) continue;
            CHECK(er_decide(s, &score, &d) == ER_OK);
            CHECK(memcmp(er_stream_features(s), alone + 2 * row++, 8) == 0);
        }
    }
}

static void test_a_result_beyond_float_is_nan(void)
{
    static uint64_t memory[1 << 12];
    static float x[40 * 3], out[2];
    rig g = make();
    for (int i = 0; i < 40 * 3; i++) x[i] = 1e30f;
    g.features[1].op = 11; /* energy */
    CHECK(check(&g, NULL) == ER_OK);
    CHECK(er_features_batch(&g.p, x, 40, out, 1, memory, sizeof memory) == ER_OK);
    CHECK(out[0] == 1e30f && out[1] != out[1]);
}

int main(void)
{
    test_a_result_beyond_float_is_nan();
    test_a_slow_channel_gives_what_it_gives_alone();
    test_samples_must_be_whole_in_a_window_and_a_hop();
    test_channels_that_meet_come_with_the_same_frames();
    test_bad_filters_are_refused_by_index();
    test_bad_shapes_are_refused();
    test_features_of_bad_channels_are_refused();
    test_two_channels_of_a_feature_have_one_rate();
    test_a_batch_checks_its_arguments();
    test_plans_are_shared();
    return 0;
}
