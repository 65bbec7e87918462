/* er_exp.h - exp, log and their kin in double, from + - * / alone: no libm, the same bits
 * everywhere. Errors are of units in the last place, as measured against exact values
 * (tests/native/test_functions.py); a NaN gives a NaN. */
#ifndef ER_EXP_H
#define ER_EXP_H

#include "er_internal.h"

/* e^x: 1 ulp; 0 below -745.2, infinite above 709.8. */
double er_exp(double x);
/* 2^x: 1 ulp; 0 below -1075, infinite from 1024 on. */
double er_power2(double x);
/* ln x: 1 ulp; -infinite at 0, NaN below. */
double er_log(double x);
/* 1 / (1 + e^-x): 2 ulp. */
double er_logistic(double x);
/* (e^2x - 1) / (e^2x + 1): 2 ulp. */
double er_tanh(double x);
/* The root of x >= 0: 1 ulp; NaN below. */
double er_root(double x);

#endif
