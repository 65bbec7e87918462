/* Any bytes as a row program: refused, or rows of exactly the size they name that give the same
 * cells alone and by the column; and any bytes as their saved state. */
#include "er_internal.h"
#include "fuzz.h"

enum { FIELDS = 3, STEPS = 10, PARAMS = 5, WORDS = 4, ROWS = 24, HEADER = 24, CHECK_AT = 16 };

typedef struct fuzz_rows {
    er_row_program p;
    er_field fields[FIELDS];
    er_cell cells[STEPS];
    double params[STEPS][PARAMS];
    er_text words[STEPS][WORDS];
    char letters[64];
} fuzz_rows;

/* A text of the letters; they repeat, so words are met again. */
static er_text text_of(fuzz_bytes *b, const fuzz_rows *f)
{
    const uint8_t from = fuzz_u8(b), size = fuzz_u8(b);
    if (size == 255) return (er_text){NULL, -1};
    return (er_text){f->letters + from % 32, size % (size % 8 ? 4 : 33)};
}

static void make_cell(fuzz_bytes *b, fuzz_rows *f, uint32_t i)
{
    er_cell *c = &f->cells[i];
    const uint8_t how = fuzz_u8(b);
    c->op = how % 32 == 31 ? fuzz_u16(b) : (uint16_t)(2000 + fuzz_u8(b) % 23);
    c->from = fuzz_u8(b) % (f->p.n_fields + i + 1u);
    c->other = c->op >= 2020 || how % 32 == 30 ? fuzz_u8(b) % (f->p.n_fields + i + 1u) : 0;
    c->n_params = fuzz_u8(b) % (PARAMS + 1);
    c->n_words = fuzz_u8(b) % (WORDS + 1);
    c->params = f->params[i];
    c->words = f->words[i];
    for (uint32_t k = 0; k < PARAMS; k++)
        f->params[i][k] = how & 32 ? (double)fuzz_float(b) : (double)k + (how & 64 ? 1 : 0);
    for (uint32_t k = 0; k < c->n_words; k++) f->words[i][k] = text_of(b, f);
}

static void make_rows(fuzz_bytes *b, fuzz_rows *f)
{
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < sizeof f->letters; i++) f->letters[i] = (char)(fuzz_u8(b) % 4 + 'a');
    f->p.n_fields = fuzz_u8(b) % (FIELDS + 1);
    f->p.n_stages = fuzz_u8(b) % 5;
    f->p.n_cells = fuzz_u8(b) % 6;
    for (uint32_t i = 0; i < f->p.n_fields; i++) f->fields[i].kind = fuzz_u8(b) % 33 % 3;
    for (uint32_t i = 0; i < f->p.n_stages + (uint32_t)f->p.n_cells; i++) make_cell(b, f, i);
    f->p.fields = f->fields;
    f->p.stages = f->cells;
    f->p.cells = f->cells + f->p.n_stages;
}

static er_row *build(const er_row_program *p)
{
    const size_t size = er_row_size(p);
    uint32_t where;
    er_row *r;
    CHECK((er_row_check(p, &where) == ER_OK) == (size > 0));
    if (size == 0) return NULL;
    void *mem = malloc(size);
    memset(mem, 0xa5, size);
    CHECK(er_row_init(&r, p, mem, size - 1) == ER_ENOSPC);
    CHECK(er_row_init(&r, p, mem, size) == ER_OK);
    return r;
}

/* The same records by the column: numbers as they are, texts as offsets with a bit each. */
static void by_column(const fuzz_rows *f, er_row *r, double (*numbers)[FIELDS],
                      er_text (*texts)[FIELDS], const float *want)
{
    static double values[FIELDS][ROWS];
    static int32_t ends[FIELDS][ROWS + 1];
    static char data[FIELDS][ROWS * 33];
    static uint8_t valid[FIELDS][(ROWS + 7) / 8];
    er_column columns[FIELDS];
    static float got[ROWS * STEPS];
    uint32_t n_numbers = 0, n_texts = 0;
    memset(valid, 0, sizeof valid);
    for (uint32_t i = 0; i < f->p.n_fields; i++) {
        const int is_text = f->fields[i].kind == ER_TEXT;
        const uint32_t k = is_text ? n_texts++ : n_numbers++;
        for (uint32_t row = 0; row < ROWS; row++) {
            const er_text t = texts[row][k];
            const int32_t size = t.size < 0 ? 0 : t.size;
            if (!is_text) values[i][row] = numbers[row][k];
            if (is_text && size) memcpy(data[i] + ends[i][row], t.bytes, (size_t)size);
            ends[i][row + 1] = ends[i][row] + size;
            if (t.size >= 0) valid[i][row / 8] |= (uint8_t)(1u << row % 8);
        }
        columns[i] =
            is_text ? (er_column){.type = ER_COLUMN_UTF8,
                                  .values = ends[i],
                                  .data = data[i],
                                  .valid = valid[i]}
                    : (er_column){.type = ER_COLUMN_F64, .values = values[i], .times = 1, .per = 1};
    }
    const size_t size = er_row_columns_size(r);
    void *mem = malloc(size ? size : 1);
    CHECK(er_row_columns(r, columns, ROWS, got, ROWS, mem, size) == ER_OK);
    CHECK(memcmp(got, want, (size_t)ROWS * f->p.n_cells * sizeof *got) == 0);
    free(mem);
}

static void restore(fuzz_bytes *b, er_row *r, const double *numbers, const er_text *texts)
{
    const size_t size = er_row_save_size(r);
    unsigned char *bytes = malloc(size);
    float out[STEPS];
    CHECK(er_row_save(r, bytes, size) == ER_OK);
    for (int i = 0; i < 4 && size > HEADER; i++) {
        const uint8_t at = fuzz_u8(b);
        bytes[HEADER + at % (size - HEADER)] ^= fuzz_u8(b);
    }
    const uint64_t check = er_hash(0, bytes + HEADER, size - HEADER);
    memcpy(bytes + CHECK_AT, &check, sizeof check);
    er_row_restore(r, bytes, size);
    CHECK(er_row_run(r, numbers, texts, out) == ER_OK);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fuzz_rows f;
    static double numbers[ROWS][FIELDS];
    static er_text texts[ROWS][FIELDS];
    static float out[ROWS * STEPS];
    fuzz_bytes b = {data, size};
    make_rows(&b, &f);
    er_row *r = build(&f.p);
    if (!r) return 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t i = 0; i < FIELDS; i++) {
            numbers[row][i] = (double)fuzz_float(&b) * (fuzz_u8(&b) % 4 ? 1.0 : 1e10);
            texts[row][i] = text_of(&b, &f);
        }
        CHECK(er_row_run(r, numbers[row], texts[row], out + row * f.p.n_cells) == ER_OK);
    }
    er_row_reset(r);
    by_column(&f, r, numbers, texts, out);
    restore(&b, r, numbers[0], texts[0]);
    free(r);
    return 0;
}
