/* count_rows.c - runs row programs under callgrind, as count.c does windows: tools/counting.py
 * writes them on stdin and reads the instructions of eight records, each run eight times.
 *
 * A program: fields, their kinds; stages, cells, (op from other, params, words, the params, the
 * words) each; then eight records: a number or a word a field, in the order of the fields. A word
 * has no space and 63 bytes at most.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

#include "er.h"

enum {
    FIELDS = 64,
    STEPS = 256,
    RECORDS = 8,
    TIMES = 8,
    WORD = 64,
    ITEMS = 16384,
    JOINED = FIELDS * WORD
};
static er_field fields[FIELDS];
static er_cell steps[STEPS];
static double params[ITEMS], numbers[RECORDS][FIELDS];
static char words[ITEMS][WORD], joined[RECORDS][JOINED];
static er_text texts[ITEMS];
static size_t sizes[RECORDS];

static unsigned whole(void)
{
    unsigned x;
    if (scanf("%u", &x) != 1) exit(2);
    return x;
}

static void read_steps(uint32_t n)
{
    uint32_t n_params = 0, n_words = 0;
    for (uint32_t i = 0; i < n; i++) {
        er_cell *s = &steps[i];
        *s = (er_cell){.params = params + n_params, .words = texts + n_words};
        s->op = (uint16_t)whole(), s->from = (uint16_t)whole(), s->other = (uint16_t)whole();
        s->n_params = whole(), s->n_words = whole();
        for (uint32_t k = 0; k < s->n_params; k++)
            if (scanf("%lf", &params[n_params++]) != 1) exit(2);
        for (uint32_t k = 0; k < s->n_words; k++, n_words++) {
            if (scanf("%63s", words[n_words]) != 1) exit(2);
            texts[n_words] = (er_text){words[n_words], (int32_t)strlen(words[n_words])};
        }
    }
}

static void read_record(int at, uint32_t n_fields)
{
    uint32_t n_numbers = 0, n_texts = 0;
    size_t size = 0;
    for (uint32_t f = 0; f < n_fields; f++)
        if (fields[f].kind == ER_NUMBER) {
            if (scanf("%lf", &numbers[at][n_numbers++]) != 1) exit(2);
        } else {
            if (n_texts++) joined[at][size++] = 0;
            if (scanf("%63s", joined[at] + size) != 1) exit(2);
            size += strlen(joined[at] + size);
        }
    sizes[at] = size;
}

static er_status run(const er_row_program *p, const char *name)
{
    const size_t size = er_row_size(p);
    void *memory = malloc(size);
    float out[STEPS];
    er_row *r;
    er_status status = size ? er_row_init(&r, p, memory, size) : ER_EINVAL;
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < RECORDS * TIMES && status == ER_OK; i++) {
        const int at = i % RECORDS;
        status = er_row_run_joined(r, numbers[at], joined[at], sizes[at], NULL, out);
    }
    CALLGRIND_DUMP_STATS_AT(name);
    free(memory);
    return status;
}

int main(void)
{
    unsigned n_fields;
    char name[32];
    for (int i = 0; scanf("%u", &n_fields) == 1; i++) {
        for (uint32_t f = 0; f < n_fields; f++) fields[f] = (er_field){.kind = (uint16_t)whole()};
        er_row_program p = {.n_fields = (uint16_t)n_fields, .fields = fields, .stages = steps};
        p.n_stages = (uint16_t)whole(), p.n_cells = (uint16_t)whole();
        p.cells = steps + p.n_stages;
        read_steps((uint32_t)p.n_stages + p.n_cells);
        for (int at = 0; at < RECORDS; at++) read_record(at, n_fields);
        snprintf(name, sizeof name, "count %d 0", i);
        const er_status status = run(&p, name);
        if (status) return fprintf(stderr, "program %d: status %d\n", i, (int)status), 1;
    }
    return 0;
}
