"""Operators on the sorted values, and on their histogram.

A kernel selects exactly; what remains is the last rounding to float32, and cancellation in double.
"""

from __future__ import annotations

import math

import numpy as np

from edge_runtime.features.reference.table import Tolerance, Window, op


def _max_size(w: Window, *_params: float) -> float:
    return float(np.max(np.abs(w.x)))


@op(6, Tolerance(rtol=6e-8, floor=1e-45))
def median(w: Window) -> float:
    """Middle value; of an even n the mean of the two middle ones, rounded to float32 once [unit of x]."""
    return float(np.median(w.x))


@op(17, Tolerance(rtol=6e-8, atol=1e-15, of=_max_size, floor=1e-45), tries=((0.5,), (0.25,), (0.9,), (0.0,), (1.0,)))
def quantile(w: Window, p: float) -> float:
    """Value at place h = p (n-1) of the sorted ones, linear between neighbours, 0 <= p <= 1 [unit of x].

    p is held in float32. Source: numpy.quantile, method "linear" (Hyndman, Fan 1996, type 7).
    """
    return float(np.quantile(w.x, p))


@op(18, Tolerance(rtol=6e-8, atol=1e-15, of=_max_size, floor=1e-45))
def iqr(w: Window) -> float:
    """Interquartile range, quantile(0.75) - quantile(0.25), 0.. [unit of x]. Source: scipy.stats.iqr."""
    return float(np.quantile(w.x, 0.75) - np.quantile(w.x, 0.25))


@op(19, Tolerance(rtol=3e-7, atol=1e-15, of=_max_size, floor=3e-45))
def mad(w: Window) -> float:
    """Median absolute deviation, median |x - median x|, 0.. [unit of x].

    Source: scipy.stats.median_abs_deviation, scale 1.
    """
    return float(np.median(np.abs(w.x - np.median(w.x))))


@op(43, Tolerance(rtol=1e-7, floor=1e-11), tries=((10.0,), (2.0,), (256.0,)))
def histogram_entropy(w: Window, bins: float) -> float:
    """Entropy of the histogram of `bins` equal bins over min..max, -sum p ln p, 0..ln(bins) [nat]; constant: 0.

    Bin of x: floor((x - min) * bins / (max - min)) in float64, the last one with its upper edge; 2..256 bins.
    Source: tsfresh binned_entropy.
    """
    low, high = float(np.min(w.x)), float(np.max(w.x))
    if low == high:
        return 0.0
    place = np.minimum(np.floor((w.x - low) * bins / (high - low)), bins - 1).astype(np.int64)
    p = np.bincount(place) / len(w.x)
    return math.fsum(-p[p > 0] * np.log(p[p > 0]))
