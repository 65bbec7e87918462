/* er_model_paired.c - the step `trees_paired`: tree ensembles with the bits of `trees`, faster.
 *
 * Both children of a node stand side by side, so the next node is an addition. A leaf is a node
 * that asks for a value of -inf and has no children: a tree at its leaf stays where it is, by the
 * same instructions. So several trees walk at once, half the instructions a step, no branch on
 * data. The first levels of many trees are walked side by side, each node asked for a turn ahead:
 * after a device slept none of them is in a cache, and so their loads are under way together. */
#include <string.h>

#include "er_model.h"

enum { MAX_TREES = 65535, MAX_ITEMS = 1 << 28, FLAG_NAN = 1, FLAG_FLOAT = 2, FLAGS = 3 };
enum { IN_FLIGHT = 10 }; /* as many as x86-64 has registers for, less what they need in common */
/* Trees that begin together, in memory, and half the levels of a forest. Trees of fewer nodes are a
 * few lines each: there the turns through memory cost more than they find. */
enum { ABREAST = 40, LEVELS = 6, LARGE = 128 };

typedef struct node {
    union {
        float threshold; /* inner: x <= threshold goes left  */
        uint32_t leaf;   /* leaf: index of its vector, 0..   */
    } u;
    uint16_t feature; /* index into x; of a leaf n, the number of values */
    uint16_t away;    /* to the left child, the right one behind it; 0: a leaf */
} node;
_Static_assert(sizeof(node) == 8, "wire size");

typedef struct head {
    uint32_t n_trees, n_nodes, n_leaves;
    uint16_t width, flags; /* numbers of a leaf */
} head;
_Static_assert(sizeof(head) == 16, "wire size");

typedef struct trees {
    head h;
    const double *base;     /* [m]                                        */
    const uint32_t *roots;  /* [n_trees], first node of each              */
    const uint16_t *to;     /* [n_trees], first output that it adds to    */
    const node *nodes;      /* [n_nodes]                                  */
    const double *leaves;   /* [n_leaves][width]                          */
    const uint8_t *is_left; /* FLAG_NAN: a bit a node, set: NaN goes left */
} trees;

enum { BASE, ROOTS, TO, NODES, LEAVES, IS_LEFT, PARTS };

/* bytes[PARTS] <- of every part, each then rounded up to 8. No head makes their sum leave 64 bits.
 */
static void measure(const head *h, uint32_t m, uint64_t *bytes)
{
    bytes[BASE] = (uint64_t)m * sizeof(double);
    bytes[ROOTS] = (uint64_t)h->n_trees * sizeof(uint32_t);
    bytes[TO] = (uint64_t)h->n_trees * sizeof(uint16_t);
    bytes[NODES] = (uint64_t)h->n_nodes * sizeof(node);
    bytes[LEAVES] = (uint64_t)h->n_leaves * h->width * sizeof(double);
    bytes[IS_LEFT] = h->flags & FLAG_NAN ? ((uint64_t)h->n_nodes + 7) / 8 : 0;
}

static uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

static trees view(const er_model_step *s, const void *constants)
{
    const unsigned char *at[PARTS], *next = constants;
    uint64_t bytes[PARTS];
    trees f;
    memcpy(&f.h, constants, sizeof f.h);
    measure(&f.h, s->m, bytes);
    next += sizeof f.h;
    for (uint32_t i = 0; i < PARTS; i++) {
        at[i] = next;
        next += padded(bytes[i]);
    }
    f.base = (const void *)at[BASE];
    f.roots = (const void *)at[ROOTS];
    f.to = (const void *)at[TO];
    f.nodes = (const void *)at[NODES];
    f.leaves = (const void *)at[LEAVES];
    f.is_left = at[IS_LEFT];
    return f;
}

/* ---- check ---- */

static int counts_ok(const head *h, uint32_t m)
{
    return h->n_trees >= 1 && h->n_trees <= MAX_TREES && h->n_nodes >= h->n_trees &&
           h->n_nodes <= MAX_ITEMS && h->n_leaves >= 1 && h->n_leaves <= MAX_ITEMS &&
           h->width >= 1 && h->width <= m && h->flags <= FLAGS;
}

/* The parts fill the constants, and the gap behind each is zero. */
static int parts_ok(const er_model_step *s, const void *constants, const uint64_t *bytes)
{
    const unsigned char *next = (const unsigned char *)constants + sizeof(head);
    uint64_t sum = sizeof(head);
    unsigned char gap = 0;
    for (uint32_t i = 0; i < PARTS; i++) sum += padded(bytes[i]);
    if (sum != s->bytes) return 0;
    for (uint32_t i = 0; i < PARTS; i++) {
        for (uint64_t k = bytes[i]; k < padded(bytes[i]); k++) gap |= next[k];
        next += padded(bytes[i]);
    }
    return gap == 0;
}

/* Both children of nodes[first..end) stand behind their node and inside, so every walk ends. The
 * index of a leaf is below 2^28: read as a float it is no NaN, and -inf is below it. */
static int tree_ok(const trees *f, uint32_t first, uint32_t end, uint32_t n)
{
    if (first >= end || end > f->h.n_nodes) return 0;
    for (uint32_t i = first; i < end; i++) {
        const node at = f->nodes[i];
        if (at.away == 0) {
            if (at.u.leaf >= f->h.n_leaves || at.feature != n) return 0;
        } else if (at.feature >= n || at.u.threshold != at.u.threshold || at.away >= end - i - 1) {
            return 0;
        }
    }
    return 1;
}

static int trees_ok(const trees *f, const er_model_step *s)
{
    const uint32_t n_trees = f->h.n_trees;
    if (f->roots[0] != 0) return 0;
    for (uint32_t t = 0; t < n_trees; t++) {
        const uint32_t end = t + 1 < n_trees ? f->roots[t + 1] : f->h.n_nodes;
        if (f->to[t] > s->m - f->h.width || !tree_ok(f, f->roots[t], end, s->n)) return 0;
    }
    return 1;
}

static int ok(const er_model_step *s, const void *constants)
{
    uint64_t bytes[PARTS];
    head h;
    if (s->n > ER_MAX_FEATURES || s->bytes < sizeof h) return 0;
    memcpy(&h, constants, sizeof h);
    if (!counts_ok(&h, s->m)) return 0;
    measure(&h, s->m, bytes);
    if (!parts_ok(s, constants, bytes)) return 0;
    const trees f = view(s, constants);
    return er_all_finite(f.base, s->m) &&
           er_all_finite(f.leaves, (size_t)bytes[LEAVES] / sizeof(double)) && trees_ok(&f, s);
}

/* ---- walk ---- */

/* *i <- the node below node i, itself where that is a leaf; how far away its left child is. */
static ER_ALWAYS uint32_t down(const node *nodes, const float *x, uint32_t *i)
{
    const node *at = nodes + *i;
    const uint32_t away = at->away;
    *i += away + (uint32_t)!(x[at->feature] <= at->u.threshold);
    return away;
}

/* at[n] <- the nodes below, asked for before their turn; whether one of them may have more. */
static __attribute__((noinline)) uint32_t level(const node *nodes, const float *x, uint32_t *at,
                                                uint32_t n)
{
    uint32_t moving = 0;
    for (uint32_t t = 0; t < n; t++) {
        moving |= down(nodes, x, at + t);
        __builtin_prefetch(nodes + at[t]);
    }
    return moving;
}

/* at[IN_FLIGHT] <- the leaf nodes that x reaches from there. Not made part of its caller: it needs
 * all registers. */
static __attribute__((noinline)) void descend(const node *nodes, const float *x, uint32_t *from)
{
    uint32_t at[IN_FLIGHT], moving = 1;
    for (uint32_t t = 0; t < IN_FLIGHT; t++) at[t] = from[t];
    while (moving) {
        moving = 0;
#pragma GCC unroll 10
        for (uint32_t t = 0; t < IN_FLIGHT; t++) moving |= down(nodes, x, at + t);
    }
    memcpy(from, at, sizeof at);
}

/* The leaf node of a row with NaN. */
static uint32_t descend_nan(const trees *f, uint32_t i, const float *x)
{
    while (f->nodes[i].away) {
        const float value = x[f->nodes[i].feature];
        int right = !(value <= f->nodes[i].u.threshold);
        if (value != value) right = !(f->is_left[i / 8] >> i % 8 & 1);
        i += f->nodes[i].away + (uint32_t)right;
    }
    return i;
}

/* at[n] <- the leaf nodes that x reaches from there. */
static void reach(const trees *f, const float *x, uint32_t *at, uint32_t n)
{
    const node *nodes = f->nodes;
    uint32_t t = 0, moving = f->h.n_nodes / f->h.n_trees >= LARGE;
    for (uint32_t k = 0; k < LEVELS && moving; k++) moving = level(nodes, x, at, n);
    for (; t + IN_FLIGHT <= n; t += IN_FLIGHT) descend(nodes, x, at + t);
    for (; t < n; t++)
        while (down(nodes, x, at + t)) continue;
}

/* sum[width] += a leaf, rounded as float adds where the trees say so. */
static __attribute__((noinline)) void add_leaf(const head *h, const double *leaf, double *sum)
{
    for (uint32_t c = 0; c < h->width; c++) sum[c] += leaf[c];
    for (uint32_t c = 0; h->flags & FLAG_FLOAT && c < h->width; c++) sum[c] = (double)(float)sum[c];
}

/* to[m] += the leaves that x reaches, in tree order. */
static void add(const trees *f, const float *x, int has_nan, double *to)
{
    const uint32_t n_trees = f->h.n_trees, width = f->h.width;
    const int is_plain = width == 1 && !(f->h.flags & FLAG_FLOAT);
    uint32_t leaf[ABREAST];
    for (uint32_t at = 0; at < n_trees; at += ABREAST) {
        const uint32_t n = n_trees - at < ABREAST ? n_trees - at : ABREAST;
        memcpy(leaf, f->roots + at, n * sizeof *leaf);
        if (!has_nan) reach(f, x, leaf, n);
        for (uint32_t t = 0; has_nan && t < n; t++) leaf[t] = descend_nan(f, leaf[t], x);
        for (uint32_t t = 0; t < n; t++) {
            leaf[t] = f->nodes[leaf[t]].u.leaf;
            __builtin_prefetch(f->leaves + (size_t)leaf[t] * width);
        }
        for (uint32_t t = 0; t < n; t++) {
            const double *one = f->leaves + (size_t)leaf[t] * width;
            double *sum = to + f->to[at + t];
            if (is_plain)
                *sum += *one;
            else
                add_leaf(&f->h, one, sum);
        }
    }
}

/* The row, and what leaves ask for. */
static size_t work(const er_model_step *s, const void *constants)
{
    (void)constants;
    return er_up(s->n + 1, 2) * sizeof(float);
}

static void run(const er_call *c)
{
    const trees f = view(c->step, c->constants);
    const uint32_t n = c->step->n;
    float *x = c->work;
    int has_nan = 0;
    if (c->row)
        memcpy(x, c->row, n * sizeof *x);
    else
        er_call_floats(c);
    x[n] = -__builtin_inff();
    for (uint32_t i = 0; f.h.flags & FLAG_NAN && i < n; i++) has_nan |= x[i] != x[i];
    memcpy(c->to, f.base, c->step->m * sizeof *c->to);
    add(&f, x, has_nan, c->to);
}

const er_step_kernel er_step_trees_paired = {0, 0, 0, ok, work, run};
