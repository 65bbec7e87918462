/* Rows at their edges: every row operator alone and by the column, one value after another; every
 * layout of an index; records and columns that are wrong (run under ASan). */
#include "er_row.h"

#include "check.h"

enum { VALUES = 12, MAX = 40 };
static const er_field number_text[] = {{ER_NUMBER, 0}, {ER_NUMBER, 0}, {ER_TEXT, 0}};
static const er_text words[] = {{"red", 3}, {"a long word, over 16 bytes", 26}};

static double missing(void)
{
    const uint64_t bits = UINT64_C(0x7ff8000000000000);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static er_row *make(const er_row_program *p)
{
    const size_t size = er_row_size(p);
    void *mem = malloc(size ? size : 1);
    er_row *r = NULL;
    CHECK(size > 0 && er_row_init(&r, p, mem, size) == ER_OK);
    return r;
}

static er_status by_column(er_row *r, const er_column *columns, uint64_t n, float *out)
{
    const size_t size = er_row_columns_size(r);
    void *mem = malloc(size);
    const er_status status = er_row_columns(r, columns, n, out, n, mem, size);
    free(mem);
    return status;
}

/* ---- every operator ---- */

/* Cells of every row operator on both kinds, where it is one. */
static uint16_t make_cells(er_cell *cells)
{
    static const double two[] = {-0.5, 1.5}, clip[] = {-0.5, 1.5, 1}, one[] = {3}, zero[] = {0};
    static const double range[] = {-0.5, 1.5, 0}, five[] = {-2, 0, 0.75, 1, 1e9};
    uint16_t n = 0;
    for (uint16_t op = 2000; op < 2022; op++) {
        const int takes_two = op >= 2020;
        const int n_params = op == 2004 || op == 2006 || op == 2008 || op == 2009 ? 2
                             : op == 2005                                         ? 3
                             : op == 2001 || (op >= 2010 && op < 2020)            ? 1
                                                                                  : 0;
        const double *params = n_params == 3 ? range : n_params == 2 ? two : zero;
        const er_cell numbers = {op,     0,   (uint16_t)takes_two, 0, (uint32_t)n_params, 0,
                                 params, NULL};
        if (op != 2012 && op != 2013) cells[n++] = numbers;
        if (op == 2005) cells[n] = numbers, cells[n++].params = clip;
        if (op == 2009) cells[n] = numbers, cells[n].params = five, cells[n++].n_params = 5;
        if (op == 2001) continue; /* gives a text there: a stage */
        const uint32_t n_words = op == 2010 ? 1 : op == 2011 || op == 2012 ? 2 : 0;
        const uint32_t n_p = op == 2012 || op == 2013 ? 1 : 0;
        const er_cell texts = {op, 2, 0, 0, n_p, n_words, one, words};
        if (op == 2003 || (op >= 2010 && op < 2014)) cells[n++] = texts;
        if (op == 2003) cells[n] = texts, cells[n++].from = 3; /* of the imputed one */
    }
    cells[n++] = (er_cell){.op = 2000, .from = 5}; /* the one-hot stage */
    return n;
}

static void test_every_operator_alone_and_by_the_column(void)
{
    const double values[VALUES] = {missing(), 0,      -1,   1,    2,         0.5,
                                   1e300,     -1e300, 1e13, -5e8, missing(), 1};
    const double others[VALUES] = {1, 0, missing(), 2, 0, 1, 1e300, 3, 1, 1, -1, 0};
    static const er_text texts[VALUES] = {{"red", 3},
                                          {NULL, -1},
                                          {"", 0},
                                          {"blue", 4},
                                          {"red", 3},
                                          {"a long word, over 16 bytes", 26},
                                          {"a long word, Over 16 bytes", 26},
                                          {"a", 1},
                                          {"ab", 2},
                                          {"red", 3},
                                          {NULL, -1},
                                          {"x", 1}};
    static const er_cell stages[] = {{2001, 2, 0, 0, 0, 1, NULL, words},
                                     {2002, 2, 0, 0, 0, 0, NULL, NULL},
                                     {2010, 2, 0, 0, 0, 1, NULL, words}};
    er_cell cells[MAX];
    const uint16_t n_cells = make_cells(cells);
    const er_row_program p = {3, 3, n_cells, 0, number_text, stages, cells};
    float alone[VALUES * MAX], columns[VALUES * MAX];
    er_row *r = make(&p);
    int32_t ends[VALUES + 1] = {0};
    char data[128] = "";
    uint8_t valid[2] = {0};
    for (uint32_t i = 0; i < VALUES; i++) {
        const double numbers[] = {values[i], others[i]};
        CHECK(er_row_run(r, numbers, &texts[i], alone + i * n_cells) == ER_OK);
        if (texts[i].size >= 0) valid[i / 8] |= (uint8_t)(1u << i % 8);
        if (texts[i].size > 0) strncat(data, texts[i].bytes, (size_t)texts[i].size);
        ends[i + 1] = (int32_t)strlen(data);
    }
    const er_column c[] = {{.type = ER_COLUMN_F64, .values = values, .times = 1, .per = 1},
                           {.type = ER_COLUMN_F64, .values = others, .times = 1, .per = 1},
                           {.type = ER_COLUMN_UTF8, .values = ends, .data = data, .valid = valid}};
    for (uint32_t n = 1; n <= VALUES; n++) {
        er_row_reset(r);
        CHECK(by_column(r, c, n, columns) == ER_OK);
        CHECK(memcmp(columns, alone, n * n_cells * sizeof *alone) == 0);
    }
    free(r);
}

/* Long words that agree at both ends are told apart by what is between, whatever slot they share.
 */
static void test_words_that_differ_in_the_middle(void)
{
    static const er_field text = {ER_TEXT, 0};
    static const er_cell cell = {2010, 0, 0, 0, 0, 1, NULL, words + 1};
    const er_row_program p = {1, 0, 1, 0, &text, NULL, &cell};
    er_row *r = make(&p);
    float out;
    for (int i = 0; i < 256; i++) {
        char near[26];
        memcpy(near, words[1].bytes, sizeof near);
        near[12] = (char)i;
        CHECK(er_row_run(r, NULL, &(er_text){near, sizeof near}, &out) == ER_OK);
        CHECK((out == 1.0f) == (memcmp(near, words[1].bytes, sizeof near) == 0));
    }
    free(r);
}

/* Few words, some, and too many for a hash without a collision. */
static void test_every_word_of_a_list_is_found(void)
{
    enum { MOST = 200 };
    static const er_field text = {ER_TEXT, 0};
    static const double other[] = {-1};
    static char bytes[MOST][16];
    static er_text list[MOST];
    for (int i = 0; i < MOST; i++) {
        snprintf(bytes[i], sizeof bytes[i], "w%d", i * 7919);
        list[i] = (er_text){bytes[i], (int32_t)strlen(bytes[i])};
    }
    for (uint32_t n = 1; n <= MOST; n += n < 70 ? 3 : 43) {
        const er_cell cell = {2012, 0, 0, 0, 1, n, other, list};
        const er_row_program p = {1, 0, 1, 0, &text, NULL, &cell};
        er_row *r = make(&p);
        for (uint32_t i = 0; i < MOST; i++) {
            float out;
            CHECK(er_row_run(r, NULL, &list[i], &out) == ER_OK);
            CHECK(out == (i < n ? (float)i : -1.0f));
        }
        free(r);
    }
}

/* ---- joined texts ---- */

static void test_joined_texts_are_as_many_as_fields(void)
{
    static const er_field three[] = {{ER_TEXT, 0}, {ER_TEXT, 0}, {ER_NUMBER, 0}};
    static const er_cell cells[] = {{2010, 0, 0, 0, 0, 1, NULL, words},
                                    {2010, 1, 0, 0, 0, 1, NULL, words},
                                    {2003, 1, 0, 0, 0, 0, NULL, NULL}};
    const er_row_program p = {3, 0, 3, 0, three, NULL, cells};
    const double number = 1;
    const uint8_t second_gone[] = {0, 1};
    float out[3];
    er_row *r = make(&p);
    CHECK(er_row_run_joined(r, &number, "red\0red", 7, NULL, out) == ER_OK);
    CHECK(out[0] == 1.0f && out[1] == 1.0f && out[2] == 0.0f);
    CHECK(er_row_run_joined(r, &number, "red\0red", 7, second_gone, out) == ER_OK);
    CHECK(out[0] == 1.0f && out[1] == 0.0f && out[2] == 1.0f);
    CHECK(er_row_run_joined(r, &number, "red\0", 4, NULL, out) == ER_OK && out[1] == 0.0f);
    CHECK(er_row_run_joined(r, &number, "red", 3, NULL, out) == ER_EFORMAT);
    CHECK(er_row_run_joined(r, &number, "a\0b\0c", 5, NULL, out) == ER_EFORMAT);
    CHECK(er_row_run_joined(r, &number, "", (size_t)INT32_MAX + 1, NULL, out) == ER_EFORMAT);
    CHECK(er_row_run_joined(r, &number, NULL, 0, NULL, out) == ER_EFORMAT);
    free(r);
    const er_row_program none = {1, 0, 1, 0, three + 2, NULL, &(er_cell){.op = 2000}};
    r = make(&none);
    CHECK(er_row_run_joined(r, &number, "", 0, NULL, out) == ER_OK && out[0] == 1.0f);
    CHECK(er_row_run_joined(r, &number, "x", 1, NULL, out) == ER_EFORMAT);
    free(r);
    char byte;
    CHECK(er_row_init(&r, NULL, &byte, 1) == ER_EINVAL);
}

/* ---- columns ---- */

static void test_every_index_finds_its_word(void)
{
    static const uint16_t types[] = {ER_COLUMN_I64, ER_COLUMN_U64, ER_COLUMN_I32, ER_COLUMN_U32,
                                     ER_COLUMN_I16, ER_COLUMN_U16, ER_COLUMN_I8,  ER_COLUMN_U8};
    static const uint32_t sizes[] = {8, 8, 4, 4, 2, 2, 1, 1};
    static const er_field text = {ER_TEXT, 0};
    static const er_cell cell = {2010, 0, 0, 0, 0, 1, NULL, words};
    static const int32_t ends[] = {0, 4, 7};
    const er_row_program p = {1, 0, 1, 0, &text, NULL, &cell};
    const er_column dictionary = {.type = ER_COLUMN_UTF8, .values = ends, .data = "bluered"};
    er_row *r = make(&p);
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        unsigned char values[3 * 8] = {0};
        uint64_t memo[2] = {0};
        float out[3];
        er_column c = {.type = types[k],
                       .values = values,
                       .dictionary = &dictionary,
                       .n_words = 2,
                       .memo = memo};
        values[sizes[k]] = 1; /* 0, 1, 0 in little endian */
        CHECK(by_column(r, &c, 3, out) == ER_OK);
        CHECK(out[0] == 0.0f && out[1] == 1.0f && out[2] == 0.0f);
        values[0] = 2;
        CHECK(by_column(r, &c, 3, out) == ER_EFORMAT);
        memset(values, 0xff, sizeof values);
        CHECK(by_column(r, &c, 3, out) == ER_EFORMAT);
        memset(values, 0, sizeof values);
        c.memo = NULL;
        CHECK(by_column(r, &c, 3, out) == ER_EINVAL);
        c.memo = memo, c.n_words = 0;
        CHECK(by_column(r, &c, 3, out) == ER_EFORMAT);
        const er_column lost = {.type = ER_COLUMN_UTF8}, other = {.type = ER_COLUMN_F64};
        c.n_words = 2, c.dictionary = &lost;
        CHECK(by_column(r, &c, 3, out) == ER_EINVAL);
        c.dictionary = &other;
        CHECK(by_column(r, &c, 3, out) == ER_EFORMAT);
        c.dictionary = &dictionary, c.type = ER_COLUMN_F32;
        CHECK(by_column(r, &c, 3, out) == ER_EFORMAT);
        c.type = ER_COLUMN_VIEW;
        CHECK(by_column(r, &c, 3, out) == ER_EFORMAT);
    }
    free(r);
}

/* Where no operator asks for the hash, a short view is found by its own bytes. */
static void test_short_views_find_their_word_at_once(void)
{
    static const er_field text = {ER_TEXT, 0};
    static const er_cell cell = {2010, 0, 0, 0, 0, 1, NULL, words};
    const er_row_program p = {1, 0, 1, 0, &text, NULL, &cell};
    int32_t view[3][4] = {{3, 0, 0, 0}, {3, 0, 0, 0}, {0, 0, 0, 0}};
    const er_column c = {.type = ER_COLUMN_VIEW, .values = view};
    float out[3];
    er_row *r = make(&p);
    memcpy(view[0] + 1, "red", 3), memcpy(view[1] + 1, "rey", 3);
    CHECK(by_column(r, &c, 3, out) == ER_OK);
    CHECK(out[0] == 1.0f && out[1] == 0.0f && out[2] == 0.0f);
    free(r);
}

/* Views through a dictionary, too; buffers and offsets out of range. */
static void test_views_and_offsets_out_of_range(void)
{
    static const er_field text = {ER_TEXT, 0};
    static const er_cell cell = {2010, 0, 0, 0, 0, 1, NULL, words + 1};
    const er_row_program p = {1, 0, 1, 0, &text, NULL, &cell};
    const void *const buffers[] = {words[1].bytes};
    int32_t view[2][4] = {{3, 0, 0, 0}, {26, 0, 0, 0}};
    int64_t ends[2] = {0, 26};
    uint64_t memo[2] = {0};
    const uint8_t index[] = {0, 1};
    er_row *r = make(&p);
    float out[2];
    er_column c = {.type = ER_COLUMN_VIEW, .values = view, .n_buffers = 1, .buffers = buffers};
    const er_column by_index = {
        .type = ER_COLUMN_U8, .values = index, .dictionary = &c, .n_words = 2, .memo = memo};
    memcpy(view[1] + 1, words[1].bytes, 4);
    CHECK(by_column(r, &c, 2, out) == ER_OK && out[0] == 0.0f && out[1] == 1.0f);
    CHECK(by_column(r, &by_index, 2, out) == ER_OK && out[0] == 0.0f && out[1] == 1.0f);
    view[1][2] = 1;
    CHECK(by_column(r, &c, 2, out) == ER_EFORMAT);
    memo[1] = 0;
    CHECK(by_column(r, &by_index, 2, out) == ER_EFORMAT);
    view[1][2] = -1;
    CHECK(by_column(r, &c, 2, out) == ER_EFORMAT && by_column(r, &by_index, 2, out) == ER_EFORMAT);
    view[1][2] = 0, view[1][3] = -1;
    CHECK(by_column(r, &c, 2, out) == ER_EFORMAT && by_column(r, &by_index, 2, out) == ER_EFORMAT);
    view[1][0] = -1;
    CHECK(by_column(r, &c, 2, out) == ER_EFORMAT && by_column(r, &by_index, 2, out) == ER_EFORMAT);
    c.valid = (const uint8_t *)"\1"; /* the second is missing: nobody looks at it */
    CHECK(by_column(r, &c, 2, out) == ER_OK && by_column(r, &by_index, 2, out) == ER_OK);
    c = (er_column){.type = ER_COLUMN_UTF8L, .values = ends, .data = words[1].bytes};
    CHECK(by_column(r, &c, 1, out) == ER_OK && out[0] == 1.0f);
    c.data = NULL;
    CHECK(by_column(r, &c, 1, out) == ER_EFORMAT);
    ends[1] = 0;
    CHECK(by_column(r, &c, 1, out) == ER_OK && out[0] == 0.0f);
    ends[0] = 1;
    CHECK(by_column(r, &c, 1, out) == ER_EFORMAT);
    ends[0] = -1;
    CHECK(by_column(r, &c, 1, out) == ER_EFORMAT);
    ends[0] = 0, ends[1] = INT64_C(1) << 40;
    CHECK(by_column(r, &c, 1, out) == ER_EFORMAT);
    free(r);
}

static void test_columns_that_are_wrong_are_refused(void)
{
    static const er_field number = {ER_NUMBER, 0};
    const er_row_program p = {1, 0, 1, 0, &number, NULL, &(er_cell){.op = 2000}};
    const double values[100] = {1, 2, 4};
    uint8_t valid[16];
    float out[100];
    uint64_t mem[512];
    er_row *r = make(&p);
    er_column c = {.type = ER_COLUMN_F64, .values = values, .times = 3, .per = 2};
    CHECK(by_column(r, &c, 3, out) == ER_OK && out[2] == 6.0f);
    c.per = 1;
    CHECK(by_column(r, &c, 3, out) == ER_OK && out[2] == 12.0f);
    c.times = 1, c.per = 2;
    CHECK(by_column(r, &c, 3, out) == ER_OK && out[2] == 2.0f);
    memset(valid, 0x55, sizeof valid);
    c.valid = valid;
    for (c.start = 0; c.start < 20; c.start++)
        for (uint32_t n = 0; n < 70; n++) {
            CHECK(by_column(r, &c, n, out) == ER_OK);
            for (uint32_t i = 0; i < n; i++) CHECK((out[i] == out[i]) == !((c.start + i) % 2));
        }
    c.start = 0, c.valid = NULL;
    c.times = 0;
    CHECK(by_column(r, &c, 3, out) == ER_EINVAL);
    c.times = __builtin_inf();
    CHECK(by_column(r, &c, 3, out) == ER_EINVAL);
    c.times = 1, c.per = -1;
    CHECK(by_column(r, &c, 3, out) == ER_EINVAL);
    c.per = 1, c.values = NULL;
    CHECK(by_column(r, &c, 3, out) == ER_EINVAL && by_column(r, &c, 0, out) == ER_OK);
    c.values = values, c.type = ER_COLUMN_UTF8;
    CHECK(by_column(r, &c, 3, out) == ER_EFORMAT);
    c.type = ER_COLUMN_F64, c.dictionary = &c;
    CHECK(by_column(r, &c, 3, out) == ER_EFORMAT);
    c.dictionary = NULL;
    CHECK(er_row_columns_size(NULL) == 0 && er_row_columns_size(r) <= sizeof mem);
    CHECK(er_row_columns(NULL, &c, 1, out, 1, mem, sizeof mem) == ER_EINVAL);
    CHECK(er_row_columns(r, NULL, 1, out, 1, mem, sizeof mem) == ER_EINVAL);
    CHECK(er_row_columns(r, &c, 1, NULL, 1, mem, sizeof mem) == ER_EINVAL);
    CHECK(er_row_columns(r, &c, 0, NULL, 0, mem, sizeof mem) == ER_OK);
    CHECK(er_row_columns(r, &c, 1, out, 1, NULL, sizeof mem) == ER_EINVAL);
    CHECK(er_row_columns(r, &c, 1, out, 1, (char *)mem + 1, sizeof mem) == ER_EINVAL);
    CHECK(er_row_save(NULL, mem, 64) == ER_EINVAL && er_row_restore(r, NULL, 64) == ER_EINVAL);
    free(r);
}

/* A range whose inverse or shift is not a number. */
static void test_ranges_out_of_range_are_refused(void)
{
    static const er_field number = {ER_NUMBER, 0};
    static const double ranges[][3] = {{0, 1, 0},       {0, 0, 0},
                                       {1, 0, 0},       {0, 5e-324, 0},
                                       {0, 1.7e308, 1}, {-1.7e308, 1.7e308, 0},
                                       {0, 1, 2},       {0, 1, 0.5},
                                       {0, 1, -1},      {1e308, 1.0000000000000002e308, 0}};
    static const int ok[] = {1, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    for (size_t i = 0; i < sizeof ok / sizeof *ok; i++) {
        const er_cell cell = {2005, 0, 0, 0, 3, 0, ranges[i], NULL};
        const er_row_program p = {1, 0, 1, 0, &number, NULL, &cell};
        CHECK((er_row_check(&p, NULL) == ER_OK) == ok[i]);
    }
}

int main(void)
{
    test_every_operator_alone_and_by_the_column();
    test_words_that_differ_in_the_middle();
    test_every_word_of_a_list_is_found();
    test_joined_texts_are_as_many_as_fields();
    test_every_index_finds_its_word();
    test_short_views_find_their_word_at_once();
    test_views_and_offsets_out_of_range();
    test_columns_that_are_wrong_are_refused();
    test_ranges_out_of_range_are_refused();
    return 0;
}
