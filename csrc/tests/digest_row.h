/* digest_row.h - a part of digest.c: every row operator on ordinary, huge, tiny, missing and any
 * numbers and on texts, a line each; then chains of them, by the record and by the column. */
static double any_number(uint64_t *rng)
{
    const uint64_t bits = rng_next(rng);
    double value;
    memcpy(&value, &bits, 8);
    switch (rng_below(rng, 8)) {
    case 0: return value;
    case 1: return (double)er_nan();
    case 2: return 1.7e12 + (double)(int64_t)(bits % 100000000000u); /* a time */
    case 3: return (double)rng_below(rng, 7) - 3.0;
    default: return (double)rng_unit(rng) + (double)(bits >> 40) * 0x1p-48;
    }
}

static er_text any_text(uint64_t *rng)
{
    static const char *const texts[] = {
        "red", "", "gr\xc3\xbcn", "sixteen bytes !!", "one more than that", "blue"};
    const uint32_t i = rng_below(rng, 7);
    return i == 6 ? (er_text){NULL, -1} : (er_text){texts[i], (int32_t)strlen(texts[i])};
}

static uint64_t digest_cells(uint64_t h, const er_row_program *p, uint64_t *rng)
{
    double numbers[4];
    er_text texts[4];
    er_row *r;
    CHECK(er_row_init(&r, p, memory, sizeof memory) == ER_OK);
    for (int row = 0; row < 500; row++) {
        for (int i = 0; i < 4; i++) numbers[i] = any_number(rng), texts[i] = any_text(rng);
        CHECK(er_row_run(r, numbers, texts, out) == ER_OK);
        h = fnv(h, out, p->n_cells * sizeof *out);
    }
    return h;
}

static const er_text row_words[] = {{"red", 3}, {"sixteen bytes !!", 16}, {"", 0}};

/* Parameters of an operator: 0.5 and on, or the whole numbers that it wants. */
static er_cell row_cell(const er_row_kernel *k, const double *list, uint16_t from, uint16_t other)
{
    static const double buckets[] = {1000.0}, minutes[] = {-210.0}, range[] = {-1.0, 0.7, 1.0};
    const uint32_t n_params = k->n_params == ER_MAX_LIST ? 4 : k->n_params;
    const uint32_t n_words = k->n_words == ER_MAX_WORDS ? 3 : k->n_words;
    const double *params = k->id == 2005   ? range
                           : k->id == 2013 ? buckets
                           : k->id >= 2014 ? minutes
                                           : list;
    return (er_cell){k->id,  from,     k->n_from == 2 ? other : 0, 0, n_params, n_words,
                     params, row_words};
}

static void digest_row_operator(uint16_t id, const char *name)
{
    static const double list[] = {-0.7, 0.1, 0.5, 3.0};
    static const double most[] = {16777216.0};
    static const er_cell seen = {2013, 1, 0, 0, 1, 0, most, NULL};
    uint64_t rng = id, h = 0;
    for (uint16_t kind = ER_NUMBER; kind <= ER_TEXT; kind++) {
        const er_row_kernel *k = er_row_kernel_find(id, kind);
        const er_field fields[] = {{kind, 0}, {kind, 0}};
        if (!k) continue;
        const er_cell cell = row_cell(k, list, 0, 1);
        const er_row_program alone = {2, 0, 1, 0, fields, NULL, &cell};
        const er_row_program text = {1, 1, 1, 0, fields, &cell, &seen};
        h = digest_cells(h, k->out == ER_TEXT ? &text : &alone, &rng);
    }
    printf("row.%s %016llx\n", name, (unsigned long long)h);
}

/* impute, log1p, standardise; impute_last, one-hot: as records, then the same as columns. */
static void digest_row_chain(void)
{
    enum { ROWS = 300 };
    static const double half[] = {0.5}, scale[] = {0.3, 1.7};
    static const er_field fields[] = {{ER_NUMBER, 0}, {ER_TEXT, 0}};
    static const er_cell stages[] = {{2001, 0, 0, 0, 1, 0, half, NULL},
                                     {2007, 2, 0, 0, 0, 0, NULL, NULL},
                                     {2002, 1, 0, 0, 0, 0, NULL, NULL}};
    static const er_cell cells[] = {{2004, 3, 0, 0, 2, 0, scale, NULL},
                                    {2010, 4, 0, 0, 0, 1, NULL, row_words},
                                    {2010, 4, 0, 0, 0, 1, NULL, row_words + 1},
                                    {2011, 1, 0, 0, 0, 3, NULL, row_words}};
    static const er_row_program p = {2, 3, 4, 0, fields, stages, cells};
    static double numbers[ROWS];
    static int32_t ends[ROWS + 1];
    static char data[ROWS * 20];
    static uint8_t valid[ROWS / 8 + 1];
    static uint64_t scratch[2048];
    uint64_t rng = 31, h = digest_cells(0, &p, &rng);
    for (uint32_t i = 0; i < ROWS; i++) {
        const er_text text = any_text(&rng);
        const int32_t size = text.size > 0 ? text.size : 0;
        numbers[i] = any_number(&rng);
        if (size) memcpy(data + ends[i], text.bytes, (size_t)size);
        ends[i + 1] = ends[i] + size;
        if (text.size >= 0) valid[i / 8] |= (uint8_t)(1u << i % 8);
    }
    const er_column columns[] = {
        {.type = ER_COLUMN_F64, .values = numbers, .times = 1.0, .per = 1.0},
        {.type = ER_COLUMN_UTF8, .values = ends, .data = data, .valid = valid}};
    er_row *r;
    CHECK(er_row_init(&r, &p, memory, sizeof memory) == ER_OK);
    CHECK(er_row_columns(r, columns, ROWS, out, ROWS, scratch, sizeof scratch) == ER_OK);
    printf("row.chain %016llx\n", (unsigned long long)fnv(h, out, ROWS * 4 * sizeof *out));
}

static void digest_row(void)
{
    er_op_info info;
    for (uint16_t i = 0; er_op(i, &info) == ER_OK; i++)
        if (info.kind == ER_KIND_ROW) digest_row_operator(info.id, info.name);
    digest_row_chain();
}
