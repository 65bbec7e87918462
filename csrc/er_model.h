/* er_model.h - models in the ERM1 format (FORMAT.md "model"): a list of steps over double values.
 *
 * To add a step kind: write its check and its run in er_model_*.c, an er_step_kernel of them, and
 * its row at the end of STEPS[] in er_model_steps.c. The check sees a step whose ranges are inside
 * the values and whose constants are inside the file; it proves their size and every index.
 */
#ifndef ER_MODEL_H
#define ER_MODEL_H

#include "er_internal.h"

enum { ER_FIRST_STEP = 3000, ER_MAX_VALUES = 65536, ER_MAX_STEPS = 4096, ER_MAX_DENSE8 = 1024 };

/* A step as it lies in the file. */
typedef struct er_model_step {
    uint16_t op, variant;
    uint32_t from, n;  /* values read                         */
    uint32_t to, m;    /* values written                      */
    uint32_t reserved; /* 0                                   */
    uint64_t at;       /* its constants in the file, 0: none  */
    uint64_t bytes;    /* of them                             */
} er_model_step;
_Static_assert(sizeof(er_model_step) == 40, "wire size");

/* One step of one run. from and to are equal or do not overlap. */
typedef struct er_call {
    const er_model_step *step;
    const void *constants;
    const double *from; /* [n]                                               */
    double *to;         /* [m]                                               */
    const float *row;   /* [n], the same values where they are features, else NULL */
    void *work;         /* 8-byte aligned, as many bytes as work() said      */
} er_call;

typedef struct er_step_kernel {
    uint16_t least, most; /* variants */
    uint16_t in_place;    /* 1: may write where it reads */
    int (*ok)(const er_model_step *s, const void *constants);
    size_t (*work)(const er_model_step *s, const void *constants); /* [bytes]; NULL: none */
    void (*run)(const er_call *c);
} er_step_kernel;

extern const er_step_kernel er_step_trees, er_step_affine, er_step_dense, er_step_dense32,
    er_step_quantise, er_step_dense8, er_step_unary, er_step_softmax, er_step_pair,
    er_step_normalise, er_step_distance, er_step_gauss, er_step_lerp, er_step_blend, er_step_vote,
    er_step_pick, er_step_trees_small, er_step_trees_paired;

/* NULL: not in this build. */
const er_step_kernel *er_step_find(uint16_t op);

/* ---- for kernels ---- */

/* A body that is made anew for the constants in each call: one source, no test in the loop. */
#ifdef __OPTIMIZE__
#define ER_ALWAYS inline __attribute__((always_inline))
#else
#define ER_ALWAYS inline /* a branch is counted once, taken or not */
#endif

/* v, of which the compiler does not know where it is from: clang would branch on what made it. */
static ER_ALWAYS uint32_t er_hidden(uint32_t v)
{
    __asm__("" : "+r"(v));
    return v;
}

static inline uint32_t er_up(uint32_t n, uint32_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static inline int er_all_finite(const double *x, size_t n)
{
    double zero = 0.0;
    for (size_t i = 0; i < n; i++) zero += x[i] - x[i];
    return zero == 0.0;
}

static inline int er_all_finite_float(const float *x, size_t n)
{
    float zero = 0.0f;
    for (size_t i = 0; i < n; i++) zero += x[i] - x[i];
    return zero == 0.0f;
}

/* The values read, as float32: the row itself, or rounded into work[n]. */
static inline const float *er_call_floats(const er_call *c)
{
    float *x = c->work;
    if (c->row) return c->row;
    for (uint32_t i = 0; i < c->step->n; i++) x[i] = (float)c->from[i];
    return x;
}

/* ---- ERF1: the format before this one, a forest alone ---- */

er_status er_forest_open(er_model *out, const void *bytes, size_t size);
void er_forest_run(const er_model *m, const float *x, double *scores);

#endif
