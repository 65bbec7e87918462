/* Any bytes as a program: refused, or a stream of exactly the size it names that gives the same
 * decisions for two cuttings. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float x[FUZZ_FRAMES * FUZZ_CHANNELS];
    static int64_t times_us[FUZZ_FRAMES];
    static const float edges[] = {-1.0f, 0.0f, 0.5f, 2.0f};
    er_bins bins[FUZZ_FEATURES + FUZZ_CLASSES];
    fuzz_bytes b = {data, size};
    fuzz_program f;
    void *mem, *other_mem;
    fuzz_make(&b, &f);
    const uint8_t how = fuzz_u8(&b);
    for (size_t i = 0; i < sizeof bins / sizeof *bins; i++)
        bins[i] = (er_bins){0.5f, 0.25f, 3, edges};
    er_stream *s = fuzz_stream(&f.p, how & 1 ? bins : NULL, &mem);
    if (!s) return 0;
    fuzz_frames(&b, &f.p, x, times_us);
    const int64_t *times = how & 2 ? times_us : NULL;
    er_stream *other = fuzz_stream(&f.p, how & 1 ? bins : NULL, &other_mem);
    const uint64_t whole = fuzz_play(s, &f.p, x, times, FUZZ_FRAMES, FUZZ_FRAMES);
    CHECK(fuzz_play(other, &f.p, x, times, FUZZ_FRAMES, 1u + how / 4) == whole);
    for (uint32_t r = 0; how & 1 && r < f.p.n_features + (uint32_t)FUZZ_CLASSES; r++) {
        er_tally t;
        uint32_t counts[5];
        CHECK(er_summary_row(s, r, &t, counts, 5) == ER_OK);
    }
    free(mem), free(other_mem);
    return 0;
}
