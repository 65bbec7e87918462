/* Prints one line per part: a hash of the bits that it computes. Two builds keep the promise if
 * their outputs are equal; the aarch64 test compares them. Inputs come from integers only. */
#include "check.h"
#include "er_row.h"

static uint64_t memory[1 << 17], forest_bytes[1 << 14];
static float x[3 * 8192], out[64 * 64];

/* FNV-1a, 64 bit */
static uint64_t fnv(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* ---- inputs ---- */

static float bits_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static float in_unit(uint64_t *rng) { return rng_unit(rng); }
static float in_offset(uint64_t *rng) { return rng_unit(rng) * 0.01f + 9.81f; }
static float in_constant(uint64_t *rng) { return (void)rng, 0.1f; }
static float in_counts(uint64_t *rng) { return (float)((int)rng_below(rng, 7) - 3); }
static float in_denormal(uint64_t *rng) { return bits_of((uint32_t)rng_next(rng) & 0x807fffffu); }
static float in_huge(uint64_t *rng) { return rng_unit(rng) * 3e38f; }
static float in_any_bits(uint64_t *rng) { return bits_of((uint32_t)rng_next(rng)); }
static float in_rare_nan(uint64_t *rng)
{
    return rng_below(rng, 500) ? rng_unit(rng) : bits_of(0x7f800000u | (uint32_t)rng_next(rng));
}

static const struct {
    const char *name;
    float (*make)(uint64_t *rng);
} INPUTS[] = {{"unit", in_unit},         {"offset", in_offset},     {"constant", in_constant},
              {"counts", in_counts},     {"denormal", in_denormal}, {"huge", in_huge},
              {"any_bits", in_any_bits}, {"rare_nan", in_rare_nan}};

/* ---- parts ---- */

enum { CHANNELS = 3, OPS = 9, MAX_FEATURES = 512 };
static const er_channel channels[CHANNELS] = {
    {1.0f, 0.0f, 1, 0}, {0.001f, -0.3f, 1, 0}, {-7.3f, 2.5f, 1, 0}};

/* Operators 1..9 on every channel, band_power on four bands: what the first digests were made of.
 */
static uint16_t make_features(er_feature *f)
{
    static const float band[4][2] = {{0, 1}, {0.5f, 4}, {4, 10}, {0, 11}};
    uint16_t n = 0;
    for (uint16_t c = 0; c < CHANNELS; c++)
        for (uint16_t op = 1; op <= OPS; op++)
            for (int b = 0; b < (op == 9 ? 4 : 1); b++)
                f[n++] =
                    (er_feature){op, c, 0, 0, {op == 9 ? band[b][0] : 0, op == 9 ? band[b][1] : 0}};
    return n;
}

/* A simulated Cortex-M takes minutes for the long ones: DIGEST_SMALL leaves them away. */
static const uint16_t windows[] = {2,   3,   4,   5,    7,   8,   11,  40,
                                   64,  100, 127, 128,  129, 250, 256,
#ifndef DIGEST_SMALL
                                   360, 500, 997, 1024, 4096
#endif
};

static void digest_features(void)
{
    for (size_t k = 0; k < sizeof INPUTS / sizeof *INPUTS; k++) {
        uint64_t h = 0, rng = 1000 + k;
        for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
            er_feature f[64];
            const uint16_t window = windows[w],
                           hop = (uint16_t)(window > 300 ? window / 2 : 1 + window / 3);
            const er_program p = {20.0f, CHANNELS, window, hop,  make_features(f),
                                  0,     channels, f,      NULL, {0}};
            const uint64_t frames = window + 2u * hop, rows = er_features_rows(&p, frames);
            for (size_t i = 0; i < frames * CHANNELS; i++) x[i] = INPUTS[k].make(&rng);
            CHECK(er_features_batch(&p, x, frames, out, rows, memory, sizeof memory) == ER_OK);
            h = fnv(h, out, (size_t)rows * p.n_features * sizeof *out);
        }
        printf("features.%s %016llx\n", INPUTS[k].name, (unsigned long long)h);
    }
}

enum { LAST_WITH_TRIES = 43 }; /* later operators are tried with their own example */

/* Two parameter sets to try an operator with in a window of n. */
static const float *tries(const er_op_info *op, uint16_t n, float set[2])
{
    static const struct {
        uint16_t op;
        float param[2];
    } TRIES[] = {{17, {0.25f, 0.9f}}, {28, {0.1f, -0.4f}}, {29, {0.1f, -0.4f}}, {30, {0, 9.0f}},
                 {37, {0.85f, 0.5f}}, {42, {1.3f, 9.7f}},  {43, {10, 256}}};
    set[0] = set[1] = 0.0f;
    if (op->n_params == 0) return set;
    if (op->id == 23) set[0] = 1.0f, set[1] = (float)((n + 1) / 2);
    for (size_t i = 0; i < sizeof TRIES / sizeof *TRIES; i++)
        if (TRIES[i].op == op->id) memcpy(set, TRIES[i].param, sizeof TRIES[i].param);
    return set;
}

/* A window too short for the example of an operator goes without it. */
static int takes(const er_feature *f, uint16_t window)
{
    const er_program p = {20.0f, CHANNELS, window, window, 1, 0, channels, f, NULL, {0}};
    return er_program_check(&p, NULL) == ER_OK;
}

/* Operators from 10 on, each parameter set, on every channel (and the next, where it takes two);
 * op[] <- table index of each. */
static uint16_t make_later(er_feature *f, uint16_t *op, uint16_t window)
{
    uint16_t n = 0;
    er_op_info info;
    for (uint16_t c = 0; c < CHANNELS; c++)
        for (uint16_t i = OPS; er_op(i, &info) == ER_OK && info.kind == ER_KIND_WINDOW; i++)
            for (int t = 0; t < (info.n_params && info.id <= LAST_WITH_TRIES ? 2 : 1); t++) {
                float set[2];
                CHECK(n < MAX_FEATURES);
                op[n] = i;
                f[n] = (er_feature){info.id, c, 0, 0, {0}};
                if (info.n_most == 2) f[n].other = (uint16_t)((c + 1) % CHANNELS);
                if (info.id <= LAST_WITH_TRIES)
                    f[n].param[0] = tries(&info, window, set)[t];
                else
                    memcpy(f[n].param, info.example, sizeof info.example);
                n = (uint16_t)(n + takes(&f[n], window));
            }
    return n;
}

/* One line an operator, so that a new one adds a line and a changed one is named. */
static void digest_operators(void)
{
    static er_feature f[MAX_FEATURES];
    static uint16_t op[MAX_FEATURES];
    static uint64_t h[MAX_FEATURES];
    er_op_info info;
    for (size_t k = 0; k < sizeof INPUTS / sizeof *INPUTS; k++) {
        uint64_t rng = 2000 + k;
        for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
            const uint16_t window = windows[w], hop = (uint16_t)((window + 1) / 2);
            const uint16_t n = make_later(f, op, window);
            const er_program p = {20.0f, CHANNELS, window, hop, n, 0, channels, f, NULL, {0}};
            const uint64_t frames = window + 2u * hop;
            const uint64_t rows = er_features_rows(&p, frames);
            for (size_t i = 0; i < frames * CHANNELS; i++) x[i] = INPUTS[k].make(&rng);
            CHECK(er_features_batch(&p, x, frames, out, rows, memory, sizeof memory) == ER_OK);
            for (size_t i = 0; i < (size_t)rows * n; i++)
                h[op[i % n]] = fnv(h[op[i % n]], &out[i], 4);
        }
    }
    for (uint16_t i = OPS; er_op(i, &info) == ER_OK && info.kind == ER_KIND_WINDOW; i++)
        printf("operator.%s %016llx\n", info.name, (unsigned long long)h[i]);
}

/* The spectrum with a taper, one line each. */
static void digest_tapers(void)
{
    static const char *const name[] = {"none", "hann", "hamming"};
    static const er_feature f[] = {{9, 0, 0, 0, {0.5f, 4}}, {35, 0, 0, 0, {0}}, {38, 0, 0, 0, {0}}};
    for (uint16_t taper = ER_TAPER_HANN; taper <= ER_TAPER_HAMMING; taper++) {
        const er_channel channel = {1.0f, 0.0f, 1, taper};
        uint64_t h = 0;
        for (size_t k = 0; k < sizeof INPUTS / sizeof *INPUTS; k++) {
            uint64_t rng = 3000 + k;
            for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
                const uint16_t n = windows[w];
                const er_program p = {20.0f, 1, n, n, 3, 0, &channel, f, NULL, {0}};
                for (size_t i = 0; i < n; i++) x[i] = INPUTS[k].make(&rng);
                CHECK(er_features_batch(&p, x, n, out, 1, memory, sizeof memory) == ER_OK);
                h = fnv(h, out, 3 * sizeof *out);
            }
        }
        printf("taper.%s %016llx\n", name[taper], (unsigned long long)h);
    }
}

static void digest_stream(void)
{
#ifdef DIGEST_SMALL
    enum { CLASSES = 4, FRAMES = 2048 };
#else
    enum { CLASSES = 4, FRAMES = 8192 };
#endif
    static const float edges[] = {-1.0f, -0.25f, 0.0f, 0.125f, 0.6f, 3.0f};
    static unsigned char saved[1 << 16];
    er_feature f[64];
    er_bins bins[64 + CLASSES];
    const er_program p = {20.0f, CHANNELS, 40, 20, make_features(f), 0, channels, f, NULL, {0}};
    const er_policy policy = {CLASSES, 2, 3, 2, {450000, 500000, 400000, 550000}};
    uint64_t rng = 77, decisions = 0, summary = 0;
    er_model forest;
    const size_t size =
        make_forest(&rng, forest_bytes, sizeof forest_bytes, p.n_features, CLASSES, 50);
    CHECK(er_model_open(&forest, forest_bytes, size) == ER_OK);
    for (uint32_t r = 0; r < p.n_features + (uint32_t)CLASSES; r++)
        bins[r] = (er_bins){0.1f, 0.7f, 5, edges};
    for (size_t i = 0; i < FRAMES * CHANNELS; i++) x[i] = in_rare_nan(&rng);
    const er_config c = {&p, &policy, bins, &forest, NULL};
    er_stream *s;
    CHECK(er_stream_init(&s, &c, memory, sizeof memory) == ER_OK);
    for (uint32_t at = 0, taken; at < FRAMES; at += taken) {
        er_decision d;
        const uint32_t cut = 1 + rng_below(&rng, 50), rest = FRAMES - at;
        if (er_step(s, x + (size_t)at * CHANNELS, cut < rest ? cut : rest, &taken, &d) != ER_OK)
            continue;
        d.flags &= ~ER_FLAG_RANGE; /* of the counting, not of the decision */
        decisions = fnv(decisions, &d, sizeof d);
        decisions = fnv(decisions, er_stream_features(s), p.n_features * sizeof(float));
        decisions = fnv(decisions, er_stream_scores(s), CLASSES * sizeof(double));
    }
    for (uint32_t r = 0; r < p.n_features + (uint32_t)CLASSES; r++) {
        er_tally t;
        uint32_t counts[7];
        CHECK(er_summary_row(s, r, &t, counts, 7) == ER_OK);
        summary = fnv(fnv(summary, &t, sizeof t), counts, sizeof counts);
    }
    CHECK(er_stream_save(s, saved, sizeof saved) == ER_OK);
    printf("stream.decisions %016llx\n", (unsigned long long)decisions);
    printf("stream.summary %016llx\n", (unsigned long long)summary);
    printf("stream.saved %016llx\n", (unsigned long long)fnv(0, saved, er_stream_save_size(s)));
}

#include "digest_clock.h"
#include "digest_filters.h"
#include "digest_model.h"
#include "digest_row.h"

int main(void)
{
    CHECK(er_fpu_check() == ER_OK);
    digest_features();
    digest_stream();
    digest_operators();
    digest_tapers();
    digest_clock();
    digest_filters();
    digest_row();
    digest_model();
    return 0;
}
