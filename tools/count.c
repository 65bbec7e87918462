/* count.c - runs feature programs under callgrind: tools/cost.py writes them on stdin and reads the
 * instruction counts of each, of two recordings of different length.
 *
 * A program: rate window hop channels, (every taper) each; filters, (op taper n from.. 4 params)
 * each; features, (op channel other 4 params) each; frames of the two recordings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

#include "er.h"

enum { CHANNELS = 64, FILTERS = 64, FEATURES = 1024 };
static er_channel channels[CHANNELS];
static er_filter filters[FILTERS];
static er_feature features[FEATURES];

static float number(void)
{
    float x;
    if (scanf("%f", &x) != 1) exit(2);
    return x;
}

static uint16_t whole(void) { return (uint16_t)number(); }

static int read_program(er_program *p)
{
    float rate;
    if (scanf("%f", &rate) != 1) return 0;
    *p = (er_program){.rate_hz = rate, .channels = channels, .features = features};
    p->window = whole();
    p->hop = whole();
    p->n_channels = whole();
    for (uint32_t c = 0; c < p->n_channels; c++) {
        const uint16_t every = whole(), taper = whole();
        channels[c] = (er_channel){1.0f, 0.0f, every, taper};
    }
    p->n_filters = whole();
    p->filters = p->n_filters ? filters : NULL;
    for (uint32_t i = 0; i < p->n_filters; i++) {
        filters[i] = (er_filter){0};
        filters[i].op = whole();
        filters[i].taper = whole();
        filters[i].n_from = whole();
        for (uint32_t s = 0; s < filters[i].n_from; s++) filters[i].from[s] = whole();
        for (uint32_t k = 0; k < ER_MAX_PARAMS; k++) filters[i].param[k] = number();
    }
    p->n_features = whole();
    for (uint32_t i = 0; i < p->n_features; i++) {
        features[i] = (er_feature){0};
        features[i].op = whole();
        features[i].channel = whole();
        features[i].other = whole();
        for (uint32_t k = 0; k < ER_MAX_PARAMS; k++) features[i].param[k] = number();
    }
    return 1;
}

/* Noise on an offset, -0.5..1.5. */
static float *recording(size_t n)
{
    float *x = malloc(n * sizeof *x);
    uint64_t rng = 1;
    for (size_t i = 0; i < n; i++) {
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(rng >> 40) / 8388608.0f - 0.5f;
    }
    return x;
}

static int run(const er_program *p, uint64_t frames, const char *name)
{
    const size_t size = er_features_size(p);
    const uint64_t rows = er_features_rows(p, frames);
    void *memory = malloc(size);
    float *x = recording(frames * p->n_channels), *out = malloc(rows * p->n_features * sizeof *out);
    CALLGRIND_ZERO_STATS;
    const er_status status = er_features_batch(p, x, frames, out, rows, memory, size);
    CALLGRIND_DUMP_STATS_AT(name);
    free(memory), free(x), free(out);
    return status;
}

int main(void)
{
    er_program p;
    char name[32];
    for (int i = 0; read_program(&p); i++)
        for (int part = 0; part < 2; part++) {
            snprintf(name, sizeof name, "count %d %d", i, part);
            const int status = run(&p, (uint64_t)number(), name);
            if (status) return fprintf(stderr, "program %d: status %d\n", i, status), 1;
        }
    return 0;
}
