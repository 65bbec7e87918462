/* fuzz.h - what the fuzz entries share: bytes -> a program, and a stream played from bytes.
 *
 * Bytes are read in order and are zero past their end. Numbers lie a little beyond their allowed
 * range, so that both sides of every check are met. Every object lives in a block of exactly the
 * size that its size function named: ASan sees one byte more.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct fuzz_bytes {
    const uint8_t *at;
    size_t left;
} fuzz_bytes;

static inline void fuzz_take(fuzz_bytes *b, void *to, size_t n)
{
    const size_t have = n < b->left ? n : b->left;
    memset(to, 0, n);
    if (have) memcpy(to, b->at, have);
    b->at += have;
    b->left -= have;
}

static inline uint8_t fuzz_u8(fuzz_bytes *b)
{
    uint8_t v;
    fuzz_take(b, &v, sizeof v);
    return v;
}

static inline uint16_t fuzz_u16(fuzz_bytes *b)
{
    uint16_t v;
    fuzz_take(b, &v, sizeof v);
    return v;
}

/* A plain number in steps of 1/8, or any bits. */
static inline float fuzz_float(fuzz_bytes *b)
{
    const uint16_t v = fuzz_u16(b);
    float any;
    if (v % 5) return (float)((int)(v / 5) - 6554) / 8.0f;
    fuzz_take(b, &any, sizeof any);
    return any;
}

/* ---- a program ---- */

enum { FUZZ_CHANNELS = 4, FUZZ_FILTERS = 4, FUZZ_FEATURES = 12 };

typedef struct fuzz_program {
    er_program p;
    er_channel channels[FUZZ_CHANNELS];
    er_filter filters[FUZZ_FILTERS];
    er_feature features[FUZZ_FEATURES];
} fuzz_program;

/* The operators, read once: er_op() walks its table. */
static inline const er_op_info *fuzz_ops(uint16_t *n)
{
    static er_op_info ops[512];
    static uint16_t count;
    while (count < 512 && er_op(count, &ops[count]) == ER_OK) count++;
    *n = count;
    return ops;
}

/* An operator of a kind and parameters: its example, or from bytes; now and then any id. Returns 1
 * if it may take a second channel. */
static inline int fuzz_op(fuzz_bytes *b, uint16_t kind, uint16_t *op, float *param)
{
    const uint8_t how = fuzz_u8(b);
    const uint16_t pick = fuzz_u16(b);
    uint16_t first = 0, end = 0, n;
    const er_op_info *ops = fuzz_ops(&n);
    while (first < n && ops[first].kind != kind) first++;
    for (end = first; end < n && ops[end].kind == kind;) end++;
    CHECK(end > first);
    const er_op_info *o = &ops[first + pick % (end - first)];
    *op = how % 16 == 15 ? pick : o->id;
    for (uint32_t i = 0; i < o->n_params; i++) param[i] = how % 4 ? o->example[i] : fuzz_float(b);
    return o->n_most > 1;
}

static inline void fuzz_make(fuzz_bytes *b, fuzz_program *f)
{
    static const float rates[] = {20.0f, 1.0f, 128.0f, 16000.0f, 0.01f};
    const uint8_t rate = fuzz_u8(b);
    memset(f, 0, sizeof *f);
    er_program *p = &f->p;
    p->rate_hz = rate < 250 ? rates[rate % 5] : fuzz_float(b);
    p->n_channels = fuzz_u8(b) % (FUZZ_CHANNELS + 1);
    p->n_filters = fuzz_u8(b) % (FUZZ_FILTERS + 1);
    p->n_features = fuzz_u8(b) % (FUZZ_FEATURES + 1);
    const uint8_t shape = fuzz_u8(b);
    p->window = (uint16_t)(fuzz_u16(b) % (shape % 8 ? 60 : 5000));
    p->hop = (uint16_t)(shape % 4 ? p->window / (1u + shape % 5) : fuzz_u16(b) % 300);
    p->timing.policy = fuzz_u8(b) % 6;
    p->timing.most = p->timing.policy ? fuzz_u16(b) % 50 : 0;
    for (uint32_t c = 0; c < p->n_channels; c++) {
        const uint8_t how = fuzz_u8(b);
        f->channels[c] = (er_channel){1.0f, 0.0f, 1, how / 16 % 4};
        if (how & 1) f->channels[c].scale = fuzz_float(b), f->channels[c].offset = fuzz_float(b);
        if (how & 2) f->channels[c].every = fuzz_u8(b) % 9;
    }
    for (uint32_t i = 0; i < p->n_filters; i++) {
        er_filter *to = &f->filters[i];
        fuzz_op(b, ER_KIND_FILTER, &to->op, to->param);
        to->taper = fuzz_u8(b) % 4;
        to->n_from = 1 + fuzz_u8(b) / 85;
        for (uint32_t k = 0; k < to->n_from; k++)
            to->from[k] = fuzz_u8(b) % (p->n_channels + i + 1u);
    }
    for (uint32_t i = 0; i < p->n_features; i++) {
        er_feature *to = &f->features[i];
        const int takes_two = fuzz_op(b, ER_KIND_WINDOW, &to->op, to->param);
        to->channel = fuzz_u8(b) % (p->n_channels + p->n_filters + 1u);
        to->other = takes_two ? fuzz_u8(b) % (p->n_channels + p->n_filters + 1u) : 0;
    }
    p->channels = f->channels;
    p->filters = f->filters;
    p->features = f->features;
}

/* ---- a stream ---- */

enum { FUZZ_CLASSES = 2, FUZZ_FRAMES = 160 };
static const er_policy fuzz_policy = {FUZZ_CLASSES, 1, 2, 1, {400000, 300000}};

/* The stream of a program in memory of its very size (*mem, to free), or NULL: not a program, or
 * too large to be tried often. */
static inline er_stream *fuzz_stream(const er_program *p, const er_bins *bins, void **mem)
{
    const er_config c = {.program = p, .policy = &fuzz_policy, .bins = bins};
    const size_t size = er_stream_size(&c);
    uint32_t where;
    er_stream *s;
    *mem = NULL;
    /* a program of records alone has no channels: it runs beside rows, which there are none of here
     */
    CHECK((er_program_check(p, &where) == ER_OK && p->n_channels > 0) == (size > 0));
    if (size == 0 || size > 1u << 20) return NULL;
    *mem = malloc(size);
    memset(*mem, 0xa5, size);
    CHECK(er_stream_init(&s, &c, *mem, size - 1) == ER_ENOSPC);
    CHECK(er_stream_init(&s, &c, *mem, size) == ER_OK);
    return s;
}

static inline uint64_t fuzz_hash(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* Push n frames in pieces of 1..cut; returns a hash of every decision. */
static inline uint64_t fuzz_play(er_stream *s, const er_program *p, const float *x,
                                 const int64_t *times_us, uint32_t n, uint32_t cut)
{
    uint64_t h = 0;
    uint32_t calls = 0;
    for (uint32_t at = 0; at < n && calls < 24;) {
        const double scores[FUZZ_CLASSES] = {0.25, 0.75};
        uint32_t taken;
        er_decision d;
        const uint32_t piece = n - at < cut ? n - at : cut;
        er_status status = er_step_at(s, x + (size_t)at * p->n_channels,
                                      times_us ? times_us + at : NULL, piece, &taken, &d);
        CHECK(status >= 0 && taken <= piece);
        CHECK(status != ER_AGAIN || taken == piece);
        at += taken;
        calls += status != ER_AGAIN;
        if (status == ER_SCORES) status = er_decide(s, scores, &d);
        if (status != ER_OK) continue;
        CHECK(d.label >= ER_ABSTAIN && d.label < FUZZ_CLASSES);
        h = fuzz_hash(h, &d, sizeof d);
        h = fuzz_hash(h, er_stream_features(s), p->n_features * sizeof(float));
    }
    return h;
}

/* Frames and their times out of what bytes are left, repeated with a drift; the values of one
 * channel are smooth, any bits, or few numbers. */
static inline void fuzz_frames(fuzz_bytes *b, const er_program *p, float *x, int64_t *times_us)
{
    uint64_t rng = fuzz_u16(b);
    const uint8_t how = fuzz_u8(b);
    int64_t at = 0;
    const double period = 1e6 / (double)p->rate_hz;
    const int64_t step = period < 1e15 ? (int64_t)period : INT64_C(1000000);
    for (uint32_t i = 0; i < FUZZ_FRAMES * (uint32_t)p->n_channels; i++) {
        uint32_t bits = (uint32_t)rng_next(&rng);
        x[i] = how % 3 == 1 ? (float)(bits % 5) : rng_unit(&rng);
        if (how % 3 == 2 && b->left > i % 64) fuzz_take(b, &bits, sizeof bits);
        if (how % 3 == 2) memcpy(&x[i], &bits, sizeof bits);
    }
    for (uint32_t i = 0; i < FUZZ_FRAMES; i++) {
        const uint8_t event = fuzz_u8(b);
        at += step + (event % 16 == 1 ? step * (event / 16) : 0) - (event % 16 == 2 ? 3 * step : 0);
        times_us[i] = at;
        if (event % 16 == 3) fuzz_take(b, &times_us[i], sizeof times_us[i]);
    }
}

#endif
