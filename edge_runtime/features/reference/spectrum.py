"""Operators on the spectrum of a window."""

from __future__ import annotations

import numpy as np

from edge_runtime.features.reference.table import Tolerance, Values, Window, op


def _variance(x: Values) -> float:
    return float(np.var(x))


@op(9, Tolerance(rtol=2e-6, atol=2e-6, of=_variance, floor=1e-40))
def band_power(w: Window, f0_hz: float, f1_hz: float) -> float:
    """Mean power of the frequencies f0 <= f < f1 [square of x's unit]: sum of the one-sided periodogram.

    P[k] = c |X[k]|^2 / n^2 at f = k * rate / n, c = 1 for DC and Nyquist, else 2; X the plain DFT of the window
    (rectangular). All bins together are the mean square (Parseval).

    Args:
        w: The window.
        f0_hz: 0..rate/2.
        f1_hz: Above f0; above rate/2 to take Nyquist in.
    """
    n = len(w.x)
    k = np.arange(n // 2 + 1)
    sides = np.where((k == 0) | (2 * k == n), 1.0, 2.0)
    mean = np.mean(w.x)  # taken off first: it is bin 0, and its rounding would leak into the others
    power = sides * np.square(np.abs(np.fft.rfft(w.x - mean))) / n**2
    power[0] = mean**2
    inside = (k * w.rate_hz >= f0_hz * n) & (k * w.rate_hz < f1_hz * n)  # exact: no division
    return float(np.sum(power[inside]))
