/* sizes.c - what streams take here and where pointers have 32 bits, a line each: of the standard
 * program, of one with everything that holds pointers, of records. Another machine repeats it. */
#include "standard.h"

static const er_policy policy = {.n_classes = 3, .k = 1, .n = 1};
static const er_field fields[] = {{ER_NUMBER, 0}, {ER_TEXT, 0}, {ER_TEXT, 0}};
static const er_text words[] = {{"red", 3}, {"sixteen bytes !!", 16}, {"", 0}};
static const er_cell stage = {2002, 1, 0, 0, 0, 0, NULL, NULL};
static const er_cell cells[] = {{2002, 0, 0, 0, 0, 0, NULL, NULL},
                                {2010, 3, 0, 0, 0, 1, NULL, words},
                                {2010, 3, 0, 0, 0, 1, NULL, words + 1},
                                {2011, 2, 0, 0, 0, 3, NULL, words}};
static const er_row_program rows = {3, 1, 4, 0, fields, &stage, cells};

static void tell(const char *name, const er_program *p, const er_row_program *r)
{
    const er_config c = {.program = p, .policy = &policy, .rows = r};
    CHECK(er_stream_size(&c) > 0);
    printf("%s %u %u\n", name, (unsigned)er_stream_size(&c), (unsigned)er_stream_size_32(&c));
}

/* One program of one operator, with its example's parameters: on both channels, or before one. */
static void tell_operator(const er_op_info *op)
{
    static const er_channel channels[] = {{1.0f, 0.0f, 1, ER_TAPER_HANN}, {1.0f, 0.0f, 1, 0}};
    er_feature features[] = {{op->id, 0, 0, 0, {0}}, {op->id, 1, 0, 0, {0}}};
    er_filter filter = {op->id, ER_TAPER_HAMMING, op->n_least, {0, op->n_least > 1}, {0}};
    er_program p = {20.0f, 2, 64, 32, 2, 0, channels, features, &filter, {0}};
    if (op->kind == ER_KIND_FILTER) {
        memcpy(filter.param, op->example, sizeof filter.param);
        features[0] = (er_feature){1, 2, 0, 0, {0}};
        features[1] = (er_feature){35, 2, 0, 0, {0}}; /* of the spectrum */
        p.n_filters = 1;
    } else {
        for (int i = 0; i < 2; i++) memcpy(features[i].param, op->example, sizeof op->example);
        if (op->n_least == 2) features[0].other = 1;
    }
    tell(op->name, &p, NULL);
}

int main(void)
{
    static er_feature features[STANDARD_FEATURES];
    const er_program standard = standard_program(features);
    const er_program alone = {.rate_hz = 1.0f, .window = 1, .hop = 1};
    er_program timed = standard;
    er_op_info op;
    timed.timing = (er_timing){.policy = ER_TIME_HOLD, .most = 20};
    tell("standard", &standard, NULL);
    tell("timed", &timed, NULL);
    tell("beside", &standard, &rows);
    tell("alone", &alone, &rows);
    for (uint16_t i = 0; er_op(i, &op) == ER_OK; i++)
        if (op.kind != ER_KIND_ROW) tell_operator(&op);
    return 0;
}
