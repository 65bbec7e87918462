/* call.h - calls of the core as Python makes them: of er_step_at() with what stays bound once, so that
 * two numbers go in and one comes back; of er_model_run() row after row. A part of the compiled module,
 * not of the core. */

/* cffi: begin */

typedef struct el_call {
    er_stream *stream;
    const float *frames;     /* [n_frames][width]            */
    const int64_t *times_us; /* [n_times], or NULL           */
    uint64_t n_frames, n_times;
    uint32_t width;
    er_decision out;
} el_call;

/* Push frames start .. start+n-1: frames taken * 4 + status, or -1: outside the buffers or misuse. */
int64_t el_step(el_call *c, uint64_t start, uint32_t n);

/* Let all threads share one heap; before the first of them. glibc gives each thread its own, of 64 MiB of addresses. */
void el_one_heap(void);
/* Give what was freed back to the system. */
void el_trim(void);

/* scores[n_rows][n_outputs] of x[n_rows][n_features], a call a row. */
void el_model_rows(const er_model *m, const float *x, uint64_t n_rows, void *scratch, double *scores);

/* cffi: end */

#ifdef __GLIBC__
#include <malloc.h>
void el_one_heap(void) { mallopt(M_ARENA_MAX, 1); }
void el_trim(void) { malloc_trim(0); }
#else /* musl and others have one heap, and give back by themselves */
void el_one_heap(void) {}
void el_trim(void) {}
#endif

int64_t el_step(el_call *c, uint64_t start, uint32_t n)
{
    uint32_t taken = 0;
    if (start > c->n_frames || n > c->n_frames - start) return -1;
    if (c->times_us && (start > c->n_times || n > c->n_times - start)) return -1;
    const er_status status =
        er_step_at(c->stream, c->frames ? c->frames + start * c->width : NULL,
                   c->times_us ? c->times_us + start : NULL, n, &taken, &c->out);
    return status < 0 ? -1 : (int64_t)taken << 2 | status;
}

void el_model_rows(const er_model *m, const float *x, uint64_t n_rows, void *scratch, double *scores)
{
    for (uint64_t i = 0; i < n_rows; i++)
        er_model_run(m, x + i * m->n_features, scratch, scores + i * m->n_outputs);
}
