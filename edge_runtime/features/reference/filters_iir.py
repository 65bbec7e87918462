"""Stream filters that remember their own past. One rule: a filter starts as if its first number had stood for ever.

What is not finite is passed over: NaN in its place, and the series goes on as if that sample had not been.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge_runtime.features.reference.filters import over_numbers, stream_filter
from edge_runtime.features.reference.table import Values

CORNERS = ((4.0, 0.7071), (0.05, 0.7071), (9.5, 2.0), (3.0, 30.0), (6.0, 0.1))


@stream_filter(1003, tolerance=2e-7)
def difference(sources: Sequence[Values], _rate_hz: float) -> Values:
    """Step from the number before, x[i] - x[i-1], 0 at the first [unit of x]."""
    return over_numbers(sources[0], lambda x: np.diff(x, prepend=x[0]))


@stream_filter(1004, tolerance=2e-7)
def derivative(sources: Sequence[Values], rate_hz: float) -> Values:
    """Step from the number before in the time of one sample, (x[i] - x[i-1]) * rate, 0 at the first [x/s]."""
    return over_numbers(sources[0], lambda x: np.diff(x, prepend=x[0]) * rate_hz)


@stream_filter(1005, tolerance=2e-7)
def integrate(sources: Sequence[Values], rate_hz: float) -> Values:
    """Area under the series since its first number, by trapezoids, 0 at the first [x*s].

    It grows without end where the mean is not 0: put a highpass before it. A number that is not there is left out with
    its time.
    """
    return over_numbers(sources[0], lambda x: np.concatenate([[0.0], np.cumsum((x[1:] + x[:-1]) / 2)]) / rate_hz)


@stream_filter(1006, tolerance=2e-7, tries=((0.5,), (0.001,), (0.05,), (5e6,)))
def ema(sources: Sequence[Values], rate_hz: float, tau: float) -> Values:
    """Exponential moving average, y += alpha * (x - y), alpha = 1 - exp(-1/(tau*rate)) [unit of x].

    `tau` [s]: a step is followed to 63 % after it. y is the first number at the start (pandas: `ewm(alpha=alpha,
    adjust=False, ignore_na=True)`).
    """
    alpha = -math.expm1(-1.0 / (tau * rate_hz))

    def run(x: Values) -> Values:
        out = x.copy()
        for i in range(1, len(x)):
            out[i] = out[i - 1] + alpha * (x[i] - out[i - 1])
        return out

    return over_numbers(sources[0], run)


def biquad(x: Values, b: tuple[float, float, float], a: tuple[float, float, float]) -> Values:
    """a0 y[i] = b0 x[i] + b1 x[i-1] + b2 x[i-2] - a1 y[i-1] - a2 y[i-2], in the steady state of x[0] at the start.

    Source: R. Bristow-Johnson, Cookbook formulae for audio EQ biquad filter coefficients, 1994, equation 4.
    """
    dc = round(sum(b) / sum(a))
    x1, x2, y1, y2 = x[0], x[0], dc * x[0], dc * x[0]
    out = np.empty_like(x)
    for i, now in enumerate(x):
        out[i] = (b[0] * now + b[1] * x1 + b[2] * x2 - a[1] * y1 - a[2] * y2) / a[0]
        x1, x2, y1, y2 = now, x1, out[i], y1
    return out


def corner(rate_hz: float, f: float, q: float) -> tuple[float, tuple[float, float, float], float]:
    """(cos w, the three coefficients a, alpha) of the cookbook."""
    w = 2 * math.pi * f / rate_hz
    alpha = math.sin(w) / (2 * q)
    return math.cos(w), (1 + alpha, -2 * math.cos(w), 1 - alpha), alpha


@stream_filter(1007, tolerance=1e-6, tries=CORNERS)
def lowpass(sources: Sequence[Values], rate_hz: float, f: float, q: float) -> Values:
    """What is below `f` [unit of x], second order: -12 dB an octave above it; a constant stays as it is.

    `f` [Hz]: rate/100000 <= f < rate/2. `q` [1]: 0.1..100, 0.7071 for a Butterworth filter; higher orders are filters
    in a row (order 4: q 0.5412 and 1.3066).

    Source: the cookbook's LPF, see `biquad`.
    """
    c, a, _alpha = corner(rate_hz, f, q)
    return over_numbers(sources[0], lambda x: biquad(x, ((1 - c) / 2, 1 - c, (1 - c) / 2), a))


@stream_filter(1008, tolerance=1e-6, tries=CORNERS)
def highpass(sources: Sequence[Values], rate_hz: float, f: float, q: float) -> Values:
    """What is above `f` [unit of x], second order; a constant becomes 0. Parameters as of `lowpass`.

    Source: the cookbook's HPF, see `biquad`.
    """
    c, a, _alpha = corner(rate_hz, f, q)
    return over_numbers(sources[0], lambda x: biquad(x, ((1 + c) / 2, -1 - c, (1 + c) / 2), a))


@stream_filter(1009, tolerance=1e-6, tries=CORNERS)
def bandpass(sources: Sequence[Values], rate_hz: float, f: float, q: float) -> Values:
    """What is around `f` [unit of x], as it is at `f` itself; f / q wide (-3 dB). Parameters as of `lowpass`.

    Source: the cookbook's BPF with a constant peak of 0 dB, see `biquad`.
    """
    _c, a, alpha = corner(rate_hz, f, q)
    return over_numbers(sources[0], lambda x: biquad(x, (alpha, 0.0, -alpha), a))


@stream_filter(1010, tolerance=1e-6, tries=CORNERS)
def notch(sources: Sequence[Values], rate_hz: float, f: float, q: float) -> Values:
    """All but what is around `f` [unit of x], nothing at `f` itself; f / q wide (-3 dB). Parameters as of `lowpass`.

    Source: the cookbook's notch, see `biquad`.
    """
    c, a, _alpha = corner(rate_hz, f, q)
    return over_numbers(sources[0], lambda x: biquad(x, (1.0, -2 * c, 1.0), a))
