/* A forest's bytes are proven once; no altered byte makes a walk leave them (run under ASan). */
#include "check.h"

enum { FEATURES = 5, OUTPUTS = 3, TREES = 11 };
enum { NODES_AT = 32 + 48, LEAVES_AT = NODES_AT + 8 * 7 * TREES };
static uint64_t file[2048], copy[2048];

static void test_scores_are_the_mean_of_the_leaves(void)
{
    /* One tree: x0 <= 0.5 ? leaf 0 : leaf 1 */
    uint64_t rng = 3;
    const size_t size = make_forest(&rng, file, sizeof file, FEATURES, OUTPUTS, TREES);
    er_model f;
    CHECK(er_model_open(&f, file, size) == ER_OK);
    CHECK(f.n_steps == 0 && er_model_size(&f) == 0 && f.shape[0] == TREES &&
          f.n_features == FEATURES && f.n_outputs == OUTPUTS);
    const double *leaves = (const double *)file + LEAVES_AT / 8;
    for (int round = 0; round < 100; round++) {
        float x[FEATURES];
        double got[OUTPUTS], want[OUTPUTS] = {0};
        for (int i = 0; i < FEATURES; i++) x[i] = rng_unit(&rng);
        for (uint32_t t = 0; t < TREES; t++) {
            const unsigned char *node = (const unsigned char *)file + NODES_AT + 8 * 7 * (size_t)t;
            for (;;) {
                uint16_t feature, right;
                float threshold;
                uint32_t leaf;
                memcpy(&threshold, node, 4), memcpy(&leaf, node, 4);
                memcpy(&feature, node + 4, 2), memcpy(&right, node + 6, 2);
                if (feature == 0xffff) {
                    for (int c = 0; c < OUTPUTS; c++)
                        want[c] += leaves[leaf * OUTPUTS + (uint32_t)c];
                    break;
                }
                node += 8 * (size_t)(x[feature] <= threshold ? 1 : right);
            }
        }
        CHECK(er_model_run(&f, x, NULL, got) == ER_OK);
        for (int c = 0; c < OUTPUTS; c++) CHECK(got[c] == want[c] / TREES);
    }
}

static void test_altered_bytes_are_refused_or_harmless(void)
{
    uint64_t rng = 4;
    const size_t size = make_forest(&rng, file, sizeof file, FEATURES, OUTPUTS, TREES);
    const float x[FEATURES] = {0.1f, -0.2f, 0.3f, 0.0f, 1.0f};
    uint32_t opened = 0;
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, file, size);
        for (uint32_t k = 0; k <= rng_below(&rng, 3); k++)
            ((unsigned char *)copy)[rng_below(&rng, (uint32_t)size)] ^=
                (unsigned char)(1u << rng_below(&rng, 8));
        er_model f;
        double scores[64];
        if (er_model_open(&f, copy, size) != ER_OK || f.n_features > FEATURES) continue;
        opened++;
        CHECK(er_model_run(&f, x, NULL, scores) == ER_OK);
    }
    CHECK(opened > 0);
    er_model f;
    for (size_t cut = 0; cut < size; cut++) CHECK(er_model_open(&f, file, cut) == ER_EFORMAT);
}

int main(void)
{
    test_scores_are_the_mean_of_the_leaves();
    test_altered_bytes_are_refused_or_harmless();
    return 0;
}
