"""Filters mean what the field means: scipy and pandas, on one signal. Development only; nothing runs on them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.features.reference import FILTERS
from tests.features.test_filters import RATE, series

signal = pytest.importorskip("scipy.signal")
Values = NDArray[np.float64]
BY_NAME = {each.name: each for each in FILTERS.values()}


def noise(n: int = 2000, seed: int = 1) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (9.81 + rng.standard_normal(n) + np.sin(np.arange(n) / 7)).astype(np.float32)


def ours(name: str, x: NDArray[np.float32], *params: float) -> Values:
    """Every sample that the core makes."""
    return series(BY_NAME[name], x.reshape(-1, 1), params).astype(np.float64)


def cookbook(name: str, f: float, q: float) -> tuple[list[float], list[float]]:
    """B and a as the audio EQ cookbook prints them."""
    w = 2 * np.pi * f / RATE
    c, alpha = np.cos(w), np.sin(w) / (2 * q)
    b = {
        "lowpass": [(1 - c) / 2, 1 - c, (1 - c) / 2],
        "highpass": [(1 + c) / 2, -1 - c, (1 + c) / 2],
        "bandpass": [alpha, 0, -alpha],
        "notch": [1, -2 * c, 1],
    }[name]
    return b, [1 + alpha, -2 * c, 1 - alpha]


@pytest.mark.parametrize("name", ["lowpass", "highpass", "bandpass", "notch"])
@pytest.mark.parametrize(("f", "q"), [(0.1, 0.7071), (3.0, 0.5), (7.0, 20.0)])
def test_a_biquad_is_lfilter_in_its_steady_state(name: str, f: float, q: float) -> None:
    x = noise()
    b, a = cookbook(name, float(np.float32(f)), float(np.float32(q)))
    want, _zf = signal.lfilter(b, a, x.astype(np.float64), zi=signal.lfilter_zi(b, a) * x[0])
    np.testing.assert_allclose(ours(name, x, f, q), want, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("name", "kind"), [("lowpass", "low"), ("highpass", "high")])
@pytest.mark.parametrize("f", [0.05, 2.0, 8.0])
def test_q_of_half_the_root_of_two_is_butterworth(name: str, kind: str, f: float) -> None:
    x = noise()
    sos = signal.butter(2, float(np.float32(f)), kind, fs=RATE, output="sos")
    want, _zf = signal.sosfilt(sos, x.astype(np.float64), zi=signal.sosfilt_zi(sos) * x[0])
    np.testing.assert_allclose(ours(name, x, f, 0.5**0.5), want, rtol=0, atol=2e-6)


def test_two_lowpasses_are_butterworth_of_order_4() -> None:
    x = noise()
    sos = signal.butter(4, 2.0, fs=RATE, output="sos")
    want, _zf = signal.sosfilt(sos, x.astype(np.float64), zi=signal.sosfilt_zi(sos) * x[0])
    once = ours("lowpass", x, 2.0, 0.54119610).astype(np.float32)
    np.testing.assert_allclose(ours("lowpass", once, 2.0, 1.30656296), want, rtol=0, atol=5e-6)


def test_a_notch_is_near_iirnotch() -> None:
    """Scipy keeps the band at -3 dB exactly, the cookbook its alpha: alike where f is far below Nyquist."""
    x = noise()
    b, a = signal.iirnotch(0.3, 30.0, fs=RATE)
    want, _zf = signal.lfilter(b, a, x.astype(np.float64), zi=signal.lfilter_zi(b, a) * x[0])
    np.testing.assert_allclose(ours("notch", x, 0.3, 30.0), want, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("up", "down"), [(1, 2), (1, 7), (2, 1), (3, 2), (2, 5)])
def test_resample_is_resample_poly_later(up: int, down: int) -> None:
    x = noise()
    want = signal.resample_poly(x.astype(np.float64), up, down)
    late = 10 * max(up, down) // down
    assert late * down == 10 * max(up, down)
    got = ours("resample", x, up, down)
    edge = 2 * late + 1  # what stands before the start and after the end is another matter
    np.testing.assert_allclose(got[edge:], want[edge - late : len(got) - late], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("up", "down"), [(7, 4), (4, 7), (32, 25)])
def test_resample_is_upfirdn_with_the_taps_of_scipy(up: int, down: int) -> None:
    """Where the delay is no whole number of outputs."""
    x, most = noise(), max(up, down)
    h = signal.firwin(20 * most + 1, 1 / most, window=("kaiser", 5.0)) * up
    want = signal.upfirdn(h, x.astype(np.float64), up, down)
    edge = 20 * most // down + 1
    got = ours("resample", x, up, down)
    np.testing.assert_allclose(got[edge:], want[edge : len(got)], rtol=0, atol=1e-5)


def test_ema_is_ewm_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    x = noise()
    x[[5, 100, 101]] = np.nan
    alpha = 1 - np.exp(-1 / (0.5 * RATE))
    want = pandas.Series(x.astype(np.float64)).ewm(alpha=alpha, adjust=False, ignore_na=True).mean().to_numpy()
    got = ours("ema", x, 0.5)
    assert np.isnan(got[[5, 100, 101]]).all()
    there = np.isfinite(x)
    np.testing.assert_allclose(got[there], want[there], rtol=1e-6)


@pytest.mark.parametrize("n", [3, 21, 255])
def test_moving_median_is_the_median_filter_of_scipy(n: int) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    x = noise()
    want = ndimage.median_filter(x, size=n, origin=n // 2, mode="nearest")
    assert (ours("moving_median", x, n).astype(np.float32) == want).all()


@pytest.mark.parametrize("n", [3, 40, 1000])
def test_detrend_is_the_newest_of_scipys_detrend(n: int) -> None:
    x = noise()
    got = ours("detrend", x, n)
    for i in range(n - 1, len(x), 97):
        want = signal.detrend(x[i - n + 1 : i + 1].astype(np.float64))[-1]
        assert got[i] == pytest.approx(want, abs=2e-6)


def test_integrate_is_the_cumulative_trapezoid() -> None:
    integrate = pytest.importorskip("scipy.integrate")
    x = noise()
    want = integrate.cumulative_trapezoid(x.astype(np.float64), dx=1 / RATE, initial=0)
    np.testing.assert_allclose(ours("integrate", x), want, rtol=1e-7)


def test_difference_is_diff() -> None:
    x = noise()
    assert (ours("difference", x)[1:].astype(np.float32) == np.diff(x)).all()
    np.testing.assert_allclose(ours("derivative", x)[1:], np.diff(x.astype(np.float64)) * RATE, rtol=1e-6)
