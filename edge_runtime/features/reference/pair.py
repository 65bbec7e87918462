"""Operators of two channels, a (`w.x`) and b (`w.other`), of one rate. A constant goes with nothing: 0.

Tolerances: products are added in float32 lanes, 1.2e-6 of the sum of magnitudes (see reference/time.py).
"""

from __future__ import annotations

import math

import numpy as np

from edge_runtime.features.reference.table import Tolerance, Values, Window, op


def _is_constant(x: Values) -> bool:
    return bool(np.min(x) == np.max(x))


def _apart(w: Window) -> tuple[Values, Values] | None:
    """Both less their means and over their ranges, or None where one is constant."""
    if _is_constant(w.x) or _is_constant(w.other):
        return None
    return (w.x - np.mean(w.x)) / np.ptp(w.x), (w.other - np.mean(w.other)) / np.ptp(w.other)


def _deviations(w: Window) -> float:
    return float(np.std(w.x) * np.std(w.other))


@op(44, Tolerance(floor=4e-6))
def correlation(w: Window) -> float:
    """Pearson's correlation, (1/n) sum (a - mean)(b - mean) over both deviations, -1..1 [1]; one constant: 0.

    Source: scipy.stats.pearsonr (NaN there for a constant).
    """
    both = _apart(w)
    return float(np.mean(both[0] * both[1]) / (np.std(both[0]) * np.std(both[1]))) if both else 0.0


@op(45, Tolerance(rtol=1e-7, atol=4e-6, of=_deviations, floor=1e-44))
def covariance(w: Window) -> float:
    """Population covariance, (1/n) sum (a - mean)(b - mean) [unit of a times unit of b]; one constant: 0.

    Source: numpy.cov, bias=True.
    """
    return float(np.mean((w.x - np.mean(w.x)) * (w.other - np.mean(w.other))))


@op(46, Tolerance(rtol=4e-6, floor=1e-44))
def energy_ratio(w: Window) -> float:
    """Energy of a over energy of b, sum a^2 / sum b^2, 0.. [1, for channels of one unit].

    0 where all a are 0, also over nothing; NaN where all b are and a is not, or the ratio is beyond float32: such a
    number is not there, and the device abstains.
    """
    a, b = float(np.sum(w.x**2)), float(np.sum(w.other**2))
    if a == 0:
        return 0.0
    return a / b if b else math.nan


def _lagged(w: Window, most: int) -> tuple[Values, Values]:
    """(lags from -most to most [frames], cross-correlation at each)."""
    lags: Values = np.arange(-most, most + 1, dtype=np.float64)
    both = _apart(w)
    if both is None:
        return lags, np.zeros(len(lags))
    a, b = both
    n, full = len(a), np.correlate(b, a, "full")
    r: Values = full[n - 1 - most : n + most] / (n * np.std(a) * np.std(b))
    return lags, r


def _best(w: Window, max_lag: float) -> tuple[float, float]:
    """(lag [frames], correlation there)."""
    lags, r = _lagged(w, int(max_lag))
    order = np.lexsort((-lags, np.abs(lags)))
    at = order[np.argmax(r[order])]
    return float(lags[at]), float(r[at])


def _near_best(w: Window, max_lag: float) -> float:
    """Distance to the farthest lag that rounding cannot tell from the best [s]."""
    lags, r = _lagged(w, int(max_lag))
    rivals = lags[r >= np.max(r) - 1e-5]
    return float(np.max(np.abs(rivals - _best(w, max_lag)[0]))) / w.rate_hz


LAGS = ((1.0,), (7.0,), (100.0,))


@op(47, Tolerance(rtol=1e-7, atol=1.0, of=_near_best), tries=LAGS)
def best_lag(w: Window, max_lag: float) -> float:
    """How much later b does what a does, -max_lag/rate..max_lag/rate [s]; one constant: 0.

    The lag l of the greatest r(l) = (1/n) sum (a[i] - mean)(b[i+l] - mean) over both deviations, |l| <= max_lag; of
    equals the smallest |l|, then l > 0. max_lag is whole, 1 <= max_lag < n; its cost grows with max_lag * n.
    Tolerance: any lag within 1e-5 of the greatest. Source: Box, Jenkins 1976, 11.1.2; scipy.signal.correlate(b, a).
    """
    return _best(w, max_lag)[0] / w.rate_hz


@op(48, Tolerance(floor=4e-6), tries=LAGS)
def lag_correlation(w: Window, max_lag: float) -> float:
    """The cross-correlation at `best_lag`, -1..1 [1]; one constant: 0. Source: as best_lag."""
    return _best(w, max_lag)[1]


def _tone(x: Values, f_hz: float, rate_hz: float) -> complex:
    turns = f_hz / rate_hz * np.arange(len(x))
    return complex(np.sum((x - np.mean(x)) * np.exp(-2j * np.pi * turns)))


def _phase_error(w: Window, f_hz: float) -> float:
    """What 2e-6 of a deviation in every sample makes of the angle; at the seam, or without a tone, a whole turn."""
    size = 0.0
    for x in (w.x, w.other):
        tone = abs(_tone(x, f_hz, w.rate_hz))
        size += 2e-6 * len(x) * float(np.std(x)) / tone if tone else 4.0
    return 2 * math.pi if size > 1 or abs(phase(w, f_hz)) + size >= math.pi else size


@op(49, Tolerance(rtol=1e-7, atol=1.0, of=_phase_error, floor=1e-7), tries=((3.0,), (0.01,), (9.99,)))
def phase(w: Window, f_hz: float) -> float:
    """Phase of b less that of a at one frequency, -pi..pi [rad]; one constant: 0.

    The angle of conj(A) B, with A and B the sums of goertzel(f), 0 < f < rate/2. Negative where b comes later, by
    less than half a period. Source: the angle of scipy.signal.csd(a, b), one segment, boxcar.
    """
    if _is_constant(w.x) or _is_constant(w.other):
        return 0.0
    a, b = _tone(w.x, f_hz, w.rate_hz), _tone(w.other, f_hz, w.rate_hz)
    return math.atan2((a.conjugate() * b).imag, (a.conjugate() * b).real)
