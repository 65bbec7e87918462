/* model.h - model files made by hand: model_begin(), a model_step() for each, model_end(). */
#ifndef MODEL_H
#define MODEL_H

#include "check.h"

/* Kinds of steps. */
enum { TREES = 3000, AFFINE, DENSE, DENSE32, QUANTISE, DENSE8, UNARY, SOFTMAX, PAIR };
enum { NORMALISE = 3009, DISTANCE, GAUSS, LERP, BLEND, VOTE, PICK, TREES_SMALL, TREES_PAIRED };

enum { MODEL_WORDS = 1 << 14, MODEL_STEP = 40 };

static struct {
    uint64_t file[MODEL_WORDS], scratch[1 << 13]; /* what is made, and room to run it */
    unsigned char steps[64 * MODEL_STEP], constants[8 * MODEL_WORDS];
    uint64_t bytes; /* of the constants so far */
    uint32_t n_steps;
    size_t size; /* of the file */
    er_model m;
} made;

/* Constants under way, one kind after another. */
static struct {
    unsigned char bytes[8 * MODEL_WORDS];
    size_t n;
} part;

static inline void part_add(const void *bytes, size_t n)
{
    CHECK(part.n + n <= sizeof part.bytes);
    memcpy(part.bytes + part.n, bytes, n);
    part.n += n;
}

static inline void part_doubles(const double *v, size_t n) { part_add(v, n * sizeof *v); }
static inline void part_floats(const float *v, size_t n) { part_add(v, n * sizeof *v); }
static inline void part_u32(uint32_t v) { part_add(&v, 4); }
static inline void part_u16(uint16_t v) { part_add(&v, 2); }
static inline void part_float(float v) { part_add(&v, 4); }
static inline void part_pad(void)
{
    for (; part.n % 8; part.n++) part.bytes[part.n] = 0;
}

static inline void model_begin(void)
{
    made.bytes = 0;
    made.n_steps = 0;
    part.n = 0;
}

/* A step with the constants in `part`; they get their place in model_end(). */
static inline void model_step(uint16_t op, uint16_t variant, uint32_t from, uint32_t n, uint32_t to,
                              uint32_t m)
{
    unsigned char *at = made.steps + MODEL_STEP * made.n_steps++;
    const uint32_t ranges[] = {from, n, to, m, 0};
    const uint64_t place[] = {part.n ? made.bytes : UINT64_MAX, part.n};
    CHECK(made.n_steps <= 64 && made.bytes + part.n <= sizeof made.constants);
    memcpy(at, &op, 2);
    memcpy(at + 2, &variant, 2);
    memcpy(at + 4, ranges, sizeof ranges);
    memcpy(at + 24, place, sizeof place);
    memcpy(made.constants + made.bytes, part.bytes, part.n);
    made.bytes += part.n;
    part.n = 0;
}

/* Put the file together and open it. */
static inline er_status model_end(uint16_t n_features, uint16_t n_outputs, uint32_t n_values,
                                  uint32_t answer, uint32_t flags)
{
    unsigned char *file = (unsigned char *)made.file;
    const size_t steps = (size_t)made.n_steps * MODEL_STEP;
    const uint32_t words[] = {made.n_steps, n_values, answer, flags};
    made.size = 40 + steps + made.bytes;
    const uint64_t tail[] = {made.size, 0};
    CHECK(made.size <= sizeof made.file);
    memcpy(file, "ERM1", 4);
    memcpy(file + 4, &n_features, 2);
    memcpy(file + 6, &n_outputs, 2);
    memcpy(file + 8, words, sizeof words);
    memcpy(file + 24, tail, sizeof tail);
    memcpy(file + 40, made.steps, steps);
    for (uint32_t i = 0; i < made.n_steps; i++) {
        uint64_t at;
        memcpy(&at, file + 40 + MODEL_STEP * i + 24, 8);
        at = at == UINT64_MAX ? 0 : at + 40 + steps;
        memcpy(file + 40 + MODEL_STEP * i + 24, &at, 8);
    }
    memcpy(file + 40 + steps, made.constants, made.bytes);
    return er_model_open(&made.m, made.file, made.size);
}

/* One step over all features, its result the answer. */
static inline er_status model_of(uint16_t op, uint16_t variant, uint16_t n, uint16_t m)
{
    const size_t n_part = part.n;
    model_begin();
    part.n = n_part;
    model_step(op, variant, 0, n, n, m);
    return model_end(n, m, (uint32_t)n + m, n, 0);
}

/* Its scores, in scratch of the very size that it asks for. */
static inline void model_run(const float *row, double *scores)
{
    const size_t size = er_model_size(&made.m);
    CHECK(size + 8 <= sizeof made.scratch);
    memset(made.scratch, 0xa5, size + 8);
    CHECK(er_model_run(&made.m, row, made.scratch, scores) == ER_OK);
    CHECK(made.scratch[size / 8] == UINT64_C(0xa5a5a5a5a5a5a5a5));
}

#endif
