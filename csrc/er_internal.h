/* er_internal.h - what the files of the core share; nothing here is public.
 *
 * The bits promise stands on IEEE float and double without contraction or excess precision, so a
 * build that cannot keep it stops here. Contraction itself has no macro: the Makefile and build.py
 * pass -ffp-contract=off, and tests/csrc compares the bits.
 */
#ifndef ER_INTERNAL_H
#define ER_INTERNAL_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "er.h"
#include "er_clock.h"

#ifdef __FAST_MATH__
#error "Edgeloop: -ffast-math changes the bits; build without it"
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "Edgeloop: float must be computed as float (on 32-bit x86: -msse2 -mfpmath=sse)"
#endif
_Static_assert(sizeof(float) == 4 && FLT_MANT_DIG == 24 && DBL_MANT_DIG == 53, "IEEE 754 needed");

enum { ER_MAX_FILTERS = 64, ER_MAX_LANES = 128 };
enum { ER_MAX_CHANNELS = 64, ER_MAX_WINDOW = 4096, ER_MAX_FEATURES = 1024, ER_MAX_BINS = 64 };

/* ---- bits ---- */

static inline uint32_t er_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float er_float_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The one NaN this core writes. */
static inline float er_nan(void) { return er_float_from_bits(0x7fc00000u); }
static inline int er_is_finite(float x) { return x - x == 0.0f; }

/* ---- memory: one walk computes the size (base NULL) or hands out the pieces ---- */

typedef struct er_arena {
    unsigned char *base; /* NULL: only count */
    size_t used;         /* [bytes], multiple of 8 */
    size_t small;        /* the same where pointers have 32 bits: the size on a Cortex-M */
} er_arena;

/* A piece without pointers or size_t in it. */
void *er_carve(er_arena *a, size_t bytes);
/* A piece with them: `small` bytes where they have 32 bits. */
void *er_carve_both(er_arena *a, size_t bytes, size_t small);

/* Holds the small size of a type that is carved; every machine checks its own. */
#define ER_SIZES(type, wide, small)                                                                \
    _Static_assert(sizeof(type) == (sizeof(void *) == 4 ? (small) : (wide)),                       \
                   "as the compiler has it")

/* ---- complex transform ---- */

typedef struct er_complex {
    float re, im;
} er_complex;

/* Complex numbers, their parts in rows of their own. */
typedef struct er_parts {
    float *re, *im;
} er_parts;

static inline er_complex er_parts_at(er_parts z, uint32_t i)
{
    return (er_complex){z.re[i], z.im[i]};
}

static inline void er_parts_put(er_parts z, uint32_t i, er_complex value)
{
    z.re[i] = value.re;
    z.im[i] = value.im;
}

er_parts er_parts_carve(uint32_t n, er_arena *a);

typedef struct er_fft {
    uint32_t m;       /* length, 1..4096       */
    er_parts turn;    /* of all stages in turn */
    er_parts work[2]; /* [m] each              */
} er_fft;

/* exp(-2 pi i k/n), 0 <= k <= n */
er_complex er_turn(uint32_t k, uint32_t n);
void er_fft_carve(er_fft *f, uint32_t m, er_arena *a);
void er_fft_init(er_fft *f);
/* The transform of work[0], in one of work[]; the other one is lost. */
er_parts er_fft_run(er_fft *f);

/* ---- spectrum: one-sided power of one channel of a window ---- */

typedef struct er_spectrum {
    uint32_t n;     /* frames, 2..4096; 0: the program needs none        */
    uint16_t taper; /* ER_TAPER_*                                        */
    er_fft fft;     /* of n/2 packed samples if n is even, else of n     */
    er_parts turn;  /* [n/2+1] if n is even, exp(-2 pi i k / n)          */
    float *power;   /* [n/2+1], of the channel last given to _run()      */
    float *weight;  /* [n], the taper over its rms; NULL: none           */
} er_spectrum;
enum { ER_SPECTRUM_SMALL = 52 };
ER_SIZES(er_spectrum, 96, ER_SPECTRUM_SMALL);

void er_spectrum_carve(er_spectrum *s, uint32_t n, uint16_t taper, er_arena *a);
void er_spectrum_init(er_spectrum *s);
/* power[k] <- mean power of x in bin k [x^2]; all bins add up to the mean square. With a taper w:
 * to mean^2 + sum w^2 (x-mean)^2 / sum w^2. */
void er_spectrum_run(er_spectrum *s, const float *x, float mean);
/* The same with a taper, the mean left in: all bins add up to sum (w x)^2 / sum w^2. */
void er_spectrum_run_whole(er_spectrum *s, const float *x);

/* ---- ranks: see er_ranks.c ---- */

/* Values in buckets that ascend; a bucket is sorted when somebody asks for a rank in it. */
typedef struct er_ranks {
    float *x;        /* [n], bucket after bucket                                      */
    uint32_t *spare; /* [n] scratch                                                   */
    uint16_t *end;   /* [256], where in x a bucket ends                               */
    uint32_t n;      /* values held, 1..4096                                          */
    float lo, scale; /* v is of bucket floor((v - lo) * scale), 0..255; scale 0: of 0 */
} er_ranks;

/* The k-th least value and the next; the greatest is its own next. */
typedef struct er_order {
    float at, next;
} er_order;

void er_ranks_carve(er_ranks *r, uint32_t n, er_arena *a);
/* Take v[n], all finite, least lo and greatest hi. v is none of r's memory. */
void er_ranks_fill(er_ranks *r, const float *v, uint32_t n, float lo, float hi);
/* k: 0..n-1 */
er_order er_ranks_at(er_ranks *r, uint32_t k);

/* ---- operators ---- */

/* Sums of d = x - mean, the mean being that of operator 1. */
typedef struct er_offsets {
    double sum, squares; /* of d, of d*d */
} er_offsets;

/* Moments of z = x * scale - c about c. Scale is 1, and z the d of er_offsets, unless the range of
 * x is far from 1: then it is a power of two, so that no power of z passes float's range. */
typedef struct er_moments {
    float scale, c; /* c = scale * mean of operator 1                   */
    double sum;     /* of z                                             */
    double rest;    /* mean of z: what the rounding of c left           */
    double m2;      /* variance of z, > 0                               */
    double s3, s4;  /* means of z^3 and z^4, where has_powers           */
    int has_powers;
} er_moments;

enum { ER_MAX_HISTOGRAM = 256, ER_MAX_MELS = 256 };

/* The greatest cross-correlation with another channel. */
typedef struct er_lag {
    const float *of; /* that channel's window; NULL: none asked yet */
    uint32_t most;   /* lags up to here were asked [frames]         */
    int32_t lag;     /* [frames]                                    */
    float r;         /* -1..1                                       */
} er_lag;

/* One channel of a full window, finite; what several operators share is made once. */
typedef struct er_view {
    const float *x;        /* [n], oldest first                                */
    uint32_t n;            /* 2..4096                                          */
    float rate_hz;         /* frames per second                                */
    float lo, hi;          /* least and greatest value                         */
    er_ranks *ranks;       /* where an operator asked ER_NEED_RANKS     */
    int has_ranks;         /* ranks are of x                            */
    float *values;         /* [n] scratch, where one asked ER_NEED_VALUES */
    er_spectrum *spectrum; /* where one asked ER_NEED_SPECTRUM           */
    struct er_view *other; /* the second channel; NULL where the operator takes one */
    float *pair;           /* [2n] scratch, where one asked ER_NEED_PAIR */
    struct er_mel *mels;   /* all of the program, where one asked ER_NEED_MEL */
    er_lag lag;
    int has_power; /* spectrum->power is of this channel         */
    int has_total;
    double total; /* of power, without DC */
    int has_mean, has_offsets, has_moments;
    float mean;
    er_offsets offsets;
    er_moments moments;
} er_view;

enum {
    ER_NEED_RANKS = 1,
    ER_NEED_SPECTRUM = 2,
    ER_NEED_VALUES = 4,
    ER_NEED_PAIR = 8,
    ER_NEED_MEL = 16,
    ER_NEED_COSINES = 32 /* beside ER_NEED_MEL: row param[0] of its cosines */
};

typedef struct er_kernel {
    er_op_info info;
    float (*run)(er_view *v, const float *param);
    int (*params_ok)(const float *param, float rate_hz, uint32_t window);
    unsigned needs;
} er_kernel;

const er_kernel *er_kernel_find(uint16_t id);

/* ---- stream filters ---- */

/* One stretch of samples through a filter. */
typedef struct er_run {
    const float *in[ER_MAX_FROM]; /* [n] each                                              */
    uint32_t n;                   /* samples in                                            */
    uint32_t first; /* samples of the window before these. A window starts at a whole sample out,
                       so the place in the ratio follows from it and is no state             */
    float *out;     /* samples out number ceil(first*up/down) .. ceil((first+n)*up/down) - 1 */
    const float *param;
    const void *table; /* what design() made                                    */
    void *state;       /* zeros at the start, then what run() left: no pointers   */
    uint32_t n_from;
} er_run;

typedef struct er_filter_kernel {
    er_op_info info;
    int (*params_ok)(const float *param, float rate_hz);
    /* Samples out for `down` in; NULL: one for one. */
    void (*ratio)(const float *param, uint32_t *up, uint32_t *down);
    /* Bytes that design() fills, and of the state, which starts as zeros; NULL: none. */
    size_t (*table_bytes)(const float *param, float rate_hz);
    size_t (*state_bytes)(const float *param, float rate_hz);
    void (*design)(void *table, const float *param, float rate_hz);
    /* 1 if run() may go on from these bytes; NULL: from any. */
    int (*state_ok)(const void *state, const void *table, const float *param);
    void (*run)(const er_run *r);
} er_filter_kernel;

const er_filter_kernel *er_filter_find(uint16_t id);

/* ---- program: checked, with what follows from it ---- */

/* The pace of one channel, column or derived. */
typedef struct er_pace {
    uint16_t n;      /* samples in a window, 2..4096                                      */
    uint16_t hop;    /* samples between windows, 1..n                                     */
    uint16_t clock;  /* lowest channel that gets its samples at the very same frames      */
    uint16_t raised; /* 1: on the way to it are filters that make more samples of fewer   */
} er_pace;

/* pace[n_channels + n_filters] <- the pace of every channel, or ER_EINVAL with *where. */
er_status er_program_paces(const er_program *p, er_pace *pace, uint32_t *where);
/* Samples per second of channel c, by its pace. */
float er_program_rate(const er_program *p, const er_pace *pace);
static inline uint32_t er_program_lanes(const er_program *p)
{
    return (uint32_t)p->n_channels + p->n_filters;
}

/* ---- mel energies: one for all operators that agree in rate, mels, frame and hop ---- */

/* Bins from .. from+n-1, their weights at weight[at ..]. */
typedef struct er_triangle {
    uint16_t from, n, at;
} er_triangle;

typedef struct er_mel {
    float rate_hz;
    uint16_t mels, frame, hop; /* 1..256, 2..4096, 1..4096                    */
    er_spectrum spectrum;      /* of a frame, Hann                            */
    er_triangle *triangles;    /* [mels]                                      */
    float *weight;             /* [frame+2]                                   */
    uint32_t rows, half;       /* cosines that were asked; (mels+1)/2         */
    float *cosine;             /* [rows][half], of the orthonormal DCT-II     */
    float *even, *odd;         /* [half], level[b] +- level[mels-1-b]         */
    float *sum;                /* [mels], of one frame                        */
    double *power;             /* [mels], mean over the frames [x^2/Hz]       */
    double *level;             /* [mels], mean of their decibels [dB]         */
    int is_made;               /* power and level are of the channel in view  */
} er_mel;
enum { ER_MEL_SMALL = 108 };
ER_SIZES(er_mel, 192, ER_MEL_SMALL);

/* Those that a program needs; *n <- how many. */
er_mel *er_mels_carve(const er_program *p, const er_pace *pace, er_arena *a, uint32_t *n);
void er_mel_init(er_mel *m);
/* Energies of the channel in view, made once a channel; param: k, mels, frame, hop. */
er_mel *er_view_mel(er_view *v, const float *param);

/* ---- windows: program + ring of frames -> features ---- */

/* One channel in a stream. */
typedef struct er_lane {
    er_pace pace;
    uint16_t taper;
    uint32_t up, down;              /* samples out for samples (or frames) in                  */
    float rate_hz;                  /* of its samples                                          */
    float *row;                     /* [2 * pace.n], values not raw, contiguous                */
    uint32_t at;                    /* first sample of the window, 0..pace.n                   */
    uint32_t held;                  /* samples of the window that are there, 0..pace.n         */
    er_spectrum *spectrum;          /* of its length and taper, shared; NULL: none needed      */
    const er_filter_kernel *kernel; /* NULL: a column                                          */
    void *table, *state;            /* of the filter                                           */
} er_lane;
enum { ER_LANE_SMALL = 52, ER_POINTER_SMALL = 4 };
ER_SIZES(er_lane, 72, ER_LANE_SMALL);

#define ER_NO_WINDOW UINT32_MAX

typedef struct er_windows {
    const er_program *p;
    const er_kernel **kernel; /* [n_features]                                         */
    uint16_t *order;          /* [n_features], features sorted by channel             */
    er_ranks ranks;
    float *values, *pair;
    er_lane *lanes;     /* [n_channels + n_filters]                             */
    er_spectrum *plans; /* [n_plans], one a length and taper                    */
    uint32_t n_plans;
    uint32_t last; /* first frame of the last full window in a row, or ER_NO_WINDOW */
    er_mel *mels;  /* [n_mels] */
    uint32_t n_mels;
    unsigned char *filter_state; /* of all filters, in one block                 */
    size_t filter_bytes;
    uint32_t at;   /* first frame of the window in a row, 0..window              */
    uint32_t fill; /* frames held, 0..window-1 between calls                     */
} er_windows;

void er_windows_carve(er_windows *w, const er_program *p, er_arena *a);
void er_windows_init(er_windows *w);
/* Back to the start: no frame held, every filter as new. */
void er_windows_reset(er_windows *w);
/* Frames taken of x[n][n_channels]; stops where the window is full. */
uint32_t er_windows_push(er_windows *w, const float *x, uint32_t n);
static inline int er_windows_full(const er_windows *w) { return w->fill == w->p->window; }
/* out[n_features] <- the full window, then move on by hop. */
void er_windows_compute(er_windows *w, float *out);
/* The window last computed of column c, until the next push; else NULL. *n <- its samples. */
const float *er_windows_last(const er_windows *w, uint32_t c, uint32_t *n);

/* The frames held and the filters' state as bytes, in room of a fixed size; put: ER_EFORMAT and
 * nothing changed if a filter cannot go on from them. */
size_t er_windows_saved_bytes(const er_windows *w);
void er_windows_get(const er_windows *w, unsigned char *bytes);
er_status er_windows_put(er_windows *w, uint32_t fill, const unsigned char *bytes);

/* ---- feed: frames, with times or without, into the windows ---- */

/* Which frames given the windows began with; kept where rows are made for training. */
typedef struct er_starts {
    uint64_t *frame; /* [n], of the last n windows begun                                */
    uint32_t n;      /* windows that are begun and not complete, at most                */
    uint64_t number; /* frames on the grid since the start or the last reset            */
    uint64_t given;  /* frames given                                                    */
    uint64_t taken;  /* the last frame given that entered                               */
    uint64_t last;   /* the last frame given that the newest frame on the grid is of    */
} er_starts;

typedef struct er_feed {
    er_grid grid;
    er_clock *clock;   /* saved; NULL: times are ignored                                */
    float *held;       /* saved, [n_channels]: see er_clock_hold()                      */
    float *made;       /* [n_channels], scratch                                         */
    er_starts *starts; /* NULL: nobody asks                                             */
} er_feed;

/* Room for what is saved, and for what is not. */
void er_feed_carve(er_feed *f, const er_program *p, er_arena *a);
void er_feed_carve_made(er_feed *f, const er_program *p, er_arena *a);
void er_feed_init(er_feed *f, const er_program *p);
/* Go on where `from` stands; the timing is the same. */
void er_feed_adopt(er_feed *to, const er_feed *from, uint32_t n_channels);
/* Frames used of x[n][n_channels] at times_us[n] (or NULL); stops where a window is full. A frame
 * not used must be given again first. */
uint32_t er_feed_push(er_feed *f, er_windows *w, const float *x, const int64_t *times_us,
                      uint32_t n);
/* ER_FLAG_FILLED and ER_FLAG_RESET of the window that is full. */
uint32_t er_feed_flags(const er_feed *f, uint32_t window);

/* ---- policy ---- */

/* Changing state of a policy; part of the saved state. */
typedef struct er_votes {
    int8_t vote[ER_MAX_VOTES]; /* newest first            */
    uint8_t count;             /* votes held, 0..n        */
    uint8_t reserved;          /* 0                       */
    uint16_t age;              /* windows `label` was held, at most hold */
    int32_t label;             /* current answer          */
} er_votes;
_Static_assert(sizeof(er_votes) == 24, "no padding: it is saved as bytes");

int er_policy_ok(const er_policy *p);
void er_votes_reset(er_votes *v);
int er_votes_ok(const er_votes *v, const er_policy *p);
/* vote and margin of one window: NaN or infinite scores abstain and return 0. */
int er_policy_vote(const er_policy *p, const double *scores, int32_t *vote, float *margin);
/* The label after this vote. */
int32_t er_policy_label(const er_policy *p, er_votes *v, int32_t vote);

/* ---- summary ---- */

enum { ER_PERIOD_WINDOWS = 1 << 22, ER_Z_LIMIT = 1 << 20 };

int er_bins_ok(const er_bins *b);
void er_tally_reset(er_tally *t);
int er_tally_ok(const er_tally *t);
/* 1: z is clamped. */
int er_tally_add(er_tally *t, uint32_t *counts, const er_bins *b, float x);

/* ---- stream ---- */

/* The changing part beside the frames; saved as bytes, so without pointers or padding. */
typedef struct er_state {
    uint64_t frames;  /* taken so far                                    */
    uint64_t windows; /* number of the next window                       */
    er_votes votes;
    uint32_t fill;    /* frames in the window ring                       */
    uint32_t counted; /* windows in the summary, 0..ER_PERIOD_WINDOWS    */
} er_state;
_Static_assert(sizeof(er_state) == 48, "no padding: it is saved as bytes");

struct er_stream {
    er_config c;
    er_windows windows;
    er_feed feed;
    er_state *state;    /* first piece of the block that is saved whole  */
    double *scores;     /* [n_classes]                                   */
    void *scratch;      /* of the model                                  */
    er_tally *tallies;  /* [n_rows]                                      */
    uint32_t *counts;   /* rows of n_bins+2, one after another           */
    uint32_t *labels;   /* [n_classes+1]                                 */
    float *features;    /* [n_vector]: of windows, then of the record    */
    float *cells;       /* [n_vector - n_features], of the record in force */
    er_row *row;        /* NULL: none                                    */
    uint32_t n_vector;  /* features of windows and of the record         */
    uint32_t n_rows;    /* n_vector + n_classes, or 0                    */
    uint32_t n_counts;  /* of all rows                                   */
    int pending;        /* features wait for er_decide() */
    size_t block_bytes; /* from state to the end of features             */
    uint64_t shape;     /* hash of everything a saved state depends on   */
};
enum { ER_STREAM_SMALL = 216 };
ER_SIZES(struct er_stream, 352, ER_STREAM_SMALL);

/* h <- hash of h and bytes[n]; every single changed byte changes it. */
uint64_t er_hash(uint64_t h, const void *bytes, size_t n);

#endif
