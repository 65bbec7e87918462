/* standard.h - the program that costs are told of: a vibration monitor, 26 features of each of 6
 * channels, 256 frames at 128 Hz, as in bench/ and `edge-runtime selftest`. */
#ifndef STANDARD_H
#define STANDARD_H

#include "check.h"

enum { STANDARD_CHANNELS = 6, STANDARD_WINDOW = 256, STANDARD_EACH = 26 };
enum { STANDARD_FEATURES = STANDARD_EACH * STANDARD_CHANNELS };

static const er_feature standard_each[STANDARD_EACH] = {
    {.op = 1},                    /* mean */
    {.op = 2},                    /* std */
    {.op = 3},                    /* rms */
    {.op = 4},                    /* min */
    {.op = 5},                    /* max */
    {.op = 12},                   /* range */
    {.op = 15},                   /* skewness */
    {.op = 16},                   /* kurtosis */
    {.op = 6},                    /* median */
    {.op = 17, .param = {0.25f}}, /* quantile */
    {.op = 17, .param = {0.75f}}, /* quantile */
    {.op = 18},                   /* iqr */
    {.op = 7},                    /* zero_crossings */
    {.op = 8},                    /* mad_diff */
    {.op = 23, .param = {1}},     /* autocorrelation */
    {.op = 22},                   /* slope */
    {.op = 35},                   /* spectral_centroid */
    {.op = 39},                   /* spectral_entropy */
    {.op = 9, .param = {0, 8}},   /* band_power */
    {.op = 9, .param = {8, 16}},
    {.op = 9, .param = {16, 24}},
    {.op = 9, .param = {24, 32}},
    {.op = 9, .param = {32, 40}},
    {.op = 9, .param = {40, 48}},
    {.op = 9, .param = {48, 56}},
    {.op = 9, .param = {56, 64}},
};
static const er_channel standard_channels[STANDARD_CHANNELS] = {
    {1.0f, 0.0f, 1, 0}, {1.0f, 0.0f, 1, 0}, {1.0f, 0.0f, 1, 0},
    {1.0f, 0.0f, 1, 0}, {1.0f, 0.0f, 1, 0}, {1.0f, 0.0f, 1, 0}};

/* Its features in f[], which must live as long. */
static inline er_program standard_program(er_feature f[STANDARD_FEATURES])
{
    for (uint32_t i = 0; i < STANDARD_FEATURES; i++) {
        f[i] = standard_each[i % STANDARD_EACH];
        f[i].channel = (uint16_t)(i / STANDARD_EACH);
    }
    return (er_program){.rate_hz = 128.0f,
                        .n_channels = STANDARD_CHANNELS,
                        .window = STANDARD_WINDOW,
                        .hop = STANDARD_WINDOW,
                        .n_features = STANDARD_FEATURES,
                        .channels = standard_channels,
                        .features = f};
}

#endif
