/* er_row_columns.c - many records from columns as Apache Arrow lays them out (Columnar Format 1.4),
 * a block of rows at a time through the steps of one row. */
#include <string.h>

#include "er_row.h"

static int bit(const uint8_t *bits, uint64_t at) { return bits[at / 8] >> at % 8 & 1; }

/* Of an element: a number, an index, an offset or a view. */
static uint64_t bytes_of(uint16_t type)
{
    switch (type) {
    case ER_COLUMN_VIEW: return 16;
    case ER_COLUMN_UTF8L:
    case ER_COLUMN_F64:
    case ER_COLUMN_I64:
    case ER_COLUMN_U64: return 8;
    case ER_COLUMN_I16:
    case ER_COLUMN_U16: return 2;
    case ER_COLUMN_I8:
    case ER_COLUMN_U8: return 1;
    default: return 4;
    }
}

/* ---- check ---- */

static int is_number(uint16_t type) { return type <= ER_COLUMN_BOOL; }
static int is_index(uint16_t type) { return type >= ER_COLUMN_I64 && type <= ER_COLUMN_U8; }
static int is_text(uint16_t type) { return type >= ER_COLUMN_UTF8 && type <= ER_COLUMN_VIEW; }

static int is_factor(double x) { return x > 0.0 && x - x == 0.0; }

static er_status column_check(const er_column *c, uint16_t kind, uint64_t n_rows)
{
    if (n_rows && !c->values) return ER_EINVAL;
    if (kind == ER_NUMBER) {
        if (!is_number(c->type) || c->dictionary) return ER_EFORMAT;
        return is_factor(c->times) && is_factor(c->per) ? ER_OK : ER_EINVAL;
    }
    if (!c->dictionary) return is_text(c->type) ? ER_OK : ER_EFORMAT;
    if (!is_index(c->type) || !is_text(c->dictionary->type)) return ER_EFORMAT;
    return c->n_words && (!c->memo || !c->dictionary->values) ? ER_EINVAL : ER_OK;
}

/* ---- numbers ---- */

_Static_assert(ER_BLOCK == 64, "the missing rows of a block are the bits of a word");

/* Bit i: row first + i is missing, i < n; a bit at a time, so that no byte past the last is read.
 */
static uint64_t missing_of(const uint8_t *valid, uint64_t first, uint32_t n)
{
    uint64_t missing = 0;
    uint32_t i = 0;
    if (!valid) return 0;
    if (n == 64 && first % 8 == 0) return ~er_load8((const char *)valid + first / 8);
    for (; i < n && (first + i) % 8; i++) missing |= (uint64_t)!bit(valid, first + i) << i;
    for (; i + 8 <= n; i += 8) missing |= (uint64_t)(uint8_t)~valid[(first + i) / 8] << i;
    for (; i < n; i++) missing |= (uint64_t)!bit(valid, first + i) << i;
    return missing;
}

#define LOAD(type)                                                                                 \
    do {                                                                                           \
        type value;                                                                                \
        for (uint32_t i = 0; i < n; i++) {                                                         \
            memcpy(&value, at + i * sizeof value, sizeof value);                                   \
            to[i] = (double)value;                                                                 \
        }                                                                                          \
    } while (0)

static void load_numbers(const er_column *c, uint64_t row, uint32_t n, double *to)
{
    const uint64_t first = c->start + row;
    const unsigned char *at = c->values;
    if (c->type == ER_COLUMN_BOOL)
        for (uint32_t i = 0; i < n; i++) to[i] = bit(at, first + i);
    else
        at += first * bytes_of(c->type);
    switch (c->type) {
    case ER_COLUMN_F64: LOAD(double); break;
    case ER_COLUMN_F32: LOAD(float); break;
    case ER_COLUMN_I64: LOAD(int64_t); break;
    case ER_COLUMN_I32: LOAD(int32_t); break;
    case ER_COLUMN_I16: LOAD(int16_t); break;
    case ER_COLUMN_I8: LOAD(int8_t); break;
    case ER_COLUMN_U64: LOAD(uint64_t); break;
    case ER_COLUMN_U32: LOAD(uint32_t); break;
    case ER_COLUMN_U16: LOAD(uint16_t); break;
    case ER_COLUMN_U8: LOAD(uint8_t); break;
    default: break;
    }
    if (c->times != 1.0 || c->per != 1.0)
        for (uint32_t i = 0; i < n; i++) to[i] = to[i] * c->times / c->per;
    for (uint64_t gone = missing_of(c->valid, first, n); gone; gone &= gone - 1)
        to[__builtin_ctzll(gone)] = (double)er_nan();
}

/* ---- texts ---- */

/* texts[n] <- rows from `at` on [elements], missing ones not looked at; 0 if an offset is wrong. */
static int views_at(const er_column *c, uint64_t at, uint32_t n, er_text *texts)
{
    const char *from = (const char *)c->values + at * 16;
    const uint64_t missing = missing_of(c->valid, at, n);
    for (uint32_t i = 0; i < n; i++, from += 16) {
        int32_t view[4];
        if (missing >> i & 1) continue;
        memcpy(view, from, sizeof view);
        if (view[0] < 0) return 0;
        texts[i] = (er_text){from + 4, view[0]};
        if (view[0] <= 12) continue;
        if (view[2] < 0 || (uint32_t)view[2] >= c->n_buffers || view[3] < 0) return 0;
        texts[i].bytes = (const char *)c->buffers[view[2]] + view[3];
    }
    return 1;
}

#define OFFSETS(type)                                                                              \
    do {                                                                                           \
        const uint64_t missing = missing_of(c->valid, at, n);                                      \
        const unsigned char *from = (const unsigned char *)c->values + at * sizeof(type);          \
        for (uint32_t i = 0; i < n; i++, from += sizeof(type)) {                                   \
            type ends[2];                                                                          \
            if (missing >> i & 1) continue;                                                        \
            memcpy(ends, from, sizeof ends);                                                       \
            if (ends[0] < 0 || ends[1] < ends[0] || ends[1] - ends[0] > INT32_MAX) return 0;       \
            texts[i] =                                                                             \
                (er_text){c->data ? c->data + ends[0] : NULL, (int32_t)(ends[1] - ends[0])};       \
            if (texts[i].size && !c->data) return 0;                                               \
        }                                                                                          \
    } while (0)

static int texts_at(const er_column *c, uint64_t at, uint32_t n, er_text *texts)
{
    for (uint32_t i = 0; i < n; i++) texts[i] = (er_text){NULL, -1};
    if (c->type == ER_COLUMN_VIEW) return views_at(c, at, n, texts);
    if (c->type == ER_COLUMN_UTF8)
        OFFSETS(int32_t);
    else
        OFFSETS(int64_t);
    return 1;
}

static int64_t index_at(const er_column *c, uint64_t at)
{
    const unsigned char *from = (const unsigned char *)c->values + at * bytes_of(c->type);
    int64_t x64 = 0;
    int32_t x32;
    int16_t x16;
    int8_t x8;
    switch (c->type) {
    case ER_COLUMN_I64:
    case ER_COLUMN_U64: memcpy(&x64, from, 8); return x64;
    case ER_COLUMN_I32: memcpy(&x32, from, 4); return x32;
    case ER_COLUMN_U32: memcpy(&x32, from, 4); return (int64_t)(uint32_t)x32;
    case ER_COLUMN_I16: memcpy(&x16, from, 2); return x16;
    case ER_COLUMN_U16: memcpy(&x16, from, 2); return (uint16_t)x16;
    case ER_COLUMN_I8: memcpy(&x8, from, 1); return x8;
    default: return *from;
    }
}

/* A memo is 0, or code + 4 above the hash. */
static int indexed(const er_words *w, const er_column *c, uint64_t at, er_code *out)
{
    *out = (er_code){ER_CODE_MISSING, 0};
    if (c->valid && !bit(c->valid, at)) return 1;
    const int64_t index = index_at(c, at);
    if (index < 0 || (uint64_t)index >= c->n_words) return 0;
    uint64_t *memo = &c->memo[index];
    if (!*memo) {
        er_text text;
        if (!texts_at(c->dictionary, c->dictionary->start + (uint64_t)index, 1, &text)) return 0;
        er_words_codes(w, &text, 1, out);
        *memo = (uint64_t)(uint32_t)(out->code + 4) << 32 | out->hash;
    }
    *out = (er_code){(int32_t)(*memo >> 32) - 4, (uint32_t)*memo};
    return 1;
}

static int load_texts(const er_words *w, const er_column *c, uint64_t row, uint32_t n, er_code *to)
{
    const uint64_t at = c->start + row;
    er_text texts[ER_BLOCK];
    if (c->dictionary) {
        for (uint32_t i = 0; i < n; i++)
            if (!indexed(w, c, at + i, &to[i])) return 0;
        return 1;
    }
    if (c->type == ER_COLUMN_VIEW)
        return er_words_views(w, c, (const char *)c->values + at * 16, missing_of(c->valid, at, n),
                              n, to);
    if (!texts_at(c, at, n, texts)) return 0;
    er_words_codes(w, texts, n, to);
    return 1;
}

/* ---- batch ---- */

size_t er_row_columns_size(const er_row *r)
{
    if (!r) return 0;
    er_arena count = {0};
    er_values v;
    er_row_carve_values(r, &v, ER_BLOCK, &count);
    return count.used;
}

/* Ask for what the next block reads: columns are too many, and visited too briefly, for a processor
 * to foresee. */
static void prefetch(const er_column *c, uint64_t row, uint64_t n_rows)
{
    enum { LINE = 64 };
    if (c->type == ER_COLUMN_BOOL) return;
    const uint64_t n = n_rows - row < ER_BLOCK ? n_rows - row : ER_BLOCK, size = bytes_of(c->type);
    const char *at = (const char *)c->values + (c->start + row) * size;
    for (uint64_t i = 0; i < n * size; i += LINE) __builtin_prefetch(at + i);
}

static int load_block(const er_row *r, const er_column *columns, uint64_t row, const er_values *v)
{
    for (uint32_t f = 0; f < r->p.n_fields; f++) {
        const uint16_t place = r->place[f];
        const size_t at = (size_t)place * v->n;
        if (r->p.fields[f].kind == ER_NUMBER)
            load_numbers(&columns[f], row, v->n, v->numbers + at);
        else if (!load_texts(&r->words[place], &columns[f], row, v->n, v->texts + at))
            return 0;
    }
    return 1;
}

er_status er_row_columns(er_row *r, const er_column *columns, uint64_t n_rows, float *out,
                         uint64_t out_rows, void *mem, size_t size)
{
    if (!r || !columns || (!out && n_rows) || !mem || (uintptr_t)mem % 8) return ER_EINVAL;
    if (out_rows < n_rows || size < er_row_columns_size(r)) return ER_ENOSPC;
    for (uint32_t f = 0; f < r->p.n_fields; f++) {
        const er_status status = column_check(&columns[f], r->p.fields[f].kind, n_rows);
        if (status != ER_OK) return status;
    }
    er_arena arena = {.base = mem};
    er_values v;
    er_row_carve_values(r, &v, ER_BLOCK, &arena);
    for (uint64_t row = 0; row < n_rows; row += v.n) {
        v.n = n_rows - row < ER_BLOCK ? (uint32_t)(n_rows - row) : ER_BLOCK;
        if (!load_block(r, columns, row, &v)) return ER_EFORMAT;
        for (uint32_t f = 0; f < r->p.n_fields; f++) prefetch(&columns[f], row + v.n, n_rows);
        er_row_steps(r, &v, out + row * r->p.n_cells);
    }
    return ER_OK;
}
