/* A record beside the windows of a stream, or alone: in the vector, in the saved state, taken over.
 */
#include "check.h"

enum { CLASSES = 2 };
static const er_channel channel = {1.0f, 0.0f, 1, 0};
static const er_feature mean = {1, 0, 0, 0, {0}};
static const er_program beside = {20.0f, 1, 4, 2, 1, 0, &channel, &mean, NULL, {0}};
static const er_program alone = {1.0f, 0, 1, 1, 0, 0, NULL, NULL, NULL, {0}};
static const er_policy policy = {CLASSES, 1, 1, 0, {0, 0}};
static const er_field fields[] = {{ER_NUMBER, 0}, {ER_TEXT, 0}};
static const er_text red = {"red", 3};
static const er_cell cells[] = {{2002, 0, 0, 0, 0, 0, NULL, NULL},
                                {2010, 1, 0, 0, 0, 1, NULL, &red}};
static const er_row_program rows = {2, 0, 2, 0, fields, NULL, cells};

static er_stream *make(const er_program *p, const er_row_program *r)
{
    const er_config c = {p, &policy, NULL, NULL, r};
    const size_t size = er_stream_size(&c);
    void *mem = malloc(size);
    er_stream *s = NULL;
    CHECK(size > 0 && er_stream_init(&s, &c, mem, size) == ER_OK);
    CHECK(sizeof mem == 4 ? er_stream_size_32(&c) == size : er_stream_size_32(&c) < size);
    return s;
}

static void set(er_stream *s, double number, er_text text)
{
    CHECK(er_row_run(er_stream_row(s), &number, &text, er_stream_cells(s)) == ER_OK);
}

static er_status decide(er_stream *s, const float *x, uint32_t n, er_decision *d)
{
    static const double scores[CLASSES] = {0.25, 0.75};
    uint32_t taken;
    const er_status status = er_step(s, x, n, &taken, d);
    return status == ER_SCORES ? er_decide(s, scores, d) : status;
}

static double missing(void)
{
    const uint64_t bits = UINT64_C(0x7ff8000000000000);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void test_a_record_stands_until_the_next_one(void)
{
    static const float x[] = {1, 2, 3, 4, 5, 6};
    er_stream *s = make(&beside, &rows);
    er_decision d;
    CHECK(decide(s, x, 4, &d) == ER_OK && d.flags == ER_FLAG_NAN && d.label == ER_ABSTAIN);
    set(s, 7.0, red);
    CHECK(decide(s, x + 4, 2, &d) == ER_OK && d.flags == 0 && d.label == 1);
    const float *v = er_stream_features(s);
    CHECK(v[0] == 4.5f && v[1] == 7.0f && v[2] == 1.0f);
    CHECK(decide(s, x, 2, &d) == ER_OK && v[1] == 7.0f);
    free(s);
}

static void test_records_alone_are_decided_one_by_one(void)
{
    er_stream *s = make(&alone, &rows);
    er_decision d;
    for (uint32_t i = 0; i < 10; i++) {
        set(s, i, (er_text){i % 2 ? "red" : "blue", i % 2 ? 3 : 4});
        CHECK(decide(s, NULL, 1, &d) == ER_OK && d.window == i && d.flags == 0);
        CHECK(er_stream_features(s)[0] == (float)i && er_stream_features(s)[1] == (float)(i % 2));
    }
    CHECK(er_stream_frames(s) == 10);
    free(s);
}

static void test_a_saved_record_goes_on(void)
{
    er_stream *s = make(&alone, &rows), *t = make(&alone, &rows), *u = make(&beside, &rows);
    const size_t size = er_stream_save_size(s);
    uint64_t *bytes = malloc(size + 8);
    er_decision d;
    set(s, 3.0, red);
    CHECK(decide(s, NULL, 1, &d) == ER_OK);
    CHECK(er_stream_save(s, bytes, size) == ER_OK && er_stream_restore(t, bytes, size) == ER_OK);
    CHECK(er_stream_restore(u, bytes, size) == ER_EMISMATCH);
    set(t, missing(), red); /* missing: the last one stands in */
    CHECK(decide(t, NULL, 1, &d) == ER_OK && d.window == 1 && er_stream_features(t)[0] == 3.0f);
    free(bytes), free(s), free(t), free(u);
}

static void test_adopt_takes_the_record_of_equal_fields(void)
{
    static const er_row_program fewer = {2, 0, 1, 0, fields, NULL, cells + 1};
    er_stream *s = make(&alone, &rows), *same = make(&alone, &rows), *other = make(&alone, &fewer);
    set(s, 5.0, red);
    CHECK(er_stream_adopt(same, s) == ER_OK && er_stream_cells(same)[0] == 5.0f);
    CHECK(er_stream_adopt(other, s) == ER_OK);
    CHECK(er_stream_cells(other)[0] != er_stream_cells(other)[0]);
    free(s), free(same), free(other);
}

static void test_a_stream_needs_channels_or_records(void)
{
    er_program wide = alone;
    wide.window = 2;
    er_row_program none = rows;
    none.n_cells = 0;
    CHECK(er_stream_size(&(er_config){&alone, &policy, NULL, NULL, NULL}) == 0);
    CHECK(er_stream_size(&(er_config){&wide, &policy, NULL, NULL, &rows}) == 0);
    CHECK(er_stream_size(&(er_config){&beside, &policy, NULL, NULL, &none}) == 0);
    er_stream *s = make(&beside, NULL);
    CHECK(er_stream_row(s) == NULL && er_stream_cells(s) == NULL);
    free(s);
}

int main(void)
{
    test_a_record_stands_until_the_next_one();
    test_records_alone_are_decided_one_by_one();
    test_a_saved_record_goes_on();
    test_adopt_takes_the_record_of_equal_fields();
    test_a_stream_needs_channels_or_records();
    return 0;
}
