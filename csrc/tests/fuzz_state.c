/* Any bytes as a saved state: refused with nothing changed, or a stream that goes on; its checksum
 * is made right, so that the checks behind it are met. */
#include "er_internal.h"
#include "fuzz.h"

enum { HEADER = 32, CHECK_AT = 24 };

static void *saved(const er_stream *s, size_t size)
{
    void *bytes = malloc(size);
    CHECK(er_stream_save(s, bytes, size) == ER_OK);
    return bytes;
}

/* Most bytes make no program: this one, of a slow channel, a filter and a clock, is one. */
static void make_small(fuzz_program *f)
{
    memset(f, 0, sizeof *f);
    f->channels[0] = (er_channel){1.0f, 0.0f, 2, 0};
    f->filters[0] = (er_filter){.op = 1002, .n_from = 1, .param = {2}}; /* decimate */
    f->features[0] = (er_feature){.op = 1};
    f->features[1] = (er_feature){.op = 6, .channel = 1};
    f->p = (er_program){.rate_hz = 20.0f,
                        .n_channels = 1,
                        .window = 16,
                        .hop = 8,
                        .n_features = 2,
                        .n_filters = 1,
                        .timing = {ER_TIME_HOLD, {0}, 9},
                        .channels = f->channels,
                        .features = f->features,
                        .filters = f->filters};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float x[FUZZ_FRAMES * FUZZ_CHANNELS];
    static int64_t times_us[FUZZ_FRAMES];
    static const float edges[] = {-1.0f, 0.0f, 0.5f, 2.0f};
    er_bins bins[FUZZ_FEATURES + FUZZ_CLASSES];
    fuzz_bytes b = {data, size};
    fuzz_program f;
    void *mem;
    if (fuzz_u8(&b) % 2)
        make_small(&f);
    else
        fuzz_make(&b, &f);
    const uint8_t how = fuzz_u8(&b), frames = fuzz_u8(&b);
    for (size_t i = 0; i < sizeof bins / sizeof *bins; i++)
        bins[i] = (er_bins){0.5f, 0.25f, 3, edges};
    er_stream *s = fuzz_stream(&f.p, how & 1 ? bins : NULL, &mem);
    if (!s) return 0;
    const size_t total = er_stream_save_size(s);
    uint8_t changes[4 * 16];
    fuzz_take(&b, changes, sizeof changes);
    fuzz_frames(&b, &f.p, x, times_us);
    const size_t near = total < 160 ? total : 160;
    fuzz_play(s, &f.p, x, times_us, frames % FUZZ_FRAMES, FUZZ_FRAMES);
    unsigned char *bytes = saved(s, total), *before = saved(s, total);
    for (uint32_t i = 0; i < 16; i++) {
        uint16_t at;
        memcpy(&at, changes + 4 * i, 2);
        bytes[at % (changes[4 * i + 3] % 2 ? total : near)] ^= changes[4 * i + 2];
    }
    const uint64_t check = er_hash(0, bytes + HEADER, total - HEADER);
    if (how & 2) memcpy(bytes + CHECK_AT, &check, sizeof check);
    if (er_stream_restore(s, bytes, total) != ER_OK) {
        void *after = saved(s, total);
        CHECK(memcmp(after, before, total) == 0);
        free(after);
    }
    fuzz_play(s, &f.p, x, times_us, FUZZ_FRAMES, 7);
    CHECK(er_stream_restore(s, bytes, total - 1) < 0);
    free(bytes), free(before), free(mem);
    return 0;
}
