/* er_model_votes.c - steps that make one row of several, or move values: `blend`, `vote`, `pick`.
 */
#include "er_model.h"

/* ---- blend: weight[p], total ---- */

static int blend_ok(const er_model_step *s, const void *constants)
{
    const uint32_t parts = s->n / s->m;
    return s->n % s->m == 0 && s->bytes == (parts + 1) * sizeof(double) &&
           er_all_finite(constants, parts + 1);
}

static void blend_run(const er_call *c)
{
    const uint32_t m = c->step->m, parts = c->step->n / m;
    const double *weight = c->constants;
    for (uint32_t j = 0; j < m; j++) {
        double sum = 0.0;
        for (uint32_t p = 0; p < parts; p++) sum += weight[p] * c->from[(size_t)p * m + j];
        c->to[j] = sum / weight[parts];
    }
}

const er_step_kernel er_step_blend = {0, 0, 0, blend_ok, NULL, blend_run};

/* ---- vote: weight[p] ---- */

static int vote_ok(const er_model_step *s, const void *constants)
{
    const uint32_t parts = s->n / s->m;
    return s->n % s->m == 0 && s->bytes == parts * sizeof(double) &&
           er_all_finite(constants, parts);
}

static void vote_run(const er_call *c)
{
    const uint32_t m = c->step->m, parts = c->step->n / m;
    const double *weight = c->constants, *row = c->from;
    for (uint32_t j = 0; j < m; j++) c->to[j] = 0.0;
    for (uint32_t p = 0; p < parts; p++, row += m) {
        uint32_t best = 0;
        for (uint32_t j = 1; j < m; j++)
            if (row[j] > row[best]) best = j;
        c->to[best] += weight[p];
    }
}

const er_step_kernel er_step_vote = {0, 0, 0, vote_ok, NULL, vote_run};

/* ---- pick: index[m] ---- */

static int pick_ok(const er_model_step *s, const void *constants)
{
    const uint32_t *index = constants;
    if (s->bytes != (uint64_t)er_up(s->m, 2) * sizeof *index) return 0;
    for (uint32_t i = 0; i < s->m; i++)
        if (index[i] >= s->n) return 0;
    return 1;
}

static void pick_run(const er_call *c)
{
    const uint32_t *index = c->constants;
    for (uint32_t i = 0; i < c->step->m; i++) c->to[i] = c->from[index[i]];
}

const er_step_kernel er_step_pick = {0, 0, 0, pick_ok, NULL, pick_run};
