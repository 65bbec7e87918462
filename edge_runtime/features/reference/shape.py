"""Operators that no scale of x changes [1]: what a distribution, or a curve, looks like.

A constant has no shape; where the field gives NaN for one, 0 is meant here, because a NaN makes a device abstain.
"""

from __future__ import annotations

import math

import numpy as np

from edge_runtime.features.reference.table import Tolerance, Values, Window, op


def _is_constant(x: Values) -> bool:
    return bool(np.min(x) == np.max(x))


def _scaled(w: Window) -> Values:
    """Deviations over the range: their powers stay within float64 for any float32 input."""
    return (w.x - np.mean(w.x)) / np.ptp(w.x)


def _third_size(w: Window) -> float:
    if _is_constant(w.x):
        return 0.0
    d = _scaled(w)
    return float(np.mean(np.abs(d) ** 3) / np.mean(d**2) ** 1.5)


def _fourth_size(w: Window) -> float:
    return kurtosis(w) + 3.0


@op(15, Tolerance(rtol=1e-6, atol=6e-6, of=_third_size))
def skewness(w: Window) -> float:
    """Population skewness, m3 / m2^1.5 with m_j = (1/n) sum (x - mean)^j [1]; 0 for a constant.

    Source: scipy.stats.skew, bias=True (NaN there for a constant).
    """
    if _is_constant(w.x):
        return 0.0
    d = _scaled(w)
    return float(np.mean(d**3) / np.mean(d**2) ** 1.5)


@op(16, Tolerance(atol=8e-6, of=_fourth_size))
def kurtosis(w: Window) -> float:
    """Population excess kurtosis, m4 / m2^2 - 3, -2.. [1]; 0 for a normal distribution and for a constant.

    Source: scipy.stats.kurtosis, fisher=True, bias=True (NaN there for a constant).
    """
    if _is_constant(w.x):
        return 0.0
    d = _scaled(w)
    return float(np.mean(d**4) / np.mean(d**2) ** 2) - 3.0


@op(23, Tolerance(floor=4e-6), tries=((1.0,), (2.0,), (7.0,), (100.0,)))
def autocorrelation(w: Window, lag: float) -> float:
    """Autocorrelation at `lag` frames, sum (x[i]-mean)(x[i+lag]-mean) / sum (x[i]-mean)^2, -1..1 [1]; constant: 0.

    lag is whole, 1 <= lag < n. Source: Box, Jenkins 1976, 2.1.5; statsmodels acf, adjusted=False (tsfresh divides
    the upper sum by n - lag and the lower by n: its value is n / (n - lag) times this one, and can pass 1).
    """
    if _is_constant(w.x):
        return 0.0
    d, k = _scaled(w), int(lag)
    return float(np.sum(d[:-k] * d[k:]) / np.sum(d**2))


@op(24, Tolerance(rtol=2e-6))
def crest_factor(w: Window) -> float:
    """Greatest size over root mean square, max |x| / rms, 1..sqrt(n) [1]; 0 where all x are 0."""
    peak = float(np.max(np.abs(w.x)))
    return 1.0 / math.sqrt(np.mean((w.x / peak) ** 2)) if peak else 0.0


@op(25, Tolerance(rtol=3e-6))
def shape_factor(w: Window) -> float:
    """Root mean square over mean size, rms / ((1/n) sum |x|), 1..sqrt(n) [1]; 0 where all x are 0."""
    peak = float(np.max(np.abs(w.x)))
    z = np.abs(w.x / peak) if peak else w.x
    return math.sqrt(np.mean(z**2)) / float(np.mean(z)) if peak else 0.0


@op(26, Tolerance(rtol=4e-6, floor=1e-12))
def hjorth_mobility(w: Window) -> float:
    """Hjorth's mobility, std(x') / std(x) with x' = differences of neighbours, 0..2 [1 per frame]; constant: 0.

    Source: Hjorth, EEG analysis based on time domain properties, 1970; antropy hjorth_params.
    """
    return 0.0 if _is_constant(w.x) else float(np.std(np.diff(w.x)) / np.std(w.x))


@op(27, Tolerance(rtol=8e-6, floor=1e-9))
def hjorth_complexity(w: Window) -> float:
    """Hjorth's complexity, mobility(x') / mobility(x) [1]; 0 where mobility(x) < 1e-10: x' is a constant then.

    Source: as hjorth_mobility.
    """
    mobility = hjorth_mobility(w)
    if mobility < 1e-10 or len(w.x) < 3:
        return 0.0
    return float(np.std(np.diff(w.x, 2)) / np.std(np.diff(w.x))) / mobility
