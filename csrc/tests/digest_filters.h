/* digest_filters.h - a part of digest.c: every stream filter, with the example parameters of its
 * row, on every kind of input. One line a filter. */

enum { FIRST = 31, LAST = 32, MEAN = 1, STEPS = 8 };
#ifdef DIGEST_SMALL
enum { FILTER_FRAMES = 256 };
#else
enum { FILTER_FRAMES = 1024 };
#endif

static er_program filter_program(const er_op_info *op, er_filter *f, const er_feature *features,
                                 uint16_t n_features, uint16_t window)
{
    *f = (er_filter){op->id, 0, op->n_most < CHANNELS ? op->n_most : CHANNELS, {0}, {0}};
    for (uint16_t s = 0; s < f->n_from; s++) f->from[s] = s;
    memcpy(f->param, op->example, sizeof f->param);
    return (er_program){.rate_hz = 20.0f,
                        .n_channels = CHANNELS,
                        .window = window,
                        .hop = window / 2,
                        .n_features = n_features,
                        .n_filters = 1,
                        .channels = channels,
                        .features = features,
                        .filters = f};
}

/* Windows of 4 frames, every 2: their first and last samples are all samples. */
static uint64_t digest_samples(const er_op_info *op, uint64_t h)
{
    static float both[FILTER_FRAMES];
    static const er_feature features[] = {{FIRST, CHANNELS, 0, 0, {0}},
                                          {LAST, CHANNELS, 0, 0, {0}}};
    er_filter f;
    const er_program p = filter_program(op, &f, features, 2, 4);
    const uint64_t rows = er_features_rows(&p, FILTER_FRAMES);
    CHECK(rows * 2 <= FILTER_FRAMES);
    CHECK(er_features_batch(&p, x, FILTER_FRAMES, both, rows, memory, sizeof memory) == ER_OK);
    return fnv(h, both, (size_t)rows * 2 * sizeof *both);
}

/* Windows of 64 frames in stretches of any length. */
static uint64_t digest_stretches(const er_op_info *op, uint64_t h, uint64_t *rng)
{
    static const er_feature features[] = {
        {MEAN, CHANNELS, 0, 0, {0}}, {STEPS, CHANNELS, 0, 0, {0}}, {LAST, CHANNELS, 0, 0, {0}}};
    static const er_policy policy = {1, 1, 1, 0, {0}};
    er_filter f;
    const er_program p = filter_program(op, &f, features, 3, 64);
    const er_config c = {&p, &policy, NULL, NULL, NULL};
    const double score = 1.0;
    er_stream *s;
    CHECK(er_stream_init(&s, &c, memory, sizeof memory) == ER_OK);
    for (uint32_t at = 0, taken; at < FILTER_FRAMES; at += taken) {
        er_decision d;
        const uint32_t cut = 1 + rng_below(rng, 40), rest = FILTER_FRAMES - at;
        const er_status status =
            er_step(s, x + (size_t)at * CHANNELS, cut < rest ? cut : rest, &taken, &d);
        if (status == ER_AGAIN) continue;
        if (status == ER_SCORES) CHECK(er_decide(s, &score, &d) == ER_OK);
        h = fnv(h, er_stream_features(s), 3 * sizeof(float));
    }
    return h;
}

static void digest_filters(void)
{
    er_op_info op;
    for (uint16_t i = 0; er_op(i, &op) == ER_OK; i++) {
        uint64_t h = 0;
        if (op.kind != ER_KIND_FILTER) continue;
        for (size_t k = 0; k < sizeof INPUTS / sizeof *INPUTS; k++) {
            uint64_t rng = 3000 + k;
            for (size_t n = 0; n < FILTER_FRAMES * CHANNELS; n++) x[n] = INPUTS[k].make(&rng);
            h = digest_stretches(&op, digest_samples(&op, h), &rng);
        }
        printf("filter.%s %016llx\n", op.name, (unsigned long long)h);
    }
}
