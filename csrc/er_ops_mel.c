/* er_ops_mel.c - operators on mel energies, each the mean over the frames in the window. All of one
 * channel that agree in mels, frame and hop share one pass: see er_mel.c. */
#include "er_ops.h"
#include "er_sum.h"

/* Energy under one triangle [x^2/Hz], |X|^2 with X the sum over a frame, as librosa has it. */
static float op_mel(er_view *v, const float *param)
{
    return (float)er_view_mel(v, param)->power[(uint32_t)param[0]];
}

/* The same in decibels, mean of the frames' decibels [dB], -100... */
static float op_log_mel(er_view *v, const float *param)
{
    return (float)er_view_mel(v, param)->level[(uint32_t)param[0]];
}

#define PRODUCT(i) (t->x[i] * t->w[i])
ER_DEFINE_SUM(sum_products, PRODUCT)

/* One coefficient of the orthonormal cosine transform (DCT-II) of the energies in decibels [dB]
 * (Davis, Mermelstein 1980): its rows are even or odd, so half of the levels do, folded. */
static float op_mfcc(er_view *v, const float *param)
{
    const er_mel *m = er_view_mel(v, param);
    const uint32_t k = (uint32_t)param[0];
    return (float)sum_products(
        &(er_terms){.x = k % 2 ? m->odd : m->even, .w = m->cosine + k * m->half}, m->half);
}

/* ---- the table ---- */

#define LIMITS(k)                                                                                  \
    "whole numbers: 0 <= " k " < mels <= 256, 2 <= frame <= window and 1 <= hop <= window "        \
    "[frames]"

static const er_kernel ROWS[] = {
    ER_OP(51, mel, 4, "x^2/Hz", LIMITS("band"), mel, ER_NEED_MEL, 3, 10, 32, 16),
    ER_OP(52, mfcc, 4, "dB", LIMITS("coefficient"), mel, ER_NEED_MEL | ER_NEED_COSINES, 1, 10, 32,
          16),
    ER_OP(53, log_mel, 4, "dB", LIMITS("band"), mel, ER_NEED_MEL, 3, 10, 32, 16),
};
const er_table er_ops_mel = {ROWS, sizeof ROWS / sizeof *ROWS};
