/* ort.h - one session of onnxruntime by its C API, without its Python package and without numpy. A part of
 * the compiled module, not of the core: it allocates, and it needs a dynamic loader.
 *
 * Nothing of onnxruntime is needed to build this: OrtApi is a table of functions whose places never change
 * (onnxruntime_c_api.h; its own asserts hold the last of version 1 at 101). */

/* cffi: begin */

typedef struct el_ort el_ort;

/* A session with one thread, no arena and no optimiser: float32 [1, n_features] "features" in, [1, n_scores]
 * "scores" out, float32 or float64. Never NULL but where memory is out; see el_ort_error(). */
el_ort *el_ort_open(const char *library, const void *model, size_t size, uint32_t n_features, uint32_t n_scores);
/* scores[n_scores] of x[n_features]; 0 if it fails. */
int el_ort_run(el_ort *o, const float *x, double *scores);
/* 1: a run that is going on ends with an error, and so does every later one; 0: runs are welcome again. */
void el_ort_stop(el_ort *o, int stop);
/* What went wrong last, "" if nothing did. */
const char *el_ort_error(const el_ort *o);
const char *el_ort_version(const el_ort *o);
void el_ort_close(el_ort *o);

/* cffi: end */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Places in OrtApi. */
enum {
    ORT_GetErrorMessage = 2,
    ORT_CreateEnv = 3,
    ORT_CreateSessionFromArray = 8,
    ORT_Run = 9,
    ORT_CreateSessionOptions = 10,
    ORT_DisableMemPattern = 17,
    ORT_DisableCpuMemArena = 19,
    ORT_SetSessionGraphOptimizationLevel = 23,
    ORT_SetIntraOpNumThreads = 24,
    ORT_SetInterOpNumThreads = 25,
    ORT_SessionGetInputCount = 30,
    ORT_SessionGetInputTypeInfo = 33,
    ORT_SessionGetOutputTypeInfo = 34,
    ORT_SessionGetOutputCount = 31,
    ORT_CreateRunOptions = 39,
    ORT_RunOptionsSetTerminate = 46,
    ORT_RunOptionsUnsetTerminate = 47,
    ORT_CreateTensorWithDataAsOrtValue = 49,
    ORT_CastTypeInfoToTensorInfo = 55,
    ORT_GetTensorElementType = 60,
    ORT_GetDimensionsCount = 61,
    ORT_GetDimensions = 62,
    ORT_CreateCpuMemoryInfo = 69,
    ORT_ReleaseEnv = 92,
    ORT_ReleaseStatus = 93,
    ORT_ReleaseMemoryInfo = 94,
    ORT_ReleaseSession = 95,
    ORT_ReleaseValue = 96,
    ORT_ReleaseRunOptions = 97,
    ORT_ReleaseTypeInfo = 98,
    ORT_ReleaseSessionOptions = 100
};
enum { ORT_FLOAT = 1, ORT_DOUBLE = 11, ORT_FATAL = 4, ORT_VERSION_1 = 1 };

typedef void (*el_any)(void);
typedef struct el_ort_base {
    const el_any *(*api)(uint32_t version);
    const char *(*version)(void);
} el_ort_base;

struct el_ort {
    const el_any *api;
    const char *version;
    void *library, *env, *options, *session, *run_options, *memory, *in, *out;
    float *x;     /* [n_features], what `in` lies over */
    void *scores; /* [n_scores], what `out` lies over  */
    uint32_t n_features, n_scores;
    int is_double;
    char error[256];
};

/* A function of the table as what it is. */
#define CALL(o, name, ...) ((void *(*)(__VA_ARGS__))(o)->api[ORT_##name])
#define RELEASE(o, name, what)                                                                     \
    do {                                                                                           \
        if (what) ((void (*)(void *))(o)->api[ORT_Release##name])(what);                           \
    } while (0)

static int el_ort_says(el_ort *o, const char *what)
{
    snprintf(o->error, sizeof o->error, "%s", what);
    return 0;
}

/* 1 where status is NULL; else its message is kept. */
static int el_ort_ok(el_ort *o, void *status)
{
    if (!status) return 1;
    el_ort_says(o, ((const char *(*)(const void *))o->api[ORT_GetErrorMessage])(status));
    RELEASE(o, Status, status);
    return 0;
}

static int el_ort_load(el_ort *o, const char *library)
{
    el_any found;
    o->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!o->library) return el_ort_says(o, dlerror());
    void *const symbol = dlsym(o->library, "OrtGetApiBase");
    if (!symbol) return el_ort_says(o, "it exports no OrtGetApiBase");
    memcpy(&found, &symbol, sizeof found); /* C has no cast from an object to a function */
    const el_ort_base *base = ((const el_ort_base *(*)(void))found)();
    o->version = base->version();
    o->api = base->api(ORT_VERSION_1);
    return o->api ? 1 : el_ort_says(o, "it has no API of version 1");
}

static int el_ort_session(el_ort *o, const void *model, size_t size)
{
    return el_ort_ok(o, CALL(o, CreateEnv, int, const char *, void **)(ORT_FATAL, "edgeloop", &o->env)) &&
           el_ort_ok(o, CALL(o, CreateSessionOptions, void **)(&o->options)) &&
           el_ort_ok(o, CALL(o, SetSessionGraphOptimizationLevel, void *, int)(o->options, 0)) &&
           el_ort_ok(o, CALL(o, SetIntraOpNumThreads, void *, int)(o->options, 1)) &&
           el_ort_ok(o, CALL(o, SetInterOpNumThreads, void *, int)(o->options, 1)) &&
           el_ort_ok(o, CALL(o, DisableCpuMemArena, void *)(o->options)) &&
           el_ort_ok(o, CALL(o, DisableMemPattern, void *)(o->options)) &&
           el_ort_ok(o, CALL(o, CreateSessionFromArray, void *, const void *, size_t, void *, void **)(
                            o->env, model, size, o->options, &o->session)) &&
           el_ort_ok(o, CALL(o, CreateRunOptions, void **)(&o->run_options)) &&
           el_ort_ok(o, CALL(o, CreateCpuMemoryInfo, int, int, void **)(0, 0, &o->memory));
}

/* *type <- element type of the one input or output, which must be [any, width]. */
static int el_ort_end(el_ort *o, int count, int info_of, const char *what, uint32_t width, int *type)
{
    size_t n = 0;
    void *info = NULL;
    const void *tensor = NULL;
    int64_t dims[2] = {0, 0};
    int ok = el_ort_ok(o, ((void *(*)(const void *, size_t *))o->api[count])(o->session, &n)) &&
             (n == 1 || el_ort_says(o, "it has not one input and one output")) &&
             el_ort_ok(o, ((void *(*)(const void *, size_t, void **))o->api[info_of])(o->session, 0, &info)) &&
             el_ort_ok(o, CALL(o, CastTypeInfoToTensorInfo, const void *, const void **)(info, &tensor)) &&
             (tensor || el_ort_says(o, "an input or output is no tensor")) &&
             el_ort_ok(o, CALL(o, GetTensorElementType, const void *, int *)(tensor, type)) &&
             el_ort_ok(o, CALL(o, GetDimensionsCount, const void *, size_t *)(tensor, &n)) &&
             (n == 2 || el_ort_says(o, "an input or output is not [N, width]")) &&
             el_ort_ok(o, CALL(o, GetDimensions, const void *, int64_t *, size_t)(tensor, dims, 2));
    if (ok && dims[1] != (int64_t)width) {
        snprintf(o->error, sizeof o->error, "%s: want [N, %u], got [N, %lld]", what, (unsigned)width, (long long)dims[1]);
        ok = 0;
    }
    RELEASE(o, TypeInfo, info);
    return ok;
}

static int el_ort_tensor(el_ort *o, void *data, uint32_t width, int type, void **out)
{
    const int64_t shape[2] = {1, width};
    const size_t bytes = (size_t)width * (type == ORT_DOUBLE ? sizeof(double) : sizeof(float));
    return el_ort_ok(o, CALL(o, CreateTensorWithDataAsOrtValue, const void *, void *, size_t, const int64_t *, size_t,
                             int, void **)(o->memory, data, bytes, shape, 2, type, out));
}

static int el_ort_bind(el_ort *o)
{
    int in = 0, out = 0;
    if (!el_ort_end(o, ORT_SessionGetInputCount, ORT_SessionGetInputTypeInfo, "features", o->n_features, &in) ||
        !el_ort_end(o, ORT_SessionGetOutputCount, ORT_SessionGetOutputTypeInfo, "scores", o->n_scores, &out))
        return 0;
    if (in != ORT_FLOAT) return el_ort_says(o, "features: want float32");
    if (out != ORT_FLOAT && out != ORT_DOUBLE) return el_ort_says(o, "scores: want float32 or float64");
    o->is_double = out == ORT_DOUBLE;
    o->x = calloc(o->n_features, sizeof *o->x);
    o->scores = calloc(o->n_scores, sizeof(double));
    if (!o->x || !o->scores) return el_ort_says(o, "no memory");
    return el_ort_tensor(o, o->x, o->n_features, in, &o->in) &&
           el_ort_tensor(o, o->scores, o->n_scores, out, &o->out);
}

el_ort *el_ort_open(const char *library, const void *model, size_t size, uint32_t n_features, uint32_t n_scores)
{
    el_ort *o = calloc(1, sizeof *o);
    if (!o) return NULL;
    o->version = "";
    o->n_features = n_features;
    o->n_scores = n_scores;
    if (el_ort_load(o, library) && el_ort_session(o, model, size)) el_ort_bind(o);
    return o;
}

int el_ort_run(el_ort *o, const float *x, double *scores)
{
    static const char *const ins[] = {"features"}, *const outs[] = {"scores"};
    memcpy(o->x, x, o->n_features * sizeof *x);
    if (!el_ort_ok(o, CALL(o, Run, void *, const void *, const char *const *, void *const *, size_t,
                           const char *const *, size_t, void **)(o->session, o->run_options, ins, &o->in, 1, outs, 1,
                                                                 &o->out)))
        return 0;
    for (uint32_t c = 0; c < o->n_scores; c++)
        scores[c] = o->is_double ? ((const double *)o->scores)[c] : (double)((const float *)o->scores)[c];
    return 1;
}

void el_ort_stop(el_ort *o, int stop)
{
    const int at = stop ? ORT_RunOptionsSetTerminate : ORT_RunOptionsUnsetTerminate;
    void *status = ((void *(*)(void *))o->api[at])(o->run_options);
    RELEASE(o, Status, status); /* the thread that runs may be writing to o->error */
}

const char *el_ort_error(const el_ort *o) { return o->error; }
const char *el_ort_version(const el_ort *o) { return o->version; }

/* The library stays: what it registered at exit must find its code. */
void el_ort_close(el_ort *o)
{
    if (!o) return;
    if (o->api) {
        RELEASE(o, Value, o->in);
        RELEASE(o, Value, o->out);
        RELEASE(o, RunOptions, o->run_options);
        RELEASE(o, Session, o->session);
        RELEASE(o, SessionOptions, o->options);
        RELEASE(o, MemoryInfo, o->memory);
        RELEASE(o, Env, o->env);
    }
    free(o->x);
    free(o->scores);
    free(o);
}
