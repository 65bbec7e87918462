/* Any bytes as a model: refused, or no row makes a step leave the file or the scratch. A small
 * valid file is made from the bytes and then altered, so that the checks of every kind are met. */
#include "fuzz.h"
#include "model.h"

enum { FEATURES = 4, KINDS = 16 /* and trees_small, trees_paired */, MOST = 1 << 21 };

/* Both in blocks of their very size. */
static void run(const er_model *m, fuzz_bytes b)
{
    const size_t size = er_model_size(m);
    float *x = malloc(m->n_features * sizeof *x);
    double *scores = malloc(m->n_outputs * sizeof *scores), *again = malloc(64 * sizeof *again);
    void *scratch = malloc(size ? size : 1);
    memset(scratch, 0xa5, size);
    for (uint32_t i = 0; i < m->n_features; i++) x[i] = fuzz_float(&b);
    CHECK(er_model_run(m, x, scratch, scores) == ER_OK);
    memset(scratch, 0x5a, size); /* an answer is of the row alone */
    CHECK(er_model_run(m, x, scratch, again) == ER_OK);
    CHECK(memcmp(scores, again, m->n_outputs * sizeof *scores) == 0);
    free(x), free(scores), free(again), free(scratch);
}

static void open(const void *bytes, size_t size, fuzz_bytes row)
{
    void *copy = malloc(size ? size : 1);
    er_model m;
    if (size) memcpy(copy, bytes, size);
    if (er_model_open(&m, copy, size) == ER_OK && er_model_size(&m) < MOST) run(&m, row);
    free(copy);
}

/* n small numbers as doubles or floats. */
static void numbers(fuzz_bytes *b, uint32_t n, int in_double)
{
    for (uint32_t i = 0; i < n; i++) {
        const float x = (float)fuzz_u8(b) / 16.0f + 0.0625f;
        const double wide = (double)x;
        in_double ? part_doubles(&wide, 1) : part_float(x);
    }
}

static void trees(fuzz_bytes *b, uint32_t m)
{
    part_u32(1), part_u32(3), part_u32(2), part_u16(1), part_u16(fuzz_u8(b) % 4);
    numbers(b, m, 1);
    part_u32(0), part_u32(0), part_u16((uint16_t)(fuzz_u8(b) % m)), part_pad();
    part_float(fuzz_float(b)), part_u16(fuzz_u8(b) % 2), part_u16(2);
    part_u32(0), part_u16(0xffff), part_u16(0), part_u32(1), part_u16(0xffff), part_u16(0);
    numbers(b, 2, 1);
}

/* Two trees, of a node with two leaves and of a leaf. */
static void trees_paired(fuzz_bytes *b, uint32_t n, uint32_t m)
{
    const uint16_t flags = fuzz_u8(b) % 4;
    part_u32(2), part_u32(4), part_u32(2), part_u16(1), part_u16(flags);
    numbers(b, m, 1);
    part_u32(0), part_u32(3);
    for (int t = 0; t < 2; t++) part_u16((uint16_t)(fuzz_u8(b) % m));
    part_pad();
    part_float(fuzz_float(b)), part_u16((uint16_t)(fuzz_u8(b) % n)), part_u16(1);
    for (uint32_t i = 0; i < 3; i++) part_u32(i % 2), part_u16((uint16_t)n), part_u16(0);
    numbers(b, 2, 1);
    if (flags & 1) part_u16(fuzz_u8(b) % 16);
    part_pad();
}

static void dense8(fuzz_bytes *b, uint32_t n, uint32_t m, uint16_t variant)
{
    part_float(0.5f), part_u32(fuzz_u8(b)), part_float(variant ? 0.25f : 0.0f);
    part_u32(variant ? fuzz_u8(b) : 0);
    numbers(b, 8, 0);
    for (uint32_t i = 0; i < 10; i++) part_u32(fuzz_u8(b));
    for (uint32_t i = 0; i < m * ((n + 15) / 16 * 16); i++) {
        const uint8_t w = fuzz_u8(b);
        part_add(&w, 1);
    }
}

/* Two trees of two nodes each; any kind of node. */
static void trees_small(fuzz_bytes *b, uint32_t m, uint16_t variant)
{
    const uint16_t flags = fuzz_u8(b) % 8;
    const uint32_t n_shared = flags & 4 ? 3 : 0;
    part_u32(2), part_u32(4), part_u32(2), part_u32(3), part_u32(n_shared), part_u32(n_shared);
    part_u16(1), part_u16(flags), part_u32(1 + fuzz_u8(b) % 3);
    numbers(b, m + (n_shared ? n_shared : 6), 1);
    for (int i = 0; i < 3; i++) part_float((float)i - 1.0f + (float)fuzz_u8(b) / 256.0f);
    part_pad(), part_u16(0), part_u16(1), part_u16(fuzz_u8(b) % 2), part_u16(2);
    part_u32(fuzz_u8(b) % 2), part_u32(2 + fuzz_u8(b) % 2);
    for (int t = 0; t < 2; t++) part_u16((uint16_t)(fuzz_u8(b) % m));
    part_pad();
    for (uint32_t i = 0; n_shared && i < 6 + n_shared; i++) {
        part_u16(fuzz_u8(b) % 3);
        if (i == 5) part_pad();
    }
    part_pad();
    for (uint32_t i = 0; i < 4; i++) {
        const uint8_t to = fuzz_u8(b), column = to & 1, rank = column ? to >> 1 & 1 : 0;
        const uint8_t away[2] = {(uint8_t)(0 - (i % 2 & to >> 2)), (i + 1) % 2 & to >> 3};
        if (variant == 2)
            part_u16(column), part_u16(rank);
        else
            part_add(&column, 1), part_add(&rank, 1);
        for (int side = 0; side < 2; side++)
            variant ? part_u16((uint16_t)(int8_t)away[side]) : part_add(&away[side], 1);
    }
    part_pad();
    if (flags & 1) part_u16(fuzz_u8(b) % 16);
    part_pad();
}

/* A step of some kind on the values before it; returns the first free value. */
static uint32_t step(fuzz_bytes *b, uint32_t written)
{
    const uint8_t any = fuzz_u8(b);
    const uint16_t kind = any < 240 ? any % KINDS : any < 248 ? KINDS : KINDS + 1;
    const uint32_t n = 1 + fuzz_u8(b) % FEATURES, from = fuzz_u8(b) % (written - n + 1);
    const int same = kind == 1 || kind == 4 || kind == 6 || kind == 7 || kind == 9 || kind == 12;
    const uint32_t m = same ? n : kind == 8 ? 2 : kind == 13 || kind == 14 ? 1 : 1 + fuzz_u8(b) % 3;
    uint16_t variant = 0;
    switch (kind) {
    case 0: trees(b, m); break;
    case 1:
        variant = 1 + fuzz_u8(b) % 15;
        for (uint16_t v = variant; v; v >>= 1)
            if (v & 1) numbers(b, n, 1);
        break;
    case 2: numbers(b, (n + 1) * m, 1); break;
    case 3: variant = fuzz_u8(b) % 4, numbers(b, (n + 1) * 8, 0); break;
    case 4: part_float(0.5f), part_u32(fuzz_u8(b)); break;
    case 5: variant = fuzz_u8(b) % 2, dense8(b, n, m, variant); break;
    case 6: variant = 1 + fuzz_u8(b) % 8; break;
    case 8: variant = fuzz_u8(b) % 2; break;
    case 9: variant = fuzz_u8(b) % 3; break;
    case 10: variant = fuzz_u8(b) % 4, numbers(b, n * m, 1); break;
    case 11: numbers(b, (2 * n + 1) * m, 1); break;
    case 12:
        for (uint32_t i = 0; i < n; i++) part_u32(2);
        part_pad();
        for (uint32_t i = 0; i < n; i++) {
            const double points[2] = {-1.0, (double)fuzz_u8(b)};
            part_doubles(points, 2);
        }
        numbers(b, 2 * n, 1);
        break;
    case 13: numbers(b, n + 1, 1); break;
    case 14: numbers(b, n, 1); break;
    case 15:
        for (uint32_t i = 0; i < m; i++) part_u32(fuzz_u8(b) % n);
        part_pad();
        break;
    case KINDS: variant = fuzz_u8(b) % 3, trees_small(b, m, variant); break;
    case KINDS + 1: trees_paired(b, n, m); break;
    default: break;
    }
    model_step(3000 + kind, variant, from, kind == 8 ? 1 : n, written, m);
    return written + m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes b = {data, size};
    unsigned char *bytes = (unsigned char *)made.file;
    uint32_t written = FEATURES;
    open(data, size, b);
    const uint8_t n_steps = 1 + fuzz_u8(&b) % 6, n_altered = fuzz_u8(&b) % 8;
    model_begin();
    for (uint8_t i = 0; i < n_steps; i++) written = step(&b, written);
    model_end(FEATURES, 1, written, written - 1, fuzz_u8(&b) % 2);
    for (uint8_t i = 0; i < n_altered; i++) {
        const uint16_t at = fuzz_u16(&b);
        bytes[at % made.size] = fuzz_u8(&b);
    }
    open(made.file, made.size, b);
    return 0;
}
