/* Any bytes as a forest: refused, or no feature vector makes a walk leave them. The header's size
 * is made right, and a small valid file is what the bytes change, so that the checks are met. */
#include "fuzz.h"

static void score(const er_model *f, const uint8_t *data, size_t size)
{
    fuzz_bytes b = {data, size};
    float *x = malloc(f->n_features * sizeof *x);
    double *scores = malloc(f->n_outputs * sizeof *scores);
    for (uint32_t i = 0; i < f->n_features; i++) {
        x[i] = fuzz_float(&b);
        if (x[i] != x[i]) x[i] = 0.0f;
    }
    CHECK(er_model_run(f, x, NULL, scores) == ER_OK);
    free(x), free(scores);
}

/* In a block of its very size, 8-byte aligned. */
static void open(const void *bytes, size_t size, const uint8_t *data, size_t data_size)
{
    void *copy = malloc(size ? size : 1);
    er_model f;
    if (size) memcpy(copy, bytes, size);
    if (er_model_open(&f, copy, size) == ER_OK && !f.n_steps) score(&f, data, data_size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t file[512];
    unsigned char *bytes = (unsigned char *)file;
    fuzz_bytes b = {data, size};
    uint64_t rng = fuzz_u8(&b);
    open(data, size, data, size);
    const size_t total = make_forest(&rng, file, sizeof file, 1 + fuzz_u8(&b) % 5,
                                     1 + fuzz_u8(&b) % 3, 1 + fuzz_u8(&b) % 7);
    const uint8_t n = fuzz_u8(&b) % 12;
    for (uint32_t i = 0; i < n; i++) {
        const uint16_t at = fuzz_u16(&b);
        bytes[at % total] = fuzz_u8(&b);
    }
    open(file, total, b.at, b.left);
    return 0;
}
