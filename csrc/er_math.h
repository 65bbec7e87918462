/* er_math.h - log2, 2^y and a turn's sine and cosine in double, from + - * / alone: no libm, the
 * same bits everywhere. */
#ifndef ER_MATH_H
#define ER_MATH_H

#include "er_internal.h"

/* log2(x) of a normal x > 0, error below 1e-14 beside the result's own rounding. x = 2^k m with m
 * in sqrt(1/2)..sqrt(2); log2 m = 2/ln 2 * atanh((m-1)/(m+1)) (Abramowitz, Stegun 1964, 4.1.28).
 * Without a branch, so that loops vectorise. */
static inline double er_log2(float x)
{
    const uint32_t bits = er_float_bits(x) + (0x3f800000u - 0x3f3504f3u);
    const double k = (double)((int32_t)(bits >> 23) - 127);
    const double m = (double)er_float_from_bits((bits & 0x7fffffu) + 0x3f3504f3u);
    const double s = (m - 1.0) / (m + 1.0), z = s * s;
    const double odd =
        1.0 +
        z * (1.0 / 3 +
             z * (1.0 / 5 +
                  z * (1.0 / 7 +
                       z * (1.0 / 9 +
                            z * (1.0 / 11 + z * (1.0 / 13 + z * (1.0 / 15 + z * (1.0 / 17))))))));
    return k + 2.885390081777926815 * s * odd;
}

/* The same in float, error below 1e-7 beside the result's own rounding: twice the lanes. */
static inline float er_log2f(float x)
{
    const uint32_t bits = er_float_bits(x) + (0x3f800000u - 0x3f3504f3u);
    const float k = (float)((int32_t)(bits >> 23) - 127);
    const float m = er_float_from_bits((bits & 0x7fffffu) + 0x3f3504f3u);
    const float s = (m - 1.0f) / (m + 1.0f), z = s * s;
    const float odd = z * (1.0f / 3 + z * (1.0f / 5 + z * (1.0f / 7 + z * (1.0f / 9))));
    return k + 2.88539008f * (s + s * odd);
}

/* 2^y, -126 <= y <= 0. */
double er_exp2(double y);

/* sin and cos of x, 0 <= x <= pi/4 [rad], by Taylor (error below 1e-16). */
void er_sincos_small(double x, double *s, double *c);

/* Angle of x + iy, -pi < angle <= pi [rad], 0 at 0, error below 1e-14; arctangent's series within
 * tan(pi/8) (Abramowitz, Stegun 1964, 4.4.42), folded as 4.4.34. */
double er_atan2(double y, double x);

/* sin and cos of 2 pi * turn, 0 <= turn <= 1/2. */
void er_sincos_turn(double turn, double *s, double *c);

#endif
