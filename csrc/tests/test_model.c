/* Every rule of a model's file is checked, and every kind of step computes what FORMAT.md says:
 * each expected value here is written a second time, plainly. */
#include <math.h>

#include "model.h"

/* ---- the file ---- */

static unsigned char *file = (unsigned char *)made.file;

/* unary relu over 3 features, in place once more: two steps without constants. */
static void plain(void)
{
    model_begin();
    model_step(UNARY, 1, 0, 3, 3, 3);
    model_step(UNARY, 6, 3, 3, 3, 3);
    CHECK(model_end(3, 2, 6, 4, 1) == ER_OK);
}

static er_status with(size_t at, uint64_t value, size_t n)
{
    plain();
    memcpy(file + at, &value, n);
    return er_model_open(&made.m, file, made.size);
}

#define REFUSED(at, value, n) CHECK(with(at, value, n) == ER_EFORMAT)

static void test_a_header_out_of_range_is_refused(void)
{
    er_model m;
    double scores[2];
    const float x[3] = {1.0f, -2.0f, 3.0f};
    plain();
    CHECK(made.m.n_steps == 2 && made.m.n_features == 3 && made.m.n_outputs == 2);
    CHECK(made.m.flags == ER_MODEL_TAKES_NAN && er_model_size(&made.m) == 48);
    CHECK(er_model_size(NULL) == 0);
    model_run(x, scores);
    CHECK(scores[0] == 0.0 && scores[1] == -3.0);
    for (size_t cut = 0; cut < made.size; cut++) CHECK(er_model_open(&m, file, cut) == ER_EFORMAT);
    CHECK(er_model_open(NULL, file, made.size) == ER_EINVAL);
    CHECK(er_model_open(&m, NULL, made.size) == ER_EINVAL);
    CHECK(er_model_open(&m, file + 4, made.size) == ER_EINVAL);
    CHECK(er_model_run(NULL, x, made.scratch, scores) == ER_EINVAL);
    CHECK(er_model_run(&made.m, NULL, made.scratch, scores) == ER_EINVAL);
    CHECK(er_model_run(&made.m, x, NULL, scores) == ER_EINVAL);
    CHECK(er_model_run(&made.m, x, (char *)made.scratch + 4, scores) == ER_EINVAL);
    CHECK(er_model_run(&made.m, x, made.scratch, NULL) == ER_EINVAL);
    REFUSED(0, 0x324d5245, 4); /* ERM2 */
    REFUSED(4, 0, 2);
    REFUSED(4, 1025, 2);
    REFUSED(6, 0, 2);
    REFUSED(6, 65, 2);
    REFUSED(8, 0, 4);
    REFUSED(8, 4097, 4);
    REFUSED(8, 3, 4);
    REFUSED(12, 3, 4);
    REFUSED(12, 65537, 4);
    REFUSED(12, 5, 4);
    REFUSED(16, 2, 4);
    REFUSED(16, 5, 4);
    REFUSED(16, 0xffffffff, 4);
    REFUSED(20, 2, 4);
    REFUSED(24, 1 << 20, 8);
    REFUSED(32, 1, 8);
}

static void test_a_step_out_of_range_is_refused(void)
{
    enum { FIRST = 40, SECOND = 80 };
    CHECK(with(FIRST, 2999, 2) == ER_EOP && with(FIRST, 3999, 2) == ER_EOP);
    REFUSED(FIRST + 2, 0, 2);
    REFUSED(FIRST + 2, 9, 2);
    REFUSED(FIRST + 4, 1, 4);
    REFUSED(FIRST + 4, 0xffffffff, 4); /* from */
    REFUSED(FIRST + 8, 0, 4);
    REFUSED(FIRST + 8, 2, 4); /* n */
    REFUSED(FIRST + 8, 4, 4);
    REFUSED(FIRST + 8, 0xffffffff, 4); /* not written yet */
    REFUSED(FIRST + 12, 2, 4);
    REFUSED(FIRST + 12, 0, 4); /* on the features */
    REFUSED(FIRST + 12, 4, 4);
    REFUSED(FIRST + 12, 0xfffffffe, 4); /* a hole, past the end */
    REFUSED(FIRST + 16, 0, 4);
    REFUSED(FIRST + 16, 2, 4);
    REFUSED(FIRST + 16, 4, 4);
    REFUSED(FIRST + 20, 1, 4); /* reserved */
    REFUSED(FIRST + 24, 120, 8);
    REFUSED(FIRST + 32, 8, 8); /* no constants: no place */
    REFUSED(SECOND + 4, 2, 4); /* overlap from below */
    CHECK(with(SECOND + 4, 0, 4) == ER_OK);
}

/* Reading where it writes is for the kinds that say so; behind what it writes is no overlap. */
static void test_overlap_is_judged_by_the_kind_of_step(void)
{
    const double w[6] = {0};
    model_begin();
    model_step(UNARY, 1, 0, 2, 2, 2);
    part_doubles(w, 6);
    model_step(DENSE, 0, 2, 2, 2, 2);
    CHECK(model_end(2, 2, 4, 2, 0) == ER_EFORMAT);
    model_begin();
    model_step(UNARY, 1, 0, 2, 2, 2);
    model_step(UNARY, 1, 0, 2, 4, 2);
    model_step(PAIR, 0, 4, 1, 2, 2);
    CHECK(model_end(2, 2, 6, 2, 0) == ER_OK);
    model_begin(); /* a hole: nobody writes value 2 */
    model_step(PAIR, 0, 0, 1, 3, 2);
    CHECK(model_end(2, 2, 5, 3, 0) == ER_EFORMAT);
    for (uint32_t from = 2; from < 4; from++) {
        model_begin();
        model_step(UNARY, 1, 0, 2, 2, 2);
        model_step(PAIR, 0, from, 1, 2, 2);
        CHECK(model_end(2, 2, 6, 2, 0) == ER_EFORMAT);
    }
    model_begin();
    model_step(UNARY, 1, 0, 2, 2, 2);
    model_step(PAIR, 0, 3, 1, 2, 2);
    CHECK(model_end(2, 2, 6, 2, 0) == ER_EFORMAT);
}

/* Constants out of their place; the size of the file past their end. */
static void test_constants_lie_one_after_another(void)
{
    const double k[2] = {1.0, 2.0};
    er_model m;
    const float x[2] = {5.0f, 7.0f};
    double scores[2];
    model_begin();
    part_doubles(k, 2);
    model_step(AFFINE, 1, 0, 2, 2, 2);
    part_doubles(k, 2);
    model_step(AFFINE, 8, 2, 2, 2, 2);
    CHECK(model_end(2, 2, 4, 2, 0) == ER_OK);
    model_run(x, scores);
    CHECK(scores[0] == 5.0 && scores[1] == 7.0);
    for (int bad = 0; bad < 4; bad++) {
        static const size_t at[] = {40 + 24, 80 + 24, 80 + 32, 80 + 32};
        static const uint64_t value[] = {128, 120, 12, 24};
        CHECK(model_end(2, 2, 4, 2, 0) == ER_OK);
        memcpy(file + at[bad], &value[bad], 8);
        CHECK(er_model_open(&m, file, made.size) == ER_EFORMAT);
    }
    CHECK(model_end(2, 2, 4, 2, 0) == ER_OK);
    const uint64_t longer = made.size + 8;
    memcpy(file + 24, &longer, 8);
    CHECK(er_model_open(&m, file, longer) == ER_EFORMAT);
}

/* ---- trees ---- */

enum { FEATURES = 4, OUTPUTS = 3, N_TREES = 11, PER_TREE = 7, LEAVES = 16 };
enum { CONSTANTS = 40 + 2 * 40 + 8 * FEATURES, BASE = CONSTANTS + 16, ROOTS = BASE + 8 * OUTPUTS };
enum { COLUMNS = ROOTS + 48, NODES = COLUMNS + 24, LEAVES_AT = NODES + 8 * PER_TREE * N_TREES };

static uint64_t rng = 4;

/* Full trees of depth 2 over the values of an affine step that changes nothing (or, by_row, over
 * the features); each adds `width` values from its column on. */
static er_status make_trees(uint16_t width, uint16_t flags, int by_row)
{
    static const uint16_t right[PER_TREE] = {4, 2, 0, 0, 2, 0, 0};
    const double zeros[FEATURES] = {0}, base[OUTPUTS] = {0.25, -1.0, 3.0};
    model_begin();
    part_doubles(zeros, FEATURES);
    model_step(AFFINE, 1, 0, FEATURES, FEATURES, FEATURES);
    part_u32(N_TREES), part_u32(N_TREES * PER_TREE), part_u32(LEAVES);
    part_u16(width), part_u16(flags), part_doubles(base, OUTPUTS);
    for (uint32_t t = 0; t < N_TREES; t++) part_u32(t * PER_TREE);
    part_pad();
    for (uint32_t t = 0; t < N_TREES; t++) part_u16((uint16_t)(t % (OUTPUTS - width + 1u)));
    part_pad();
    for (uint32_t i = 0; i < N_TREES * PER_TREE; i++) {
        const uint16_t away = right[i % PER_TREE], feature = (uint16_t)rng_below(&rng, FEATURES);
        const uint16_t left = (uint16_t)(flags & 1 ? rng_below(&rng, 2) << 15 : 0);
        if (away)
            part_float(rng_unit(&rng)), part_u16(feature | left);
        else
            part_u32(rng_below(&rng, LEAVES)), part_u16(0xffff);
        part_u16(away);
    }
    for (uint32_t i = 0; i < LEAVES * (uint32_t)width; i++) {
        const double value = (double)rng_unit(&rng);
        part_doubles(&value, 1);
    }
    model_step(TREES, 0, by_row ? 0 : FEATURES, FEATURES, 2 * FEATURES, OUTPUTS);
    return model_end(FEATURES, OUTPUTS, 2 * FEATURES + OUTPUTS, 2 * FEATURES, flags & 1);
}

/* The leaf of tree t. */
static uint32_t leaf_of(uint32_t t, const float *x)
{
    const unsigned char *node = file + NODES + 8 * (size_t)(t * PER_TREE);
    for (int deep = 0;; deep++) {
        uint16_t feature, right;
        float threshold;
        uint32_t leaf;
        memcpy(&threshold, node, 4), memcpy(&leaf, node, 4);
        memcpy(&feature, node + 4, 2), memcpy(&right, node + 6, 2);
        if (feature == 0xffff) return leaf;
        CHECK(deep < 3);
        const float v = x[feature & 0x7fff];
        node += 8 * (size_t)(v <= threshold || (v != v && feature >> 15) ? 1 : right);
    }
}

static void test_trees_add_in_order(void)
{
    for (int round = 0; round < 400; round++) {
        const uint16_t width = (uint16_t)(1 + round % OUTPUTS), flags = (uint16_t)(round / 3 % 4);
        float x[FEATURES];
        double got[OUTPUTS], want[OUTPUTS] = {0.25, -1.0, 3.0};
        CHECK(make_trees(width, flags, round % 2) == ER_OK);
        for (int i = 0; i < FEATURES; i++)
            x[i] = flags & 1 && rng_below(&rng, 4) == 0 ? __builtin_nanf("") : rng_unit(&rng);
        model_run(x, got);
        for (uint32_t t = 0; t < N_TREES; t++) {
            const double *leaf = (double *)made.file + LEAVES_AT / 8 + leaf_of(t, x) * width;
            for (uint32_t c = 0; c < width; c++) {
                double *sum = &want[t % (OUTPUTS - width + 1u) + c];
                *sum = flags & 2 ? (double)((float)*sum + (float)leaf[c]) : *sum + leaf[c];
            }
        }
        CHECK(memcmp(got, want, sizeof want) == 0);
    }
}

/* Without the flag a row with NaN goes right, as any comparison says. */
static void test_nan_goes_right_without_the_flag(void)
{
    const float x[FEATURES] = {__builtin_nanf(""), 0.1f, __builtin_nanf(""), -0.3f};
    double got[OUTPUTS], want[OUTPUTS] = {0.25, -1.0, 3.0};
    CHECK(make_trees(OUTPUTS, 0, 1) == ER_OK);
    model_run(x, got);
    for (uint32_t t = 0; t < N_TREES; t++)
        for (uint32_t c = 0; c < OUTPUTS; c++)
            want[c] += ((double *)made.file)[LEAVES_AT / 8 + leaf_of(t, x) * OUTPUTS + c];
    CHECK(memcmp(got, want, sizeof want) == 0);
}

static void refuse_trees(size_t at, uint64_t value, size_t n)
{
    er_model m;
    CHECK(make_trees(2, 0, 1) == ER_OK);
    memcpy(file + at, &value, n);
    CHECK(er_model_open(&m, file, made.size) == ER_EFORMAT);
}

static void test_trees_out_of_range_are_refused(void)
{
    static const struct {
        size_t at;
        uint64_t value;
        size_t n;
    } bad[] = {{CONSTANTS, 0, 4},
               {CONSTANTS, 0xffffffff, 4},
               {CONSTANTS + 4, 2, 4},
               {CONSTANTS + 4, 0xffffffff, 4},
               {CONSTANTS + 8, 0, 4},
               {CONSTANTS + 8, 0xffffffff, 4},
               {CONSTANTS + 8, LEAVES - 1, 4},
               {CONSTANTS + 12, 0, 2},
               {CONSTANTS + 12, OUTPUTS + 1, 2},
               {CONSTANTS + 14, 4, 2},
               {BASE, UINT64_C(0x7ff0000000000000), 8},
               {ROOTS, 1, 4},
               {ROOTS + 4, 0, 4},
               {ROOTS + 4, 0xffffffff, 4},
               {ROOTS + 4 * N_TREES, 1, 4}, /* the gap */
               {COLUMNS, OUTPUTS - 1, 2},
               {COLUMNS + 2 * N_TREES, 1, 2}, /* the gap */
               {NODES, 0x7fc00000, 4},
               {NODES + 4, FEATURES, 2},
               {NODES + 4, 0x8000, 2}, /* NaN goes left, and the flag is not set */
               {NODES + 6, 1, 2},
               {NODES + 6, PER_TREE, 2},
               {NODES + 16, LEAVES, 4},
               {NODES + 16 + 6, 1, 2},
               {LEAVES_AT, UINT64_C(0x7ff0000000000000), 8}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_trees(bad[i].at, bad[i].value, bad[i].n);
    model_begin();
    part_u32(1), part_u32(1);
    model_step(TREES, 0, 0, 2, 2, 1);
    CHECK(model_end(2, 1, 3, 2, 0) == ER_EFORMAT); /* less than a head */
    model_begin();
    for (uint32_t to = 1000; to < 3000; to += 1000) model_step(UNARY, 1, to - 1000, 1000, to, 1000);
    part_u32(1), part_u32(1), part_u32(1), part_u32(1);
    model_step(TREES, 0, 0, 1025, 3000, 1);
    CHECK(model_end(1000, 1, 3001, 3000, 0) == ER_EFORMAT); /* more values than indices */
}

static void test_altered_bytes_are_refused_or_harmless(void)
{
    static uint64_t whole[MODEL_WORDS];
    const float x[FEATURES] = {0.1f, -0.2f, __builtin_nanf(""), 0.0f};
    uint32_t n_opened = 0;
    CHECK(make_trees(2, 1, 0) == ER_OK);
    memcpy(whole, made.file, made.size);
    for (int round = 0; round < 20000; round++) {
        double scores[64];
        memcpy(made.file, whole, made.size);
        for (uint32_t k = 0; k <= rng_below(&rng, 3); k++)
            file[rng_below(&rng, (uint32_t)made.size)] ^= (unsigned char)(1u << rng_below(&rng, 8));
        if (er_model_open(&made.m, file, made.size) != ER_OK || made.m.n_features > FEATURES ||
            er_model_size(&made.m) > sizeof made.scratch)
            continue;
        n_opened++;
        CHECK(er_model_run(&made.m, x, made.scratch, scores) == ER_OK);
    }
    CHECK(n_opened > 0);
}

/* ---- in a stream ---- */

/* The decision on one window of one channel that holds x; the model is [1 - q, q], where q is x in
 * quarters and 1, and of NaN 1. */
static er_decision decided(float x, uint32_t flags, double *scores)
{
    static uint64_t memory[1 << 10];
    static const er_channel channel = {1.0f, 0.0f, 1, 0};
    static const er_feature feature = {.op = 5};
    static const er_policy policy = {2, 1, 1, 0, {0}};
    const er_program p = {.rate_hz = 1.0f,
                          .n_channels = 1,
                          .window = 2,
                          .hop = 2,
                          .n_features = 1,
                          .channels = &channel,
                          .features = &feature};
    const float frames[2] = {x, x};
    er_stream *s;
    er_decision d;
    uint32_t taken;
    model_begin();
    part_float(0.25f), part_u32(1);
    model_step(QUANTISE, 0, 0, 1, 1, 1);
    model_step(PAIR, 0, 1, 1, 2, 2);
    CHECK(model_end(1, 2, 4, 2, flags) == ER_OK);
    const er_config c = {.program = &p, .policy = &policy, .model = &made.m};
    const er_config none = {.program = &p, .policy = &policy};
    CHECK(er_stream_size(&c) == er_stream_size(&none) + er_model_size(&made.m));
    CHECK(er_stream_init(&s, &c, memory, sizeof memory) == ER_OK);
    CHECK(er_step(s, frames, 2, &taken, &d) == ER_OK);
    memcpy(scores, er_stream_scores(s), 2 * sizeof *scores);
    return d;
}

static void test_a_stream_asks_with_nan_only_a_model_that_takes_it(void)
{
    double scores[2];
    CHECK(decided(0.75f, 0, scores).label == 1 && scores[0] == -3.0);
    CHECK(decided(0.75f, ER_MODEL_TAKES_NAN, scores).label == 1 && scores[1] == 4.0);
    CHECK(decided(__builtin_nanf(""), 0, scores).flags == ER_FLAG_NAN && scores[1] != scores[1]);
    CHECK(decided(__builtin_nanf(""), ER_MODEL_TAKES_NAN, scores).flags == 0 && scores[1] == 1.0);
}

/* A tree that has one: NaN goes left, to 1. */
static void test_a_missing_value_is_decided_by_trees(void)
{
    const float x[1] = {__builtin_nanf("")};
    double got[1];
    const double leaves[2] = {1.0, 2.0}, base[1] = {0.0};
    part_u32(1), part_u32(3), part_u32(2), part_u16(1), part_u16(1), part_doubles(base, 1);
    part_u32(0), part_u32(0), part_u16(0), part_pad();
    part_float(0.5f), part_u16(0x8000), part_u16(2);
    part_u32(0), part_u16(0xffff), part_u16(0), part_u32(1), part_u16(0xffff), part_u16(0);
    part_doubles(leaves, 2);
    CHECK(model_of(TREES, 0, 1, 1) == ER_OK);
    model_run(x, got);
    CHECK(got[0] == 1.0);
}

int main(void)
{
    test_a_header_out_of_range_is_refused();
    test_a_step_out_of_range_is_refused();
    test_overlap_is_judged_by_the_kind_of_step();
    test_constants_lie_one_after_another();
    test_trees_add_in_order();
    test_nan_goes_right_without_the_flag();
    test_trees_out_of_range_are_refused();
    test_altered_bytes_are_refused_or_harmless();
    test_a_stream_asks_with_nan_only_a_model_that_takes_it();
    test_a_missing_value_is_decided_by_trees();
    return 0;
}
