"""Features: the core against numpy and scipy. Group = operators and size; unit of work = one window.

The first nine operators against the reference; then the 25 of a vibration monitor (6 channels, window 256) against
numpy written by hand over all channels at once, each thing computed once, and against scipy's own functions.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Program
from edge_runtime.features import build_program
from edge_runtime.features.reference import OPS, Window

NINE = ("mean", "std", "rms", "min", "max", "median", "zero_crossings", "mad_diff", "band_power(0.5,4)")
SIZES = ((16, 40), (6, 256), (3, 4096))
each_size = pytest.mark.parametrize(("channels", "window"), SIZES, ids=[f"{c}x{w}" for c, w in SIZES])


def case(channels: int, window: int) -> tuple[Program, Any]:
    """A program and one window of noise."""
    columns = [Channel(name=f"c{i}", unit="x") for i in range(channels)]
    program = build_program(columns, rate_hz=20.0, window_frames=window, hop_frames=window, features=NINE)
    return program, np.random.default_rng(1).standard_normal((window, channels)).astype(np.float32)


def window_through(program: Program, frames: Any) -> Callable[[], array[float]]:
    """One window through a stream, its features ready."""
    stream = native.Stream(program, Policy(thresholds_ppm=(0,)))

    def one_window() -> array[float]:
        stream.step(frames, 0, len(frames))
        stream.decide((1.0,))
        return stream.features

    return one_window


@each_size
def test_core(benchmark: Any, channels: int, window: int) -> None:
    """One window through a stream, its features ready."""
    program, frames = case(channels, window)
    benchmark.group = f"features {channels} channels, window {window}"
    benchmark(window_through(program, frames))


@each_size
def test_numpy(benchmark: Any, channels: int, window: int) -> None:
    """The same window through the reference operators."""
    program, frames = case(channels, window)

    def one_window() -> list[float]:
        columns = [Window(x=frames[:, c].astype(np.float64), rate_hz=20.0) for c in range(channels)]
        return [OPS[f.op](columns[f.channel], *f.params) for f in program.features]

    benchmark.group = f"features {channels} channels, window {window}"
    benchmark(one_window)


# ---- a vibration monitor: 26 features x 6 channels, window 256 ----

RATE, CHANNELS, WINDOW = 128.0, 6, 256
BANDS = tuple((8.0 * i, 8.0 * (i + 1)) for i in range(8))
MONITOR = (
    "mean", "std", "rms", "min", "max", "range", "skewness", "kurtosis", "median", "quantile(0.25)", "quantile(0.75)",
    "iqr", "zero_crossings", "mad_diff", "autocorrelation(1)", "slope", "spectral_centroid", "spectral_entropy",
    *(f"band_power({lo:g},{hi:g})" for lo, hi in BANDS),
)  # fmt: skip
FREQUENCY = np.arange(1, WINDOW // 2 + 1) * RATE / WINDOW
STEPS = np.arange(WINDOW) - (WINDOW - 1) / 2


def monitor() -> tuple[Program, Any]:
    columns = [Channel(name=f"c{i}", unit="x") for i in range(CHANNELS)]
    program = build_program(columns, rate_hz=RATE, window_frames=WINDOW, hop_frames=WINDOW, features=MONITOR)
    return program, np.random.default_rng(2).standard_normal((WINDOW, CHANNELS)).astype(np.float32)


def by_numpy(frames: Any) -> Any:
    """All features of all channels [features, channels]: every shared part once, float32 where numpy keeps it."""
    x = np.ascontiguousarray(frames.T)
    mean = x.mean(axis=1)
    d = x - mean[:, None]
    d2 = d * d
    m2 = d2.mean(axis=1)
    low, high = x.min(axis=1), x.max(axis=1)
    s = np.sort(x, axis=1)
    q1, q2, q3 = ((1 - g) * s[:, k] + g * s[:, k + 1] for k, g in ((63, 0.75), (127, 0.5), (191, 0.25)))
    below = x < 0
    power = np.square(np.abs(np.fft.rfft(d, axis=1)[:, 1:])) * (2 / WINDOW**2)
    power[:, -1] /= 2
    total = power.sum(axis=1)
    share = power / total[:, None]
    sums = np.cumsum(power, axis=1)
    ends = [sums[:, int(np.ceil(hi * WINDOW / RATE)) - 2] for _, hi in BANDS]
    features = [
        mean, np.sqrt(m2), np.sqrt((x * x).mean(axis=1)), low, high, high - low,
        (d2 * d).mean(axis=1) / m2**1.5, (d2 * d2).mean(axis=1) / m2**2 - 3, q2, q1, q3, q3 - q1,
        np.count_nonzero(below[:, 1:] != below[:, :-1], axis=1), np.abs(np.diff(x, axis=1)).mean(axis=1),
        (d[:, 1:] * d[:, :-1]).mean(axis=1) * ((WINDOW - 1) / WINDOW) / m2,
        d @ STEPS * (RATE / np.sum(STEPS**2)), power @ FREQUENCY / total,
        -(share * np.log2(share)).sum(axis=1) / np.log2(WINDOW // 2),
        ends[0] + mean**2, *(b - a for a, b in pairwise(ends)),
    ]  # fmt: skip
    return np.array(features)


def by_scipy(frames: Any) -> Any:
    """The same, each feature by the function that scipy or numpy has for it, channel by channel."""
    from scipy import signal, stats  # type: ignore[import-untyped]

    out = []
    for x in frames.T:
        mean = np.mean(x)
        f, p = signal.periodogram(x, RATE, "boxcar", detrend=False, scaling="spectrum")
        q1, q3 = np.quantile(x, 0.25), np.quantile(x, 0.75)
        lagged = signal.correlate(x - mean, x - mean)
        column = [
            mean, np.std(x), np.sqrt(np.mean(x * x)), np.min(x), np.max(x), np.ptp(x), stats.skew(x),
            stats.kurtosis(x), np.median(x), q1, q3, stats.iqr(x), np.count_nonzero(np.diff(np.signbit(x))),
            np.mean(np.abs(np.diff(x))), lagged[WINDOW] / lagged[WINDOW - 1],
            stats.linregress(STEPS / RATE, x).slope, np.average(f[1:], weights=p[1:]),
            stats.entropy(p[1:], base=2) / np.log2(WINDOW // 2),
            *(p[(f >= lo) & (f < hi)].sum() for lo, hi in BANDS),
        ]  # fmt: skip
        out.append(column)
    return np.array(out).T


def agree(program: Program, frames: Any, rival: Any) -> None:
    """A rival that computes something else is none."""
    ours = np.empty((len(MONITOR), CHANNELS))
    for value, feature in zip(native.batch(program, frames), program.features, strict=True):
        ours[MONITOR.index(feature.name.split(".", 1)[1]), feature.channel] = value
    np.testing.assert_allclose(rival, ours, rtol=2e-4, atol=2e-5)


def named(benchmark: Any) -> Any:
    benchmark.group = f"monitor: {len(MONITOR)} features x {CHANNELS} channels, window {WINDOW}"
    benchmark.extra_info["prefix"] = ""
    return benchmark


def test_core_monitor(benchmark: Any) -> None:
    """One window through a stream, its features ready."""
    named(benchmark)(window_through(*monitor()))


def test_numpy_monitor(benchmark: Any) -> None:
    """Vectorised over the channels by hand."""
    program, frames = monitor()
    agree(program, frames, by_numpy(frames))
    named(benchmark)(by_numpy, frames)


def test_scipy_monitor(benchmark: Any) -> None:
    """As one writes it: scipy.stats, scipy.signal and numpy, a call a feature."""
    program, frames = monitor()
    agree(program, frames, by_scipy(frames))
    named(benchmark)(by_scipy, frames)
