"""Stream filters over the last n samples. One rule: before the first sample of a stream stand copies of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.features.reference.filters import over_numbers, stream_filter, with_past
from edge_runtime.features.reference.table import Values


@stream_filter(1011, tolerance=2e-6, tries=((16.0,), (3.0,), (150.0,)))
def detrend(sources: Sequence[Values], _rate_hz: float, n: float) -> Values:
    """What the last number is above the least-squares line through the last n numbers [unit of x].

    n whole, 3..1024. Its work grows with n.
    """
    t = np.arange(int(n)) - (n - 1) / 2

    def run(x: Values) -> Values:
        past = with_past(x, int(n))
        slope = past @ t / (t @ t)
        line: Values = past.mean(axis=1) + slope * t[-1]
        return x - line

    return over_numbers(sources[0], run)


@stream_filter(1012, tolerance=0.0, tries=((5.0,), (3.0,), (101.0,)))
def moving_median(sources: Sequence[Values], _rate_hz: float, n: float) -> Values:
    """Median of the last n numbers [unit of x], exact; n odd, 3..255. What is not finite is not among the n."""
    return over_numbers(sources[0], lambda x: np.median(with_past(x, int(n)), axis=1) + 0.0)


def taps(up: int, down: int) -> NDArray[np.float64]:
    """The lowpass of `resample` at up times the rate, 20 max(up, down) + 1 taps.

    Source: scipy.signal.resample_poly: the window method with a Kaiser window, beta 5, cut off at the lower Nyquist
    frequency, a gain of 1 at 0 Hz.
    """
    most = max(up, down)
    m = np.arange(-10 * most, 10 * most + 1)
    h = np.sinc(m / most) * np.kaiser(len(m), 5.0)
    scaled: NDArray[np.float64] = h * up / h.sum()
    return scaled


@stream_filter(
    1013,
    tolerance=1e-6,
    tries=((1.0, 2.0), (2.0, 1.0), (3.0, 2.0), (2.0, 5.0), (7.0, 4.0), (1.0, 25.0)),
    ratio=lambda up, down: (int(up), int(down)),
)
def resample(sources: Sequence[Values], _rate_hz: float, up: float, down: float) -> Values:
    """The series at up/down of its rate, through a lowpass below both Nyquist frequencies [unit of x].

    up and down whole, 1..32, without a common divisor. resample(1, n) is the smoothed form of decimate(n). The numbers
    are those of scipy.signal.resample_poly, 10 max(up, down) / up samples late, as nothing later than a sample is used.
    A sample that is not finite keeps its place in time: NaN wherever it is among the newest 20 max(up, down) // up + 1
    samples.
    """
    u, d = int(up), int(down)
    h, x = taps(u, d), sources[0]
    reach = (len(h) - 1) // u + 1
    past = with_past(x, reach)[:, ::-1]  # newest first
    out = []
    for at in range(0, len(x) * u, d):
        row = past[at // u]
        weights = h[at % u :: u]
        out.append(row[: len(weights)] @ weights if np.isfinite(row).all() else np.nan)
    return np.array(out)
