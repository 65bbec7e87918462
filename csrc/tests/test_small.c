/* The step `trees_small`: the leaves that a plain walk over thresholds reaches, of every kind of
 * node, and every field of the constants checked. */
#include "model.h"

enum { N = 5, M = 3, N_TREES = 19, MOST_NODES = 9, MOST_COLUMNS = 2 * N, PER_COLUMN = 6 };
enum { NAN_LEFT = 1, FLOATS = 2, SHARED = 4, N_VECTORS = 7, N_VALUES = 5 };
enum { MOST = N_TREES * MOST_NODES, MOST_LEAVES = MOST + N_TREES };

static uint64_t rng = 9;
static unsigned char *file = (unsigned char *)made.file;

/* What the file says, plainly: nodes of all trees in order, children by number, -1: a leaf. */
static struct {
    int root[N_TREES], first[N_TREES], n_nodes, child[MOST][2], depth;
    uint32_t column[MOST], rank[MOST], to[N_TREES], leaf[MOST_LEAVES];
    uint8_t nan_left[MOST];
    float threshold[MOST_COLUMNS][PER_COLUMN];
    double base[M], value[MOST_LEAVES * M];
} plain;

/* Where the parts of the constants stand in the file. */
static size_t head_at, base_at, values_at, floats_at, columns_at, roots_at, to_at, leaves_at,
    vectors_at, nodes_at, is_left_at;

/* Nodes lo .. hi-1 as one random tree; returns its root. */
static int grow(int lo, int hi, int depth)
{
    if (lo == hi) return -1;
    const int at = lo + (int)rng_below(&rng, (uint32_t)(hi - lo));
    if (depth > plain.depth) plain.depth = depth;
    plain.child[at][0] = grow(lo, at, depth + 1);
    plain.child[at][1] = grow(at + 1, hi, depth + 1);
    return at;
}

static void invent(void)
{
    plain.n_nodes = 0, plain.depth = 1;
    for (int t = 0; t < N_TREES; t++) {
        plain.first[t] = plain.n_nodes;
        plain.n_nodes += 1 + (int)rng_below(&rng, MOST_NODES);
        plain.root[t] = grow(plain.first[t], plain.n_nodes, 1);
    }
    for (int i = 0; i < plain.n_nodes; i++) {
        plain.column[i] = rng_below(&rng, MOST_COLUMNS);
        plain.rank[i] = rng_below(&rng, 1 + plain.column[i] % PER_COLUMN);
        plain.nan_left[i] = (uint8_t)rng_below(&rng, 2);
    }
    for (int c = 0; c < MOST_COLUMNS; c++)
        for (int k = 0; k < PER_COLUMN; k++)
            plain.threshold[c][k] = 0.3f * (float)(k - 2) + 0.1f * rng_unit(&rng);
}

static size_t part_ends(void)
{
    const size_t at = part.n;
    part_pad();
    return at;
}

static void part_nodes(uint16_t variant)
{
    for (int i = 0; i < plain.n_nodes; i++) {
        int16_t away[2];
        for (int side = 0; side < 2; side++)
            away[side] = (int16_t)(plain.child[i][side] < 0 ? 0 : plain.child[i][side] - i);
        const uint8_t narrow[4] = {(uint8_t)plain.column[i], (uint8_t)plain.rank[i],
                                   (uint8_t)away[0], (uint8_t)away[1]};
        if (variant == 2)
            part_u16((uint16_t)plain.column[i]), part_u16((uint16_t)plain.rank[i]);
        else
            part_add(narrow, variant ? 2 : 4);
        if (variant) part_u16((uint16_t)away[0]), part_u16((uint16_t)away[1]);
    }
    part_ends();
}

static void part_leaves(uint32_t n, uint16_t width, int shared)
{
    uint16_t vector[N_VECTORS][M];
    const uint32_t n_values = shared ? N_VALUES : n * width;
    for (uint32_t i = 0; i < n_values; i++) plain.value[i] = (double)rng_unit(&rng) / 3.0;
    for (uint32_t i = 0; i < N_VECTORS * M; i++)
        vector[i / M][i % M] = (uint16_t)rng_below(&rng, N_VALUES);
    values_at = part.n;
    part_doubles(plain.value, n_values);
    floats_at = part.n;
    for (uint32_t c = 0; c < MOST_COLUMNS; c++) part_floats(plain.threshold[c], 1 + c % PER_COLUMN);
    part_ends();
    columns_at = part.n;
    for (uint16_t c = 0; c < MOST_COLUMNS; c++)
        part_u16((uint16_t)(c % N)), part_u16((uint16_t)(1 + c % PER_COLUMN));
    part_ends();
    roots_at = part.n;
    for (int t = 0; t < N_TREES; t++) part_u32((uint32_t)plain.root[t]);
    part_ends();
    to_at = part.n;
    for (int t = 0; t < N_TREES; t++) {
        plain.to[t] = rng_below(&rng, M - width + 1u);
        part_u16((uint16_t)plain.to[t]);
    }
    part_ends();
    leaves_at = part.n;
    for (uint32_t i = 0; i < n; i++) {
        plain.leaf[i] = shared ? rng_below(&rng, N_VECTORS) : i;
        if (shared) part_u16((uint16_t)plain.leaf[i]);
    }
    part_ends();
    vectors_at = part.n;
    for (uint32_t v = 0; shared && v < N_VECTORS; v++)
        for (uint32_t c = 0; c < width; c++) part_u16(vector[v][c]);
    part_ends();
    double all[N_VALUES];
    memcpy(all, plain.value, sizeof all);
    for (uint32_t v = 0; shared && v < N_VECTORS; v++)
        for (uint32_t c = 0; c < width; c++) plain.value[v * width + c] = all[vector[v][c]];
}

/* The trees over the values of an affine step that changes nothing (or, by_row, over the features).
 */
static er_status make(uint16_t variant, uint16_t width, uint16_t flags, int by_row)
{
    const double zeros[N] = {0}, base[M] = {0.25, -1.0, 3.0};
    uint32_t n_floats = 0;
    invent();
    const uint32_t n_leaves = (uint32_t)plain.n_nodes + N_TREES;
    for (uint32_t c = 0; c < MOST_COLUMNS; c++) n_floats += 1 + c % PER_COLUMN;
    model_begin();
    part_doubles(zeros, N);
    model_step(AFFINE, 1, 0, N, N, N);
    part_u32(N_TREES), part_u32((uint32_t)plain.n_nodes), part_u32(MOST_COLUMNS);
    part_u32(n_floats), part_u32(flags & SHARED ? N_VECTORS : 0);
    part_u32(flags & SHARED ? N_VALUES : 0), part_u16(width), part_u16(flags);
    part_u32((uint32_t)plain.depth);
    base_at = part.n;
    part_doubles(base, M);
    memcpy(plain.base, base, sizeof base);
    part_leaves(n_leaves, width, flags & SHARED);
    nodes_at = part.n;
    part_nodes(variant);
    is_left_at = part.n;
    for (int i = 0; flags & NAN_LEFT && i < plain.n_nodes; i += 8) {
        uint8_t bits = 0;
        for (int k = 0; k < 8 && i + k < plain.n_nodes; k++)
            bits = (uint8_t)(bits | plain.nan_left[i + k] << k);
        part_add(&bits, 1);
    }
    part_ends();
    head_at = 40 + 2 * 40 + 8 * N;
    model_step(TREES_SMALL, variant, by_row ? 0 : N, N, 2 * N, M);
    return model_end(N, M, 2 * N + M, 2 * N, flags & NAN_LEFT);
}

/* The leaf of tree t: the one between the last two nodes in order that it fell between. */
static uint32_t leaf_of(int t, const float *x, uint16_t flags)
{
    for (int at = plain.root[t];;) {
        const uint32_t c = plain.column[at];
        const float v = x[c % N];
        const int left = v != v ? flags & NAN_LEFT && plain.nan_left[at]
                                : v <= plain.threshold[c][plain.rank[at]];
        const int next = plain.child[at][!left];
        if (next < 0) return (uint32_t)(at + t + !left);
        at = next;
    }
}

static void expect(const float *x, uint16_t width, uint16_t flags)
{
    double got[M], want[M];
    memcpy(want, plain.base, sizeof want);
    for (int t = 0; t < N_TREES; t++)
        for (uint32_t c = 0; c < width; c++) {
            double *sum = &want[plain.to[t] + c];
            *sum += plain.value[plain.leaf[leaf_of(t, x, flags)] * width + c];
            if (flags & FLOATS) *sum = (double)(float)*sum;
        }
    model_run(x, got);
    CHECK(memcmp(got, want, sizeof want) == 0);
}

static void test_every_kind_of_node_reaches_the_leaves_of_a_plain_walk(void)
{
    for (int round = 0; round < 600; round++) {
        const uint16_t variant = (uint16_t)(round % 3), width = (uint16_t)(1 + round / 3 % M);
        const uint16_t flags = (uint16_t)(round / 9 % 8);
        CHECK(make(variant, width, flags, round % 2) == ER_OK);
        for (int row = 0; row < 20; row++) {
            float x[N];
            for (int i = 0; i < N; i++) x[i] = rng_unit(&rng);
            for (uint32_t i = 0; i < N; i++) { /* on a threshold, a float beside it; missing */
                const uint32_t how = rng_below(&rng, 8), c = i + N * rng_below(&rng, 2);
                const float t = plain.threshold[c][rng_below(&rng, 1 + c % PER_COLUMN)];
                if (how == 0) x[i] = t;
                if (how == 1) x[i] = __builtin_nextafterf(t, 9.0f);
                if (how == 2) x[i] = __builtin_nanf("");
                if (how == 3) x[i] = rng_below(&rng, 2) ? __builtin_inff() : -__builtin_inff();
            }
            expect(x, width, flags);
        }
    }
}

/* A walk ends even in a circle: node 1 has node 0 at its left, and that has node 1 at its right. */
static void test_no_walk_is_longer_than_the_depth(void)
{
    const double base = 0.0, values[3] = {1.0, 2.0, 4.0};
    const float thresholds[2] = {0.0f, 1.0f}, x = 0.5f;
    const int8_t nodes[8] = {0, 0, 0, 1, 0, 1, -1, 0};
    double got;
    part_u32(1), part_u32(2), part_u32(1), part_u32(2), part_u32(0), part_u32(0);
    part_u16(1), part_u16(0), part_u32(3);
    part_doubles(&base, 1), part_doubles(values, 3), part_floats(thresholds, 2);
    part_u16(0), part_u16(2), part_pad(), part_u32(1), part_pad(), part_u16(0), part_pad();
    part_add(nodes, 8);
    CHECK(model_of(TREES_SMALL, 0, 1, 1) == ER_OK);
    model_run(&x, &got);
    CHECK(got == 2.0);
}

static void refuse(uint16_t variant, uint16_t flags, size_t at, uint64_t value, size_t n)
{
    er_model m;
    memcpy(file + head_at + at, &value, n);
    CHECK(er_model_open(&m, file, made.size) == ER_EFORMAT);
    CHECK(make(variant, 2, flags, 1) == ER_OK);
}

static void test_fields_out_of_range_are_refused(void)
{
    const uint64_t inf = UINT64_C(0x7ff0000000000000);
    for (uint16_t flags = NAN_LEFT; flags <= 7; flags += SHARED) {
        const uint32_t shared = flags & SHARED;
        CHECK(make(0, 2, flags, 1) == ER_OK);
        refuse(0, flags, 0, 0, 4);
        refuse(0, flags, 0, 65536, 4);
        refuse(0, flags, 4, N_TREES - 1, 4);
        refuse(0, flags, 4, (1 << 28) + 1, 4);
        refuse(0, flags, 8, 0, 4);
        refuse(0, flags, 8, 65536, 4);
        refuse(0, flags, 12, 0, 4);
        refuse(0, flags, 12, 0xffffffff, 4);
        refuse(0, flags, 16, shared ? 0 : 1, 4);
        refuse(0, flags, 16, 65537, 4);
        refuse(0, flags, 20, shared ? 0 : 1, 4);
        refuse(0, flags, 20, 65537, 4);
        refuse(0, flags, 24, 0, 2);
        refuse(0, flags, 24, M + 1, 2);
        refuse(0, flags, 26, 8, 2);
        refuse(0, flags, 28, 0, 4);
        refuse(0, flags, 28, 65536, 4);
        refuse(0, flags, base_at, inf, 8);
        refuse(0, flags, values_at, inf, 8);
        refuse(0, flags, floats_at, 0x7fc00000, 4);     /* of a column with one */
        refuse(0, flags, floats_at + 4, 0x7f800000, 4); /* not below the next */
        refuse(0, flags, columns_at, N, 2);
        refuse(0, flags, columns_at + 2, 0, 2);
        refuse(0, flags, columns_at + 2, 256, 2);
        refuse(0, flags, columns_at + 4 * MOST_COLUMNS - 2, 255, 2); /* more than there are */
        refuse(0, flags, columns_at + 4 * MOST_COLUMNS - 2, 1, 2);   /* fewer */
        refuse(0, flags, roots_at, (uint32_t)plain.n_nodes, 4);
        refuse(0, flags, to_at, M - 1, 2);
        refuse(0, flags, to_at + 2 * N_TREES, 1, 1); /* the gap */
        refuse(0, flags, nodes_at, MOST_COLUMNS, 1);
        refuse(0, flags, nodes_at + 1, PER_COLUMN, 1);
        refuse(0, flags, nodes_at + 2, 0xff, 1); /* before the first node */
        refuse(0, flags, nodes_at + 2, 1, 1);    /* a left child behind its parent */
        refuse(0, flags, nodes_at + 4 * (size_t)plain.n_nodes - 1, 1, 1);
        refuse(0, flags, nodes_at + 3, 0xff, 1);
        if (shared) refuse(0, flags, leaves_at, N_VECTORS, 2);
        if (shared) refuse(0, flags, vectors_at, N_VALUES, 2);
    }
    CHECK(make(2, 2, 0, 1) == ER_OK);
    refuse(2, 0, nodes_at, MOST_COLUMNS, 2);
    model_begin();
    part_u32(1), part_u32(1);
    model_step(TREES_SMALL, 0, 0, 2, 2, 1);
    CHECK(model_end(2, 1, 3, 2, 0) == ER_EFORMAT); /* less than a head */
    model_begin();
    for (uint32_t to = 1000; to < 3000; to += 1000) model_step(UNARY, 1, to - 1000, 1000, to, 1000);
    for (int i = 0; i < 8; i++) part_u32(1);
    model_step(TREES_SMALL, 0, 0, 1025, 3000, 1);
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
            const uint32_t turn = (uint32_t)round / 1000;
            CHECK(make((uint16_t)(turn % 3), 2, (uint16_t)(turn % 8), 0) == ER_OK);
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
    test_every_kind_of_node_reaches_the_leaves_of_a_plain_walk();
    test_no_walk_is_longer_than_the_depth();
    test_fields_out_of_range_are_refused();
    test_altered_bytes_are_refused_or_harmless();
    return 0;
}
