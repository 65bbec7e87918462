/* er_model_small.c - the step `trees_small`: tree ensembles in less memory, with the bits of
 * `trees`.
 *
 * A feature becomes its rank among the thresholds that it is compared with, once a row; a node
 * compares ranks. Only inner nodes are stored, those of a tree in order (left subtree, node, right
 * subtree), so leaves need no numbers: left of node i of tree t is leaf i + t, right of it i + t
 * + 1. A child that is a leaf is a step of 0: a tree at its leaf stays where it is. */
#include <string.h>

#include "er_model.h"

enum { IN_FLIGHT = 8, MAX_TREES = 65535, MAX_NODES = 1 << 28, MAX_COUNT = 65536, MAX_RANK8 = 255 };
enum { FLAG_NAN = 1, FLAG_FLOAT = 2, FLAG_SHARED = 4, FLAGS = 7 };

/* Bytes of a node: column and rank, then signed distances to the left and the right child. */
enum {
    NARROW = 4 /* u8, u8, i8[2] */,
    MIDDLE = 6 /* u8, u8, i16[2] */,
    WIDE = 8 /* 4 x 16 bits */
};

static const uint8_t NODE_BYTES[] = {NARROW, MIDDLE, WIDE}; /* by variant */

typedef struct head {
    uint32_t n_trees, n_nodes;    /* inner nodes, at least one a tree                         */
    uint32_t n_columns, n_floats; /* columns of ranks; thresholds in all of them              */
    uint32_t n_vectors, n_values; /* FLAG_SHARED: distinct leaves, numbers in them; else 0    */
    uint16_t width, flags;        /* numbers of a leaf                                        */
    uint32_t depth;               /* 1..: no walk takes more steps                            */
} head;
_Static_assert(sizeof(head) == 32, "wire size");

typedef struct column {
    uint16_t feature, count; /* thresholds, 1..255 where a rank is a byte */
} column;

typedef struct trees {
    head h;
    const double *base;           /* [m]                                             */
    const double *values;         /* [n_leaves][width], or FLAG_SHARED: [n_values]   */
    const float *thresholds;      /* of each column, ascending                       */
    const column *columns;        /* [n_columns]                                     */
    const uint32_t *roots;        /* [n_trees]                                       */
    const uint16_t *to;           /* [n_trees], first output that it adds to         */
    const uint16_t *leaves;       /* FLAG_SHARED: [n_leaves], its vector             */
    const uint16_t *vectors;      /* FLAG_SHARED: [n_vectors][width], of values      */
    const unsigned char *nodes;   /* [n_nodes]                                       */
    const unsigned char *is_left; /* FLAG_NAN: a bit a node, set: NaN goes left      */
} trees;

/* ---- parts ---- */

enum { BASE, VALUES, FLOATS, COLUMNS, ROOTS, TO, LEAVES, VECTORS, NODES, IS_LEFT, PARTS };

/* bytes[PARTS] <- of every part, each then rounded up to 8. No head makes their sum leave 64 bits.
 */
static void measure(const head *h, uint32_t m, uint32_t node_bytes, uint64_t *bytes)
{
    const uint64_t n_leaves = (uint64_t)h->n_nodes + h->n_trees;
    const int shared = h->flags & FLAG_SHARED;
    bytes[BASE] = (uint64_t)m * sizeof(double);
    bytes[VALUES] = (shared ? h->n_values : n_leaves * h->width) * sizeof(double);
    bytes[FLOATS] = (uint64_t)h->n_floats * sizeof(float);
    bytes[COLUMNS] = (uint64_t)h->n_columns * sizeof(column);
    bytes[ROOTS] = (uint64_t)h->n_trees * sizeof(uint32_t);
    bytes[TO] = (uint64_t)h->n_trees * sizeof(uint16_t);
    bytes[LEAVES] = shared ? n_leaves * sizeof(uint16_t) : 0;
    bytes[VECTORS] = shared ? (uint64_t)h->n_vectors * h->width * sizeof(uint16_t) : 0;
    bytes[NODES] = (uint64_t)h->n_nodes * node_bytes;
    bytes[IS_LEFT] = h->flags & FLAG_NAN ? ((uint64_t)h->n_nodes + 7) / 8 : 0;
}

static uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

static trees view(const er_model_step *s, const void *constants)
{
    const unsigned char *at[PARTS], *next = constants;
    uint64_t bytes[PARTS];
    trees f;
    memcpy(&f.h, constants, sizeof f.h);
    measure(&f.h, s->m, NODE_BYTES[s->variant], bytes);
    next += sizeof f.h;
    for (uint32_t i = 0; i < PARTS; i++) {
        at[i] = next;
        next += padded(bytes[i]);
    }
    f.base = (const void *)at[BASE];
    f.values = (const void *)at[VALUES];
    f.thresholds = (const void *)at[FLOATS];
    f.columns = (const void *)at[COLUMNS];
    f.roots = (const void *)at[ROOTS];
    f.to = (const void *)at[TO];
    f.leaves = (const void *)at[LEAVES];
    f.vectors = (const void *)at[VECTORS];
    f.nodes = at[NODES];
    f.is_left = at[IS_LEFT];
    return f;
}

/* ---- check ---- */

static int counts_ok(const head *h, uint32_t m)
{
    const int shared = (h->flags & FLAG_SHARED) != 0;
    const uint32_t least = shared ? 1 : 0, most = shared ? MAX_COUNT : 0;
    return h->n_trees >= 1 && h->n_trees <= MAX_TREES && h->n_nodes >= h->n_trees &&
           h->n_nodes <= MAX_NODES && h->n_columns >= 1 && h->n_columns < MAX_COUNT &&
           h->n_vectors >= least && h->n_vectors <= most && h->n_values >= least &&
           h->n_values <= most && h->width >= 1 && h->width <= m && h->flags <= FLAGS &&
           h->depth >= 1 && h->depth < MAX_COUNT;
}

/* Thresholds ascend, so each is finite or an end of the line; their counts add up. */
static int columns_ok(const trees *f, uint32_t n, uint32_t most)
{
    const float *t = f->thresholds;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < f->h.n_columns; i++) {
        const column c = f->columns[i];
        if (c.feature >= n || c.count < 1 || c.count > most) return 0;
        if (c.count > f->h.n_floats - sum || t[sum] != t[sum]) return 0;
        for (uint32_t k = 1; k < c.count; k++)
            if (!(t[sum + k - 1] < t[sum + k])) return 0;
        sum += c.count;
    }
    return sum == f->h.n_floats;
}

/* Of node i: its column and rank, and the distance to its child on a side (0 left, 1 right). */
static ER_ALWAYS uint32_t column_of(const unsigned char *nodes, uint32_t i, uint32_t bytes)
{
    const unsigned char *b = nodes + (size_t)i * bytes;
    return bytes == WIDE ? *(const uint16_t *)(const void *)b : *b;
}

static ER_ALWAYS uint32_t rank_in(const unsigned char *nodes, uint32_t i, uint32_t bytes)
{
    const unsigned char *b = nodes + (size_t)i * bytes;
    return bytes == WIDE ? *(const uint16_t *)(const void *)(b + 2) : b[1];
}

static ER_ALWAYS int32_t away(const unsigned char *nodes, uint32_t i, uint32_t bytes, uint32_t side)
{
    const unsigned char *b = nodes + (size_t)i * bytes + (bytes == WIDE ? 4 : 2);
    const int8_t *near = (const void *)b;
    const int16_t *far = (const void *)b;
    return bytes == NARROW ? near[side] : far[side];
}

static int nodes_ok(const trees *f, uint32_t bytes)
{
    for (uint32_t i = 0; i < f->h.n_nodes; i++) {
        const uint32_t c = column_of(f->nodes, i, bytes);
        const int64_t left = away(f->nodes, i, bytes, 0), right = away(f->nodes, i, bytes, 1);
        if (c >= f->h.n_columns || rank_in(f->nodes, i, bytes) >= f->columns[c].count || left > 0 ||
            right < 0 || -left > i || right >= (int64_t)f->h.n_nodes - i)
            return 0;
    }
    return 1;
}

static int below(const uint16_t *v, uint64_t n, uint32_t end)
{
    uint32_t most = 0;
    for (uint64_t i = 0; i < n; i++) most = v[i] > most ? v[i] : most;
    return most < end;
}

static int links_ok(const trees *f, uint32_t m)
{
    const head *h = &f->h;
    for (uint32_t t = 0; t < h->n_trees; t++)
        if (f->roots[t] >= h->n_nodes) return 0;
    if (!below(f->to, h->n_trees, m - h->width + 1)) return 0;
    return !(h->flags & FLAG_SHARED) ||
           (below(f->leaves, (uint64_t)h->n_nodes + h->n_trees, h->n_vectors) &&
            below(f->vectors, (uint64_t)h->n_vectors * h->width, h->n_values));
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

static int ok(const er_model_step *s, const void *constants)
{
    const uint32_t node_bytes = NODE_BYTES[s->variant];
    uint64_t bytes[PARTS];
    head h;
    if (s->n > ER_MAX_FEATURES || s->bytes < sizeof h) return 0;
    memcpy(&h, constants, sizeof h);
    if (!counts_ok(&h, s->m)) return 0;
    measure(&h, s->m, node_bytes, bytes);
    if (!parts_ok(s, constants, bytes)) return 0;
    const trees f = view(s, constants);
    return er_all_finite(f.base, s->m) &&
           er_all_finite(f.values, (size_t)bytes[VALUES] / sizeof(double)) &&
           columns_ok(&f, s->n, node_bytes == WIDE ? MAX_COUNT : MAX_RANK8) &&
           nodes_ok(&f, node_bytes) && links_ok(&f, s->m);
}

/* ---- ranks ---- */

/* How many of n ascending thresholds x is not at or below; all of them for NaN. No branch on x. */
static ER_ALWAYS uint32_t rank_of(const float *t, uint32_t n, float x)
{
    const float *at = t;
    while (n > 1) {
        const uint32_t half = n / 2;
        at += half & (0u - er_hidden((uint32_t)!(x <= at[half - 1])));
        n -= half;
    }
    return (uint32_t)(at - t) + (uint32_t)!(x <= *at);
}

/* Scratch: ranks of all columns, then which of them are of a NaN. */
static size_t ranks_bytes(uint32_t n_columns) { return er_up(n_columns * 2, 8); }

static size_t work(const er_model_step *s, const void *constants)
{
    const head *h = constants;
    return er_up(s->n, 2) * sizeof(float) + ranks_bytes(h->n_columns) + er_up(h->n_columns, 8);
}

static ER_ALWAYS int rank_all(const trees *f, const float *x, uint32_t bytes, void *ranks,
                              uint8_t *missing)
{
    const float *t = f->thresholds;
    uint8_t *narrow = ranks;
    uint16_t *wide = ranks;
    int has_nan = 0;
    for (uint32_t i = 0; i < f->h.n_columns; i++) {
        const column c = f->columns[i];
        const float v = x[c.feature];
        const uint32_t rank = rank_of(t, c.count, v);
        if (bytes == WIDE)
            wide[i] = (uint16_t)rank;
        else
            narrow[i] = (uint8_t)rank;
        missing[i] = v != v;
        has_nan |= v != v;
        t += c.count;
    }
    return has_nan;
}

/* ---- walk ---- */

typedef struct walk {
    const unsigned char *nodes, *is_left;
    const void *ranks;
    const uint8_t *missing;
    uint32_t depth;
} walk;

/* The side on which node i is left. */
static ER_ALWAYS uint32_t turn(const walk *w, uint32_t i, uint32_t bytes, int has_nan)
{
    const uint8_t *narrow = w->ranks;
    const uint16_t *wide = w->ranks;
    const uint32_t c = column_of(w->nodes, i, bytes);
    uint32_t right = (bytes == WIDE ? wide[c] : narrow[c]) > rank_in(w->nodes, i, bytes);
    if (has_nan) right &= ~(uint32_t)(w->missing[c] & (w->is_left[i / 8] >> i % 8));
    return right;
}

/* leaf[n] <- numbers of the leaves, without that of the tree. Several trees in flight, no branch on
 * data. */
static ER_ALWAYS void descend(const walk *w, const uint32_t *root, uint32_t *leaf, uint32_t n,
                              uint32_t bytes, int has_nan)
{
    uint32_t at[IN_FLIGHT], moving = 1;
    for (uint32_t t = 0; t < n; t++) at[t] = root[t];
    for (uint32_t depth = w->depth; depth && moving; depth--) {
        moving = 0;
        for (uint32_t t = 0; t < n; t++) {
            const uint32_t side = turn(w, at[t], bytes, has_nan);
            const uint32_t step = (uint32_t)away(w->nodes, at[t], bytes, side);
            at[t] += step;
            moving |= step;
        }
    }
    for (uint32_t t = 0; t < n; t++) leaf[t] = at[t] + turn(w, at[t], bytes, has_nan);
}

static void add_leaf(const trees *f, uint32_t leaf, double *sum)
{
    const uint32_t width = f->h.width;
    if (!(f->h.flags & FLAG_SHARED)) {
        const double *value = f->values + (size_t)leaf * width;
        for (uint32_t c = 0; c < width; c++) sum[c] += value[c];
    } else {
        const uint16_t *vector = f->vectors + (size_t)f->leaves[leaf] * width;
        for (uint32_t c = 0; c < width; c++) sum[c] += f->values[vector[c]];
    }
    if (f->h.flags & FLAG_FLOAT) /* as float adds */
        for (uint32_t c = 0; c < width; c++) sum[c] = (double)(float)sum[c];
}

/* to[m] += the leaves that x reaches, in tree order. Rows with NaN and the last trees share a walk
 * that is not unrolled: code is memory too. */
static ER_ALWAYS void add(const trees *f, const walk *w, uint32_t bytes, int has_nan, double *to)
{
    uint32_t leaf[IN_FLIGHT];
    for (uint32_t at = 0; at < f->h.n_trees; at += IN_FLIGHT) {
        const uint32_t rest = f->h.n_trees - at, n = rest < IN_FLIGHT ? rest : IN_FLIGHT;
        if (n == IN_FLIGHT && !has_nan)
            descend(w, f->roots + at, leaf, IN_FLIGHT, bytes, 0);
        else
            descend(w, f->roots + at, leaf, n, bytes, has_nan);
        for (uint32_t t = 0; t < n; t++) add_leaf(f, leaf[t] + at + t, to + f->to[at + t]);
    }
}

static ER_ALWAYS void run_as(const er_call *c, const trees *f, uint32_t bytes)
{
    const float *x = er_call_floats(c);
    unsigned char *ranks = (unsigned char *)c->work + er_up(c->step->n, 2) * sizeof(float);
    uint8_t *missing = ranks + ranks_bytes(f->h.n_columns);
    const walk w = {f->nodes, f->is_left, ranks, missing, f->h.depth};
    const int has_nan = rank_all(f, x, bytes, ranks, missing);
    memcpy(c->to, f->base, c->step->m * sizeof *c->to);
    add(f, &w, bytes, has_nan && f->h.flags & FLAG_NAN, c->to);
}

static void run(const er_call *c)
{
    const trees f = view(c->step, c->constants);
    if (c->step->variant == 0)
        run_as(c, &f, NARROW);
    else if (c->step->variant == 1)
        run_as(c, &f, MIDDLE);
    else
        run_as(c, &f, WIDE);
}

const er_step_kernel er_step_trees_small = {0, 2, 0, ok, work, run};
