/* er_ops.c - all operators in id order, and the checks of parameters. */
#include "er_ops.h"
#include "er_filters.h"
#include "er_row.h"

int er_band_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)window;
    return param[0] >= 0.0f && param[0] < param[1] && er_is_finite(param[1]) &&
           param[0] <= rate_hz / 2.0f;
}

int er_probability_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz, (void)window;
    return param[0] >= 0.0f && param[0] <= 1.0f;
}

int er_fraction_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz, (void)window;
    return param[0] > 0.0f && param[0] < 1.0f;
}

int er_threshold_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz, (void)window;
    return er_is_finite(param[0]);
}

int er_is_whole(float x, uint32_t least, uint32_t most)
{
    return x >= (float)least && x <= (float)most && (float)(uint32_t)x == x;
}

int er_lag_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz;
    return er_is_whole(param[0], 1, window - 1);
}

int er_histogram_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz, (void)window;
    return er_is_whole(param[0], 2, ER_MAX_HISTOGRAM);
}

int er_tone_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)window;
    return param[0] > 0.0f && param[0] < rate_hz / 2.0f;
}

int er_mel_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)rate_hz;
    return er_is_whole(param[1], 1, ER_MAX_MELS) &&
           er_is_whole(param[0], 0, (uint32_t)param[1] - 1) && er_is_whole(param[2], 2, window) &&
           er_is_whole(param[3], 1, window);
}

int er_none_ok(const float *param, float rate_hz, uint32_t window)
{
    (void)param, (void)rate_hz, (void)window;
    return 1;
}

/* ---- the tables ---- */

static const er_table *const WINDOW[] = {&er_ops_time,     &er_ops_shape, &er_ops_order,
                                         &er_ops_spectrum, &er_ops_pair,  &er_ops_mel};
static const er_filter_table *const FILTER[] = {&er_filters, &er_filters_iir, &er_filters_fir};

#define COUNT(tables) (sizeof(tables) / sizeof *(tables))

const er_kernel *er_kernel_find(uint16_t id)
{
    for (uint32_t t = 0; t < COUNT(WINDOW); t++)
        for (uint32_t i = 0; i < WINDOW[t]->n; i++)
            if (WINDOW[t]->rows[i].info.id == id) return &WINDOW[t]->rows[i];
    return NULL;
}

const er_filter_kernel *er_filter_find(uint16_t id)
{
    for (uint32_t t = 0; t < COUNT(FILTER); t++)
        for (uint32_t i = 0; i < FILTER[t]->n; i++)
            if (FILTER[t]->rows[i].info.id == id) return &FILTER[t]->rows[i];
    return NULL;
}

/* The operator of the least id above `id`. */
static const er_op_info *next_after(uint16_t id)
{
    const er_op_info *next = NULL;
    for (uint32_t t = 0; t < COUNT(WINDOW); t++)
        for (uint32_t i = 0; i < WINDOW[t]->n; i++) {
            const er_op_info *o = &WINDOW[t]->rows[i].info;
            if (o->id > id && (!next || o->id < next->id)) next = o;
        }
    for (uint32_t t = 0; t < COUNT(FILTER); t++)
        for (uint32_t i = 0; i < FILTER[t]->n; i++) {
            const er_op_info *o = &FILTER[t]->rows[i].info;
            if (o->id > id && (!next || o->id < next->id)) next = o;
        }
    return next;
}

er_status er_op(uint16_t index, er_op_info *out)
{
    if (!out) return ER_EINVAL;
    const er_op_info *o = next_after(0);
    for (; o && index; index--) o = next_after(o->id);
    if (!o) return er_row_op(index, out);
    *out = *o;
    return ER_OK;
}
