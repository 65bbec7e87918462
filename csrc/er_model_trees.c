/* er_model_trees.c - tree ensembles: the step `trees`, and the ERF1 format, which is one such step
 * and a division. Nodes are checked once, then walked. */
#include <string.h>

#include "er_model.h"

enum { LEAF = 0xffff, NAN_LEFT = 0x8000, IN_FLIGHT = 8, MAX_TREES = 65535, MAX_ITEMS = 1 << 28 };
enum { FLAG_NAN = 1, FLAG_FLOAT = 2 };

typedef struct node {
    union {
        float threshold; /* inner: x <= threshold goes to the next node */
        uint32_t leaf;   /* leaf: index of its vector                   */
    } u;
    uint16_t feature; /* LEAF, or the index into x, NAN_LEFT beside it   */
    uint16_t right;   /* distance to the right child, >= 2               */
} node;
_Static_assert(sizeof(node) == 8, "wire size");

typedef struct trees {
    const node *nodes;
    const uint32_t *roots;  /* [n_trees]                                          */
    const uint16_t *column; /* [n_trees], first output it adds to; NULL: 0        */
    const double *base;     /* [m]                                                */
    const double *leaves;   /* [n_leaves][width]                                  */
    uint32_t n_nodes, n_trees, n_leaves;
    uint16_t width, flags;
} trees;

/* ---- check ---- */

/* Every child of nodes[first..end) stays inside: right >= 2 and i + right < end also bound i + 1.
 */
static int tree_ok(const trees *f, uint32_t first, uint32_t end, uint32_t n_features)
{
    const uint32_t index = f->flags & FLAG_NAN ? NAN_LEFT - 1 : LEAF;
    if (first >= end || end > f->n_nodes) return 0;
    for (uint32_t i = first; i < end; i++) {
        const node n = f->nodes[i];
        if (n.feature == LEAF) {
            if (n.u.leaf >= f->n_leaves || n.right != 0) return 0;
        } else if ((n.feature & index) >= n_features || n.u.threshold != n.u.threshold ||
                   n.right < 2 || n.right >= end - i) {
            return 0;
        }
    }
    return 1;
}

static int trees_ok(const trees *f, uint32_t n_features)
{
    const uint32_t *root = f->roots;
    if (root[0] != 0 || (f->n_trees % 2 && root[f->n_trees] != 0)) return 0; /* the gap is zero */
    for (uint32_t t = 0; t < f->n_trees; t++)
        if (!tree_ok(f, root[t], t + 1 < f->n_trees ? root[t + 1] : f->n_nodes, n_features))
            return 0;
    return er_all_finite(f->leaves, (size_t)f->n_leaves * f->width);
}

static int counts_ok(uint32_t n_trees, uint32_t n_nodes, uint32_t n_leaves)
{
    return n_trees >= 1 && n_trees <= MAX_TREES && n_nodes >= n_trees && n_nodes <= MAX_ITEMS &&
           n_leaves >= 1 && n_leaves <= MAX_ITEMS;
}

/* ---- walk ---- */

/* leaf[n] <- the leaf nodes that x reaches from root[n]. Several trees in flight, and no branch on
 * data: neither the cache's latency nor the branch predictor is waited for. A tree at its leaf goes
 * right for ever, by 0: with a mask, x[mask] is NaN, which is at or below nothing. */
static ER_ALWAYS void walk(const node *nodes, const uint32_t *root, const float *x, uint32_t mask,
                           const node **leaf, uint32_t n, int has_nan)
{
    for (uint32_t t = 0; t < n; t++) leaf[t] = nodes + root[t];
    for (uint32_t moving = 1; moving;) {
        moving = 0;
        for (uint32_t t = 0; t < n; t++) {
            const node *at = leaf[t];
            const uint32_t is_leaf = at->feature == LEAF;
            const float value = x[mask ? at->feature & mask : is_leaf ? 0 : at->feature];
            uint32_t right = (uint32_t)!(value <= at->u.threshold) | (mask ? 0 : is_leaf);
            if (has_nan) right &= ~((at->feature >> 15) & (uint32_t)(value != value)) | is_leaf;
            const uint32_t step = 1 + ((at->right - 1u) & (0u - er_hidden(right)));
            leaf[t] = at + step;
            moving |= step;
        }
    }
}

/* to[m] += the leaves that x reaches, in tree order. */
static ER_ALWAYS void add(const trees *f, const float *x, uint32_t mask, int has_nan, double *to)
{
    const node *leaf[IN_FLIGHT];
    for (uint32_t at = 0; at < f->n_trees; at += IN_FLIGHT) {
        const uint32_t rest = f->n_trees - at, n = rest < IN_FLIGHT ? rest : IN_FLIGHT;
        if (n == IN_FLIGHT)
            walk(f->nodes, f->roots + at, x, mask, leaf, IN_FLIGHT, has_nan);
        else
            walk(f->nodes, f->roots + at, x, mask, leaf, n, has_nan);
        for (uint32_t t = 0; t < n; t++) {
            const double *value = f->leaves + (size_t)leaf[t]->u.leaf * f->width;
            double *sum = to + (f->column ? f->column[at + t] : 0);
            for (uint32_t c = 0; c < f->width; c++) sum[c] += value[c];
            if (f->flags & FLAG_FLOAT) /* as float adds */
                for (uint32_t c = 0; c < f->width; c++) sum[c] = (double)(float)sum[c];
        }
    }
}

/* ---- the step ---- */

typedef struct head {
    uint32_t n_trees, n_nodes, n_leaves;
    uint16_t width, flags;
} head;

static uint64_t roots_bytes(uint32_t n_trees) { return ((uint64_t)n_trees * 4 + 7) / 8 * 8; }

/* All sizes fit 64 bits, whatever the head says. */
static uint64_t step_bytes(const head *h, uint32_t m)
{
    return sizeof *h + (uint64_t)m * 8 + roots_bytes(h->n_trees) +
           ((uint64_t)h->n_trees * 2 + 7) / 8 * 8 + (uint64_t)h->n_nodes * sizeof(node) +
           (uint64_t)h->n_leaves * h->width * sizeof(double);
}

static trees step_view(const void *constants, uint32_t m)
{
    head h;
    memcpy(&h, constants, sizeof h);
    const unsigned char *base = (const unsigned char *)constants + sizeof h;
    const unsigned char *roots = base + (size_t)m * 8;
    const unsigned char *column = roots + roots_bytes(h.n_trees);
    const unsigned char *nodes = column + ((size_t)h.n_trees * 2 + 7) / 8 * 8;
    return (trees){.nodes = (const void *)nodes,
                   .roots = (const void *)roots,
                   .column = (const void *)column,
                   .base = (const void *)base,
                   .leaves = (const void *)(nodes + (size_t)h.n_nodes * sizeof(node)),
                   .n_nodes = h.n_nodes,
                   .n_trees = h.n_trees,
                   .n_leaves = h.n_leaves,
                   .width = h.width,
                   .flags = h.flags};
}

/* Columns with their gap, which is zero. */
static int columns_ok(const trees *f, uint32_t m)
{
    for (uint32_t t = 0; t < f->n_trees; t++)
        if (f->column[t] > m - f->width) return 0;
    for (uint32_t t = f->n_trees; t % 4; t++)
        if (f->column[t] != 0) return 0;
    return 1;
}

static int step_ok(const er_model_step *s, const void *constants)
{
    head h;
    if (s->n > ER_MAX_FEATURES || s->bytes < sizeof h) return 0;
    memcpy(&h, constants, sizeof h);
    if (!counts_ok(h.n_trees, h.n_nodes, h.n_leaves) || h.width < 1 || h.width > s->m ||
        h.flags > (FLAG_NAN | FLAG_FLOAT) || step_bytes(&h, s->m) != s->bytes)
        return 0;
    const trees f = step_view(constants, s->m);
    return er_all_finite(f.base, s->m) && columns_ok(&f, s->m) && trees_ok(&f, s->n);
}

/* A row of n values and behind it, at the index that a leaf's feature has under the mask, a NaN. */
static uint32_t mask_of(uint32_t n)
{
    uint32_t mask = 1;
    while (mask < n) mask = 2 * mask + 1;
    return mask;
}

static size_t step_work(const er_model_step *s, const void *constants)
{
    (void)constants;
    return (mask_of(s->n) + 1) * sizeof(float);
}

static void step_run(const er_call *c)
{
    const uint32_t mask = mask_of(c->step->n);
    const trees f = step_view(c->constants, c->step->m);
    float *x = c->work;
    int has_nan = 0;
    if (c->row)
        memcpy(x, c->row, c->step->n * sizeof *x);
    else
        er_call_floats(c);
    x[mask] = er_nan();
    memcpy(c->to, f.base, c->step->m * sizeof *c->to);
    for (uint32_t i = 0; f.flags & FLAG_NAN && i < c->step->n; i++) has_nan |= x[i] != x[i];
    if (has_nan)
        add(&f, x, mask, 1, c->to);
    else
        add(&f, x, mask, 0, c->to);
}

const er_step_kernel er_step_trees = {0, 0, 0, step_ok, step_work, step_run};

/* ---- ERF1 ---- */

typedef struct forest_header {
    char magic[4]; /* ERF1 */
    uint16_t n_features, n_outputs;
    uint32_t n_trees, n_nodes, n_leaves;
    uint32_t reserved; /* 0 */
    uint64_t size;     /* of the file [bytes] */
} forest_header;
_Static_assert(sizeof(forest_header) == 32, "wire size");

static int forest_header_ok(const forest_header *h, size_t size)
{
    return h->size == size && h->reserved == 0 && h->n_features >= 1 &&
           h->n_features <= ER_MAX_FEATURES && h->n_outputs >= 1 &&
           h->n_outputs <= ER_MAX_CLASSES && counts_ok(h->n_trees, h->n_nodes, h->n_leaves) &&
           sizeof *h + roots_bytes(h->n_trees) + (uint64_t)h->n_nodes * sizeof(node) +
                   (uint64_t)h->n_leaves * h->n_outputs * sizeof(double) ==
               size;
}

static trees forest_view(const void *bytes)
{
    forest_header h;
    memcpy(&h, bytes, sizeof h);
    const unsigned char *roots = (const unsigned char *)bytes + sizeof h;
    const unsigned char *nodes = roots + roots_bytes(h.n_trees);
    return (trees){.nodes = (const void *)nodes,
                   .roots = (const void *)roots,
                   .leaves = (const void *)(nodes + (size_t)h.n_nodes * sizeof(node)),
                   .n_nodes = h.n_nodes,
                   .n_trees = h.n_trees,
                   .n_leaves = h.n_leaves,
                   .width = h.n_outputs};
}

er_status er_forest_open(er_model *out, const void *bytes, size_t size)
{
    forest_header h;
    if (size < sizeof h) return ER_EFORMAT;
    memcpy(&h, bytes, sizeof h);
    if (!forest_header_ok(&h, size)) return ER_EFORMAT;
    const trees f = forest_view(bytes);
    if (!trees_ok(&f, h.n_features)) return ER_EFORMAT;
    *out = (er_model){.bytes = bytes,
                      .shape = {h.n_trees, h.n_nodes},
                      .n_features = h.n_features,
                      .n_outputs = h.n_outputs};
    return ER_OK;
}

void er_forest_run(const er_model *m, const float *x, double *scores)
{
    const trees f = forest_view(m->bytes);
    for (uint32_t c = 0; c < f.width; c++) scores[c] = 0.0;
    add(&f, x, 0, 0, scores);
    for (uint32_t c = 0; c < f.width; c++) scores[c] /= f.n_trees;
}
