"""Operators on the values in time.

Tolerances: a kernel adds 16 terms a lane, 8 lanes, in float32: at most 19 roundings of 2^-24, 1.2e-6 of the sum of
magnitudes (Higham, Accuracy and Stability of Numerical Algorithms, 2002, 4.2). Squares below 1.4e-45 are lost.
"""

from __future__ import annotations

import numpy as np

from edge_runtime.features.reference.table import Tolerance, Values, Window, op

EXACT = Tolerance()


def _mean_size(x: Values) -> float:
    return float(np.mean(np.abs(x)))


@op(1, Tolerance(rtol=1e-7, atol=1.3e-6, of=_mean_size, floor=1e-44))
def mean(w: Window) -> float:
    """Arithmetic mean, (1/n) sum x [unit of x]."""
    return float(np.mean(w.x))


@op(2, Tolerance(rtol=2e-6, atol=3e-9, of=_mean_size, floor=1e-22))
def std(w: Window) -> float:
    """Population standard deviation, sqrt((1/n) sum (x - mean)^2) [unit of x].

    Source: two-pass with the corrected mean, Chan, Golub, LeVeque 1983.
    """
    return float(np.std(w.x))


@op(3, Tolerance(rtol=1.5e-6, floor=1e-22))
def rms(w: Window) -> float:
    """Root mean square, sqrt((1/n) sum x^2) [unit of x]."""
    return float(np.sqrt(np.mean(np.square(w.x))))


@op(4, EXACT)
def min(w: Window) -> float:  # noqa: A001
    """Least value [unit of x]."""
    return float(np.min(w.x))


@op(5, EXACT)
def max(w: Window) -> float:  # noqa: A001
    """Greatest value [unit of x]."""
    return float(np.max(w.x))


@op(6, Tolerance(rtol=6e-8, floor=1e-45))
def median(w: Window) -> float:
    """Middle value; of an even n the mean of the two middle ones, rounded to float32 once [unit of x]."""
    return float(np.median(w.x))


@op(7, EXACT)
def zero_crossings(w: Window) -> float:
    """Neighbours of which exactly one is below zero, 0..n-1 [count]."""
    below = w.x < 0
    return float(np.count_nonzero(below[1:] != below[:-1]))


@op(8, Tolerance(rtol=1.5e-6, floor=1e-44))
def mad_diff(w: Window) -> float:
    """Mean absolute difference of neighbours, (1/(n-1)) sum |x[i+1] - x[i]| [unit of x]."""
    return float(np.mean(np.abs(np.diff(w.x))))
