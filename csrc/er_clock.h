/* er_clock.h - from frames with times to frames on an even grid; a pure stage before the windows.
 *
 * The next grid point is where the last frame stood plus one period. A frame is taken if it lies
 * within half a period of it, dropped if it lies before, and closes a gap if it lies after. The
 * grid follows the sensor: by 1/8 of the error in phase and 1/256 of it in period, the period kept
 * within 1/50 of the nominal one (a second-order loop; Gardner, Phaselock Techniques, 2005). So
 * nothing is filled or dropped while the true rate is within 2 % of rate_hz and every time within
 * 1/8 of a period of even spacing: a ramp of 2 % is never more than 0.12 periods off, and an error
 * e of the times never moves a frame by more than 2.3 e; 0.12 + 2.3 / 8 < 1/2.
 *
 * All times are integers in 1/65536 us, relative to the last frame: nothing grows with uptime.
 */
#ifndef ER_CLOCK_H
#define ER_CLOCK_H

#include "er.h"

/* Beyond +-2^61 us (73000 years) a time counts as that: no difference of two can overflow. */
#define ER_TIME_LIMIT (INT64_C(1) << 61)

enum { ER_TIME_ONE = 65536, ER_MAX_GAP = 65535 }; /* parts of a us; frames */

/* What follows from the program; not saved. */
typedef struct er_grid {
    er_timing timing;
    int64_t period;  /* nominal [1/65536 us]                                       */
    int64_t slack;   /* the estimate stays within period +- slack [1/65536 us]     */
    int64_t away_us; /* a frame farther than this from the last one is a reset     */
} er_grid;

/* The changing state, saved as bytes. All zero: no frame yet. */
typedef struct er_clock {
    int64_t at_us;   /* grid point of the last frame taken: at_us + at_part / 65536 [us] */
    int64_t period;  /* estimate [1/65536 us]; 0: no frame yet                           */
    uint64_t number; /* of the next frame on the grid, from 0 at the start and at a reset     */
    uint64_t whole;  /* the first frame after the last that was made                     */
    er_clock_counts counts;
    uint32_t at_part; /* 0..65535                                                         */
    uint32_t gap;     /* frames missing before the frame that waits, 0..most              */
    uint32_t made;    /* of these, already made                                           */
    uint32_t waits;   /* 1: a frame was judged and has not entered                             */
} er_clock;
_Static_assert(sizeof(er_clock) == 80, "no padding: it is saved as bytes");

typedef enum er_verdict {
    ER_TAKE, /* it is the next frame                                                  */
    ER_FILL, /* clock->gap frames are missing before it                               */
    ER_DROP, /* duplicate or late                                                     */
    ER_RESET /* it is the first frame of a new start; what came before is over         */
} er_verdict;

/* ER_TIME_NONE, or a policy with `most` and a rate that times can carry. */
int er_timing_ok(const er_timing *t, float rate_hz);
void er_grid_init(er_grid *g, const er_timing *t, float rate_hz);
/* Could this state have been saved under this grid? */
int er_clock_ok(const er_clock *c, const er_grid *g);

/* What becomes of the next frame in; the clock has moved on to it. After ER_FILL and ER_RESET the
 * frame waits: it is not judged again, but enters by er_clock_pass() when its gap is filled. */
er_verdict er_clock_judge(er_clock *c, const er_grid *g, int64_t time_us);
/* n frames without times: each stands one period after the one before it. */
void er_clock_skip(er_clock *c, const er_grid *g, uint32_t n);

static inline int er_clock_fills(const er_clock *c) { return c->made < c->gap; }
/* out[width] <- the next missing frame, by the policy. held[width]: see er_clock_hold();
 * next[width]: the frame that waits. INTERPOLATE: held + i/(gap+1) * (next - held) in float, i
 * = 1..gap; a channel of a slower rate is held, as its next value has not come. */
void er_clock_fill(er_clock *c, const er_grid *g, const er_channel *channels, uint32_t width,
                   const float *held, const float *next, float *out);
/* The frame that waits enters. */
void er_clock_pass(er_clock *c);

/* held[width] <- the last value of each channel that counts among x[n][width], frames `number` and
 * on of the grid; where none does it stays. */
void er_clock_hold(const er_channel *channels, uint32_t width, const float *x, uint32_t n,
                   uint64_t number, float *held);

#endif
