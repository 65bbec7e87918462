/* er_exp.c - see er_exp.h. Polynomials of e^x and ln x: fdlibm (Ng, Sun Microsystems 1993); of
 * tanh: Cephes (Moshier 1984). */
#include "er_exp.h"

static const double LN2_HIGH = 6.93147180369123816490e-01; /* its last 32 bits are 0 */
static const double LN2_LOW = 1.90821492927058770002e-10;

static double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^k, -1022 <= k <= 1023 */
static double power_of_two(int k) { return double_of((uint64_t)(k + 1023) << 52); }

static int nearest(double x) { return (int)(x < 0.0 ? x - 0.5 : x + 0.5); }

static double between(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

/* 2^k e^(high - low), |high - low| <= 0.35. Two factors: a denormal result is rounded once. */
static double scaled_exp(double high, double low, int k)
{
    const double r = high - low, z = r * r;
    const double odd =
        1.66666666666666019037e-01 +
        z * (-2.77777777770155933842e-03 +
             z * (6.61375632143793436117e-05 +
                  z * (-1.65339022054652515390e-06 + z * 4.13813679705723846039e-08)));
    const double c = r - z * odd;
    const double y = 1.0 - ((low - r * c / (2.0 - c)) - high);
    return y * power_of_two(k / 2) * power_of_two(k - k / 2);
}

double er_exp(double x)
{
    if (x != x) return x;
    x = between(x, -750.0, 750.0);
    const int k = nearest(x * 1.44269504088896338700);
    return scaled_exp(x - k * LN2_HIGH, k * LN2_LOW, k);
}

double er_power2(double x)
{
    if (x != x) return x;
    x = between(x, -1080.0, 1030.0);
    const int k = nearest(x);
    return scaled_exp((x - k) * 6.931471805599453094e-01, 0.0, k);
}

double er_log(double x)
{
    static const double infinite = __builtin_inf();
    if (!(x > 0.0)) return x == 0.0 ? -infinite : (double)er_nan();
    if (x == infinite) return x;
    const double up = x < DBL_MIN ? 18014398509481984.0 : 1.0; /* 2^54 */
    const double normal = x * up;
    uint64_t bits;
    memcpy(&bits, &normal, sizeof bits);
    bits += UINT64_C(0x3ff0000000000000) - UINT64_C(0x3fe6a09e00000000); /* m from sqrt(1/2) on */
    const double k = (double)((int)(bits >> 52) - 1023 - (up > 1.0 ? 54 : 0));
    const double m = double_of((bits & UINT64_C(0xfffffffffffff)) + UINT64_C(0x3fe6a09e00000000));
    const double f = m - 1.0, s = f / (2.0 + f), z = s * s, w = z * z;
    const double odd = w * (3.999999999940941908e-01 +
                            w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    const double even = z * (6.666666666666735130e-01 +
                             w * (2.857142874366239149e-01 +
                                  w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    const double half = 0.5 * f * f;
    return k * LN2_HIGH - ((half - (s * (half + (odd + even)) + k * LN2_LOW)) - f);
}

double er_logistic(double x) { return 1.0 / (1.0 + er_exp(-x)); }

double er_tanh(double x)
{
    const double size = x < 0.0 ? -x : x;
    if (size > 0.625) {
        const double y = 1.0 - 2.0 / (er_exp(2.0 * size) + 1.0);
        return x < 0.0 ? -y : y;
    }
    const double z = x * x;
    const double p = -1.61468768441708447952e3 +
                     z * (-9.92877231001918586564e1 + z * -9.64399179425052238628e-1);
    const double q = 4.84406305325125486048e3 +
                     z * (2.23548839060100448583e3 + z * (1.12811678491632931402e2 + z));
    return x + x * z * (p / q);
}

/* By Newton from the root in float, of x scaled into 1/2..2 and so by an even power of two. */
double er_root(double x)
{
    if (x == 0.0 || x == __builtin_inf()) return x;
    if (!(x > 0.0)) return (double)er_nan();
    const double up = x < DBL_MIN ? 18014398509481984.0 : 1.0; /* 2^54 */
    uint64_t bits;
    x *= up;
    memcpy(&bits, &x, sizeof bits);
    const int half = ((int)(bits >> 52) - 1022) >> 1; /* rounds down: x = m 4^half */
    const double m = x * power_of_two(-half) * power_of_two(-half);
    double y = (double)__builtin_sqrtf((float)m);
    y = 0.5 * (y + m / y);
    y = 0.5 * (y + m / y);
    return y * power_of_two(half) * (up > 1.0 ? 0x1p-27 : 1.0);
}
