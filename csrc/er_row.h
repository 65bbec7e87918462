/* er_row.h - the row operators, one row each: ids are the wire, append-only; a changed meaning is a
 * new id.
 *
 * To add one: write row_NAME() and its row in er_row_ops.c with the next free id, and the same id
 * and name in edge_runtime/features/reference/row.py. A kernel sees n rows of one value (two, where
 * it takes two); NaN is a missing number.
 */
#ifndef ER_ROW_H
#define ER_ROW_H

#include "er_internal.h"

enum {
    ER_MAX_FIELDS = 1024,
    ER_MAX_STEPS = 1024,
    ER_MAX_LIST = 256,        /* parameters of a step                       */
    ER_MAX_WORDS = 1024,      /* words of a step                            */
    ER_MAX_ALL_WORDS = 16384, /* words of all steps                        */
    ER_MAX_CHAIN = 8,         /* stages that a text goes through             */
    ER_ROW_ONE_HOT = 2010,
    ER_BLOCK = 64 /* rows of a batch that are worked on at once */
};

/* ---- texts: exact lookup ---- */

enum { ER_CODE_UNKNOWN = -1, ER_CODE_MISSING = -2 };

/* A text as the operators see it. */
typedef struct er_code {
    int32_t code;  /* place among the words of its field, or ER_CODE_*            */
    uint32_t hash; /* MurmurHash3 of the bytes, where an operator asks; else 0    */
} er_code;

/* A text's key: size and first 4 bytes, then bytes 4..11 (of a longer one its last 8), as an Arrow
 * view has them; up to 12 bytes equal keys are equal texts. */
typedef struct er_slot {
    uint64_t head, tail;
    const char *bytes;
    int32_t code; /* ER_CODE_UNKNOWN: a free slot, whose head no text has */
} er_slot;
enum { ER_SLOT_SMALL = 24 };
ER_SIZES(er_slot, 32, ER_SLOT_SMALL);

/* The words that steps ask a text field for: open addressing, at most half full. What it answers
 * depends neither on the hash nor on the byte order. */
typedef struct er_words {
    er_slot *slots; /* [mask + 1] */
    uint32_t mask;
    uint32_t n;     /* distinct words held */
    uint32_t moved; /* of these, not in the slot that their hash names */
    uint64_t seed;  /* of the hash */
    int needs_hash; /* an operator asks er_code.hash */
} er_words;
enum { ER_WORDS_SMALL = 32, ER_TEXT_SMALL = 8 };
ER_SIZES(er_words, 40, ER_WORDS_SMALL);
ER_SIZES(er_text, 16, ER_TEXT_SMALL);

void er_words_carve(er_words *w, uint32_t most, er_arena *a);
/* Empty, with one of the hashes that er_row_init() tries. */
void er_words_init(er_words *w, uint64_t seed);
/* The code of `word`, a new one where it is not held yet. */
int32_t er_words_add(er_words *w, er_text word);
void er_words_codes(const er_words *w, const er_text *texts, uint32_t n, er_code *out);
/* The same of Arrow's views, at most 64, where bit i of `missing` stands for view i; 0 if one is
 * out of range. */
int er_words_views(const er_words *w, const er_column *c, const char *views, uint64_t missing,
                   uint32_t n, er_code *out);

/* Little endian, whatever the machine. */
static inline uint64_t er_load8(const char *b)
{
    uint64_t word;
    memcpy(&word, b, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline uint32_t er_load4(const char *b)
{
    uint32_t word;
    memcpy(&word, b, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

/* MurmurHash3_x86_32, seed 0 (Appleby 2011). */
uint32_t er_murmur3(const char *bytes, uint32_t size);

/* ---- operators ---- */

/* n rows of what one step reads. */
typedef struct er_row_arg {
    uint32_t n;
    uint32_t n_params;
    const double *x, *y; /* [n] numbers                                      */
    const er_code *t;    /* [n] texts                                        */
    const double *param;
    const int32_t *map; /* [n words of the field] place of a word in the step's list, or -1 */
    int32_t code;       /* of the step's first word */
    uint32_t hash;      /* of the step's first word */
    uint64_t *state;    /* the step's own, where it needs ER_ROW_STATE */
} er_row_arg;

enum { ER_ROW_STATE = 1, ER_ROW_MAP = 2, ER_ROW_HASH = 4 };

typedef struct er_row_kernel {
    uint16_t id;
    uint16_t kind, out; /* ER_NUMBER or ER_TEXT: what it reads and gives */
    uint16_t n_from;    /* 1 or 2 values of that kind                    */
    uint32_t n_params;  /* ER_MAX_LIST: 1 up to that               */
    uint32_t n_words;   /* ER_MAX_WORDS: 1 up to that                    */
    unsigned needs;     /* ER_ROW_*                                      */
    int (*params_ok)(const double *param, uint32_t n);
    void (*run)(const er_row_arg *a, void *out); /* double[n] or er_code[n]    */
    const char *name, *unit, *limits;            /* NULL but in an operator's first row */
} er_row_kernel;

/* The kernel of operator `id` for values of `kind`, or NULL. */
const er_row_kernel *er_row_kernel_find(uint16_t id, uint16_t kind);
/* The operator at `index` in id order; ER_EINVAL past the end. */
er_status er_row_op(uint16_t index, er_op_info *out);

/* ---- program ---- */

typedef struct er_row_step {
    const er_cell *cell;
    const er_row_kernel *kernel;
    uint16_t out; /* a stage: its value; cells: number of the first                              */
    uint16_t run; /* cells of a run of one-hot over one text; 0: not a run                       */
    int32_t *map; /* by code: cell of the run, or place in the step's words; -1: none            */
    er_row_arg arg; /* of one row */
    void *to;       /* result of one row */
} er_row_step;
enum { ER_ROW_STEP_SMALL = 60 };
ER_SIZES(er_row_step, 104, ER_ROW_STEP_SMALL);

/* Values of n rows: numbers[place][n], texts[place][n]. */
typedef struct er_values {
    double *numbers;
    er_code *texts;
    double *result; /* [n], of a cell before it is rounded  */
    float *rounded; /* [n], before it is written            */
    uint32_t n;
} er_values;

struct er_row {
    er_row_program p;
    uint16_t n_values, n_numbers, n_texts, n_steps, n_state;
    uint16_t field_numbers, field_texts;
    uint16_t *place;    /* [n_values] among the values of its kind                              */
    er_words *words;    /* [field_texts]                                                        */
    er_text *joined;    /* [field_texts]                                                        */
    uint64_t *state;    /* [n_state]: a double, or an er_code; saved as bytes                   */
    er_row_step *steps; /* [n_steps], stages then cells                                         */
    er_values one;      /* of one row                                                           */
    uint64_t shape;     /* hash of the program: a saved state depends on it                     */
};
enum { ER_ROW_SMALL = 88 };
ER_SIZES(struct er_row, 136, ER_ROW_SMALL);

/* What er_row_init() needs, in .used and .small; zeros if the program is out of range. */
er_arena er_row_count(const er_row_program *p);

int er_row_state_ok(const er_row *r, const unsigned char *state);
void er_row_carve_values(const er_row *r, er_values *v, uint32_t n, er_arena *a);
/* The words that a text step's codes mean. */
er_words *er_row_words(const er_row *r, const er_cell *c);
/* Run all steps over the fields of v, which are in place; out[v->n][n_cells]. */
void er_row_steps(const er_row *r, const er_values *v, float *out);

#endif
