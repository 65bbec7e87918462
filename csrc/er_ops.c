/* er_ops.c - the operator table and the check of parameters. The rows stand in er_ops.h. */
#include "er_ops.h"

static int band_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)window;
    return param[0] >= 0.0f && param[0] < param[1] && er_is_finite(param[1]) &&
           param[0] <= rate_hz / 2.0f;
}

static int probability_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz, (void)window;
    return param[0] >= 0.0f && param[0] <= 1.0f;
}

static int fraction_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz, (void)window;
    return param[0] > 0.0f && param[0] < 1.0f;
}

static int threshold_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz, (void)window;
    return er_is_finite(param[0]);
}

static int is_whole(float x, uint32_t least, uint32_t most)
{
    return x >= (float)least && x <= (float)most && (float)(uint32_t)x == x;
}

static int lag_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz;
    return is_whole(param[0], 1, window - 1);
}

static int bins_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz, (void)window;
    return is_whole(param[0], 2, ER_MAX_HISTOGRAM);
}

static int tone_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)window;
    return param[0] > 0.0f && param[0] < rate_hz / 2.0f;
}

static int none_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)param, (void)rate_hz, (void)window;
    return 1;
}

#define ROW(id, name, n_params, unit, limits, check, needs)                                        \
    {{id, n_params, #name, unit, limits}, er_op_##name, check##_ok, needs},
static const er_kernel KERNELS[] = {ER_OPS(ROW)};
#undef ROW
enum { N_KERNELS = sizeof KERNELS / sizeof KERNELS[0] };

const er_kernel *er_kernel_find(uint16_t id)
{
    for (uint32_t i = 0; i < N_KERNELS; i++)
        if (KERNELS[i].info.id == id) return &KERNELS[i];
    return NULL;
}

er_status er_op(uint16_t index, er_op_info *out)
{
    if (!out || index >= N_KERNELS) return ER_EINVAL;
    *out = KERNELS[index].info;
    return ER_OK;
}
