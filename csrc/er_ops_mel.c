/* er_ops_mel.c - operators on mel energies, each the mean over the frames in the window. All of one
 * channel that agree in mels, frame and hop share one pass: see er_mel.c. */
#include "er_ops.h"

/* Energy under one triangle [x^2/Hz], |X|^2 with X the sum over a frame, as librosa has it. */
static float op_mel(er_view *v, const float *param)
{
    return (float)er_view_mel(v, param)->power[(uint32_t)param[0]];
}

/* Sum in four lanes, (0+2) + (1+3), of level[b] cos(pi k (2b+1) / 2M): the turn goes on by 2k of 4M
 * steps. */
static double cosine_sum(const er_mel *m, uint32_t k)
{
    double lane[4] = {0};
    const uint32_t whole = 4u * m->mels;
    for (uint32_t b = 0, turn = k; b < m->mels; b++) {
        lane[b % 4] += m->level[b] * (double)m->cosine[turn];
        turn += 2 * k;
        turn = turn < whole ? turn : turn - whole;
    }
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

/* One coefficient of the orthonormal cosine transform (DCT-II) of the energies in decibels [dB]
 * (Davis, Mermelstein 1980). */
static float op_mfcc(er_view *v, const float *param)
{
    const er_mel *m = er_view_mel(v, param);
    const uint32_t k = (uint32_t)param[0];
    const float square = (k ? 2.0f : 1.0f) / (float)m->mels;
    return (float)(cosine_sum(m, k) * (double)__builtin_sqrtf(square));
}

/* ---- the table ---- */

#define LIMITS(k)                                                                                  \
    "whole numbers: 0 <= " k " < mels <= 256, 2 <= frame <= window and 1 <= hop <= window "        \
                             "[frames]"

static const er_kernel ROWS[] = {
    ER_OP(51, mel, 4, "x^2/Hz", LIMITS("band"), mel, ER_NEED_MEL, 3, 10, 32, 16),
    ER_OP(52, mfcc, 4, "dB", LIMITS("coefficient"), mel, ER_NEED_MEL, 1, 10, 32, 16),
};
const er_table er_ops_mel = {ROWS, sizeof ROWS / sizeof *ROWS};
