/* er_forest.c - tree ensembles in the ERF1 format (FORMAT.md "forest"): checked once, then walked.
 */
#include <string.h>

#include "er_internal.h"

enum { HEADER_BYTES = 32, LEAF = 0xffff, IN_FLIGHT = 8, MAX_TREES = 65535, MAX_ITEMS = 1 << 28 };

typedef struct header {
    char magic[4]; /* ERF1 */
    uint16_t n_features, n_outputs;
    uint32_t n_trees, n_nodes, n_leaves;
    uint32_t reserved; /* 0 */
    uint64_t size;     /* of the file [bytes] */
} header;
_Static_assert(sizeof(header) == HEADER_BYTES, "wire size");

typedef struct node {
    union {
        float threshold; /* inner: x <= threshold goes to the next node */
        uint32_t leaf;   /* leaf: index of its vector                   */
    } u;
    uint16_t feature; /* LEAF, or the index into x        */
    uint16_t right;   /* distance to the right child, >= 2 */
} node;
_Static_assert(sizeof(node) == 8, "wire size");

/* ---- open ---- */

static int header_ok(const header *h, size_t size)
{
    return memcmp(h->magic, "ERF1", 4) == 0 && h->size == size && h->reserved == 0 &&
           h->n_features >= 1 && h->n_features <= ER_MAX_FEATURES && h->n_outputs >= 1 &&
           h->n_outputs <= ER_MAX_CLASSES && h->n_trees >= 1 && h->n_trees <= MAX_TREES &&
           h->n_nodes >= h->n_trees && h->n_nodes <= MAX_ITEMS && h->n_leaves >= 1 &&
           h->n_leaves <= MAX_ITEMS;
}

/* Bytes of the roots with their gap; all offsets below fit 64 bits, whatever the header says. */
static uint64_t roots_bytes(const header *h) { return ((uint64_t)h->n_trees * 4 + 7) / 8 * 8; }

static uint64_t file_bytes(const header *h)
{
    return HEADER_BYTES + roots_bytes(h) + (uint64_t)h->n_nodes * sizeof(node) +
           (uint64_t)h->n_leaves * h->n_outputs * sizeof(double);
}

/* Every child of nodes[first..end) stays inside: right >= 2 and i + right < end also bound i + 1.
 */
static int tree_ok(const er_forest *f, uint32_t first, uint32_t end)
{
    const node *nodes = f->nodes;
    if (first >= end || end > f->n_nodes) return 0;
    for (uint32_t i = first; i < end; i++) {
        const node n = nodes[i];
        if (n.feature == LEAF) {
            if (n.u.leaf >= f->n_leaves || n.right != 0) return 0;
        } else if (n.feature >= f->n_features || n.u.threshold != n.u.threshold || n.right < 2 ||
                   n.right >= end - i) {
            return 0;
        }
    }
    return 1;
}

static int trees_ok(const er_forest *f)
{
    const uint32_t *root = f->roots;
    if (root[0] != 0 || (f->n_trees % 2 && root[f->n_trees] != 0)) return 0; /* the gap is zero */
    for (uint32_t t = 0; t < f->n_trees; t++)
        if (!tree_ok(f, root[t], t + 1 < f->n_trees ? root[t + 1] : f->n_nodes)) return 0;
    return 1;
}

static int leaves_ok(const er_forest *f)
{
    const size_t n = (size_t)f->n_leaves * f->n_outputs;
    for (size_t i = 0; i < n; i++)
        if (f->leaves[i] - f->leaves[i] != 0.0) return 0;
    return 1;
}

er_status er_forest_open(er_forest *out, const void *bytes, size_t size)
{
    header h;
    if (!out || !bytes || (uintptr_t)bytes % 8) return ER_EINVAL;
    if (size < HEADER_BYTES) return ER_EFORMAT;
    memcpy(&h, bytes, sizeof h);
    if (!header_ok(&h, size) || file_bytes(&h) != size) return ER_EFORMAT;
    const unsigned char *at = (const unsigned char *)bytes + HEADER_BYTES;
    const unsigned char *nodes = at + roots_bytes(&h);
    const er_forest f = {.nodes = nodes,
                         .roots = at,
                         .leaves = (const void *)(nodes + (size_t)h.n_nodes * sizeof(node)),
                         .n_nodes = h.n_nodes,
                         .n_trees = h.n_trees,
                         .n_leaves = h.n_leaves,
                         .n_features = h.n_features,
                         .n_outputs = h.n_outputs};
    if (!trees_ok(&f) || !leaves_ok(&f)) return ER_EFORMAT;
    *out = f;
    return ER_OK;
}

/* ---- walk ---- */

/* leaf[n] <- the leaf nodes that x reaches from root[n]. Several trees in flight, and no branch on
 * data: neither the cache's latency nor the branch predictor is waited for. A tree at its leaf
 * steps by 0. */
static inline void walk(const node *nodes, const uint32_t *root, const float *x, const node **leaf,
                        uint32_t n)
{
    for (uint32_t t = 0; t < n; t++) leaf[t] = nodes + root[t];
    for (uint32_t moving = 1; moving;) {
        moving = 0;
        for (uint32_t t = 0; t < n; t++) {
            const node *at = leaf[t];
            const uint32_t inner = at->feature != LEAF;
            const uint32_t steps[2] = {
                at->right, inner}; /* looked up: gcc and clang both keep it branchless */
            const uint32_t step = steps[x[at->feature * inner] <= at->u.threshold];
            leaf[t] = at + step;
            moving |= step;
        }
    }
}

er_status er_forest_scores(const er_forest *f, const float *x, double *scores)
{
    if (!f || !x || !scores) return ER_EINVAL;
    const uint32_t *root = f->roots;
    const node *leaf[IN_FLIGHT];
    for (uint32_t c = 0; c < f->n_outputs; c++) scores[c] = 0.0;
    for (uint32_t at = 0; at < f->n_trees; at += IN_FLIGHT) {
        const uint32_t rest = f->n_trees - at, n = rest < IN_FLIGHT ? rest : IN_FLIGHT;
        if (n == IN_FLIGHT)
            walk(f->nodes, root + at, x, leaf, IN_FLIGHT);
        else
            walk(f->nodes, root + at, x, leaf, n);
        for (uint32_t t = 0; t < n; t++) {
            const double *value = f->leaves + (size_t)leaf[t]->u.leaf * f->n_outputs;
            for (uint32_t c = 0; c < f->n_outputs; c++) scores[c] += value[c];
        }
    }
    for (uint32_t c = 0; c < f->n_outputs; c++) scores[c] /= f->n_trees;
    return ER_OK;
}
