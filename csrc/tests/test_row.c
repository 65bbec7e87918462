/* Rows: any program that passes the check runs, in any memory, on any values, alone or by the
 * column (run under ASan). */
#include "check.h"
#include "er_row.h"

static const er_field fields[] = {{ER_NUMBER, 0}, {ER_TEXT, 0}, {ER_NUMBER, 0}};
static const double half[] = {0.5}, scale[] = {1.0, 2.0}, edges[] = {-1.0, 0.0, 1.0};
static const er_text words[] = {
    {"red", 3}, {"", 0}, {"red", 3}, {"a long word, over 16 bytes", 26}};
enum { FIELDS = 3, STAGES = 3, CELLS = 8 };
/* values: 0..2 fields, 3 impute 0, 4 last of 1, 5 log1p of 3 */
static const er_cell stages[STAGES] = {{2001, 0, 0, 0, 1, 0, half, NULL},
                                       {2002, 1, 0, 0, 0, 0, NULL, NULL},
                                       {2007, 3, 0, 0, 0, 0, NULL, NULL}};
static const er_cell cells[CELLS] = {
    {2004, 3, 0, 0, 2, 0, scale, NULL}, {2009, 2, 0, 0, 3, 0, edges, NULL},
    {2010, 1, 0, 0, 0, 1, NULL, words}, {2010, 1, 0, 0, 0, 1, NULL, words + 1},
    {2010, 1, 0, 0, 0, 1, NULL, words}, {2012, 4, 0, 0, 1, 4, half, words},
    {2013, 4, 0, 0, 1, 0, scale, NULL}, {2020, 5, 2, 0, 0, 0, NULL, NULL}};
static const er_row_program program = {FIELDS, STAGES, CELLS, 0, fields, stages, cells};

static er_row *make(const er_row_program *p)
{
    const size_t size = er_row_size(p);
    void *mem = malloc(size);
    er_row *r = NULL;
    CHECK(size > 0 && er_row_init(&r, p, mem, size - 1) == ER_ENOSPC);
    CHECK(er_row_init(&r, p, (char *)mem + 1, size) == ER_EINVAL);
    CHECK(er_row_init(NULL, p, mem, size) == ER_EINVAL &&
          er_row_init(&r, p, NULL, size) == ER_EINVAL);
    CHECK(er_row_init(&r, p, mem, size) == ER_OK && (void *)r == mem);
    return r;
}

static double nan_value(void)
{
    const uint64_t bits = UINT64_C(0x7ff8000000000000);
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

static void test_a_record_gives_its_cells(void)
{
    er_row *r = make(&program);
    const double numbers[] = {2.0, 0.5};
    const er_text red = {"red", 3}, gone = {NULL, -1}, other = {"blue", 4};
    float out[CELLS];
    CHECK(er_row_run(r, numbers, &red, out) == ER_OK);
    CHECK(out[0] == 0.5f && out[1] == 2.0f && out[2] == 1.0f && out[3] == 0.0f && out[4] == 1.0f);
    CHECK(out[5] == 0.0f && out[6] == 0.0f && out[7] > 0.549f && out[7] < 0.5494f);
    CHECK(er_row_run(r, numbers, &gone, out) == ER_OK);
    CHECK(out[2] == 0.0f && out[3] == 0.0f && out[5] == 0.0f);
    er_row_reset(r);
    CHECK(er_row_run(r, numbers, &gone, out) == ER_OK && out[5] == 0.5f && out[6] != out[6]);
    CHECK(er_row_run(r, numbers, &other, out) == ER_OK && out[5] == 0.5f && out[6] == 0.0f);
    CHECK(er_row_run_joined(r, numbers, "red", 3, NULL, out) == ER_OK && out[2] == 1.0f);
    CHECK(er_row_run_joined(r, numbers, "", 0, NULL, out) == ER_OK && out[3] == 1.0f);
    CHECK(er_row_run_joined(r, numbers, "", 0, (const uint8_t *)"\1", out) == ER_OK &&
          out[3] == 0.0f);
    CHECK(er_row_run_joined(r, numbers, "re\0d", 4, NULL, out) == ER_EFORMAT);
    CHECK(er_row_run_joined(r, numbers, NULL, 0, NULL, out) == ER_OK && out[3] == 1.0f);
    CHECK(er_row_run_joined(NULL, numbers, "", 0, NULL, out) == ER_EINVAL);
    CHECK(er_row_run_joined(r, numbers, NULL, 1, NULL, out) == ER_EINVAL);
    CHECK(er_row_run(NULL, numbers, &red, out) == ER_EINVAL);
    CHECK(er_row_run(r, NULL, &red, out) == ER_EINVAL &&
          er_row_run(r, numbers, NULL, out) == ER_EINVAL);
    CHECK(er_row_run(r, numbers, &red, NULL) == ER_EINVAL);
    free(r);
}

/* One field, one cell. */
static er_status check_one(uint16_t kind, er_cell cell)
{
    const er_field field = {kind, 0};
    const er_row_program p = {1, 0, 1, 0, &field, NULL, &cell};
    uint32_t where = 99;
    const er_status status = er_row_check(&p, &where);
    CHECK(status == ER_OK ? er_row_size(&p) > 0 : where == 0 && er_row_size(&p) == 0);
    return status;
}

static void test_a_program_out_of_range_is_refused(void)
{
    const double bad[] = {nan_value(), 0.0}, zero[] = {0.0, 0.0, 0.0}, many[300] = {0};
    const er_text missing = {NULL, -1}, lost = {NULL, 3};
    CHECK(check_one(ER_NUMBER, (er_cell){2000, 0, 0, 0, 0, 0, NULL, NULL}) == ER_OK);
    CHECK(check_one(ER_NUMBER, (er_cell){2000, 1, 0, 0, 0, 0, NULL, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_NUMBER, (er_cell){2000, 0, 1, 0, 0, 0, NULL, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_NUMBER, (er_cell){2000, 0, 0, 1, 0, 0, NULL, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_NUMBER, (er_cell){1, 0, 0, 0, 0, 0, NULL, NULL}) == ER_EOP);
    CHECK(check_one(ER_TEXT, (er_cell){2000, 0, 0, 0, 0, 0, NULL, NULL}) == ER_EOP);
    CHECK(check_one(ER_TEXT, (er_cell){2002, 0, 0, 0, 0, 0, NULL, NULL}) == ER_EOP);
    CHECK(check_one(ER_NUMBER, (er_cell){2001, 0, 0, 0, 1, 0, bad, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_NUMBER, (er_cell){2001, 0, 0, 0, 1, 0, NULL, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_NUMBER, (er_cell){2004, 0, 0, 0, 2, 0, zero, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_NUMBER, (er_cell){2005, 0, 0, 0, 3, 0, zero, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_NUMBER, (er_cell){2009, 0, 0, 0, 2, 0, zero, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_NUMBER, (er_cell){2009, 0, 0, 0, 300, 0, many, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_NUMBER, (er_cell){2011, 0, 0, 0, 256, 0, many, NULL}) == ER_OK);
    CHECK(check_one(ER_TEXT, (er_cell){2010, 0, 0, 0, 0, 1, NULL, &missing}) == ER_EINVAL);
    CHECK(check_one(ER_TEXT, (er_cell){2010, 0, 0, 0, 0, 1, NULL, &lost}) == ER_EINVAL);
    CHECK(check_one(ER_TEXT, (er_cell){2010, 0, 0, 0, 0, 1, NULL, NULL}) == ER_EINVAL);
    CHECK(check_one(ER_TEXT, (er_cell){2010, 0, 0, 0, 0, 2, NULL, words}) == ER_EINVAL);
    CHECK(check_one(ER_TEXT, (er_cell){2011, 0, 0, 0, 0, 4, NULL, words}) == ER_OK);
    CHECK(check_one(ER_NUMBER, (er_cell){2014, 0, 0, 0, 1, 0, half, NULL}) == ER_EINVAL);
}

static void test_a_shape_out_of_range_is_refused(void)
{
    const er_field strange = {2, 0}, reserved = {0, 1};
    uint32_t where;
    er_row_program p = program;
    CHECK(er_row_check(NULL, NULL) == ER_EINVAL && er_row_size(NULL) == 0);
    p.n_fields = 0;
    CHECK(er_row_check(&p, &where) == ER_EINVAL && where == STAGES + CELLS);
    p = program, p.n_cells = 0;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
    p = program, p.n_cells = ER_MAX_STEPS + 1;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
    p = program, p.n_fields = ER_MAX_FIELDS + 1;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
    p = program, p.n_stages = ER_MAX_STEPS + 1;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
    p = program, p.reserved = 1;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
    p = program, p.fields = NULL;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
    p = program, p.cells = NULL;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
    p = program, p.stages = NULL;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
    p = program, p.n_fields = 1, p.fields = &strange;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
    p.fields = &reserved;
    CHECK(er_row_check(&p, &where) == ER_EINVAL);
}

/* A text goes through at most ER_MAX_CHAIN stages, and there are at most ER_MAX_ALL_WORDS. */
static void test_long_chains_and_lists_are_refused(void)
{
    static er_text many[ER_MAX_WORDS];
    er_cell chain[ER_MAX_CHAIN + 1], list[ER_MAX_ALL_WORDS / ER_MAX_WORDS + 1];
    const er_cell last = {2003, ER_MAX_CHAIN, 0, 0, 0, 0, NULL, NULL};
    const er_field text = {ER_TEXT, 0};
    uint32_t where;
    for (uint16_t i = 0; i <= ER_MAX_CHAIN; i++)
        chain[i] = (er_cell){2002, i, 0, 0, 0, 0, NULL, NULL};
    er_row_program p = {1, ER_MAX_CHAIN, 1, 0, &text, chain, &last};
    free(make(&p));
    p.n_stages++;
    CHECK(er_row_check(&p, &where) == ER_EINVAL && where == ER_MAX_CHAIN);
    for (uint32_t i = 0; i < ER_MAX_WORDS; i++) many[i] = words[i % 4];
    const uint16_t n = sizeof list / sizeof *list;
    for (uint16_t i = 0; i < n; i++)
        list[i] = (er_cell){2011, 0, 0, 0, 0, ER_MAX_WORDS, NULL, many};
    const er_row_program q = {1, 0, n, 0, &text, NULL, list};
    CHECK(er_row_check(&q, &where) == ER_EINVAL && where == n - 1u);
}

static void test_the_state_is_saved_and_no_bytes_break_a_restore(void)
{
    er_row *a = make(&program), *b = make(&program);
    const double numbers[] = {nan_value(), 1.0};
    const er_text red = {"red", 3}, gone = {NULL, -1};
    float x[CELLS], y[CELLS];
    unsigned char bytes[128], bad[128];
    uint64_t rng = 3;
    const size_t size = er_row_save_size(a);
    CHECK(er_row_save_size(NULL) == 0 && size > 24 && size <= sizeof bytes);
    er_row_run(a, numbers, &red, x);
    CHECK(er_row_save(a, bytes, size - 1) == ER_ENOSPC && er_row_save(a, NULL, size) == ER_EINVAL);
    CHECK(er_row_save(a, bytes, size) == ER_OK && er_row_restore(b, bytes, size) == ER_OK);
    er_row_run(a, numbers, &gone, x);
    er_row_run(b, numbers, &gone, y);
    CHECK(memcmp(x, y, sizeof x) == 0);
    for (size_t i = 0; i < size; i++) {
        memcpy(bad, bytes, size);
        bad[i] ^= (unsigned char)(1u << rng_below(&rng, 8));
        CHECK(er_row_restore(b, bad, size) < 0 && er_row_restore(b, bytes, i) == ER_EFORMAT);
    }
    for (int32_t code = -4; code < 6; code++) {
        memcpy(bad, bytes, size);
        memcpy(bad + 24, &code, 4);
        const uint64_t check = er_hash(0, bad + 24, size - 24);
        memcpy(bad + 16, &check, 8);
        CHECK((er_row_restore(b, bad, size) == ER_OK) == (code >= -2 && code < 3));
        er_row_run(b, numbers, &gone, y);
    }
    CHECK(er_row_restore(NULL, bytes, size) == ER_EINVAL);
    free(a), free(b);
}

/* ---- columns ---- */

enum { ROWS = 150 };

typedef struct table {
    double *numbers;
    float *floats;
    int32_t *offsets;
    int64_t *long_offsets;
    char *data, *views;
    uint8_t *valid;
    int8_t *index;
    er_column columns[FIELDS];
} table;

static const char *const TEXTS[] = {"red", "", "blue", "a long word, over 16 bytes",
                                    "a long word, over 16 bytex"};

/* Every piece in memory of its exact size, so that ASan sees a read beyond it. */
static void make_table(table *t)
{
    uint64_t rng = 9;
    char *piece[ROWS];
    uint32_t total = 0;
    t->numbers = malloc(ROWS * sizeof *t->numbers);
    t->floats = malloc(ROWS * sizeof *t->floats);
    t->offsets = malloc((ROWS + 1) * sizeof *t->offsets);
    t->long_offsets = malloc((ROWS + 1) * sizeof *t->long_offsets);
    t->valid = malloc((ROWS + 7) / 8);
    t->index = malloc(ROWS);
    t->views = calloc(ROWS, 16);
    t->offsets[0] = 0, t->long_offsets[0] = 0;
    for (uint32_t i = 0; i < (ROWS + 7) / 8; i++) t->valid[i] = (uint8_t)rng_next(&rng);
    for (uint32_t i = 0; i < ROWS; i++) {
        t->numbers[i] = (double)rng_unit(&rng);
        t->floats[i] = rng_unit(&rng);
        t->index[i] = (int8_t)rng_below(&rng, 5);
        piece[i] = malloc(32);
        strcpy(piece[i], TEXTS[t->index[i]]);
        total += (uint32_t)strlen(piece[i]);
        t->offsets[i + 1] = (int32_t)total, t->long_offsets[i + 1] = total;
    }
    t->data = malloc(total);
    for (uint32_t i = 0; i < ROWS; i++) {
        const int32_t at = t->offsets[i], size = t->offsets[i + 1] - at, buffer = 0;
        memcpy(t->data + at, piece[i], (size_t)size);
        memcpy(t->views + 16 * i, &size, 4);
        memcpy(t->views + 16 * i + 4, piece[i], size < 12 ? (size_t)size : 4);
        if (size > 12)
            memcpy(t->views + 16 * i + 8, &buffer, 4), memcpy(t->views + 16 * i + 12, &at, 4);
        free(piece[i]);
    }
    memset(t->columns, 0, sizeof t->columns);
    for (int f = 0; f < FIELDS; f++) t->columns[f].times = t->columns[f].per = 1.0;
    t->columns[0] = (er_column){
        .type = ER_COLUMN_F64, .values = t->numbers, .valid = t->valid, .times = 1, .per = 1};
    t->columns[1] = (er_column){
        .type = ER_COLUMN_UTF8, .values = t->offsets, .data = t->data, .valid = t->valid};
    t->columns[2] = (er_column){.type = ER_COLUMN_F32, .values = t->floats, .times = 1, .per = 1};
}

static void free_table(table *t)
{
    free(t->numbers), free(t->floats), free(t->offsets), free(t->long_offsets);
    free(t->data), free(t->views), free(t->valid), free(t->index);
}

static er_status columns(er_row *r, const er_column *c, uint64_t n, float *out)
{
    const size_t size = er_row_columns_size(r);
    void *mem = malloc(size);
    CHECK(er_row_columns(r, c, n, out, n, mem, size - 1) == ER_ENOSPC);
    CHECK(n == 0 || er_row_columns(r, c, n, out, n - 1, mem, size) == ER_ENOSPC);
    er_row_reset(r);
    const er_status status = er_row_columns(r, c, n, out, n, mem, size);
    free(mem);
    return status;
}

static void test_columns_are_rows_in_every_layout(void)
{
    table t;
    float want[ROWS * CELLS], *out = malloc(sizeof want);
    uint64_t memo[5] = {0};
    make_table(&t);
    er_row *r = make(&program);
    for (uint32_t i = 0; i < ROWS; i++) {
        const int there = t.valid[i / 8] >> i % 8 & 1;
        const double numbers[] = {there ? t.numbers[i] : nan_value(), (double)t.floats[i]};
        const er_text text = {TEXTS[t.index[i]], there ? (int32_t)strlen(TEXTS[t.index[i]]) : -1};
        CHECK(er_row_run(r, numbers, &text, want + i * CELLS) == ER_OK);
    }
    const void *const buffers[] = {t.data};
    int32_t ends[6] = {0};
    char joined[128] = "";
    for (int i = 0; i < 5; i++) {
        strcat(joined, TEXTS[i]);
        ends[i + 1] = (int32_t)strlen(joined);
    }
    const er_column dictionary = {.type = ER_COLUMN_UTF8, .values = ends, .data = joined};
    const er_column layouts[] = {
        t.columns[1],
        {.type = ER_COLUMN_UTF8L, .values = t.long_offsets, .data = t.data, .valid = t.valid},
        {.type = ER_COLUMN_VIEW,
         .values = t.views,
         .n_buffers = 1,
         .buffers = buffers,
         .valid = t.valid},
        {.type = ER_COLUMN_I8,
         .values = t.index,
         .valid = t.valid,
         .dictionary = &dictionary,
         .n_words = 5,
         .memo = memo}};
    for (size_t k = 0; k < sizeof layouts / sizeof *layouts; k++) {
        er_column c[FIELDS] = {t.columns[0], layouts[k], t.columns[2]};
        for (uint32_t start = 0; start < 70; start += 23) {
            for (int f = 0; f < FIELDS; f++) c[f].start = start;
            for (uint32_t n = 0; n <= ROWS - start; n += start ? ROWS - start : 75) {
                er_row_reset(r);
                CHECK(columns(r, c, n, out) == ER_OK);
                if (start == 0) CHECK(memcmp(out, want, n * CELLS * sizeof *out) == 0);
                for (uint32_t i = 0; i < n * CELLS; i++)
                    if (i % CELLS < 5 || i % CELLS == 7)
                        CHECK(memcmp(&out[i], &want[start * CELLS + i], sizeof *out) == 0);
            }
        }
    }
    free(r), free(out), free_table(&t);
}

static void test_every_number_layout_is_its_value(void)
{
    static const int64_t values[] = {0, 1, 7, 100};
    const er_field field = {ER_NUMBER, 0};
    const er_cell cell = {2000, 0, 0, 0, 0, 0, NULL, NULL};
    const er_row_program p = {1, 0, 1, 0, &field, NULL, &cell};
    er_row *r = make(&p);
    float out[4];
    for (uint16_t type = ER_COLUMN_F64; type <= ER_COLUMN_BOOL; type++) {
        unsigned char *bytes = malloc(32);
        for (int i = 0; i < 4; i++) {
            const double d = (double)values[i];
            const float f = (float)values[i];
            const int32_t w = (int32_t)values[i];
            const int16_t s = (int16_t)values[i];
            if (type == ER_COLUMN_F64) memcpy(bytes + 8 * i, &d, 8);
            if (type == ER_COLUMN_F32) memcpy(bytes + 4 * i, &f, 4);
            if (type == ER_COLUMN_I64 || type == ER_COLUMN_U64)
                memcpy(bytes + 8 * i, &values[i], 8);
            if (type == ER_COLUMN_I32 || type == ER_COLUMN_U32) memcpy(bytes + 4 * i, &w, 4);
            if (type == ER_COLUMN_I16 || type == ER_COLUMN_U16) memcpy(bytes + 2 * i, &s, 2);
            if (type == ER_COLUMN_I8 || type == ER_COLUMN_U8) bytes[i] = (unsigned char)values[i];
        }
        if (type == ER_COLUMN_BOOL) bytes[0] = 0xa;
        const er_column c = {.type = type, .values = bytes, .times = 10.0, .per = 4.0};
        CHECK(columns(r, &c, 4, out) == ER_OK);
        for (int i = 0; i < 4; i++)
            CHECK(out[i] ==
                  (type == ER_COLUMN_BOOL ? (i & 1 ? 2.5f : 0.0f) : (float)values[i] * 2.5f));
        free(bytes);
    }
    free(r);
}

static void test_broken_columns_are_refused(void)
{
    table t;
    float *out = malloc(ROWS * CELLS * sizeof *out);
    const int32_t back[] = {5, 2}, below[] = {-1, 2}, over[4] = {13, 0, 1, 0},
                  negative[4] = {-1, 0, 0, 0};
    const int8_t far[] = {5};
    const int64_t wide[] = {0, (int64_t)1 << 40};
    uint64_t memo[1] = {0};
    make_table(&t);
    er_row *r = make(&program);
    const er_column words_of = {.type = ER_COLUMN_UTF8, .values = back, .data = t.data};
    const er_column number = {.type = ER_COLUMN_I8, .values = far};
    const er_column bad[] = {
        {.type = ER_COLUMN_UTF8, .values = back, .data = t.data},
        {.type = ER_COLUMN_UTF8, .values = below, .data = t.data},
        {.type = ER_COLUMN_UTF8, .values = t.offsets + 4, .data = NULL},
        {.type = ER_COLUMN_UTF8L, .values = wide, .data = t.data},
        {.type = ER_COLUMN_VIEW, .values = over},
        {.type = ER_COLUMN_VIEW, .values = negative},
        {.type = ER_COLUMN_F64, .values = t.numbers, .times = 1, .per = 1},
        {.type = 99, .values = t.numbers},
        {.type = ER_COLUMN_I8, .values = far, .dictionary = &words_of, .n_words = 1, .memo = memo},
        {.type = ER_COLUMN_F32,
         .values = t.floats,
         .dictionary = &words_of,
         .n_words = 1,
         .memo = memo},
        {.type = ER_COLUMN_I8, .values = far, .dictionary = &number, .n_words = 1, .memo = memo},
    };
    er_column c[FIELDS] = {t.columns[0], t.columns[1], t.columns[2]};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c[1] = bad[i];
        CHECK(columns(r, c, 1, out) == ER_EFORMAT);
    }
    const int8_t first[] = {0};
    c[1] = (er_column){
        .type = ER_COLUMN_I8, .values = first, .dictionary = &words_of, .n_words = 1, .memo = memo};
    CHECK(columns(r, c, 1, out) == ER_EFORMAT);
    c[1].memo = NULL;
    CHECK(columns(r, c, 1, out) == ER_EINVAL);
    c[1] = t.columns[1], c[1].values = NULL;
    CHECK(columns(r, c, 1, out) == ER_EINVAL && columns(r, c, 0, out) == ER_OK);
    c[1] = t.columns[1], c[0].type = ER_COLUMN_UTF8;
    CHECK(columns(r, c, 1, out) == ER_EFORMAT);
    c[0] = t.columns[0], c[0].dictionary = &words_of;
    CHECK(columns(r, c, 1, out) == ER_EFORMAT);
    c[0] = t.columns[0], c[0].per = 0.0;
    CHECK(columns(r, c, 1, out) == ER_EINVAL);
    c[0].per = 1.0, c[0].times = nan_value();
    CHECK(columns(r, c, 1, out) == ER_EINVAL);
    CHECK(er_row_columns_size(NULL) == 0);
    CHECK(er_row_columns(NULL, c, 1, out, 1, memo, 8) == ER_EINVAL);
    CHECK(er_row_columns(r, NULL, 1, out, 1, memo, 8) == ER_EINVAL);
    CHECK(er_row_columns(r, c, 1, NULL, 1, memo, 8) == ER_EINVAL);
    CHECK(er_row_columns(r, c, 1, out, 1, NULL, 8) == ER_EINVAL);
    CHECK(er_row_columns(r, c, 1, out, 1, (char *)memo + 1, 7) == ER_EINVAL);
    free(r), free(out), free_table(&t);
}

/* Any operator, places, numbers and words, mostly as many as it takes. */
static er_cell any_cell(uint64_t *rng, uint32_t readable, double *param, er_text *word)
{
    const uint16_t op = (uint16_t)(2000 + rng_below(rng, 22)), kind = (uint16_t)rng_below(rng, 2);
    const er_row_kernel *k = er_row_kernel_find(op, kind);
    for (uint32_t i = 0; i < 4; i++) {
        const uint64_t bits = rng_next(rng);
        memcpy(&param[i], &bits, 8);
        if (rng_below(rng, 9)) param[i] = (double)i + (double)rng_below(rng, 5) - 2.0;
    }
    for (uint32_t i = 0; i < 3; i++) {
        const char *text = TEXTS[rng_below(rng, 5)];
        word[i] = (er_text){text, (int32_t)strlen(text)};
        if (!rng_below(rng, 20)) word[i].size = -1;
    }
    er_cell c = {op, (uint16_t)rng_below(rng, readable), 0, 0, 0, 0, param, word};
    if (k) c.n_params = k->n_params == ER_MAX_LIST ? 1 + rng_below(rng, 3) : k->n_params;
    if (k) c.n_words = k->n_words == ER_MAX_WORDS ? 1 + rng_below(rng, 3) : k->n_words;
    if (!k || k->n_from == 2) c.other = (uint16_t)rng_below(rng, readable);
    if (!rng_below(rng, 30)) c.n_params = rng_below(rng, 5);
    if (!rng_below(rng, 30)) c.n_words = rng_below(rng, 4);
    return c;
}

/* Refused, or run on any values: what is refused is left out. */
static void test_hostile_programs_never_crash(void)
{
    enum { STEPS = 8 };
    uint64_t rng = 12;
    uint32_t ran = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        er_field f[3];
        er_cell step[STEPS];
        double param[STEPS][4], numbers[3];
        er_text word[STEPS][3], texts[3];
        float out[STEPS];
        const er_cell sink = {2003, 0, 0, 0, 0, 0, NULL, NULL};
        for (uint32_t i = 0; i < 3; i++) f[i] = (er_field){(uint16_t)rng_below(&rng, 2), 0};
        er_row_program p = {(uint16_t)(1 + rng_below(&rng, 3)), 0, 1, 0, f, step, &sink};
        const uint16_t most = (uint16_t)rng_below(&rng, 4);
        for (int i = 0; i < 20 && p.n_stages < most; i++) {
            const uint16_t at = p.n_stages++;
            step[at] = any_cell(&rng, (uint32_t)p.n_fields + at + (rng_below(&rng, 9) == 0),
                                param[at], word[at]);
            if (er_row_check(&p, NULL) != ER_OK) p.n_stages--, refused++;
        }
        p.cells = step + p.n_stages, p.n_cells = 0;
        for (int i = 0; i < 20 && p.n_stages + p.n_cells < STEPS; i++) {
            const uint32_t at = (uint32_t)p.n_stages + p.n_cells++;
            step[at] = any_cell(&rng, (uint32_t)p.n_fields + p.n_stages + (rng_below(&rng, 9) == 0),
                                param[at], word[at]);
            if (er_row_check(&p, NULL) != ER_OK) p.n_cells--, refused++;
        }
        if (!p.n_cells) continue;
        er_row *r = make(&p);
        for (int k = 0; k < 5; k++) {
            for (uint32_t i = 0; i < 3; i++) {
                const uint64_t bits = rng_next(&rng);
                memcpy(&numbers[i], &bits, 8);
                if (rng_below(&rng, 2)) numbers[i] = (double)rng_unit(&rng);
                const char *text = TEXTS[rng_below(&rng, 5)];
                texts[i] = (er_text){text, rng_below(&rng, 5) ? (int32_t)strlen(text) : -1};
            }
            CHECK(er_row_run(r, numbers, texts, out) == ER_OK);
            for (uint32_t i = 0; i < p.n_cells; i++)
                CHECK(out[i] == out[i] || er_float_bits(out[i]) == 0x7fc00000u);
        }
        ran++;
        free(r);
    }
    CHECK(ran > 10000 && refused > 10000);
}

static void test_words_are_found_exactly_and_hashed_as_published(void)
{
    er_words w;
    er_arena count = {0};
    char text[64];
    er_words_carve(&w, 300, &count);
    void *mem = malloc(count.used);
    er_arena arena = {.base = mem};
    er_words_carve(&w, 300, &arena);
    er_words_init(&w, 3);
    char *kept[300];
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "%.*s%d", i % 20, "the same head for all", i);
        kept[i] = malloc(strlen(text));
        memcpy(kept[i], text, strlen(text));
        CHECK(er_words_add(&w, (er_text){kept[i], (int32_t)strlen(text)}) == i);
        CHECK(er_words_add(&w, (er_text){text, (int32_t)strlen(text)}) == i);
    }
    for (int i = 0; i < 600; i++) {
        er_code c;
        snprintf(text, sizeof text, "%.*s%d", i % 20, "the same head for all", i);
        const er_text asked = {text, (int32_t)strlen(text)};
        er_words_codes(&w, &asked, 1, &c);
        CHECK(c.code == (i < 300 ? i : ER_CODE_UNKNOWN));
    }
    for (int i = 0; i < 300; i++) free(kept[i]);
    free(mem);
    CHECK(er_murmur3(NULL, 0) == 0 && er_murmur3("hello", 5) == 0x248bfa47u);
    CHECK(er_murmur3("hello, world", 12) == 0x149bbb7fu);
    CHECK(er_murmur3("The quick brown fox jumps over the lazy dog.", 44) == 0xd5c48bfcu);
}

/* In a table of two slots every second one meets the word. */
static void test_texts_that_differ_in_their_middle_alone_are_not_taken_for_each_other(void)
{
    uint64_t memory[32];
    er_arena arena = {.base = (unsigned char *)memory};
    char text[] = "head, middle ., its tail", word[] = "head, middle ., its tail";
    const er_text asked = {text, sizeof text - 1};
    er_words w;
    er_code c;
    er_words_carve(&w, 1, &arena);
    CHECK(arena.used <= sizeof memory);
    er_words_init(&w, 0);
    CHECK(er_words_add(&w, (er_text){word, sizeof word - 1}) == 0);
    for (char middle = 'a'; middle <= 'z'; middle++) {
        text[13] = middle;
        er_words_codes(&w, &asked, 1, &c);
        CHECK(c.code == ER_CODE_UNKNOWN);
    }
    text[13] = '.';
    er_words_codes(&w, &asked, 1, &c);
    CHECK(c.code == 0);
}

static void test_every_row_operator_is_listed(void)
{
    er_op_info info;
    uint16_t n = 0, last = 0;
    for (uint16_t i = 0; er_op(i, &info) == ER_OK; i++) {
        CHECK(info.id > last && info.name && info.unit && info.limits);
        last = info.id;
        n = (uint16_t)(n + (info.kind == ER_KIND_ROW));
    }
    CHECK(n == 22 && last == 2021 && er_row_kind(&program, 4) == ER_TEXT &&
          er_row_kind(&program, 5) == ER_NUMBER);
}

int main(void)
{
    test_a_record_gives_its_cells();
    test_a_program_out_of_range_is_refused();
    test_a_shape_out_of_range_is_refused();
    test_long_chains_and_lists_are_refused();
    test_the_state_is_saved_and_no_bytes_break_a_restore();
    test_columns_are_rows_in_every_layout();
    test_every_number_layout_is_its_value();
    test_broken_columns_are_refused();
    test_hostile_programs_never_crash();
    test_words_are_found_exactly_and_hashed_as_published();
    test_texts_that_differ_in_their_middle_alone_are_not_taken_for_each_other();
    test_every_row_operator_is_listed();
    return 0;
}
