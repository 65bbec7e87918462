/* check.h - the test macro, the generator of inputs, and a small program all tests share. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "er.h"

#define CHECK(claim)                                                                               \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #claim);                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t rng_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint32_t rng_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(rng_next(state) % n);
}

/* -1 .. 1 in steps of 2^-23: exact in float */
static inline float rng_unit(uint64_t *state)
{
    return (float)((int32_t)rng_below(state, 1u << 24) - (1 << 23)) / (float)(1 << 23);
}

/* A forest file of n_trees small random trees in out[cap]; returns its size. */
static inline size_t make_forest(uint64_t *rng, void *out, size_t cap, uint16_t n_features,
                                 uint16_t n_outputs, uint32_t n_trees)
{
    enum { NODES = 7, LEAVES = 16 };
    unsigned char *bytes = out;
    const size_t nodes_at = 32 + ((size_t)n_trees * 4 + 7) / 8 * 8;
    const size_t leaves_at = nodes_at + (size_t)n_trees * NODES * 8;
    const size_t size = leaves_at + (size_t)LEAVES * n_outputs * 8;
    const uint32_t counts[] = {n_trees, n_trees * NODES, LEAVES, 0};
    const uint64_t size64 = size;
    CHECK(size <= cap);
    memset(bytes, 0, size);
    memcpy(bytes, "ERF1", 4);
    memcpy(bytes + 4, &n_features, 2);
    memcpy(bytes + 6, &n_outputs, 2);
    memcpy(bytes + 8, counts, sizeof counts);
    memcpy(bytes + 24, &size64, 8);
    for (uint32_t t = 0; t < n_trees; t++) {
        static const uint16_t right[NODES] = {4, 2, 0, 0, 2, 0, 0}; /* a full tree of depth 2 */
        const uint32_t root = t * NODES;
        memcpy(bytes + 32 + 4 * (size_t)t, &root, 4);
        for (uint32_t i = 0; i < NODES; i++) {
            const float threshold = rng_unit(rng);
            const uint32_t leaf = rng_below(rng, LEAVES);
            const uint16_t feature = right[i] ? (uint16_t)rng_below(rng, n_features) : 0xffff;
            unsigned char *at = bytes + nodes_at + 8 * (size_t)(root + i);
            if (right[i])
                memcpy(at, &threshold, 4);
            else
                memcpy(at, &leaf, 4);
            memcpy(at + 4, &feature, 2);
            memcpy(at + 6, &right[i], 2);
        }
    }
    for (uint32_t i = 0; i < LEAVES * (uint32_t)n_outputs; i++) {
        const double value = (double)rng_below(rng, 1000) / 999.0;
        memcpy(bytes + leaves_at + 8 * (size_t)i, &value, 8);
    }
    return size;
}

#endif
