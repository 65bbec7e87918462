/* times.h - frames with bad times: gaps, duplicates, late frames, drift and steps of the clock. */
#ifndef TIMES_H
#define TIMES_H

#include "check.h"

/* times_us[n] of a sensor near rate_hz whose rate, jitter and losses change as it goes. */
static inline void make_times(uint64_t *rng, int64_t *times_us, uint32_t n, uint32_t rate_hz)
{
    const int64_t period = 1000000 / rate_hz;
    int64_t at = 1700000000000000, step = period;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t event = rng_below(rng, 100);
        const int64_t some = (int64_t)rng_below(rng, 12) + 1;
        if (event < 5) at += some * period;                        /* a gap          */
        if (event == 5) at += 60 * some * period;                  /* a long one     */
        if (event == 6) at -= INT64_C(3600000000);                 /* the clock is set */
        if (event == 7) step = period + period * (some - 6) / 300; /* another rate   */
        at += step;
        times_us[i] = at + (int64_t)rng_below(rng, 9) * period / 100;
        if (event >= 8 && event < 12 && i) times_us[i] = times_us[i - 1]; /* a duplicate    */
        if (event >= 12 && event < 15) times_us[i] -= some * period;      /* late           */
        if (event == 15) times_us[i] = (int64_t)rng_next(rng);            /* nonsense       */
    }
}

#endif
