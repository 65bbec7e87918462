/* er_model_steps.c - all kinds of steps in id order: row i is op 3000 + i. */
#include "er_model.h"

static const er_step_kernel *const STEPS[] = {
    &er_step_trees,       &er_step_affine,       &er_step_dense,    &er_step_dense32,
    &er_step_quantise,    &er_step_dense8,       &er_step_unary,    &er_step_softmax,
    &er_step_pair,        &er_step_normalise,    &er_step_distance, &er_step_gauss,
    &er_step_lerp,        &er_step_blend,        &er_step_vote,     &er_step_pick,
    &er_step_trees_small, &er_step_trees_paired,
};

const er_step_kernel *er_step_find(uint16_t op)
{
    const uint32_t i = (uint32_t)op - ER_FIRST_STEP; /* an op below wraps */
    return i < sizeof STEPS / sizeof *STEPS ? STEPS[i] : NULL;
}
