/* er.h - the Edgeloop core: frames in, decisions out, the same bits on every machine.
 *
 * Memory belongs to the caller. Life of a stream: er_stream_size() -> er_stream_init() -> er_step()
 * until the last frame. Nothing here allocates, locks, prints, keeps a global or calls libm.
 *
 * A frame is one sample of every channel: float[n_channels]. A window is `window` frames, a new one
 * starts every `hop` frames; window w covers frames w*hop .. w*hop+window-1. Where a program has a
 * timing policy, these are frames on its grid since the start or the last reset: see er_step_at().
 */
#ifndef ER_H
#define ER_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin - everything to "cffi: end" is read by edge_runtime/native/build.py */

typedef enum er_status {
    ER_OK = 0,          /* done; er_step: a decision was written                        */
    ER_AGAIN = 1,       /* er_step, er_features_push: every frame taken, nothing complete */
    ER_SCORES = 2,      /* er_step without a model: features are ready, call er_decide() */
    ER_EFPU = -8,       /* the process flushes denormals (FTZ/DAZ): bits would differ    */
    ER_EINVAL = -22,    /* an argument is outside its documented range                   */
    ER_ENOSPC = -28,    /* mem or out is smaller than the size function asked for        */
    ER_ERATE = -33,     /* channels of several rates meet, or a window or hop is no whole number
                           of a channel's samples                                       */
    ER_EOP = -38,       /* the program names an operator this build does not have        */
    ER_EMISMATCH = -71, /* er_stream_adopt/restore: the states do not have one shape     */
    ER_EFORMAT = -74    /* model or saved state: the bytes break their format            */
} er_status;

/* ---- feature program ---------------------------------------------------- */

typedef struct er_channel {
    float scale;    /* value = raw * scale + offset; unit per raw unit, finite, not 0 */
    float offset;   /* [unit], finite                                                  */
    uint16_t every; /* frames 0, every, 2*every .. since the start hold a value, the others
                       nothing: its own rate is rate_hz/every; divides window and hop  */
    uint16_t taper; /* ER_TAPER_*: window function of its spectrum                     */
} er_channel;

enum { ER_TAPER_NONE = 0, ER_TAPER_HANN = 1, ER_TAPER_HAMMING = 2 };

#define ER_MAX_FROM 8
#define ER_MAX_PARAMS 4

/* A derived channel: a stream filter run over every sample as it comes, its state kept across
 * windows. Numbered after the columns: filter i is channel n_channels + i. */
typedef struct er_filter {
    uint16_t op;                /* id of a filter in the operator table                  */
    uint16_t taper;             /* as of a channel                                       */
    uint16_t n_from;            /* channels that it reads, 1..8: the operator says       */
    uint16_t from[ER_MAX_FROM]; /* channels of lower number, all of one rate; 0 where unused */
    float param[ER_MAX_PARAMS]; /* see the operator; 0 where unused                      */
} er_filter;

/* One output: out[i] = op(channel) over the window, or op(channel, other). */
typedef struct er_feature {
    uint16_t op;       /* id from the operator table; never renumbered               */
    uint16_t channel;  /* 0 .. n_channels+n_filters-1                                */
    uint16_t other;    /* a second channel of the same rate; 0 where the operator takes one */
    uint16_t reserved; /* 0                                                          */
    float param[ER_MAX_PARAMS]; /* meaning, unit and range: see the operator; 0 where unused */
} er_feature;

/* What to do where the times of the frames show a gap; see er_step_at(). */
typedef enum er_time_policy {
    ER_TIME_NONE = 0,        /* times are ignored                                               */
    ER_TIME_HOLD = 1,        /* the last frame again                                            */
    ER_TIME_INTERPOLATE = 2, /* linear between the frames on both sides                         */
    ER_TIME_MARK = 3,        /* NaN: features of such a window are NaN, the decision abstains   */
    ER_TIME_RESET = 4        /* any gap: start anew                                             */
} er_time_policy;

typedef struct er_timing {
    uint8_t policy;      /* ER_TIME_*                                                      */
    uint8_t reserved[3]; /* 0                                                              */
    uint32_t most;       /* frames: a longer gap, or a longer step back, is a reset;
                            1..65535, and rate_hz 0.001..100000; 0 with ER_TIME_NONE       */
} er_timing;

/* What the clock of a stream has met. */
typedef struct er_clock_counts {
    uint64_t duplicates; /* frames dropped: at the place of the last one taken          */
    uint64_t late;       /* frames dropped: before it, by at most `most`                */
    uint64_t filled;     /* frames made in gaps                                         */
    uint64_t resets;     /* starts anew, the first not counted                          */
} er_clock_counts;

typedef struct er_program {
    float rate_hz;              /* frames per second, > 0                              */
    uint16_t n_channels;        /* samples per frame, 1..64; 0: records alone, er_config.rows */
    uint16_t window;            /* frames per window, 2..4096; 1 without channels      */
    uint16_t hop;               /* frames between windows, 1..window                   */
    uint16_t n_features;        /* length of features[], 1..1024; 0 without channels   */
    uint16_t n_filters;         /* length of filters[], 0..64                          */
    const er_channel *channels; /* [n_channels], must outlive what is built on it */
    const er_feature *features; /* [n_features], must outlive what is built on it */
    const er_filter *filters;   /* [n_filters], must outlive what is built on it  */
    er_timing timing;           /* what the times of frames mean                       */
} er_program;

enum { ER_KIND_WINDOW = 0, ER_KIND_FILTER = 1, ER_KIND_ROW = 2 };

typedef struct er_op_info {
    uint16_t id;                  /* wire id, append-only                              */
    uint16_t kind;                /* ER_KIND_*                                         */
    uint16_t n_params;            /* 0..4                                              */
    uint16_t n_least;             /* channels or fields it takes: at least, 1..2       */
    uint16_t n_most;              /* and at most, 1..8                                 */
    const char *name;             /* the word used in edgeloop.toml                    */
    const char *unit;             /* "x": unit of the channel, "x^2", "x/s", "Hz", "1", "count" */
    const char *limits;           /* the parameters allowed, in words; "" without any  */
    float example[ER_MAX_PARAMS]; /* parameters that a window of 64 at 20 frames/s takes */
} er_op_info;

/* Operator table in id order: ER_OK and *out, or ER_EINVAL past the end. */
er_status er_op(uint16_t index, er_op_info *out);

/* ---- model: features in, scores out ---------------------------------------- */

enum { ER_MODEL_TAKES_NAN = 1 };

/* A checked view of a model file (FORMAT.md "model", or "forest"); the bytes must outlive it. Life:
 * er_model_open() -> memory of er_model_size() -> er_model_run() for every row. */
typedef struct er_model {
    const void *bytes;
    uint32_t n_steps;    /* 0: a file of the format ERF1               */
    uint32_t n_values;   /* doubles that the steps work in             */
    uint32_t out;        /* the first of those that are the answer     */
    uint32_t flags;      /* ER_MODEL_*                                 */
    uint32_t work_bytes; /* scratch of one step, at most               */
    uint32_t shape[2];   /* what a stream's saved state knows it by    */
    uint16_t n_features; /* length of a row, 1..1024                   */
    uint16_t n_outputs;  /* scores, 1..64                              */
} er_model;

/* Check every index, offset and constant of bytes[size] (8-byte aligned), then fill *out. After
 * ER_OK no feature vector can make er_model_run() read or write outside bytes and scratch. ER_EOP:
 * a step of a kind that this build does not have; ER_EFORMAT: anything else that is wrong. */
er_status er_model_open(er_model *out, const void *bytes, size_t size);

/* Bytes of scratch er_model_run() needs; its content is nobody's. */
size_t er_model_size(const er_model *m);

/* scores[n_outputs] <- the model of x[n_features]; one that is NaN has the bits 0x7ff8000000000000.
 * x must not hold NaN unless the flag ER_MODEL_TAKES_NAN is set. scratch: 8-byte aligned. */
er_status er_model_run(const er_model *m, const float *x, void *scratch, double *scores);

/* ---- decision policy ----------------------------------------------------- */

#define ER_MAX_CLASSES 64
#define ER_MAX_VOTES 16

typedef struct er_policy {
    uint16_t n_classes; /* 1..64                                                     */
    uint8_t k;          /* votes a label needs among the last n windows, 1..n        */
    uint8_t n;          /* windows that vote, 1..16                                  */
    uint16_t hold;      /* windows a label stays before another or abstain, 0..65535 */
    uint32_t threshold_ppm[ER_MAX_CLASSES]; /* least score of a vote [1e-6], 0..1000000, 0: any */
} er_policy;

/* ---- summary -------------------------------------------------------------- */

/* Bins of one feature or score, frozen at training. */
typedef struct er_bins {
    float centre; /* z = round((x-centre)/scale * 65536), halves away from 0, clamped to +-2^20 */
    float scale;  /* > 0 */
    uint16_t n_bins;    /* inner bins, 1..64; bin b holds edge[b] <= x < edge[b+1], the last one its
                           upper edge too */
    const float *edges; /* [n_bins+1], strictly ascending, finite */
} er_bins;

/* What one period counted for one row (features first, then scores). Merging two is exact. */
typedef struct er_tally {
    uint32_t n;          /* values that were not NaN          */
    uint32_t n_nan;      /* values that were NaN              */
    float min, max;      /* of the n values; NaN where n is 0 */
    int32_t first, last; /* z of the first and last value */
    int64_t sum, sum_sq; /* of z, of z*z                  */
    int64_t sum_lag;     /* of z times the z before it (NaN left out) */
} er_tally;

/* A sketch of times: counts[ER_SKETCH_BINS], all 0 before the first, added up to merge. Bin 0 is 0
 * ns, bin b > 0 holds the ns with sketch(ns) + 1 = b, sketch(ns) = floor((35 e + 6 s^3 - 21 s^2 +
 * 50 s)/2), ns = 2^e (1 + s), s cut to 16 bits: any two ns of a bin differ by 4 % at most. 2^40 ns
 * (18 minutes) and more are in the last bin. Source: the cubic mapping of Masson, Rim, Lee,
 * "DDSketch", VLDB 2019, with 17.5 bins an octave, so that it is integers alone. */
#define ER_SKETCH_BINS 701u
/* ER_EINVAL: counts is NULL. A count that is full stays. */
er_status er_sketch_add(uint32_t *counts, uint64_t ns);

/* ---- rows: one record of fields in, float cells out -------------------------- */

enum { ER_NUMBER = 0, ER_TEXT = 1 };

/* A text is its bytes: UTF-8 by agreement, never decoded, equal where all bytes are. */
typedef struct er_text {
    const char *bytes; /* not read where size < 1                             */
    int32_t size;      /* [bytes]; 0: the empty text; below 0: missing        */
} er_text;

/* A field holds a number (double, NaN = missing; a time is a number, unix ms UTC) or a text. */
typedef struct er_field {
    uint16_t kind;     /* ER_NUMBER or ER_TEXT */
    uint16_t reserved; /* 0                    */
} er_field;

/* One step over values: value v is field v, or the result of stage v - n_fields. */
typedef struct er_cell {
    uint16_t op;          /* id of a row operator, 2000..2999                       */
    uint16_t from;        /* value read                                             */
    uint16_t other;       /* second value, where the operator takes two; else 0     */
    uint16_t reserved;    /* 0                                                      */
    uint32_t n_params;    /* 0..256: the operator says                               */
    uint32_t n_words;     /* 0..1024, of all steps up to 16384                       */
    const double *params; /* [n_params], finite                                     */
    const er_text *words; /* [n_words], none missing; of equal words the first counts */
} er_cell;

/* Chains are stages: impute, then log1p, then standardise are two stages and a cell. All is double
 * until a cell is written: rounded once to float, not finite -> NaN (bits 0x7fc00000), -0 -> +0. */
typedef struct er_row_program {
    uint16_t n_fields;      /* 1..1024                                                */
    uint16_t n_stages;      /* 0..1024                                                */
    uint16_t n_cells;       /* 1..1024                                                */
    uint16_t reserved;      /* 0                                                      */
    const er_field *fields; /* [n_fields], must outlive what is built on it, as all here */
    const er_cell *stages;  /* [n_stages], each reads fields and stages before it     */
    const er_cell *cells;   /* [n_cells], one float each                              */
} er_row_program;

typedef struct er_row er_row;

/* ER_OK, ER_EOP (no such operator for this kind of value), or ER_EINVAL with *where <- index of the
 * first bad step, stages then cells (or n_stages + n_cells: the program itself). */
er_status er_row_check(const er_row_program *p, uint32_t *where);

/* Kind of value v of a checked program, v < n_fields + n_stages. */
uint16_t er_row_kind(const er_row_program *p, uint16_t v);

/* Bytes er_row_init() needs; 0 if the program does not pass er_row_check(). */
size_t er_row_size(const er_row_program *p);

/* Build the rows in mem[size] (8-byte aligned); what `p` points to must outlive it. */
er_status er_row_init(er_row **out, const er_row_program *p, void *mem, size_t size);

/* out[n_cells] <- one record: numbers[number fields] and texts[text fields], each in field order.
 * Either may be NULL where there is none. */
er_status er_row_run(er_row *r, const double *numbers, const er_text *texts, float *out);

/* The same, the texts in one piece of size bytes with a zero byte between two. missing[text fields]
 * is not 0 where a text is missing, or NULL: none is. ER_EFORMAT, and nothing is done, unless there
 * are exactly as many zero bytes as go between: a text that holds one needs er_row_run(). */
er_status er_row_run_joined(er_row *r, const double *numbers, const char *joined, size_t size,
                            const uint8_t *missing, float *out);

/* How the values of an er_column lie in memory: the layouts of Apache Arrow 1.0..1.4. */
enum {
    ER_COLUMN_F64,
    ER_COLUMN_F32,
    ER_COLUMN_I64,
    ER_COLUMN_I32,
    ER_COLUMN_I16,
    ER_COLUMN_I8,
    ER_COLUMN_U64,
    ER_COLUMN_U32,
    ER_COLUMN_U16,
    ER_COLUMN_U8,
    ER_COLUMN_BOOL,  /* bits, least first                                      */
    ER_COLUMN_UTF8,  /* values: int32 offsets into data                        */
    ER_COLUMN_UTF8L, /* values: int64 offsets into data                        */
    ER_COLUMN_VIEW   /* values: 16-byte views into themselves or into buffers[] */
};

typedef struct er_column {
    uint16_t type;              /* ER_COLUMN_*                                           */
    uint16_t reserved;          /* 0                                                     */
    uint32_t n_buffers;         /* VIEW: length of buffers                               */
    uint64_t start;             /* first row [elements]                                  */
    const void *values;         /* by type                                               */
    const uint8_t *valid;       /* bit 0 of byte 0 first, 0 = missing; NULL: none is     */
    const char *data;           /* UTF8, UTF8L: the bytes                                */
    const void *const *buffers; /* VIEW                                                  */
    double times, per; /* numbers: value * times / per, > 0; e.g. 1 and 1000 for us -> ms */
    const struct er_column *dictionary; /* texts: what the integers of this column index  */
    uint64_t n_words;                   /* length of dictionary                          */
    uint64_t *memo;                     /* [n_words] scratch, all 0 before the first use */
} er_column;

/* Scratch bytes er_row_columns() needs. */
size_t er_row_columns_size(const er_row *r);

/* out[n_rows][n_cells] <- n_rows records, columns[n_fields], by the code er_row_run() runs.
 * ER_EFORMAT: a column's type is not its field's kind, or an offset or index is out of range; out
 * and the state hold then what was done before. What columns point to is trusted to be as long as
 * it says. */
er_status er_row_columns(er_row *r, const er_column *columns, uint64_t n_rows, float *out,
                         uint64_t out_rows, void *mem, size_t size);

/* The state, what `impute_last` holds: reset <- nothing seen; save and restore as for a stream. */
void er_row_reset(er_row *r);
size_t er_row_save_size(const er_row *r);
er_status er_row_save(const er_row *r, void *bytes, size_t size);
er_status er_row_restore(er_row *r, const void *bytes, size_t size);

/* ---- stream ---------------------------------------------------------------- */

enum { ER_ABSTAIN = -1 };
#define ER_FLAG_NAN                                                                                \
    1u /* a feature was NaN (model not asked) or an outside score not finite: the vote is abstain  \
        */
#define ER_FLAG_FILLED 2u /* the window holds a frame that was made in a gap          */
#define ER_FLAG_RESET 4u  /* it is the first window after a reset: votes began anew   */
#define ER_FLAG_RANGE 8u  /* with bins: a feature is 16 scales or more off its centre */

typedef struct er_decision {
    uint64_t window; /* number of the window in its stream, from 0 */
    int32_t label;   /* after the policy; ER_ABSTAIN or 0..n_classes-1 */
    int32_t vote;    /* this window alone, after its threshold         */
    float margin;    /* best score minus the second (one class: minus 0), 0..; 0 if NaN */
    uint32_t flags;  /* ER_FLAG_* */
} er_decision;

typedef struct er_config {
    const er_program *program;
    const er_policy *policy;
    const er_bins *bins;        /* [n_vector + n_classes], or NULL for no summary   */
    const er_model *model;      /* NULL: the caller scores, see ER_SCORES           */
    const er_row_program *rows; /* cells of a record stand behind the features, n_vector in all;
                                   NULL: n_vector = n_features */
} er_config;

typedef struct er_stream er_stream;

/* Bytes er_stream_init() needs; 0 if a field of the config is out of range. */
size_t er_stream_size(const er_config *c);
/* What it is where pointers have 32 bits, whatever they have here: so that a workstation tells
 * what a Cortex-M or an armv7 needs. */
size_t er_stream_size_32(const er_config *c);

/* Build the stream in mem[size] (8-byte aligned); what `c` points to must outlive it. */
er_status er_stream_init(er_stream **out, const er_config *c, void *mem, size_t size);

/* Take up to n_frames of x[n_frames][n_channels] (raw units); stop after the first complete window.
 * *taken <- frames consumed. ER_OK: *out is the decision. ER_SCORES: call er_decide() next
 * (er_step() again is ER_EINVAL). A window with a NaN feature is decided here, without the model:
 * ER_FLAG_NAN; a model with ER_MODEL_TAKES_NAN is asked all the same. */
er_status er_step(er_stream *s, const float *x, uint32_t n_frames, uint32_t *taken,
                  er_decision *out);

/* As er_step(), with the time of each frame [us] where the program has a timing policy; times_us
 * NULL (and er_step()): each frame stands one period after the one before it. One frame may fill
 * gaps over several windows: until it is counted in *taken, the next call begins with it again.
 * Frames dropped count in *taken. A reset empties the window, the filters and the votes. Nothing is
 * filled or dropped while the true rate is within 2 % of rate_hz and each time within 1/8 of a
 * period of even spacing: the grid follows (er_clock.h). Any int64 is a time; beyond +-2^61 it
 * counts as that. */
er_status er_step_at(er_stream *s, const float *x, const int64_t *times_us, uint32_t n_frames,
                     uint32_t *taken, er_decision *out);

/* What the clock has met since the stream began, an adopted one included; all 0 without a policy.
 */
er_status er_stream_clock(const er_stream *s, er_clock_counts *out);

/* Finish the window that er_step() left at ER_SCORES with scores[n_classes] of an outside engine.
 */
er_status er_decide(er_stream *s, const double *scores, er_decision *out);

/* The record in force: er_row_run(er_stream_row(s), numbers, texts, er_stream_cells(s)) sets it,
 * and it stands until the next one; before the first, its cells are NaN. Without channels a frame
 * is empty: set a record, then er_step(s, NULL, 1, ..). NULL without rows. */
er_row *er_stream_row(er_stream *s);
float *er_stream_cells(er_stream *s);

/* The last complete window: features[n_vector], scores[n_classes]. Valid until the next call. */
const float *er_stream_features(const er_stream *s);
const double *er_stream_scores(const er_stream *s);

/* The last complete window of column `channel` in its unit (raw * scale + offset, gaps filled),
 * oldest first; *n <- its samples. Valid until the next call; NULL where none stands: at the
 * beginning, after frames of the next window, a restore or an adoption. */
const float *er_stream_window(const er_stream *s, uint32_t channel, uint32_t *n);

/* A feature is NaN (bits 0x7fc00000) if its channel's window holds a NaN or infinity, or if the
 * result is beyond float; zero is always +0. Sums: see er_sum.h, their order is part of the
 * meaning. */

/* Counts of the running period, of its first 2^22 windows. row: 0..n_features+n_classes-1;
 * counts[n_bins+2] <- below, bins, above. */
er_status er_summary_row(const er_stream *s, uint32_t row, er_tally *out, uint32_t *counts,
                         uint32_t n_counts);
/* labels[n_classes+1] <- decisions by label, abstain last. */
er_status er_summary_labels(const er_stream *s, uint32_t *labels, uint32_t n_labels);
/* Start a new period: all counts to zero. */
void er_summary_reset(er_stream *s);

/* Position: frames taken so far, those dropped included, and number of the next window. */
uint64_t er_stream_frames(const er_stream *s);
uint64_t er_stream_windows(const er_stream *s);

/* The whole changing state as bytes without pointers: save <- copy, restore -> continue bit for
 * bit. Restore: bytes 8-byte aligned; ER_EMISMATCH from another program, policy, bins or model
 * size; ER_EFORMAT from any bytes that save did not write; then nothing has changed. Save is
 * ER_EINVAL while the stream waits for er_decide(). For this device alone (its byte order). */
size_t er_stream_save_size(const er_stream *s);
er_status er_stream_save(const er_stream *s, void *bytes, size_t size);
er_status er_stream_restore(er_stream *s, const void *bytes, size_t size);

/* Go on where `from` stands (window ring, position), with the new model, policy and empty counts.
 * ER_EMISMATCH unless channels, filters, timing, rate, window and hop are equal; ER_EINVAL
 * while `from` waits for er_decide(). */
er_status er_stream_adopt(er_stream *to, const er_stream *from);

/* ---- features alone: training, tests, tools --------------------------------- */

/* Rows that n_frames give: 0 or 1 + (n_frames - window) / hop. */
uint64_t er_features_rows(const er_program *p, uint64_t n_frames);
/* Scratch bytes er_features_batch() needs; 0 if the program is out of range. */
size_t er_features_size(const er_program *p);
/* out[rows][n_features] <- every window of x[n_frames][n_channels], by the code that er_step()
 * runs. */
er_status er_features_batch(const er_program *p, const float *x, uint64_t n_frames, float *out,
                            uint64_t out_rows, void *mem, size_t size);

/* Rows of a recording with times: a walk finds them by the code of er_step_at(), block by block,
 * and says of which frames given each row is. Life: er_walk_size() -> er_walk_init() ->
 * er_walk_rows() until ER_AGAIN on the last block. */
typedef struct er_walk er_walk;

/* Frames given first..last have to do with the row, counted from 0 over all calls: those dropped
 * between them and, for a frame filled at an end, the frames on both sides of it included. */
typedef struct er_span {
    uint64_t first, last;
    uint64_t flags; /* ER_FLAG_FILLED, ER_FLAG_RESET */
} er_span;

/* Bytes er_walk_init() needs; 0 if the program is out of range. */
size_t er_walk_size(const er_program *p);
er_status er_walk_init(er_walk **out, const er_program *p, void *mem, size_t size);
/* out[out_rows][n_features], spans[out_rows] <- the next rows, *rows of them; *taken <- frames
 * used. ER_OK: out is full, the next call begins with frame *taken. ER_AGAIN: every frame is used.
 */
er_status er_walk_rows(er_walk *w, const float *x, const int64_t *times_us, uint32_t n_frames,
                       uint32_t *taken, float *out, er_span *spans, uint32_t out_rows,
                       uint32_t *rows);
er_status er_walk_clock(const er_walk *w, er_clock_counts *out);

/* ER_OK, or with *where <- index of the first bad feature; n_features: the program itself;
 * n_features + 1 + i: filter i: ER_EOP, ER_ERATE, or ER_EINVAL for anything else of it. */
er_status er_program_check(const er_program *p, uint32_t *where);

/* Samples per second and samples in a window of channel c, column or derived. ER_EINVAL unless the
 * program is right up to it. */
er_status er_program_channel(const er_program *p, uint16_t c, float *rate_hz, uint16_t *window);

/* ER_EFPU if this thread flushes denormals to zero. */
er_status er_fpu_check(void);

/* Constant text for any status; never NULL. */
const char *er_status_text(er_status status);

/* cffi: end */
#endif
