/* The step `trees_paired`: the leaves that a plain walk reaches, and every field of the constants
 * checked. */
#include "model.h"

enum { N = 6, M = 3, N_TREES = 23, MOST_INNER = 160, N_LEAVES = 11 };
enum { NAN_LEFT = 1, FLOATS = 2, LEAF = -1, MOST = N_TREES * (2 * MOST_INNER + 1) };

static uint64_t rng = 7;
static uint32_t most_inner = 20; /* small trees and large ones walk differently */
static unsigned char *file = (unsigned char *)made.file;

/* What the file says, plainly: a node's left child, the right one behind it; LEAF: it has none. */
static struct {
    int root[N_TREES + 1], child[MOST], n_nodes;
    uint32_t leaf[MOST], feature[MOST], to[N_TREES];
    uint8_t nan_left[MOST];
    float threshold[MOST];
    double base[M], value[N_LEAVES * M];
} plain;

/* Where the parts of the constants stand in the file. */
static size_t head_at, base_at, roots_at, to_at, nodes_at, leaves_at, is_left_at;

/* Leaves become inner nodes, one of them at a time. */
static void invent(void)
{
    plain.n_nodes = 0;
    for (int t = 0; t < N_TREES; t++) {
        const int first = plain.root[t] = plain.n_nodes++;
        plain.child[first] = LEAF;
        for (uint32_t inner = rng_below(&rng, most_inner + 1); inner; inner--) {
            int at = first;
            while (plain.child[at] != LEAF)
                at = plain.child[at] + !!rng_below(&rng, 4); /* to some leaf, mostly a deep one */
            plain.child[at] = plain.n_nodes;
            plain.child[plain.n_nodes] = plain.child[plain.n_nodes + 1] = LEAF;
            plain.n_nodes += 2;
        }
    }
    plain.root[N_TREES] = plain.n_nodes;
    for (int i = 0; i < plain.n_nodes; i++) {
        plain.leaf[i] = rng_below(&rng, N_LEAVES);
        plain.feature[i] = rng_below(&rng, N);
        plain.nan_left[i] = (uint8_t)rng_below(&rng, 2);
        plain.threshold[i] = 0.25f * (float)((int)rng_below(&rng, 7) - 3);
    }
}

static void part_nodes(void)
{
    for (int i = 0; i < plain.n_nodes; i++) {
        if (plain.child[i] == LEAF)
            part_u32(plain.leaf[i]), part_u16(N), part_u16(0);
        else
            part_float(plain.threshold[i]), part_u16((uint16_t)plain.feature[i]),
                part_u16((uint16_t)(plain.child[i] - i));
    }
}

/* Over the values of an affine step that changes nothing, or by_row over the features. */
static er_status make(uint16_t width, uint16_t flags, int by_row)
{
    const double zeros[N] = {0}, base[M] = {0.25, -1.0, 3.0};
    invent();
    model_begin();
    part_doubles(zeros, N);
    model_step(AFFINE, 1, 0, N, N, N);
    part_u32(N_TREES), part_u32((uint32_t)plain.n_nodes), part_u32(N_LEAVES);
    part_u16(width), part_u16(flags);
    base_at = part.n;
    part_doubles(base, M);
    memcpy(plain.base, base, sizeof base);
    roots_at = part.n;
    for (int t = 0; t < N_TREES; t++) part_u32((uint32_t)plain.root[t]);
    part_pad();
    to_at = part.n;
    for (int t = 0; t < N_TREES; t++) {
        plain.to[t] = rng_below(&rng, M - width + 1u);
        part_u16((uint16_t)plain.to[t]);
    }
    part_pad();
    nodes_at = part.n;
    part_nodes();
    leaves_at = part.n;
    for (uint32_t i = 0; i < N_LEAVES * M; i++) plain.value[i] = (double)rng_unit(&rng) / 3.0;
    part_doubles(plain.value, (size_t)N_LEAVES * width);
    is_left_at = part.n;
    for (int i = 0; flags & NAN_LEFT && i < plain.n_nodes; i += 8) {
        uint8_t bits = 0;
        for (int k = 0; k < 8 && i + k < plain.n_nodes; k++)
            bits = (uint8_t)(bits | plain.nan_left[i + k] << k);
        part_add(&bits, 1);
    }
    part_pad();
    head_at = 40 + 2 * 40 + 8 * N;
    model_step(TREES_PAIRED, 0, by_row ? 0 : N, N, 2 * N, M);
    return model_end(N, M, 2 * N + M, 2 * N, 1);
}

static void expect(const float *x, uint16_t width, uint16_t flags)
{
    double got[M], want[M];
    memcpy(want, plain.base, sizeof want);
    for (int t = 0; t < N_TREES; t++) {
        int at = plain.root[t];
        while (plain.child[at] != LEAF) {
            const float v = x[plain.feature[at]];
            const int left =
                v != v ? flags & NAN_LEFT && plain.nan_left[at] : v <= plain.threshold[at];
            at = plain.child[at] + !left;
        }
        for (uint32_t c = 0; c < width; c++) {
            double *sum = &want[plain.to[t] + c];
            *sum += plain.value[plain.leaf[at] * width + c];
            if (flags & FLOATS) *sum = (double)(float)*sum;
        }
    }
    model_run(x, got);
    CHECK(memcmp(got, want, sizeof want) == 0);
}

static void test_a_row_reaches_the_leaves_of_a_plain_walk(void)
{
    for (int round = 0; round < 600; round++) {
        const uint16_t width = (uint16_t)(1 + round % M), flags = (uint16_t)(round / 3 % 4);
        most_inner = round % 5 ? 20 : MOST_INNER;
        CHECK(make(width, flags, round % 2) == ER_OK);
        for (int row = 0; row < 20; row++) {
            float x[N];
            for (int i = 0; i < N; i++) { /* on a threshold, a float beside it; missing */
                const float t = 0.25f * (float)((int)rng_below(&rng, 7) - 3);
                const uint32_t how = rng_below(&rng, row % 2 ? 7 : 3);
                x[i] = how == 0 ? t : how == 1 ? __builtin_nextafterf(t, 9.0f) : rng_unit(&rng);
                if (how == 5) x[i] = __builtin_nanf("");
                if (how == 6) x[i] = rng_below(&rng, 2) ? __builtin_inff() : -__builtin_inff();
            }
            expect(x, width, flags);
        }
    }
    most_inner = 20;
}

static void refuse(uint16_t flags, size_t at, uint64_t value, size_t n)
{
    er_model m;
    memcpy(file + head_at + at, &value, n);
    CHECK(er_model_open(&m, file, made.size) == ER_EFORMAT);
    CHECK(make(2, flags, 1) == ER_OK);
}

/* The first node that is a leaf, or is none. */
static size_t node_at(int is_leaf)
{
    int i = 0;
    while ((plain.child[i] == LEAF) != is_leaf) i++;
    return nodes_at + 8 * (size_t)i;
}

/* Nodes from that one to the end of its tree. */
static int rest_of(size_t at)
{
    const int i = (int)((at - nodes_at) / 8);
    int t = 0;
    while (plain.root[t + 1] <= i) t++;
    return plain.root[t + 1] - i;
}

static void test_fields_out_of_range_are_refused(void)
{
    const uint64_t inf = UINT64_C(0x7ff0000000000000);
    for (uint16_t flags = 0; flags <= NAN_LEFT; flags++) {
        CHECK(make(2, flags, 1) == ER_OK);
        refuse(flags, 0, 0, 4);
        refuse(flags, 0, 65536, 4);
        refuse(flags, 0, N_TREES - 2, 4); /* sizes do not add up */
        refuse(flags, 4, N_TREES - 1, 4);
        refuse(flags, 4, (1 << 28) + 1, 4);
        refuse(flags, 8, 0, 4);
        refuse(flags, 8, (1 << 28) + 1, 4);
        refuse(flags, 12, 0, 2);
        refuse(flags, 12, M + 1, 2);
        refuse(flags, 14, 4, 2);
        refuse(flags, base_at, inf, 8);
        refuse(flags, leaves_at, inf, 8);
        refuse(flags, roots_at, 1, 4);
        refuse(flags, roots_at + 4, 0, 4);          /* a tree without a node */
        refuse(flags, roots_at + 4, 0x10000000, 4); /* more nodes than there are */
        refuse(flags, roots_at + 4 * N_TREES, 1, 1);
        refuse(flags, to_at, M - 1, 2);
        refuse(flags, to_at + 2 * N_TREES, 1, 1);
        refuse(flags, node_at(1), N_LEAVES, 4);
        refuse(flags, node_at(1) + 4, N - 1, 2);
        refuse(flags, node_at(0) + 4, N, 2);
        refuse(flags, node_at(0), 0x7fc00000, 4);
        refuse(flags, node_at(0) + 6, 0xffff, 2);
        refuse(flags, node_at(0) + 6, (uint64_t)(rest_of(node_at(0)) - 1), 2);
    }
    const int last = plain.root[N_TREES] - 1;
    refuse(NAN_LEFT, nodes_at + 8 * (size_t)last + 6, 1, 2);   /* its children are behind the end */
    while (plain.n_nodes % 64 == 0 || plain.n_nodes % 64 > 48) /* until there is a gap */
        CHECK(make(2, NAN_LEFT, 1) == ER_OK);
    refuse(NAN_LEFT, is_left_at + (size_t)plain.n_nodes / 8 + 1, 1, 1);
}

static void test_the_step_itself_is_checked(void)
{
    model_begin();
    part_u32(1), part_u32(1);
    model_step(TREES_PAIRED, 0, 0, 2, 2, 1);
    CHECK(model_end(2, 1, 3, 2, 0) == ER_EFORMAT); /* less than a head */
    model_begin();
    for (uint32_t to = 1000; to < 3000; to += 1000) model_step(UNARY, 1, to - 1000, 1000, to, 1000);
    for (int i = 0; i < 8; i++) part_u32(1);
    model_step(TREES_PAIRED, 0, 0, 1025, 3000, 1);
    CHECK(model_end(1000, 1, 3001, 3000, 0) == ER_EFORMAT); /* more values than indices */
}

static void test_altered_bytes_are_refused_or_harmless(void)
{
    static uint64_t whole[MODEL_WORDS];
    const float x[N] = {0.1f, -0.2f, __builtin_nanf(""), 0.0f, 1.0f};
    uint32_t n_opened = 0;
    for (int round = 0; round < 20000; round++) {
        double scores[64];
        if (round % 1000 == 0) {
            CHECK(make(2, (uint16_t)(round / 1000 % 4), 0) == ER_OK);
            memcpy(whole, made.file, made.size);
        }
        memcpy(made.file, whole, made.size);
        for (uint32_t k = 0; k <= rng_below(&rng, 3); k++)
            file[rng_below(&rng, (uint32_t)made.size)] ^= (unsigned char)(1u << rng_below(&rng, 8));
        if (er_model_open(&made.m, file, made.size) != ER_OK || made.m.n_features > N ||
            er_model_size(&made.m) > sizeof made.scratch)
            continue;
        n_opened++;
        CHECK(er_model_run(&made.m, x, made.scratch, scores) == ER_OK);
    }
    CHECK(n_opened > 0);
}

int main(void)
{
    test_a_row_reaches_the_leaves_of_a_plain_walk();
    test_fields_out_of_range_are_refused();
    test_the_step_itself_is_checked();
    test_altered_bytes_are_refused_or_harmless();
    return 0;
}
