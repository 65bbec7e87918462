/* er_math.c - see er_math.h. */
#include "er_math.h"

double er_exp2(double y)
{
    const int k = (int)(y - 0.5); /* nearest: y <= 0 */
    const double t = (y - k) * 0.693147180559945309;
    double sum = 1.0;
    for (int i = 13; i > 0; i--) sum = 1.0 + t / i * sum;
    return sum * (double)er_float_from_bits((uint32_t)(k + 127) << 23);
}

void er_sincos_small(double x, double *s, double *c)
{
    const double y = x * x;
    *s = x * (1.0 +
              y * (-1.0 / 6 +
                   y * (1.0 / 120 +
                        y * (-1.0 / 5040 + y * (1.0 / 362880 + y * (-1.0 / 39916800 +
                                                                    y * (1.0 / 6227020800.0)))))));
    *c = 1.0 +
         y * (-0.5 + y * (1.0 / 24 +
                          y * (-1.0 / 720 + y * (1.0 / 40320 +
                                                 y * (-1.0 / 3628800 + y * (1.0 / 479001600.0))))));
}

double er_atan2(double y, double x)
{
    const double ax = x < 0.0 ? -x : x, ay = y < 0.0 ? -y : y;
    const double least = ax < ay ? ax : ay, most = ax < ay ? ay : ax;
    if (most == 0.0) return 0.0;
    const double t = least / most; /* 0..1: an angle up to 1/8 turn */
    const int far = t > 0.41421356237309503;
    const double u = far ? (t - 1.0) / (t + 1.0) : t, z = u * u;
    double sum = 0.0;
    for (int i = 35; i > 0; i -= 2) sum = 1.0 / i - z * sum;
    double angle = u * sum + (far ? 0.785398163397448310 : 0.0);
    if (ax < ay) angle = 1.570796326794896619 - angle;
    if (x < 0.0) angle = 3.141592653589793238 - angle;
    return y < 0.0 ? -angle : angle;
}

void er_sincos_turn(double turn, double *s, double *c)
{
    const int quarter = (int)(turn * 4.0 + 0.5); /* 0, 1, 2 */
    const double rest = turn - 0.25 * quarter;   /* -1/8 .. 1/8 */
    double sn, cs;
    er_sincos_small(6.283185307179586 * (rest < 0.0 ? -rest : rest), &sn, &cs);
    if (rest < 0.0) sn = -sn;
    *s = quarter == 0 ? sn : quarter == 1 ? cs : -sn;
    *c = quarter == 0 ? cs : quarter == 1 ? -sn : -cs;
}
