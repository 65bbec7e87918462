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

/* Cosines up to the highest coefficient asked. */
static uint32_t rows_of(const er_program *p, const er_pace *pace, const er_mel *m)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < p->n_features; i++) {
        const er_feature *f = &p->features[i];
        if (!(er_kernel_find(f->op)->needs & ER_NEED_COSINES)) continue;
        const er_mel other = key_of(p, pace, f);
        if (is_same(m, &other) && (uint32_t)f->param[0] >= rows) rows = (uint32_t)f->param[0] + 1;
    }
    return rows;
}

static void carve(er_mel *m, er_arena *a)
{
    er_spectrum_carve(&m->spectrum, m->frame, ER_TAPER_HANN, a);
    m->triangles = er_carve(a, m->mels * sizeof *m->triangles);
    m->weight = er_carve(a, (m->frame + 2u) * sizeof *m->weight); /* a bin is under two at most */
    m->cosine = er_carve(a, m->rows * m->half * sizeof *m->cosine);
    m->even = er_carve(a, m->half * sizeof *m->even);
    m->odd = er_carve(a, m->half * sizeof *m->odd);
    m->sum = er_carve(a, m->mels * sizeof *m->sum);
    m->power = er_carve(a, m->mels * sizeof *m->power);
    m->level = er_carve(a, m->mels * sizeof *m->level);
}

er_mel *er_mels_carve(const er_program *p, const er_pace *pace, er_arena *a, uint32_t *n)
{
    *n = 0;
    for (uint32_t i = 0; i < p->n_features; i++)
        if (needs_mel(&p->features[i])) *n += (uint32_t)is_first(p, pace, i);
    er_mel *mels = er_carve_both(a, *n * sizeof *mels, (size_t)*n * ER_MEL_SMALL);
    for (uint32_t i = 0, at = 0; i < p->n_features; i++) {
        if (!needs_mel(&p->features[i]) || !is_first(p, pace, i)) continue;
        er_mel m = key_of(p, pace, &p->features[i]);
        m.rows = rows_of(p, pace, &m);
        m.half = (m.mels + 1u) / 2;
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
 * power: n^2 times the taper's mean square, halved as two sides were added (the ends of the
 * spectrum, with one, are under no triangle). Returns how many. */
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
        if (made == 0) t->from = (uint16_t)k;
        weight[made++] = (float)(height * area * n * n * square / 2.0);
    }
    return made;
}

/* Left half of row k of the orthonormal DCT-II: the right one mirrors it, with k's sign. */
static void make_cosines(const er_mel *m, uint32_t k, float *row)
{
    const uint32_t whole = 4u * m->mels;
    const float size = __builtin_sqrtf((k ? 2.0f : 1.0f) / (float)m->mels);
    for (uint32_t b = 0; b < m->half; b++)
        row[b] = size * er_turn(k * (2 * b + 1) % whole, whole).re;
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
    for (uint32_t k = 0; k < m->rows; k++) make_cosines(m, k, m->cosine + k * m->half);
}

/* ---- energies ---- */

#define PRODUCT(i) (t->x[i] * t->w[i])
ER_DEFINE_SUM(sum_products, PRODUCT)

/* sum x[i] * w[i], n <= ER_SUM_BLOCK: the order of er_sum.h, without a call for a few terms. */
static inline float sum_few(const float *x, const float *w, uint32_t n)
{
    float lane[ER_SUM_LANES] = {0};
    uint32_t i = 0;
    for (; i + ER_SUM_LANES <= n; i += ER_SUM_LANES)
        for (uint32_t l = 0; l < ER_SUM_LANES; l++) lane[l] += x[i + l] * w[i + l];
    for (uint32_t l = 0; i + l < n; l++) lane[l] += x[i + l] * w[i + l];
    return er_sum_tree(lane);
}

/* sum[] <- the energies of one frame. */
static void frame_of(er_mel *m, const float *x)
{
    er_spectrum_run_whole(&m->spectrum, x);
    for (uint32_t b = 0; b < m->mels; b++) {
        const er_triangle t = m->triangles[b];
        const float *power = m->spectrum.power + t.from, *weight = m->weight + t.at;
        m->sum[b] = t.n <= ER_SUM_BLOCK
                        ? sum_few(power, weight, t.n)
                        : (float)sum_products(&(er_terms){.x = power, .w = weight}, t.n);
    }
}

/* 10 log10 of x, at least 1e-10 (librosa.power_to_db, ref=1, amin=1e-10, top_db=None); not finite
 * where x is not. */
static float decibels(float x)
{
    const float least = x < 1e-10f ? 1e-10f : x;
    return 3.01029996f * er_log2f(least) + (x - x);
}

/* power[], level[] += the energies of a frame and their decibels. */
static void add_frame(size_t n, const float *restrict sum, double *restrict power,
                      double *restrict level)
{
    for (size_t b = 0; b < n; b++) {
        power[b] += (double)sum[b];
        level[b] += (double)decibels(sum[b]);
    }
}

/* even, odd <- level and its mirror image, added and taken off; the middle one is its own. */
static void fold(er_mel *m)
{
    for (uint32_t b = 0; b < m->half; b++) {
        const uint32_t far = m->mels - 1u - b;
        const double mirrored = far == b ? 0.0 : m->level[far];
        m->even[b] = (float)(m->level[b] + mirrored);
        m->odd[b] = (float)(m->level[b] - mirrored);
    }
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
        add_frame(m->mels, m->sum, m->power, m->level);
    }
    for (uint32_t b = 0; b < m->mels; b++) m->power[b] /= n_frames, m->level[b] /= n_frames;
    fold(m);
    return m;
}
