/* er_mel.c - mel energies of one channel of a window: frames of `frame` samples every `hop`, each
 * tapered (Hann, periodic), its power spectrum summed under triangles.
 *
 * Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, 27 steps to a factor of 6.4
 * above; 0 .. rate/2; each triangle of area 1. The definition of librosa.feature.melspectrogram,
 * center=False.
 */
#include "er_internal.h"
#include "er_math.h"
#include "er_sum.h"

/* ---- which a program needs ---- */

static int needs_mel(const er_feature *f) { return er_kernel_find(f->op)->needs & ER_NEED_MEL; }

static er_mel key_of(const er_program *p, const er_pace *pace, const er_feature *f)
{
    return (er_mel){.rate_hz = er_program_rate(p, &pace[f->channel]),
                    .mels = (uint16_t)f->param[1],
                    .frame = (uint16_t)f->param[2],
                    .hop = (uint16_t)f->param[3]};
}

static int is_same(const er_mel *a, const er_mel *b)
{
    return a->rate_hz == b->rate_hz && a->mels == b->mels && a->frame == b->frame &&
           a->hop == b->hop;
}

/* No feature before i needs the same. */
static int is_first(const er_program *p, const er_pace *pace, uint32_t i)
{
    const er_mel mine = key_of(p, pace, &p->features[i]);
    for (uint32_t j = 0; j < i; j++) {
        if (!needs_mel(&p->features[j])) continue;
        const er_mel other = key_of(p, pace, &p->features[j]);
        if (is_same(&mine, &other)) return 0;
    }
    return 1;
}

static void carve(er_mel *m, er_arena *a)
{
    er_spectrum_carve(&m->spectrum, m->frame, ER_TAPER_HANN, a);
    m->triangles = er_carve(a, m->mels * sizeof *m->triangles);
    m->weight = er_carve(a, (m->frame + 2u) * sizeof *m->weight); /* a bin is under two at most */
    m->cosine = er_carve(a, 4u * m->mels * sizeof *m->cosine);
    m->sum = er_carve(a, m->mels * sizeof *m->sum);
    m->power = er_carve(a, m->mels * sizeof *m->power);
    m->level = er_carve(a, m->mels * sizeof *m->level);
}

er_mel *er_mels_carve(const er_program *p, const er_pace *pace, er_arena *a, uint32_t *n)
{
    *n = 0;
    for (uint32_t i = 0; i < p->n_features; i++)
        if (needs_mel(&p->features[i])) *n += (uint32_t)is_first(p, pace, i);
    er_mel *mels = er_carve(a, *n * sizeof *mels);
    for (uint32_t i = 0, at = 0; i < p->n_features; i++) {
        if (!needs_mel(&p->features[i]) || !is_first(p, pace, i)) continue;
        er_mel m = key_of(p, pace, &p->features[i]);
        carve(&m, a);
        if (a->base) mels[at++] = m;
    }
    return mels;
}

/* ---- tables ---- */

/* log2 of 6.4, over 27. */
static const double STEP = 2.678071905112637652 / 27.0;

static double mel_of(double hz)
{
    const double ratio = hz / 1000.0, near = (double)(float)ratio;
    if (ratio < 1.0) return 15.0 * ratio;
    return 15.0 + (er_log2((float)ratio) + (ratio / near - 1.0) * 1.442695040888963407) / STEP;
}

static double hz_of(double mel)
{
    return mel < 15.0 ? mel / 15.0 * 1000.0 : 1000.0 / er_exp2((15.0 - mel) * STEP);
}

/* weight[] <- the triangle over low, mid, high [Hz], of area 1, and what makes |X|^2 of a bin's
 * power: n^2 times the taper's mean square, halved where two sides were added. Returns how many. */
static uint32_t make_triangle(const er_mel *m, const double f[3], er_triangle *t, float *weight)
{
    const uint32_t end = m->frame / 2u;
    const double n = m->frame, square = m->frame == 2 ? 0.5 : 0.375, area = 2.0 / (f[2] - f[0]);
    uint32_t made = 0;
    t->from = 0;
    for (uint32_t k = 0; k <= end; k++) {
        const double hz = k * (double)m->rate_hz / n;
        const double up = (hz - f[0]) / (f[1] - f[0]), down = (f[2] - hz) / (f[2] - f[1]);
        const double height = up < down ? up : down;
        if (!(height > 0.0)) continue;
        const double sides = k == 0 || 2u * k == m->frame ? 1.0 : 2.0;
        if (made == 0) t->from = (uint16_t)k;
        weight[made++] = (float)(height * area * n * n * square / sides);
    }
    return made;
}

void er_mel_init(er_mel *m)
{
    const double top = mel_of((double)m->rate_hz / 2.0), step = top / (m->mels + 1.0);
    uint32_t at = 0;
    er_spectrum_init(&m->spectrum);
    for (uint32_t b = 0; b < m->mels; b++) {
        const double f[3] = {hz_of(b * step), hz_of((b + 1) * step), hz_of((b + 2) * step)};
        m->triangles[b].at = (uint16_t)at;
        const uint32_t n = make_triangle(m, f, &m->triangles[b], m->weight + at);
        m->triangles[b].n = (uint16_t)n;
        at += n;
    }
    for (uint32_t j = 0; j < 4u * m->mels; j++) m->cosine[j] = er_turn(j, 4u * m->mels).re;
}

/* ---- energies ---- */

#define PRODUCT(i) (t->x[i] * t->w[i])
ER_DEFINE_SUM(sum_products, PRODUCT)

/* sum[] <- the energies of one frame. */
static void frame_of(er_mel *m, const float *x)
{
    er_spectrum_run_whole(&m->spectrum, x);
    for (uint32_t b = 0; b < m->mels; b++) {
        const er_triangle t = m->triangles[b];
        m->sum[b] = (float)sum_products(
            &(er_terms){.x = m->spectrum.power + t.from, .w = m->weight + t.at}, t.n);
    }
}

/* 10 log10 of x, at least 1e-10 (librosa.power_to_db, ref=1, amin=1e-10, top_db=None); not finite
 * where x is not. */
static double decibels(float x)
{
    const float least = x < 1e-10f ? 1e-10f : x;
    return 3.010299956639811952 * er_log2(least) + (double)(x - x);
}

er_mel *er_view_mel(er_view *v, const float *param)
{
    er_mel key = {.rate_hz = v->rate_hz,
                  .mels = (uint16_t)param[1],
                  .frame = (uint16_t)param[2],
                  .hop = (uint16_t)param[3]};
    er_mel *m = v->mels;
    while (!is_same(m, &key)) m++; /* ends: er_mels_carve made one for every feature */
    if (m->is_made) return m;
    m->is_made = 1;
    const uint32_t n_frames = 1 + (v->n - m->frame) / m->hop;
    for (uint32_t b = 0; b < m->mels; b++) m->power[b] = m->level[b] = 0.0;
    for (uint32_t i = 0; i < n_frames; i++) {
        frame_of(m, v->x + (size_t)i * m->hop);
        for (uint32_t b = 0; b < m->mels; b++) m->power[b] += (double)m->sum[b];
        for (uint32_t b = 0; b < m->mels; b++) m->level[b] += decibels(m->sum[b]);
    }
    for (uint32_t b = 0; b < m->mels; b++) m->power[b] /= n_frames, m->level[b] /= n_frames;
    return m;
}
