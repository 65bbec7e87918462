/* er_row.c - a checked row program, its memory, and one record through it. */
#include <string.h>

#include "er_row.h"

/* ---- check ---- */

static int shape_ok(const er_row_program *p)
{
    if (!p || !p->fields || !p->cells || (p->n_stages && !p->stages) || p->reserved) return 0;
    if (p->n_fields < 1 || p->n_fields > ER_MAX_FIELDS || p->n_stages > ER_MAX_STEPS ||
        p->n_cells < 1 || p->n_cells > ER_MAX_STEPS)
        return 0;
    for (uint32_t f = 0; f < p->n_fields; f++)
        if (p->fields[f].kind > ER_TEXT || p->fields[f].reserved) return 0;
    return 1;
}

static const er_cell *step_at(const er_row_program *p, uint32_t i)
{
    return i < p->n_stages ? &p->stages[i] : &p->cells[i - p->n_stages];
}

/* The field that v is made from through stages that keep a text one, at most ER_MAX_CHAIN; else a
 * stage, which then gives a number (or is too far from its field: step_check() refuses it). */
static uint32_t root_of(const er_row_program *p, uint32_t v)
{
    for (int i = 0; i < ER_MAX_CHAIN && v >= p->n_fields; i++) {
        const er_cell *c = &p->stages[v - p->n_fields];
        const er_row_kernel *k = er_row_kernel_find(c->op, ER_TEXT);
        if (!k || k->out != ER_TEXT) return v;
        v = c->from;
    }
    return v;
}

/* Values have no kind of their own: a text stays one through stages that give texts. */
uint16_t er_row_kind(const er_row_program *p, uint16_t v)
{
    const uint32_t root = root_of(p, v);
    return root < p->n_fields ? p->fields[root].kind : ER_NUMBER;
}

static int count_ok(uint32_t n, uint32_t want, uint32_t most)
{
    return want == most ? n >= 1 && n <= most : n == want;
}

static int lists_ok(const er_cell *c, const er_row_kernel *k)
{
    if (!count_ok(c->n_params, k->n_params, ER_MAX_LIST) || (c->n_params && !c->params) ||
        !count_ok(c->n_words, k->n_words, ER_MAX_WORDS) || (c->n_words && !c->words))
        return 0;
    for (uint32_t i = 0; i < c->n_params; i++)
        if (c->params[i] - c->params[i] != 0.0) return 0;
    for (uint32_t i = 0; i < c->n_words; i++)
        if (c->words[i].size < 0 || (c->words[i].size && !c->words[i].bytes)) return 0;
    return k->params_ok(c->params, c->n_params);
}

static er_status step_check(const er_row_program *p, uint32_t i)
{
    const er_cell *c = step_at(p, i);
    const uint32_t readable = p->n_fields + (i < p->n_stages ? i : p->n_stages);
    if (c->from >= readable || c->other >= readable || c->reserved) return ER_EINVAL;
    const er_row_kernel *k = er_row_kernel_find(c->op, er_row_kind(p, c->from));
    if (!k || (i >= p->n_stages && k->out != ER_NUMBER)) return ER_EOP;
    if (k->out == ER_TEXT && er_row_kind(p, (uint16_t)(p->n_fields + i)) != ER_TEXT)
        return ER_EINVAL; /* too deep */
    if (k->n_from == 1 ? c->other != 0 : er_row_kind(p, c->other) != k->kind) return ER_EINVAL;
    return lists_ok(c, k) ? ER_OK : ER_EINVAL;
}

er_status er_row_check(const er_row_program *p, uint32_t *where)
{
    uint32_t none, words = 0;
    if (!where) where = &none;
    *where = p ? (uint32_t)p->n_stages + p->n_cells : 0;
    if (!shape_ok(p)) return ER_EINVAL;
    for (uint32_t i = 0; i < (uint32_t)p->n_stages + p->n_cells; i++) {
        er_status status = step_check(p, i);
        if (status == ER_OK && (words += step_at(p, i)->n_words) > ER_MAX_ALL_WORDS)
            status = ER_EINVAL;
        if (status == ER_OK) continue;
        *where = i;
        return status;
    }
    return ER_OK;
}

/* ---- memory ---- */

static const er_row_kernel *kernel_of(const er_row_program *p, const er_cell *c)
{
    return er_row_kernel_find(c->op, er_row_kind(p, c->from));
}

static int same_word(const er_cell *a, const er_cell *b)
{
    return a->words[0].size == b->words[0].size &&
           (a->words[0].size == 0 ||
            memcmp(a->words[0].bytes, b->words[0].bytes, (size_t)a->words[0].size) == 0);
}

/* Cells from i on that are the one-hot of one text, each for another word; 0 if cell i is none. */
static uint32_t run_of(const er_row_program *p, uint32_t i)
{
    const er_cell *first = &p->cells[i], *c = first;
    if (first->op != ER_ROW_ONE_HOT || er_row_kind(p, first->from) != ER_TEXT) return 0;
    for (; c < p->cells + p->n_cells; c++) {
        if (c->op != first->op || c->from != first->from) break;
        for (const er_cell *b = first; b < c; b++)
            if (same_word(b, c)) return (uint32_t)(c - first);
    }
    return (uint32_t)(c - first);
}

/* The words that steps ask field f for, each as often as it is asked. */
static uint32_t words_of(const er_row_program *p, uint32_t f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < (uint32_t)p->n_stages + p->n_cells; i++)
        if (step_at(p, i)->n_words && root_of(p, step_at(p, i)->from) == f)
            n += step_at(p, i)->n_words;
    return n;
}

static void count_values(er_row *r)
{
    const er_row_program *p = &r->p;
    r->n_values = (uint16_t)(p->n_fields + p->n_stages);
    r->n_numbers = r->n_texts = r->field_texts = r->n_state = 0;
    for (uint32_t v = 0; v < r->n_values; v++) {
        const int text = er_row_kind(p, (uint16_t)v) == ER_TEXT;
        r->n_texts = (uint16_t)(r->n_texts + text);
        r->n_numbers = (uint16_t)(r->n_numbers + !text);
        if (v < p->n_fields) r->field_texts = r->n_texts;
    }
    r->field_numbers = (uint16_t)(p->n_fields - r->field_texts);
    for (uint32_t i = 0; i < (uint32_t)p->n_stages + p->n_cells; i++)
        if (kernel_of(p, step_at(p, i))->needs & ER_ROW_STATE) r->n_state++;
}

void er_row_carve_values(const er_row *r, er_values *v, uint32_t n, er_arena *a)
{
    v->n = n;
    v->numbers = er_carve(a, (size_t)r->n_numbers * n * sizeof *v->numbers);
    v->texts = er_carve(a, (size_t)r->n_texts * n * sizeof *v->texts);
    v->result = er_carve(a, n * sizeof *v->result);
    v->rounded = er_carve(a, n * sizeof *v->rounded);
}

static void *carve_map(const er_row_program *p, const er_cell *c, er_arena *a)
{
    return er_carve(a, words_of(p, root_of(p, c->from)) * sizeof(int32_t));
}

/* Steps with what memory each has, in the order of running; one walk counts or lays out. */
static void carve_steps(er_row *r, er_arena *a)
{
    const er_row_program *p = &r->p;
    r->n_steps = 0;
    for (uint32_t i = 0; i < (uint32_t)p->n_stages + p->n_cells;) {
        const er_cell *c = step_at(p, i);
        const uint32_t run = i < p->n_stages ? 0 : run_of(p, i - p->n_stages);
        const er_row_kernel *k = kernel_of(p, c);
        int32_t *map = run || (k->needs & ER_ROW_MAP) ? carve_map(p, c, a) : NULL;
        if (a->base)
            r->steps[r->n_steps] = (er_row_step){
                .cell = c,
                .kernel = k,
                .out = (uint16_t)(i < p->n_stages ? p->n_fields + i : i - p->n_stages),
                .run = (uint16_t)run,
                .map = map};
        r->n_steps++;
        i += run ? run : 1;
    }
}

static void carve(er_row *r, const er_row_program *p, er_arena *a)
{
    memset(r, 0, sizeof *r);
    r->p = *p;
    count_values(r);
    r->place = er_carve(a, r->n_values * sizeof *r->place);
    r->words = er_carve_both(a, r->field_texts * sizeof *r->words,
                             (size_t)r->field_texts * ER_WORDS_SMALL);
    r->joined = er_carve_both(a, r->field_texts * sizeof *r->joined,
                              (size_t)r->field_texts * ER_TEXT_SMALL);
    r->state = er_carve(a, r->n_state * sizeof *r->state);
    const size_t n_steps = (size_t)p->n_stages + p->n_cells;
    r->steps = er_carve_both(a, n_steps * sizeof *r->steps, n_steps * ER_ROW_STEP_SMALL);
    er_row_carve_values(r, &r->one, 1, a);
    for (uint32_t f = 0, t = 0; f < p->n_fields; f++) {
        er_words w;
        if (p->fields[f].kind != ER_TEXT) continue;
        er_words_carve(&w, words_of(p, f), a);
        if (a->base) r->words[t++] = w;
    }
    carve_steps(r, a);
}

er_arena er_row_count(const er_row_program *p)
{
    if (er_row_check(p, NULL) != ER_OK) return (er_arena){0};
    er_row r;
    er_arena count = {.used = (sizeof r + 7) / 8 * 8, .small = ER_ROW_SMALL};
    carve(&r, p, &count);
    return count;
}

size_t er_row_size(const er_row_program *p) { return er_row_count(p).used; }

/* ---- init ---- */

er_words *er_row_words(const er_row *r, const er_cell *c)
{
    return &r->words[r->place[root_of(&r->p, c->from)]];
}

static void learn_words(er_row *r, er_row_step *s)
{
    const er_cell *c = s->cell;
    er_words *w = er_row_words(r, c);
    if (s->kernel->needs & ER_ROW_HASH) w->needs_hash = 1;
    const uint32_t n_cells = s->run ? s->run : 1;
    for (uint32_t k = 0; k < n_cells; k++)
        for (uint32_t i = 0; i < c[k].n_words; i++) er_words_add(w, c[k].words[i]);
    if (!c->n_words) return;
    s->arg.code = er_words_add(w, c->words[0]);
    s->arg.hash = er_murmur3(c->words[0].bytes, (uint32_t)c->words[0].size);
}

static void learn_all(er_row *r, er_words *w, uint64_t seed)
{
    er_words_init(w, seed);
    for (uint32_t i = 0; i < r->n_steps; i++)
        if (r->steps[i].kernel->kind == ER_TEXT && er_row_words(r, r->steps[i].cell) == w)
            learn_words(r, &r->steps[i]);
}

/* A look-up is one comparison, and no branch that a processor cannot foresee, where every word
 * stands in the slot that its hash names. Few words find such a hash within a few tries. */
static void settle_words(er_row *r, er_words *w)
{
    enum { TRIES = 64, FEW_WORDS = 64 };
    uint64_t best = 0;
    learn_all(r, w, 0);
    uint32_t least = w->moved;
    for (uint64_t seed = 1; seed < TRIES && least > 0 && w->n <= FEW_WORDS; seed++) {
        learn_all(r, w, seed);
        if (w->moved >= least) continue;
        least = w->moved;
        best = seed;
    }
    if (w->moved > least) learn_all(r, w, best);
}

/* Of a run: code -> its cell; else code -> place in the step's own list, the first of equal ones.
 */
static void fill_map(const er_row *r, const er_row_step *s)
{
    if (!s->map) return;
    er_words *w = er_row_words(r, s->cell);
    const uint32_t n = s->run ? s->run : s->cell->n_words;
    for (uint32_t i = 0; i < w->n; i++) s->map[i] = -1;
    for (uint32_t i = 0; i < n; i++) {
        const er_text word = s->run ? s->cell[i].words[0] : s->cell->words[i];
        int32_t *place = &s->map[er_words_add(w, word)];
        if (*place < 0) *place = (int32_t)i;
    }
}

/* arg <- where step s reads in v; returns where it writes. */
static void *bind_step(const er_row *r, const er_row_step *s, const er_values *v, er_row_arg *arg)
{
    const er_cell *c = s->cell;
    const int is_text = s->kernel->kind == ER_TEXT, is_stage = s < r->steps + r->p.n_stages;
    const size_t x = (size_t)r->place[c->from] * v->n, y = (size_t)r->place[c->other] * v->n;
    arg->n = v->n;
    arg->n_params = c->n_params;
    arg->param = c->params;
    arg->map = s->map;
    arg->x = is_text ? NULL : v->numbers + x;
    arg->y = s->kernel->n_from == 2 ? v->numbers + y : NULL;
    arg->t = is_text ? v->texts + x : NULL;
    if (!is_stage) return v->result;
    const size_t to = (size_t)r->place[s->out] * v->n;
    return s->kernel->out == ER_TEXT ? (void *)(v->texts + to) : (void *)(v->numbers + to);
}

#define HASH(h, value) er_hash(h, &(value), sizeof(value))

static uint64_t shape_of(const er_row_program *p)
{
    const uint16_t dims[] = {p->n_fields, p->n_stages, p->n_cells};
    uint64_t h = HASH(0, dims);
    h = er_hash(h, p->fields, p->n_fields * sizeof *p->fields);
    for (uint32_t i = 0; i < (uint32_t)p->n_stages + p->n_cells; i++) {
        const er_cell *c = step_at(p, i);
        const uint32_t head[] = {c->op, c->from, c->other, c->n_params, c->n_words};
        h = HASH(h, head);
        h = er_hash(h, c->params, c->n_params * sizeof *c->params);
        for (uint32_t k = 0; k < c->n_words; k++) {
            h = HASH(h, c->words[k].size);
            h = er_hash(h, c->words[k].bytes, (size_t)c->words[k].size);
        }
    }
    return h;
}

er_status er_row_init(er_row **out, const er_row_program *p, void *mem, size_t size)
{
    const er_status status = er_row_check(p, NULL);
    if (status != ER_OK) return status;
    if (!out || !mem || (uintptr_t)mem % 8) return ER_EINVAL;
    if (size < er_row_size(p)) return ER_ENOSPC;
    er_row *r = mem;
    er_arena arena = {.base = mem, .used = (sizeof *r + 7) / 8 * 8};
    carve(r, p, &arena);
    uint16_t numbers = 0, texts = 0, state = 0;
    for (uint32_t v = 0; v < r->n_values; v++)
        r->place[v] = er_row_kind(p, (uint16_t)v) == ER_TEXT ? texts++ : numbers++;
    for (uint32_t i = 0; i < r->n_steps; i++) {
        er_row_step *s = &r->steps[i];
        if (s->kernel->needs & ER_ROW_STATE) s->arg.state = &r->state[state++];
        s->to = bind_step(r, s, &r->one, &s->arg);
    }
    for (uint32_t t = 0; t < r->field_texts; t++) settle_words(r, &r->words[t]);
    for (uint32_t i = 0; i < r->n_steps; i++) fill_map(r, &r->steps[i]);
    r->shape = shape_of(p);
    er_row_reset(r);
    *out = r;
    return ER_OK;
}

/* ---- run ---- */

static float cell_of(double x)
{
    const float f = (float)x;
    return er_is_finite(f) ? f + 0.0f : er_nan();
}

/* The output holds zeros. */
static void write_run(const er_row_step *s, const er_code *t, uint32_t n, uint32_t stride,
                      float *out)
{
    for (uint32_t i = 0; i < n; i++, out += stride) {
        const int32_t place = t[i].code >= 0 ? s->map[t[i].code] : -1;
        if (place >= 0) out[place] = 1.0f;
    }
}

static void write_cell(const er_values *v, uint32_t stride, float *out)
{
    const uint32_t n = v->n;
    const double *result = v->result;
    float *rounded = v->rounded;
    for (uint32_t i = 0; i < n; i++) rounded[i] = cell_of(result[i]);
    for (uint32_t i = 0; i < n; i++, out += stride) *out = rounded[i];
}

void er_row_steps(const er_row *r, const er_values *v, float *out)
{
    const uint32_t width = r->p.n_cells;
    memset(out, 0, (size_t)v->n * width * sizeof *out);
    for (uint32_t i = 0; i < r->n_steps; i++) {
        const er_row_step *s = &r->steps[i];
        er_row_arg a = s->arg;
        void *to = bind_step(r, s, v, &a);
        if (s->run) {
            write_run(s, a.t, v->n, width, out + s->out);
            continue;
        }
        s->kernel->run(&a, to);
        if (i >= r->p.n_stages) write_cell(v, width, out + s->out);
    }
}

/* er_row_steps() over r->one, where every step is bound already. */
static void run_one(const er_row *r, float *out)
{
    const er_row_step *s = r->steps, *cells = s + r->p.n_stages, *end = s + r->n_steps;
    memset(out, 0, r->p.n_cells * sizeof *out);
    for (; s < cells; s++) s->kernel->run(&s->arg, s->to);
    for (; s < end; s++) {
        if (s->run) {
            write_run(s, s->arg.t, 1, 0, out + s->out);
            continue;
        }
        s->kernel->run(&s->arg, s->to);
        out[s->out] = cell_of(*r->one.result);
    }
}

er_status er_row_run(er_row *r, const double *numbers, const er_text *texts, float *out)
{
    if (!r || !out || (r->field_numbers && !numbers) || (r->field_texts && !texts))
        return ER_EINVAL;
    if (r->field_numbers) memcpy(r->one.numbers, numbers, r->field_numbers * sizeof *numbers);
    for (uint32_t t = 0; t < r->field_texts; t++)
        er_words_codes(&r->words[t], &texts[t], 1, &r->one.texts[t]);
    run_one(r, out);
    return ER_OK;
}

/* joined[size] cut at its zero bytes into r->joined; 0 unless they are as many as go between. */
static int cut(er_row *r, const char *joined, size_t size, const uint8_t *missing)
{
    const uint32_t n = r->field_texts;
    const char *at = joined, *end = joined + size;
    if (n == 0 || size > INT32_MAX) return n == 0 && size == 0;
    for (uint32_t t = 0; t < n; t++) {
        const char *stop = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
        if ((stop == NULL) != (t == n - 1)) return 0;
        if (!stop) stop = end;
        r->joined[t].bytes = at;
        r->joined[t].size = missing && missing[t] ? -1 : (int32_t)(stop - at);
        at = stop + 1;
    }
    return 1;
}

er_status er_row_run_joined(er_row *r, const double *numbers, const char *joined, size_t size,
                            const uint8_t *missing, float *out)
{
    if (!r || (!joined && size)) return ER_EINVAL;
    if (!cut(r, joined ? joined : "", size, missing)) return ER_EFORMAT;
    return er_row_run(r, numbers, r->joined, out);
}
