/* er_program.c - a checked feature program, its window of frames, and the features of a full
 * window. */
#include <string.h>

#include "er_internal.h"

/* ---- check ---- */

static int shape_ok(const er_program *p)
{
    return p && p->channels && p->features && er_is_finite(p->rate_hz) && p->rate_hz > 0.0f &&
           p->n_channels >= 1 && p->n_channels <= ER_MAX_CHANNELS && p->window >= 2 &&
           p->window <= ER_MAX_WINDOW && p->hop >= 1 && p->hop <= p->window && p->n_features >= 1 &&
           p->n_features <= ER_MAX_FEATURES;
}

static int channels_ok(const er_program *p)
{
    for (uint32_t c = 0; c < p->n_channels; c++) {
        const er_channel *ch = &p->channels[c];
        if (!er_is_finite(ch->scale) || ch->scale == 0.0f || !er_is_finite(ch->offset)) return 0;
    }
    return 1;
}

static er_status feature_check(const er_program *p, const er_feature *f)
{
    const er_kernel *k = er_kernel_find(f->op);
    if (!k) return ER_EOP;
    if (f->channel >= p->n_channels) return ER_EINVAL;
    for (uint32_t i = k->info.n_params; i < 2; i++)
        if (f->param[i] != 0.0f) return ER_EINVAL;
    return k->params_ok(f->param, p->rate_hz, p->window) ? ER_OK : ER_EINVAL;
}

er_status er_program_check(const er_program *p, uint32_t *where)
{
    uint32_t none;
    if (!where) where = &none;
    *where = p ? p->n_features : 0;
    if (!shape_ok(p) || !channels_ok(p)) return ER_EINVAL;
    for (uint32_t i = 0; i < p->n_features; i++) {
        const er_status status = feature_check(p, &p->features[i]);
        if (status == ER_OK) continue;
        *where = i;
        return status;
    }
    return ER_OK;
}

/* ---- memory ---- */

static unsigned needs_of(const er_program *p)
{
    unsigned needs = 0;
    for (uint32_t i = 0; i < p->n_features; i++) needs |= er_kernel_find(p->features[i].op)->needs;
    return needs;
}

void er_windows_carve(er_windows *w, const er_program *p, er_arena *a)
{
    const unsigned needs = needs_of(p);
    memset(w, 0, sizeof *w);
    w->p = p;
    w->kernel = er_carve(a, p->n_features * sizeof *w->kernel);
    w->order = er_carve(a, p->n_features * sizeof *w->order);
    w->rows = er_carve(a, (size_t)p->n_channels * 2 * p->window * sizeof *w->rows);
    if (needs & ER_NEED_KEYS) w->keys = er_carve(a, p->window * sizeof *w->keys);
    if (needs & ER_NEED_VALUES) w->values = er_carve(a, p->window * sizeof *w->values);
    if (needs & ER_NEED_SPECTRUM) er_spectrum_carve(&w->spectrum, p->window, a);
}

void er_windows_init(er_windows *w)
{
    uint32_t at = 0;
    for (uint32_t c = 0; c < w->p->n_channels; c++)
        for (uint32_t i = 0; i < w->p->n_features; i++)
            if (w->p->features[i].channel == c) w->order[at++] = (uint16_t)i;
    for (uint32_t i = 0; i < w->p->n_features; i++)
        w->kernel[i] = er_kernel_find(w->p->features[i].op);
    er_spectrum_init(&w->spectrum);
}

/* ---- frames in ---- */

static float *row_of(const er_windows *w, uint32_t channel)
{
    return w->rows + (size_t)channel * 2 * w->p->window;
}

uint32_t er_windows_push(er_windows *w, const float *x, uint32_t n)
{
    const uint32_t room = w->p->window - w->fill, take = n < room ? n : room;
    const uint32_t width = w->p->n_channels;
    for (uint32_t c = 0; c < width; c++) {
        const er_channel ch = w->p->channels[c];
        float *row = row_of(w, c) + w->at + w->fill;
        for (uint32_t i = 0; i < take; i++)
            row[i] = x[(size_t)i * width + c] * ch.scale + ch.offset;
    }
    w->fill += take;
    return take;
}

/* A row is two windows long, so frames move back to its start only once in window/hop windows. */
static void advance(er_windows *w)
{
    const uint32_t window = w->p->window, hop = w->p->hop;
    w->at += hop;
    w->fill -= hop;
    if (w->at <= window) return;
    for (uint32_t c = 0; c < w->p->n_channels; c++)
        memmove(row_of(w, c), row_of(w, c) + w->at, w->fill * sizeof(float));
    w->at = 0;
}

/* ---- features out ---- */

/* Fill lo and hi; 0 if a value is not finite. -0 counts as 0. Eight lanes, as in er_sum.h: a plain
 * minimum cannot be vectorised, because its order decides which zero and which NaN is kept. */
static int scan(er_view *v)
{
    enum { LANES = 8 };
    float lo[LANES], hi[LANES];
    uint32_t greatest = 0, i = 0;
    for (uint32_t l = 0; l < LANES; l++) lo[l] = hi[l] = v->x[0];
    for (; i + LANES <= v->n; i += LANES)
        for (uint32_t l = 0; l < LANES; l++) {
            const float x = v->x[i + l];
            lo[l] = x < lo[l] ? x : lo[l];
            hi[l] = hi[l] < x ? x : hi[l];
        }
    for (; i < v->n; i++) {
        lo[0] = v->x[i] < lo[0] ? v->x[i] : lo[0];
        hi[0] = hi[0] < v->x[i] ? v->x[i] : hi[0];
    }
    for (uint32_t l = 1; l < LANES; l++) {
        lo[0] = lo[l] < lo[0] ? lo[l] : lo[0];
        hi[0] = hi[0] < hi[l] ? hi[l] : hi[0];
    }
    for (i = 0; i < v->n; i++) {
        const uint32_t size = er_float_bits(v->x[i]) & 0x7fffffffu;
        greatest = size > greatest ? size : greatest;
    }
    v->lo = lo[0] + 0.0f;
    v->hi = hi[0] + 0.0f;
    return greatest < 0x7f800000u;
}

static er_view view_of(er_windows *w, uint32_t channel)
{
    return (er_view){.x = row_of(w, channel) + w->at,
                     .n = w->p->window,
                     .rate_hz = w->p->rate_hz,
                     .keys = w->keys,
                     .values = w->values,
                     .spectrum = &w->spectrum};
}

/* One bit pattern for every number that is not finite, one for zero. */
static float canonical(float x) { return er_is_finite(x) ? x + 0.0f : er_nan(); }

void er_windows_compute(er_windows *w, float *out)
{
    const er_program *p = w->p;
    er_view v = {0};
    uint32_t channel = ER_MAX_CHANNELS;
    int finite = 0;
    for (uint32_t i = 0; i < p->n_features; i++) {
        const uint32_t f = w->order[i];
        if (p->features[f].channel != channel) {
            channel = p->features[f].channel;
            v = view_of(w, channel);
            finite = scan(&v);
        }
        out[f] = finite ? canonical(w->kernel[f]->run(&v, p->features[f].param)) : er_nan();
    }
    advance(w);
}

/* ---- features alone ---- */

uint64_t er_features_rows(const er_program *p, uint64_t n_frames)
{
    if (er_program_check(p, NULL) != ER_OK || n_frames < p->window) return 0;
    return 1 + (n_frames - p->window) / p->hop;
}

size_t er_features_size(const er_program *p)
{
    if (er_program_check(p, NULL) != ER_OK) return 0;
    er_arena count = {0};
    er_windows w;
    er_windows_carve(&w, p, &count);
    return count.used;
}

er_status er_features_batch(const er_program *p, const float *x, uint64_t n_frames, float *out,
                            uint64_t out_rows, void *mem, size_t size)
{
    const er_status status = er_program_check(p, NULL);
    if (status != ER_OK) return status;
    if (!mem || (uintptr_t)mem % 8) return ER_EINVAL;
    const uint64_t rows = er_features_rows(p, n_frames);
    if ((!x && n_frames) || (!out && rows)) return ER_EINVAL;
    if (out_rows < rows || size < er_features_size(p)) return ER_ENOSPC;
    er_arena arena = {mem, 0};
    er_windows w;
    er_windows_carve(&w, p, &arena);
    er_windows_init(&w);
    for (uint64_t row = 0; row < rows; row++) {
        x += (size_t)er_windows_push(&w, x, p->window) * p->n_channels;
        er_windows_compute(&w, out + row * p->n_features);
    }
    return ER_OK;
}
