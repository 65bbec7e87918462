"""Operators on the values in time.

Tolerances: a kernel adds 16 terms a lane, 8 lanes, in float32: at most 19 roundings of 2^-24, 1.2e-6 of the sum of
magnitudes (Higham, Accuracy and Stability of Numerical Algorithms, 2002, 4.2). Squares below 1.4e-45 are lost.
"""

from __future__ import annotations

import numpy as np

from edge_runtime.features.reference.table import Tolerance, Window, op

EXACT = Tolerance()


ROUNDED_ONCE = Tolerance(rtol=6e-8, floor=1e-45)


def _mean_size(w: Window) -> float:
    return float(np.mean(np.abs(w.x)))


def _mean_size_squared(w: Window) -> float:
    return _mean_size(w) ** 2


def _trend_size(w: Window) -> float:
    steps = np.abs(np.arange(len(w.x)) - (len(w.x) - 1) / 2)
    return float(w.rate_hz * np.sum(steps * (np.abs(w.x - np.mean(w.x)) + 1e-7 * _mean_size(w))) / np.sum(steps**2))


def _near_mean(w: Window) -> float:
    """Values that the rounding of the mean may put on either side of it."""
    off = np.abs(w.x - np.mean(w.x))
    return float(np.count_nonzero(off <= 3e-6 * np.mean(off)))


@op(1, Tolerance(rtol=1e-7, atol=1.3e-6, of=_mean_size, floor=1e-44))
def mean(w: Window) -> float:
    """Arithmetic mean, (1/n) sum x [unit of x]."""
    return float(np.mean(w.x))


@op(2, Tolerance(rtol=2e-6, atol=3e-9, of=_mean_size, floor=1e-22))
def std(w: Window) -> float:
    """Population standard deviation, sqrt((1/n) sum (x - mean)^2) [unit of x].

    NaN, or 0 as it first shipped, where a square passes float32's range (deviations near 1.8e19): no measured unit
    comes there. Source: two-pass with the corrected mean, Chan, Golub, LeVeque 1983.
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


@op(7, EXACT)
def zero_crossings(w: Window) -> float:
    """Neighbours of which exactly one is below zero, 0..n-1 [count]."""
    below = w.x < 0
    return float(np.count_nonzero(below[1:] != below[:-1]))


@op(8, Tolerance(rtol=1.5e-6, floor=1e-44))
def mad_diff(w: Window) -> float:
    """Mean absolute difference of neighbours, (1/(n-1)) sum |x[i+1] - x[i]| [unit of x]."""
    return float(np.mean(np.abs(np.diff(w.x))))


@op(10, Tolerance(rtol=4e-6, atol=1e-18, of=_mean_size_squared, floor=1e-44))
def var(w: Window) -> float:
    """Population variance, (1/n) sum (x - mean)^2 [square of x's unit]; 0 for a constant.

    NaN where a square passes float32's range (deviations near 1.8e19). Source: numpy.var.
    """
    return float(np.var(w.x))


@op(50, Tolerance(rtol=4e-6, atol=1e-18, of=_mean_size_squared, floor=1e-44))
def hjorth_activity(w: Window) -> float:
    """Hjorth's activity, the population variance under his name [square of x's unit]; 0 for a constant.

    The very numbers of `var`. Source: Hjorth, EEG analysis based on time domain properties, 1970.
    """
    return float(np.var(w.x))


@op(11, Tolerance(rtol=1.5e-6, floor=1e-41))
def energy(w: Window) -> float:
    """Sum of squares, sum x^2 [square of x's unit]. Source: tsfresh abs_energy."""
    return float(np.sum(np.square(w.x)))


@op(12, ROUNDED_ONCE)
def range(w: Window) -> float:  # noqa: A001
    """Greatest minus least value [unit of x]. Source: numpy.ptp."""
    return float(np.ptp(w.x))


@op(13, ROUNDED_ONCE)
def argmin(w: Window) -> float:
    """Place of the first least value, index / n, 0 <= place < 1 [1]; 0 for a constant.

    Source: tsfresh first_location_of_minimum.
    """
    return float(np.argmin(w.x)) / len(w.x)


@op(14, ROUNDED_ONCE)
def argmax(w: Window) -> float:
    """Place of the first greatest value, index / n, 0 <= place < 1 [1]; 0 for a constant.

    Source: tsfresh first_location_of_maximum.
    """
    return float(np.argmax(w.x)) / len(w.x)


@op(20, Tolerance(rtol=1.5e-6, floor=1e-44))
def abs_sum_change(w: Window) -> float:
    """Sum of absolute changes, sum |x[i+1] - x[i]| [unit of x]. Source: tsfresh absolute_sum_of_changes."""
    return float(np.sum(np.abs(np.diff(w.x))))


@op(21, Tolerance(atol=2.0, of=_near_mean))
def mean_crossings(w: Window) -> float:
    """Neighbours of which exactly one is below the mean, 0..n-1 [count]; 0 for a constant.

    A value nearer to the mean than its rounding (3e-6 of the mean deviation) may count as on either side.
    Source: tsfresh number_crossing_m at the mean, which asks "above" (the same unless a value is the mean).
    """
    below = w.x < np.mean(w.x)
    return float(np.count_nonzero(below[1:] != below[:-1]))


@op(22, Tolerance(rtol=1e-7, atol=2e-6, of=_trend_size, floor=1e-40))
def slope(w: Window) -> float:
    """Slope of the least-squares line over time, rate * sum (i-c)(x-mean) / sum (i-c)^2 [unit of x per second].

    c = (n-1)/2; 0 for a constant. Source: scipy.stats.linregress.
    """
    steps = np.arange(len(w.x)) - (len(w.x) - 1) / 2
    return float(w.rate_hz * np.sum(steps * (w.x - np.mean(w.x))) / np.sum(steps**2))


THRESHOLDS = ((0.0,), (9.81,), (-0.3,))


@op(28, EXACT, tries=THRESHOLDS)
def count_above(w: Window, threshold: float) -> float:
    """Values x > threshold, 0..n [count] (tsfresh's word gives the part x >= threshold instead)."""
    return float(np.count_nonzero(w.x > threshold))


@op(29, EXACT, tries=THRESHOLDS)
def count_below(w: Window, threshold: float) -> float:
    """Values x < threshold, 0..n [count] (tsfresh's word gives the part x <= threshold instead)."""
    return float(np.count_nonzero(w.x < threshold))


@op(30, EXACT, tries=THRESHOLDS)
def longest_run_above(w: Window, threshold: float) -> float:
    """Most values in a row with x > threshold, 0..n [count].

    Source: tsfresh longest_strike_above_mean, with a threshold for the mean.
    """
    ends = np.flatnonzero(np.concatenate(([True], w.x <= threshold, [True])))
    return float(np.max(np.diff(ends))) - 1.0


@op(31, EXACT)
def first(w: Window) -> float:
    """Oldest value [unit of x]."""
    return float(w.x[0])


@op(32, EXACT)
def last(w: Window) -> float:
    """Newest value [unit of x]."""
    return float(w.x[-1])


@op(33, ROUNDED_ONCE)
def delta(w: Window) -> float:
    """Newest minus oldest value [unit of x]."""
    return float(w.x[-1] - w.x[0])


@op(34, EXACT)
def count(w: Window) -> float:
    """Frames in the window, n [count]; like any feature NaN where one of them is."""
    return float(len(w.x))
