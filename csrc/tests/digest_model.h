/* digest_model.h - a part of digest.c: every kind of step, a line each, over ordinary, huge, tiny
 * and missing values; then a chain of them. */
#include "model.h"

enum { MODEL_N = 20, MODEL_M = 9 };

/* n numbers of steps of 2^-12, apart from 0. */
static void model_numbers(uint64_t *rng, uint32_t n, int in_double)
{
    for (uint32_t i = 0; i < n; i++) {
        const float value = (float)((int)rng_below(rng, 16384) - 8191) / 4096.0f;
        const double wide = (double)value / 3.0;
        if (in_double)
            part_doubles(&wide, 1);
        else
            part_float(value);
    }
}

static void model_positive(uint64_t *rng, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const double value = (double)(1 + rng_below(rng, 9999)) / 3000.0;
        part_doubles(&value, 1);
    }
}

static void model_trees(uint64_t *rng, uint16_t flags)
{
    static const uint16_t right[7] = {4, 2, 0, 0, 2, 0, 0};
    enum { TREES_N = 27 };
    part_u32(TREES_N), part_u32(7 * TREES_N), part_u32(16), part_u16(3), part_u16(flags);
    model_numbers(rng, MODEL_M, 1);
    for (uint32_t t = 0; t < TREES_N; t++) part_u32(7 * t);
    part_pad();
    for (uint32_t t = 0; t < TREES_N; t++) part_u16((uint16_t)(t % 3 * 3));
    part_pad();
    for (uint32_t i = 0; i < 7 * TREES_N; i++) {
        const uint16_t left = (uint16_t)(flags & 1 ? rng_below(rng, 2) << 15 : 0);
        if (right[i % 7])
            part_float(rng_unit(rng)), part_u16((uint16_t)rng_below(rng, MODEL_N) | left);
        else
            part_u32(rng_below(rng, 16)), part_u16(0xffff);
        part_u16(right[i % 7]);
    }
    model_numbers(rng, 48, 1);
}

/* Full trees of three nodes, their leaves shared or not. */
static void model_trees_small(uint64_t *rng, uint16_t variant, uint16_t flags)
{
    enum { TREES_N = 27, NODES_N = 3 * TREES_N, LEAVES_N = NODES_N + TREES_N, COLUMNS_N = 40 };
    const uint32_t shared = flags & 4;
    part_u32(TREES_N), part_u32(NODES_N), part_u32(COLUMNS_N), part_u32(3 * COLUMNS_N);
    part_u32(shared ? 16 : 0), part_u32(shared ? 20 : 0), part_u16(3), part_u16(flags), part_u32(2);
    model_numbers(rng, MODEL_M + (shared ? 20 : 3 * LEAVES_N), 1);
    for (uint32_t c = 0; c < COLUMNS_N; c++)
        for (uint32_t k = 0; k < 3; k++) part_float((float)k - 1.0f + 0.4f * rng_unit(rng));
    for (uint16_t c = 0; c < COLUMNS_N; c++) part_u16((uint16_t)(c % MODEL_N)), part_u16(3);
    for (uint32_t t = 0; t < TREES_N; t++) part_u32(3 * t + 1);
    part_pad();
    for (uint32_t t = 0; t < TREES_N; t++) part_u16((uint16_t)(t % 3 * 3));
    part_pad();
    for (uint32_t i = 0; shared && i < LEAVES_N; i++) part_u16((uint16_t)rng_below(rng, 16));
    part_pad();
    for (uint32_t i = 0; shared && i < 48; i++) part_u16((uint16_t)rng_below(rng, 20));
    for (uint32_t i = 0; i < NODES_N; i++) {
        const uint8_t column = (uint8_t)rng_below(rng, COLUMNS_N);
        const uint8_t rank = (uint8_t)rng_below(rng, 3),
                      near[2] = {i % 3 == 1 ? 255 : 0, i % 3 == 1};
        if (variant == 2)
            part_u16(column), part_u16(rank);
        else
            part_add(&column, 1), part_add(&rank, 1);
        if (variant)
            part_u16((uint16_t)(int8_t)near[0]), part_u16(near[1]);
        else
            part_add(near, 2);
    }
    part_pad();
    for (uint32_t i = 0; flags & 1 && i < NODES_N; i += 8) {
        const uint8_t bits = (uint8_t)(rng_next(rng) & (i + 8 > NODES_N ? 1 : 255));
        part_add(&bits, 1);
    }
    part_pad();
}

static void model_dense8(uint64_t *rng, uint16_t variant)
{
    part_float(0.0371f), part_u32(117), part_float(variant ? 0.09f : 0.0f);
    part_u32(variant ? 99 : 0);
    for (uint32_t j = 0; j < 16; j++) part_float(0.001f * (float)(1 + rng_below(rng, 50)));
    for (uint32_t j = 0; j < 4; j++) part_u32((uint32_t)rng_next(rng));
    for (uint32_t j = 0; j < 16; j++) part_u32(rng_below(rng, 5000));
    for (uint32_t i = 0; i < MODEL_M * 32 / 4; i++) part_u32((uint32_t)rng_next(rng));
}

static void model_lerp(uint64_t *rng)
{
    for (uint32_t i = 0; i < MODEL_N; i++) part_u32(2);
    for (uint32_t i = 0; i < MODEL_N; i++) {
        const double ends[2] = {-0.7, 0.1 * (double)rng_below(rng, 30)};
        part_doubles(ends, 2);
    }
    model_numbers(rng, 2 * MODEL_N, 1);
}

static void model_constants(uint64_t *rng, uint16_t op, uint16_t variant)
{
    const uint32_t cells = MODEL_N * MODEL_M;
    switch (op) {
    case 3001: model_numbers(rng, 4 * MODEL_N, 1); break;
    case 3002: model_numbers(rng, cells + MODEL_M, 1); break;
    case 3003: model_numbers(rng, 16 * (MODEL_N + 1), 0); break;
    case 3004: part_float(0.0371f), part_u32(117); break;
    case 3005: model_dense8(rng, variant); break;
    case 3010: model_numbers(rng, cells, 1); break;
    case 3011: model_numbers(rng, cells + MODEL_M, 1), model_positive(rng, cells); break;
    case 3012: model_lerp(rng); break;
    case 3013: model_positive(rng, 6); break;
    case 3014: model_positive(rng, 5); break;
    case 3015:
        for (uint32_t i = 0; i < MODEL_M + 1; i++) part_u32(rng_below(rng, MODEL_N));
        break;
    default: break;
    }
}

/* Scores of rows of every sort of input. */
static uint64_t model_hash(uint64_t h, uint64_t *rng)
{
    for (uint32_t row = 0; row < 400; row++) {
        float in[MODEL_N];
        double scores[64];
        const uint32_t sort =
            rng_below(rng, 4) ? 0 : rng_below(rng, sizeof INPUTS / sizeof *INPUTS);
        for (uint32_t i = 0; i < MODEL_N; i++) in[i] = INPUTS[sort].make(rng) * (row % 7 ? 1 : 99);
        CHECK(er_model_run(&made.m, in, made.scratch, scores) == ER_OK);
        h = fnv(h, scores, made.m.n_outputs * sizeof *scores);
    }
    return h;
}

static void digest_step(uint16_t op, const char *name, uint16_t least, uint16_t most, uint16_t n,
                        uint16_t m)
{
    uint64_t rng = op, h = 0;
    for (uint16_t variant = least; variant <= most; variant++) {
        model_begin();
        if (op == 3000)
            model_trees(&rng, variant);
        else
            model_constants(&rng, op, variant);
        model_step(op, op == 3000 ? 0 : variant, 0, n, MODEL_N, m);
        CHECK(model_end(MODEL_N, m, MODEL_N + (uint32_t)m, MODEL_N, 1) == ER_OK);
        h = model_hash(h, &rng);
    }
    printf("model.%s %016llx\n", name, (unsigned long long)h);
}

static void digest_trees_small(void)
{
    uint64_t rng = 3016, h = 0;
    for (uint16_t kind = 0; kind < 3 * 8; kind++) {
        model_begin();
        model_trees_small(&rng, kind % 3, kind / 3);
        model_step(3016, kind % 3, 0, MODEL_N, MODEL_N, MODEL_M);
        CHECK(model_end(MODEL_N, MODEL_M, MODEL_N + MODEL_M, MODEL_N, 1) == ER_OK);
        h = model_hash(h, &rng);
    }
    printf("model.trees_small %016llx\n", (unsigned long long)h);
}

/* Full trees of three nodes and four leaves. */
static void model_trees_paired(uint64_t *rng, uint16_t flags)
{
    static const uint16_t away[7] = {1, 2, 3, 0, 0, 0, 0};
    enum { TREES_N = 27, NODES_N = 7 * TREES_N };
    part_u32(TREES_N), part_u32(NODES_N), part_u32(16), part_u16(3), part_u16(flags);
    model_numbers(rng, MODEL_M, 1);
    for (uint32_t t = 0; t < TREES_N; t++) part_u32(7 * t);
    part_pad();
    for (uint32_t t = 0; t < TREES_N; t++) part_u16((uint16_t)(t % 3 * 3));
    part_pad();
    for (uint32_t i = 0; i < NODES_N; i++) {
        if (away[i % 7])
            part_float(rng_unit(rng)), part_u16((uint16_t)rng_below(rng, MODEL_N));
        else
            part_u32(rng_below(rng, 16)), part_u16(MODEL_N);
        part_u16(away[i % 7]);
    }
    model_numbers(rng, 48, 1);
    for (uint32_t i = 0; flags & 1 && i < (NODES_N + 7) / 8; i++) {
        const uint8_t bits = (uint8_t)rng_next(rng);
        part_add(&bits, 1);
    }
    part_pad();
}

static void digest_trees_paired(void)
{
    uint64_t rng = 3017, h = 0;
    for (uint16_t flags = 0; flags < 4; flags++) {
        model_begin();
        model_trees_paired(&rng, flags);
        model_step(3017, 0, 0, MODEL_N, MODEL_N, MODEL_M);
        CHECK(model_end(MODEL_N, MODEL_M, MODEL_N + MODEL_M, MODEL_N, 1) == ER_OK);
        h = model_hash(h, &rng);
    }
    printf("model.trees_paired %016llx\n", (unsigned long long)h);
}

/* The network that an exporter writes: scale, layers, scores. */
static void digest_network(void)
{
    uint64_t rng = 11;
    model_begin();
    model_constants(&rng, 3001, 15);
    model_step(3001, 15, 0, MODEL_N, MODEL_N, MODEL_N);
    model_numbers(&rng, 16 * (MODEL_N + 1), 0);
    model_step(3003, 2, MODEL_N, MODEL_N, 2 * MODEL_N, MODEL_M);
    model_numbers(&rng, 8 * (MODEL_M + 1), 0);
    model_step(3003, 0, 2 * MODEL_N, MODEL_M, 2 * MODEL_N + MODEL_M, 4);
    model_step(3007, 0, 2 * MODEL_N + MODEL_M, 4, 2 * MODEL_N + MODEL_M, 4);
    CHECK(model_end(MODEL_N, 4, 2 * MODEL_N + MODEL_M + 4, 2 * MODEL_N + MODEL_M, 1) == ER_OK);
    printf("model.network %016llx\n", (unsigned long long)model_hash(0, &rng));
}

static void digest_model(void)
{
    digest_step(3000, "trees", 0, 3, MODEL_N, MODEL_M);
    digest_step(3001, "affine", 15, 15, MODEL_N, MODEL_N);
    digest_step(3002, "dense", 0, 0, MODEL_N, MODEL_M);
    digest_step(3003, "dense32", 0, 3, MODEL_N, MODEL_M);
    digest_step(3004, "quantise", 0, 0, MODEL_N, MODEL_N);
    digest_step(3005, "dense8", 0, 1, MODEL_N, MODEL_M);
    /* Open: 3006 `unary`. exp just below 1 (x = -1.9e-10) and what is made of it are one ulp apart
     * on Cortex-M, whose libgcc rounds 1 - y another way there; all other machines agree. */
    digest_step(3007, "softmax", 0, 0, MODEL_N, MODEL_N);
    digest_step(3008, "pair", 0, 1, 1, 2);
    digest_step(3009, "normalise", 0, 2, MODEL_N, MODEL_N);
    digest_step(3010, "distance", 0, 3, MODEL_N, MODEL_M);
    digest_step(3011, "gauss", 0, 0, MODEL_N, MODEL_M);
    digest_step(3012, "lerp", 0, 0, MODEL_N, MODEL_N);
    digest_step(3013, "blend", 0, 0, MODEL_N, 4);
    digest_step(3014, "vote", 0, 0, MODEL_N, 4);
    digest_step(3015, "pick", 0, 0, MODEL_N, MODEL_M);
    digest_network();
    digest_trees_small();
    digest_trees_paired();
}
