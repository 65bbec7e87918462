/* er_program.c - a feature program: is it one, and at which pace does each of its channels run. */
#include "er_internal.h"

/* ---- shape ---- */

/* Records alone: no frame has anything in it, and each is decided. */
static int is_bare(const er_program *p)
{
    return p->n_filters == 0 && p->n_features == 0 && p->window == 1 && p->hop == 1 &&
           p->timing.policy == ER_TIME_NONE;
}

/* Operators divide by it: channels at a rate that float32 has as 0 or infinite are none. */
static int rate_ok(float rate_hz) { return er_is_finite(rate_hz) && rate_hz > 0.0f; }

static int shape_ok(const er_program *p)
{
    if (!p || !rate_ok(p->rate_hz)) return 0;
    if (p->n_channels == 0) return is_bare(p);
    return p->channels && p->features && (p->filters || p->n_filters == 0) &&
           p->n_channels <= ER_MAX_CHANNELS && p->n_filters <= ER_MAX_FILTERS && p->window >= 2 &&
           p->window <= ER_MAX_WINDOW && p->hop >= 1 && p->hop <= p->window && p->n_features >= 1 &&
           p->n_features <= ER_MAX_FEATURES;
}

static int channels_ok(const er_program *p)
{
    for (uint32_t c = 0; c < p->n_channels; c++) {
        const er_channel *ch = &p->channels[c];
        if (!er_is_finite(ch->scale) || ch->scale == 0.0f || !er_is_finite(ch->offset)) return 0;
        if (ch->taper > ER_TAPER_HAMMING || ch->every == 0) return 0;
        if (p->window % ch->every || p->hop % ch->every || p->window / ch->every < 2) return 0;
        const er_pace pace = {.n = (uint16_t)(p->window / ch->every)};
        if (!rate_ok(er_program_rate(p, &pace))) return 0;
    }
    return 1;
}

static int unused_ok(const float *param, uint16_t n_params)
{
    for (uint32_t i = n_params; i < ER_MAX_PARAMS; i++)
        if (param[i] != 0.0f) return 0;
    return 1;
}

/* ---- pace ---- */

static er_pace pace_of_channel(const er_program *p, uint32_t c)
{
    const uint16_t every = p->channels[c].every;
    uint32_t clock = 0;
    while (p->channels[clock].every != every) clock++;
    return (er_pace){(uint16_t)(p->window / every), (uint16_t)(p->hop / every), (uint16_t)clock, 0};
}

static void ratio_of(const er_filter *f, uint32_t *up, uint32_t *down)
{
    const er_filter_kernel *k = er_filter_find(f->op);
    *up = *down = 1;
    if (k->ratio) k->ratio(f->param, up, down);
}

/* The lowest channel that gets its samples at the very same frames as filter i, which makes up/down
 * of another; its own number, where there is none. Where no channel on the way makes more samples,
 * sample k comes with frame k * window / n, whatever the filters between. */
static uint16_t clock_of_filter(const er_program *p, const er_pace *pace, uint32_t i)
{
    const uint32_t me = p->n_channels + i, from = pace[p->filters[i].from[0]].clock;
    uint32_t up, down, u, d;
    ratio_of(&p->filters[i], &up, &down);
    for (uint32_t c = 0; c < me; c++) {
        if (!pace[me].raised && !pace[c].raised && pace[c].n == pace[me].n) return pace[c].clock;
        if (c < p->n_channels) continue;
        const er_filter *other = &p->filters[c - p->n_channels];
        ratio_of(other, &u, &d);
        if (u == up && d == down && pace[other->from[0]].clock == from) return pace[c].clock;
    }
    return (uint16_t)me;
}

static er_status pace_of_filter(const er_program *p, er_pace *pace, uint32_t i)
{
    const er_filter *f = &p->filters[i];
    const er_filter_kernel *k = er_filter_find(f->op);
    if (!k) return ER_EOP;
    if (f->n_from < k->info.n_least || f->n_from > k->info.n_most || f->taper > ER_TAPER_HAMMING)
        return ER_EINVAL;
    for (uint32_t s = 0; s < ER_MAX_FROM; s++)
        if (s < f->n_from ? f->from[s] >= p->n_channels + i : f->from[s] != 0) return ER_EINVAL;
    const er_pace from = pace[f->from[0]];
    for (uint32_t s = 1; s < f->n_from; s++)
        if (pace[f->from[s]].clock != from.clock) return ER_ERATE;
    if (!unused_ok(f->param, k->info.n_params) ||
        !k->params_ok(f->param, er_program_rate(p, &from)))
        return ER_EINVAL;
    uint32_t up, down;
    ratio_of(f, &up, &down);
    const uint32_t n = from.n * up, hop = from.hop * up;
    if (n % down || hop % down || n / down < 2 || n / down > ER_MAX_WINDOW) return ER_ERATE;
    er_pace *to = &pace[p->n_channels + i];
    *to = (er_pace){(uint16_t)(n / down), (uint16_t)(hop / down), from.clock,
                    (uint16_t)(from.raised || up > 1)};
    if (!rate_ok(er_program_rate(p, to))) return ER_EINVAL;
    if (k->ratio) to->clock = clock_of_filter(p, pace, i);
    return ER_OK;
}

er_status er_program_paces(const er_program *p, er_pace *pace, uint32_t *where)
{
    for (uint32_t c = 0; c < p->n_channels; c++) pace[c] = pace_of_channel(p, c);
    for (uint32_t i = 0; i < p->n_filters; i++) {
        const er_status status = pace_of_filter(p, pace, i);
        if (status == ER_OK) continue;
        *where = p->n_features + 1u + i;
        return status;
    }
    return ER_OK;
}

float er_program_rate(const er_program *p, const er_pace *pace)
{
    return (float)((double)p->rate_hz * pace->n / p->window);
}

er_status er_program_channel(const er_program *p, uint16_t c, float *rate_hz, uint16_t *window)
{
    er_pace pace[ER_MAX_LANES];
    uint32_t where;
    if (!rate_hz || !window || !shape_ok(p) || !channels_ok(p)) return ER_EINVAL;
    const uint32_t ready = er_program_paces(p, pace, &where) == ER_OK
                               ? er_program_lanes(p)
                               : p->n_channels + where - p->n_features - 1u;
    if (c >= ready) return ER_EINVAL;
    *rate_hz = er_program_rate(p, &pace[c]);
    *window = pace[c].n;
    return ER_OK;
}

/* ---- check ---- */

static er_status feature_check(const er_program *p, const er_pace *pace, const er_feature *f)
{
    const er_kernel *k = er_kernel_find(f->op);
    if (!k) return ER_EOP;
    const uint32_t n = er_program_lanes(p);
    if (f->channel >= n || f->reserved != 0) return ER_EINVAL;
    if (k->info.n_most == 1 ? f->other != 0 : f->other >= n) return ER_EINVAL;
    const er_pace *of = &pace[f->channel];
    if (k->info.n_most == 2 && pace[f->other].n != of->n) return ER_ERATE;
    return unused_ok(f->param, k->info.n_params) &&
                   k->params_ok(f->param, er_program_rate(p, of), of->n)
               ? ER_OK
               : ER_EINVAL;
}

er_status er_program_check(const er_program *p, uint32_t *where)
{
    uint32_t none;
    er_pace pace[ER_MAX_LANES];
    if (!where) where = &none;
    *where = p ? p->n_features : 0;
    if (!shape_ok(p) || !channels_ok(p) || !er_timing_ok(&p->timing, p->rate_hz)) return ER_EINVAL;
    const er_status paces = er_program_paces(p, pace, where);
    if (paces != ER_OK) return paces;
    for (uint32_t i = 0; i < p->n_features; i++) {
        const er_status status = feature_check(p, pace, &p->features[i]);
        if (status == ER_OK) continue;
        *where = i;
        return status;
    }
    return ER_OK;
}
