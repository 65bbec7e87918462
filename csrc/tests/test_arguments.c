/* Every argument out of its range, one after another: refused by its status, and nothing else
 * happens. Both sides of each check (run under ASan). */
#include "er_internal.h"

#include "check.h"

enum { CLASSES = 2, WINDOW = 8 };

/* ---- a stream that any one field can be made wrong of ---- */

typedef struct rig {
    er_channel channels[2];
    er_filter filters[2];
    er_feature features[2];
    er_bins bins[2 + CLASSES];
    er_policy policy;
    er_program p;
    er_config c;
} rig;
static const float edges[] = {-1.0f, 0.0f, 1.0f};

static er_config *wire(rig *g)
{
    g->p.channels = g->channels;
    g->p.features = g->features;
    g->p.filters = g->filters;
    g->c.program = &g->p;
    g->c.policy = &g->policy;
    g->c.bins = g->bins;
    return &g->c;
}

static rig good(void)
{
    rig g = {.channels = {{1, 0, 1, 0}, {1, 0, 1, 0}},
             .filters = {{.op = 1000, .n_from = 1, .param = {2, 1}}},
             .features = {{.op = 1}, {.op = 2, .channel = 2}},
             .policy = {CLASSES, 1, 2, 3, {0, 500000}},
             .p = {.rate_hz = 20.0f,
                   .n_channels = 2,
                   .window = WINDOW,
                   .hop = 4,
                   .n_features = 2,
                   .n_filters = 1}};
    for (int r = 0; r < 2 + CLASSES; r++) g.bins[r] = (er_bins){0.5f, 0.25f, 2, edges};
    return g;
}

static er_stream *start(rig *g)
{
    const size_t size = er_stream_size(wire(g));
    void *mem = malloc(size);
    er_stream *s;
    CHECK(size > 0 && er_stream_init(&s, &g->c, mem, size) == ER_OK);
    return s;
}

/* The status of the program, which er_stream_size() and er_stream_init() agree with. */
static er_status checked(rig *g)
{
    char byte;
    er_stream *s;
    uint32_t where;
    const er_status status = er_program_check(wire(g)->program, &where);
    CHECK(er_program_check(&g->p, NULL) == status);
    if (status != ER_OK) CHECK(er_stream_size(&g->c) == 0 && where <= 3u + g->p.n_features);
    if (status != ER_OK) CHECK(er_stream_init(&s, &g->c, &byte, 1) == status);
    return status;
}

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        rig g = good();                                                                            \
        CHECK(checked(&g) == ER_OK);                                                               \
        change;                                                                                    \
        CHECK(checked(&g) < 0);                                                                    \
    } while (0)

static const float infinite = __builtin_inff();

static void test_a_program_out_of_range_is_refused(void)
{
    uint32_t where;
    CHECK(er_program_check(NULL, &where) == ER_EINVAL && where == 0);
    REFUSED(g.p.rate_hz = 0);
    REFUSED(g.p.rate_hz = infinite);
    REFUSED(g.p.n_channels = 65);
    REFUSED(g.p.n_channels = 0);
    REFUSED(g.p.n_filters = 65);
    REFUSED(g.p.window = 1);
    REFUSED(g.p.window = 4097);
    REFUSED(g.p.hop = 0);
    REFUSED(g.p.hop = WINDOW + 1);
    REFUSED(g.p.n_features = 0);
    REFUSED(g.p.n_features = 1025);
    REFUSED(g.p.timing.policy = 1);
    REFUSED(g.channels[1].scale = 0);
    REFUSED(g.channels[1].scale = infinite);
    REFUSED(g.channels[1].offset = infinite);
    REFUSED(g.channels[1].taper = 3);
    REFUSED(g.channels[1].every = 0);
    REFUSED(g.channels[1].every = 3);
    REFUSED(g.channels[1].every = 8);
    REFUSED((g.channels[1].every = 4, g.p.hop = 6));
    REFUSED(g.filters[0].op = 999);
    REFUSED(g.filters[0].taper = 3);
    REFUSED(g.filters[0].n_from = 0);
    REFUSED(g.filters[0].n_from = 2);
    REFUSED(g.filters[0].from[0] = 2);
    REFUSED(g.filters[0].from[1] = 1);
    REFUSED(g.filters[0].param[2] = 1);
    REFUSED(g.filters[0].param[0] = 0);
    REFUSED((g.p.rate_hz = 1e-45f, g.channels[1].every = 2));
    REFUSED(
        (g.p.rate_hz = 1e-45f, g.filters[0] = (er_filter){.op = 1002, .n_from = 1, .param = {2}}));
    REFUSED((g.p.rate_hz = 3e38f,
             g.filters[0] = (er_filter){.op = 1013, .n_from = 1, .param = {2, 1}}));
    REFUSED(g.features[0].op = 999);
    REFUSED(g.features[0].channel = 3);
    REFUSED(g.features[0].reserved = 1);
    REFUSED(g.features[0].other = 1);
    REFUSED(g.features[0].param[0] = 1);
    REFUSED((g.features[0].op = 17, g.features[0].param[0] = 2));
    rig g = good();
    wire(&g);
    g.p.channels = NULL;
    CHECK(er_program_check(&g.p, NULL) == ER_EINVAL);
    wire(&g)->program = NULL;
    CHECK(er_stream_size(&g.c) == 0);
    wire(&g);
    g.p.features = NULL;
    CHECK(er_program_check(&g.p, NULL) == ER_EINVAL);
    wire(&g);
    g.p.filters = NULL;
    CHECK(er_program_check(&g.p, NULL) == ER_EINVAL);
    g.p.n_filters = 0;
    g.features[1].channel = 1;
    CHECK(er_program_check(&g.p, NULL) == ER_OK);
}

/* Without channels there are records alone. */
static void test_a_program_without_channels_has_nothing_of_frames(void)
{
    const er_program bare = {.rate_hz = 1, .window = 1, .hop = 1};
    er_program p = bare;
    CHECK(er_program_check(&p, NULL) == ER_OK);
    p.n_filters = 1;
    CHECK(er_program_check(&p, NULL) == ER_EINVAL);
    p = bare, p.n_features = 1;
    CHECK(er_program_check(&p, NULL) == ER_EINVAL);
    p = bare, p.window = 2;
    CHECK(er_program_check(&p, NULL) == ER_EINVAL);
    p = bare, p.hop = 2;
    CHECK(er_program_check(&p, NULL) == ER_EINVAL);
    p = bare, p.timing.policy = ER_TIME_HOLD;
    CHECK(er_program_check(&p, NULL) == ER_EINVAL);
}

/* Operators' parameters at both ends of their range, in a window of 64 frames at 20 Hz. */
static void test_parameters_out_of_range_are_refused(void)
{
    static const struct {
        uint16_t op;
        float param[4];
        int ok;
    } CASES[] = {{9, {0, 1}, 1},
                 {9, {-1, 1}, 0},
                 {9, {1, 1}, 0},
                 {9, {11, 12}, 0},
                 {17, {0}, 1},
                 {17, {1}, 1},
                 {17, {-0.1f}, 0},
                 {17, {1.1f}, 0},
                 {37, {0.5f}, 1},
                 {37, {0}, 0},
                 {37, {1}, 0},
                 {23, {0}, 0},
                 {23, {63}, 1},
                 {23, {64}, 0},
                 {23, {1.5f}, 0},
                 {43, {1}, 0},
                 {43, {2}, 1},
                 {43, {257}, 0},
                 {42, {0}, 0},
                 {42, {9.9f}, 1},
                 {42, {10}, 0},
                 {52, {0, 0, 32, 16}, 0},
                 {52, {5, 5, 32, 16}, 0},
                 {52, {4, 5, 32, 16}, 1},
                 {52, {4, 5, 1, 16}, 0},
                 {52, {4, 5, 65, 16}, 0},
                 {52, {4, 5, 32, 0}, 0},
                 {52, {4, 500, 32, 1}, 0},
                 {52, {4, 5, 32, 65}, 0},
                 {28, {1}, 1}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        rig g = good();
        g.p.window = g.p.hop = 64;
        g.features[0].op = CASES[i].op;
        memcpy(g.features[0].param, CASES[i].param, sizeof CASES[i].param);
        CHECK((checked(&g) == ER_OK) == CASES[i].ok);
    }
    REFUSED((g.features[0].op = 9, g.features[0].param[1] = infinite));
    REFUSED((g.features[0].op = 28, g.features[0].param[0] = infinite));
    er_op_info info;
    CHECK(er_op(0, NULL) == ER_EINVAL && er_op(65535, &info) == ER_EINVAL);
}

static void test_rates_of_two_channels(void)
{
    rig g = good();
    uint16_t window;
    float rate;
    g.features[0] = (er_feature){.op = 44, .other = 1};
    CHECK(checked(&g) == ER_OK);
    g.features[0].other = 3;
    CHECK(checked(&g) == ER_EINVAL);
    g.features[0].other = 1;
    g.channels[1].every = 2;
    CHECK(checked(&g) == ER_ERATE);
    CHECK(er_program_channel(&g.p, 1, &rate, &window) == ER_OK && rate == 10.0f && window == 4);
    CHECK(er_program_channel(&g.p, 3, &rate, &window) == ER_EINVAL);
    CHECK(er_program_channel(&g.p, 0, NULL, &window) == ER_EINVAL);
    CHECK(er_program_channel(&g.p, 0, &rate, NULL) == ER_EINVAL);
    CHECK(er_program_channel(NULL, 0, &rate, &window) == ER_EINVAL);
    g.filters[0].op = 999;
    CHECK(er_program_channel(&g.p, 1, &rate, &window) == ER_OK);
    CHECK(er_program_channel(&g.p, 2, &rate, &window) == ER_EINVAL);
    g.channels[0].scale = 0;
    CHECK(er_program_channel(&g.p, 0, &rate, &window) == ER_EINVAL);
}

/* ---- policy, bins, model ---- */

#define NO_STREAM(change)                                                                          \
    do {                                                                                           \
        rig g = good();                                                                            \
        wire(&g);                                                                                  \
        CHECK(er_stream_size(&g.c) > 0);                                                           \
        change;                                                                                    \
        CHECK(er_stream_size(&g.c) == 0);                                                          \
    } while (0)

static void test_a_config_out_of_range_is_refused(void)
{
    static const float equal[] = {0, 0, 1}, bad[] = {0, 1, __builtin_inff()};
    const er_model narrow = {.n_features = 1, .n_outputs = CLASSES};
    const er_model other = {.n_features = 2, .n_outputs = 1};
    CHECK(er_stream_size(NULL) == 0 && er_stream_size_32(NULL) == 0);
    NO_STREAM(g.c.policy = NULL);
    NO_STREAM(g.policy.n_classes = 0);
    NO_STREAM(g.policy.n_classes = 65);
    NO_STREAM(g.policy.n = 0);
    NO_STREAM((g.policy.n = 17, g.policy.k = 1));
    NO_STREAM(g.policy.k = 0);
    NO_STREAM(g.policy.k = 3);
    NO_STREAM(g.policy.threshold_ppm[1] = 1000001);
    NO_STREAM(g.bins[3].centre = infinite);
    NO_STREAM(g.bins[3].scale = infinite);
    NO_STREAM(g.bins[3].scale = 0);
    NO_STREAM(g.bins[3].n_bins = 0);
    NO_STREAM(g.bins[3].n_bins = 65);
    NO_STREAM(g.bins[3].edges = NULL);
    NO_STREAM(g.bins[3].edges = equal);
    NO_STREAM(g.bins[3].edges = bad);
    NO_STREAM(g.c.model = &narrow);
    NO_STREAM(g.c.model = &other);
    const er_field field = {ER_NUMBER, 0};
    const er_row_program none = {0};
    static er_cell many[1023];
    for (int i = 0; i < 1023; i++) many[i] = (er_cell){.op = 2000};
    const er_row_program wide = {1, 0, 1023, 0, &field, NULL, many};
    NO_STREAM(g.c.rows = &none);
    NO_STREAM(g.c.rows = &wide);
    NO_STREAM(g.p = ((er_program){.rate_hz = 1, .window = 1, .hop = 1}));
}

static void test_votes_thresholds_ties_and_hold(void)
{
    const er_policy p = {2, 1, 1, 2, {500000, 500000}};
    const double tie[] = {0.5, 0.5}, low[] = {0.4, 0.3}, high[] = {0.1, 0.9};
    int32_t vote;
    float margin;
    er_votes v;
    CHECK(er_policy_vote(&p, tie, &vote, &margin) && vote == 0 && margin == 0.0f);
    CHECK(er_policy_vote(&p, low, &vote, &margin) && vote == ER_ABSTAIN && margin > 0.09f);
    CHECK(er_policy_vote(&p, high, &vote, &margin) && vote == 1 && margin == 0.8f);
    const er_policy any = {2, 1, 1, 0, {0, 0}};
    const double negative[] = {-3.0, -2.0};
    CHECK(er_policy_vote(&any, negative, &vote, &margin) && vote == 1 && margin == 1.0f);
    CHECK(er_policy_vote(&p, negative, &vote, &margin) && vote == ER_ABSTAIN);
    er_votes_reset(&v);
    CHECK(er_policy_label(&p, &v, 0) == 0 && er_policy_label(&p, &v, 1) == 0);
    CHECK(er_policy_label(&p, &v, 1) == 1 && er_policy_label(&p, &v, 1) == 1);
}

/* ---- calls ---- */

static void test_calls_with_wrong_arguments_do_nothing(void)
{
    rig g = good();
    er_stream *s = start(&g), *other;
    const float x[2 * WINDOW] = {0};
    const double scores[CLASSES] = {0.5, 0.5};
    const size_t size = er_stream_save_size(s);
    uint32_t taken, labels[CLASSES + 1], counts[4];
    uint64_t *saved = malloc(size);
    er_tally t;
    er_decision d;
    er_clock_counts clock;
    CHECK(er_stream_init(NULL, &g.c, s, size) == ER_EINVAL);
    CHECK(er_stream_init(&other, &g.c, NULL, size) == ER_EINVAL);
    CHECK(er_stream_init(&other, &g.c, (char *)s + 4, size) == ER_EINVAL);
    CHECK(er_step(NULL, x, 1, &taken, &d) == ER_EINVAL);
    CHECK(er_step(s, x, 1, NULL, &d) == ER_EINVAL && er_step(s, x, 1, &taken, NULL) == ER_EINVAL);
    CHECK(er_step(s, NULL, 1, &taken, &d) == ER_EINVAL);
    CHECK(er_step(s, NULL, 0, &taken, &d) == ER_AGAIN && taken == 0);
    CHECK(er_decide(s, scores, &d) == ER_EINVAL);
    CHECK(er_stream_clock(NULL, &clock) == ER_EINVAL && er_stream_clock(s, NULL) == ER_EINVAL);
    CHECK(er_stream_clock(s, &clock) == ER_OK && clock.filled == 0);
    CHECK(er_stream_save_size(NULL) == 0 && er_stream_save(NULL, saved, size) == ER_EINVAL);
    CHECK(er_stream_save(s, NULL, size) == ER_EINVAL);
    CHECK(er_stream_save(s, saved, size - 1) == ER_ENOSPC);
    CHECK(er_stream_save(s, saved, size) == ER_OK);
    CHECK(er_stream_restore(NULL, saved, size) == ER_EINVAL);
    CHECK(er_stream_restore(s, NULL, size) == ER_EINVAL);
    CHECK(er_stream_restore(s, (char *)saved + 1, size) == ER_EINVAL);
    CHECK(er_summary_row(NULL, 0, &t, counts, 4) == ER_EINVAL);
    CHECK(er_summary_row(s, 0, NULL, counts, 4) == ER_EINVAL);
    CHECK(er_summary_row(s, 0, &t, NULL, 4) == ER_EINVAL);
    CHECK(er_summary_row(s, 4, &t, counts, 4) == ER_EINVAL);
    CHECK(er_summary_row(s, 3, &t, counts, 4) == ER_OK && t.n == 0);
    CHECK(er_summary_labels(NULL, labels, 3) == ER_EINVAL);
    CHECK(er_summary_labels(s, NULL, 3) == ER_EINVAL);
    CHECK(er_summary_labels(s, labels, 2) == ER_ENOSPC);
    er_summary_reset(NULL);
    CHECK(er_step(s, x, WINDOW, &taken, &d) == ER_SCORES);
    CHECK(er_step(s, x, 1, &taken, &d) == ER_EINVAL);
    CHECK(er_stream_save(s, saved, size) == ER_EINVAL);
    CHECK(er_decide(NULL, scores, &d) == ER_EINVAL && er_decide(s, NULL, &d) == ER_EINVAL);
    CHECK(er_decide(s, scores, NULL) == ER_EINVAL && er_decide(s, scores, &d) == ER_OK);
    CHECK(er_summary_labels(s, labels, 3) == ER_OK && labels[d.label] == 1);
    free(s), free(saved);
}

static void test_a_full_period_counts_no_more(void)
{
    rig g = good();
    er_stream *s = start(&g);
    float x[2 * WINDOW] = {0};
    const double scores[CLASSES] = {1e30, -1e30};
    uint32_t taken, labels[CLASSES + 1], counts[4];
    er_decision d;
    er_tally t;
    CHECK(er_step(s, x, WINDOW, &taken, &d) == ER_SCORES && er_decide(s, scores, &d) == ER_OK);
    CHECK(er_summary_row(s, 2, &t, counts, 4) == ER_OK && t.last == ER_Z_LIMIT);
    CHECK(er_summary_row(s, 3, &t, counts, 4) == ER_OK && t.last == -ER_Z_LIMIT);
    CHECK(d.flags == 0); /* a score may be far off, a feature may not */
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = 1e9f;
    CHECK(er_step(s, x, 4, &taken, &d) == ER_SCORES && er_decide(s, scores, &d) == ER_OK);
    CHECK(d.flags == ER_FLAG_RANGE);
    s->state->counted = ER_PERIOD_WINDOWS;
    CHECK(er_step(s, x, 4, &taken, &d) == ER_SCORES && er_decide(s, scores, &d) == ER_OK);
    CHECK(er_summary_row(s, 3, &t, counts, 4) == ER_OK && t.n == 2);
    CHECK(er_summary_labels(s, labels, 3) == ER_OK && labels[0] + labels[1] + labels[2] == 2);
    free(s);
}

/* Bins at both ends and where the mantissa begins to be cut; a full count stays full. */
static void test_a_sketch_counts_each_time_in_its_bin(void)
{
    static const struct {
        uint64_t ns;
        uint32_t bin;
    } known[] = {{0, 0},
                 {1, 1},
                 {2, 18},
                 {3, 28},
                 {65535, 280},
                 {65536, 281},
                 {131073, 298},
                 {1000000, 349},
                 {(1ull << 40) - 1, 700},
                 {1ull << 40, 700},
                 {UINT64_MAX, 700}};
    uint32_t counts[ER_SKETCH_BINS] = {0};
    CHECK(er_sketch_add(NULL, 1) == ER_EINVAL);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const uint32_t before = counts[known[i].bin];
        CHECK(er_sketch_add(counts, known[i].ns) == ER_OK);
        CHECK(counts[known[i].bin] == before + 1);
    }
    counts[1] = UINT32_MAX;
    CHECK(er_sketch_add(counts, 1) == ER_OK && counts[1] == UINT32_MAX);
}

/* Each word of a saved state made absurd, its checksum right. */
static void test_a_filter_checks_its_own_state(void)
{
    enum { HEADER = 32, CHECK_AT = 24 };
    rig g = good();
    g.filters[0] = (er_filter){.op = 1012, .n_from = 1, .param = {5}}; /* moving_median */
    er_stream *s = start(&g);
    const size_t size = er_stream_save_size(s);
    unsigned char *bytes = malloc(size), *bad = malloc(size);
    const size_t filters = HEADER + s->block_bytes;
    uint32_t refused = 0;
    CHECK(er_stream_save(s, bytes, size) == ER_OK);
    for (size_t at = HEADER; at + 4 <= size; at += 4) {
        memcpy(bad, bytes, size);
        memset(bad + at, 0x7f, 4);
        const uint64_t check = er_hash(0, bad + HEADER, size - HEADER);
        memcpy(bad + CHECK_AT, &check, sizeof check);
        const er_status status = er_stream_restore(s, bad, size);
        CHECK(status == ER_OK || status == ER_EFORMAT);
        refused += at >= filters && status == ER_EFORMAT;
    }
    CHECK(refused > 0);
    free(s), free(bytes), free(bad);
}

/* ---- adopt ---- */

#define NOT_ADOPTED(change)                                                                        \
    do {                                                                                           \
        rig g = good();                                                                            \
        change;                                                                                    \
        er_stream *next = start(&g);                                                               \
        CHECK(er_stream_adopt(next, s) == ER_EMISMATCH);                                           \
        free(next);                                                                                \
    } while (0)

static void test_only_a_stream_of_the_same_frames_is_adopted(void)
{
    rig base = good();
    er_stream *s = start(&base);
    rig same = good();
    er_stream *to = start(&same);
    CHECK(er_stream_adopt(to, s) == ER_OK);
    CHECK(er_stream_adopt(NULL, s) == ER_EINVAL && er_stream_adopt(to, NULL) == ER_EINVAL);
    CHECK(er_stream_adopt(s, s) == ER_EINVAL);
    const float x[2 * WINDOW] = {0};
    uint32_t taken;
    er_decision d;
    NOT_ADOPTED(g.p.rate_hz = 21);
    NOT_ADOPTED((g.p.n_channels = 1, g.features[1].channel = 1));
    NOT_ADOPTED(g.p.window = 12);
    NOT_ADOPTED(g.p.hop = 8);
    NOT_ADOPTED((g.p.n_filters = 0, g.features[1].channel = 1));
    NOT_ADOPTED((g.p.timing.policy = 1, g.p.timing.most = 5));
    NOT_ADOPTED(g.channels[1].scale = 2);
    NOT_ADOPTED(g.channels[1].offset = 2);
    NOT_ADOPTED(g.channels[1].every = 2);
    NOT_ADOPTED(g.filters[0].op = 1007);
    NOT_ADOPTED(g.filters[0].from[0] = 1);
    NOT_ADOPTED(g.filters[0].param[0] = 3);
    CHECK(er_step(s, x, WINDOW, &taken, &d) == ER_SCORES);
    CHECK(er_stream_adopt(to, s) == ER_EINVAL);
    free(s), free(to);
    rig two = good(), one = good();
    two.filters[0] = one.filters[0] = (er_filter){.op = 1014, .n_from = 3, .from = {0, 1}};
    one.filters[0].n_from = 2;
    s = start(&two), to = start(&one);
    CHECK(er_stream_adopt(to, s) == ER_EMISMATCH);
    free(s), free(to);
}

/* ---- forest ---- */

static uint64_t file[1024], altered[1024];

static er_status opened(size_t at, const void *bytes, size_t n, size_t size)
{
    er_model f;
    memcpy(altered, file, sizeof file);
    memcpy((unsigned char *)altered + at, bytes, n);
    return er_model_open(&f, altered, size);
}

static void test_a_forest_out_of_range_is_refused(void)
{
    enum { TREES = 3, NODES_AT = 32 + 16, LEAVES_AT = NODES_AT + TREES * 7 * 8 };
    uint64_t rng = 8;
    er_model f;
    double scores[2];
    const float x[2] = {0};
    const size_t size = make_forest(&rng, file, sizeof file, 2, 2, TREES);
    const uint16_t none = 0, many = 65535, one = 1;
    const uint32_t zero = 0, huge = 0xffffffffu, nan = 0x7fc00000u, few = 2, first = 1;
    const uint64_t infinite_double = UINT64_C(0x7ff0000000000000);
    CHECK(opened(0, "ERF1", 4, size) == ER_OK);
    CHECK(opened(0, "ERF2", 4, size) == ER_EFORMAT);
    CHECK(opened(4, &none, 2, size) == ER_EFORMAT && opened(4, &many, 2, size) == ER_EFORMAT);
    CHECK(opened(6, &none, 2, size) == ER_EFORMAT && opened(6, &many, 2, size) == ER_EFORMAT);
    CHECK(opened(8, &zero, 4, size) == ER_EFORMAT && opened(8, &huge, 4, size) == ER_EFORMAT);
    CHECK(opened(12, &few, 4, size) == ER_EFORMAT && opened(12, &huge, 4, size) == ER_EFORMAT);
    CHECK(opened(16, &zero, 4, size) == ER_EFORMAT && opened(16, &huge, 4, size) == ER_EFORMAT);
    CHECK(opened(16, &few, 4, size) == ER_EFORMAT);
    CHECK(opened(20, &first, 4, size) == ER_EFORMAT && opened(24, &few, 4, size) == ER_EFORMAT);
    CHECK(opened(32, &first, 4, size) == ER_EFORMAT); /* the first root is 0 */
    CHECK(opened(36, &huge, 4, size) == ER_EFORMAT && opened(36, &zero, 4, size) == ER_EFORMAT);
    CHECK(opened(32 + 12, &first, 4, size) == ER_EFORMAT);    /* the gap */
    CHECK(opened(NODES_AT, &nan, 4, size) == ER_EFORMAT);     /* a threshold */
    CHECK(opened(NODES_AT + 4, &few, 2, size) == ER_EFORMAT); /* its feature */
    CHECK(opened(NODES_AT + 6, &one, 2, size) == ER_EFORMAT); /* its child */
    CHECK(opened(NODES_AT + 6, &many, 2, size) == ER_EFORMAT);
    CHECK(opened(NODES_AT + 16, &huge, 4, size) == ER_EFORMAT); /* a leaf */
    CHECK(opened(NODES_AT + 16 + 6, &one, 2, size) == ER_EFORMAT);
    CHECK(opened(LEAVES_AT, &infinite_double, 8, size) == ER_EFORMAT);
    CHECK(er_model_open(NULL, file, size) == ER_EINVAL);
    CHECK(er_model_open(&f, NULL, size) == ER_EINVAL);
    CHECK(er_model_open(&f, (char *)file + 4, size) == ER_EINVAL);
    CHECK(er_model_open(&f, file, 31) == ER_EFORMAT);
    CHECK(er_model_open(&f, file, size) == ER_OK);
    CHECK(er_model_run(NULL, x, NULL, scores) == ER_EINVAL);
    CHECK(er_model_run(&f, NULL, NULL, scores) == ER_EINVAL);
    CHECK(er_model_run(&f, x, NULL, NULL) == ER_EINVAL);
}

/* ---- words and the FPU ---- */

static void test_every_status_has_words_of_its_own(void)
{
    static const er_status all[] = {ER_OK,     ER_AGAIN, ER_SCORES, ER_EFPU,      ER_EINVAL,
                                    ER_ENOSPC, ER_ERATE, ER_EOP,    ER_EMISMATCH, ER_EFORMAT};
    const size_t n = sizeof all / sizeof *all;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(er_status_text(all[i]), er_status_text(all[k])) != 0);
    CHECK(strcmp(er_status_text((er_status)99), "unknown status") == 0);
}

static void test_an_fpu_that_flushes_denormals_is_seen(void)
{
    CHECK(er_fpu_check() == ER_OK);
#ifdef __SSE__
    const unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8000u); /* FTZ */
    CHECK(er_fpu_check() == ER_EFPU);
    __builtin_ia32_ldmxcsr(before | 0x0040u); /* DAZ */
    CHECK(er_fpu_check() == ER_EFPU);
    __builtin_ia32_ldmxcsr(before);
    CHECK(er_fpu_check() == ER_OK);
#endif
}

int main(void)
{
    test_a_program_out_of_range_is_refused();
    test_a_program_without_channels_has_nothing_of_frames();
    test_parameters_out_of_range_are_refused();
    test_rates_of_two_channels();
    test_a_config_out_of_range_is_refused();
    test_votes_thresholds_ties_and_hold();
    test_calls_with_wrong_arguments_do_nothing();
    test_a_full_period_counts_no_more();
    test_a_sketch_counts_each_time_in_its_bin();
    test_a_filter_checks_its_own_state();
    test_only_a_stream_of_the_same_frames_is_adopted();
    test_a_forest_out_of_range_is_refused();
    test_every_status_has_words_of_its_own();
    test_an_fpu_that_flushes_denormals_is_seen();
    return 0;
}
