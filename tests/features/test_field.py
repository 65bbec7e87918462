"""The meaning is the field's: operators against numpy, scipy, librosa and tsfresh where those define the same thing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import native
from edge_runtime.contract.program import Channel, Feature, Program

Values = NDArray[np.float64]
RATE = 20.0
ID = {op.name: op.id for op in native.operators()}


def kernel(
    name: str, x: Values, *params: float, other: Values | None = None, rate_hz: float = RATE, taper: str = "none"
) -> float:
    """The number of operator `name` for the window `x`, as the core gives it."""
    columns = [x] if other is None else [x, other]
    channels = tuple(Channel(name=f"c{i}", unit="x", taper=taper) for i in range(len(columns)))
    feature = Feature(name="f", op=ID[name], channel=0, params=params, other=None if other is None else 1)
    program = Program(rate_hz=rate_hz, channels=channels, window_frames=len(x), hop_frames=len(x), features=(feature,))
    (value,) = native.batch(program, np.column_stack(columns).astype(np.float32))
    return value


def noise(seed: int, n: int) -> Values:
    """float32 numbers in float64: what the core and its peers see alike."""
    return np.random.default_rng(seed).gamma(2.0, size=n).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("taper", ["hann", "hamming"])
@pytest.mark.parametrize("n", [8, 250, 256, 365])
def test_tapers_are_those_of_scipy(taper: str, n: int) -> None:
    """Each bin alone, scaling="density" times the bin's width, and the mean's square at DC."""
    from scipy import signal  # type: ignore[import-untyped]

    x = noise(n, n)
    frequency, density = signal.periodogram(x, RATE, taper, detrend="constant", scaling="density")
    power = density * RATE / n
    power[0] += x.mean() ** 2
    step = RATE / n
    got = [kernel("band_power", x, max(0.0, f - step / 2), f + step / 2, taper=taper) for f in frequency]
    np.testing.assert_allclose(got, power, rtol=1e-5, atol=1e-6 * x.var())


@pytest.mark.parametrize("taper", ["none", "hann", "hamming"])
def test_a_tone_has_its_power_whatever_the_taper(taper: str) -> None:
    """Amplitude a has a^2/2, and with a taper also where it lies between two bins."""
    t = np.arange(400) / RATE
    for f in (3.0, 3.0 if taper == "none" else 3.0 + 0.5 * RATE / 400):
        tone = 5.0 + 2.0 * np.sin(2 * np.pi * f * t)
        assert kernel("band_power", tone, 2.5, 3.5, taper=taper) == pytest.approx(2.0, rel=1e-2 if f > 3 else 1e-5)
        assert kernel("dominant_frequency", tone, taper=taper) == pytest.approx(3.0, abs=RATE / 400)


@pytest.mark.planted
def test_the_comparison_sees_a_symmetric_taper() -> None:
    """The planted bug: scipy's fftbins=False."""
    from scipy import signal

    x, n = noise(1, 64), 64
    weights = signal.get_window("hann", n, fftbins=False)
    density = signal.periodogram(x, RATE, weights, detrend="constant", scaling="density")[1] * RATE / n
    got = kernel("band_power", x, 1.9 * RATE / n, 2.1 * RATE / n, taper="hann")
    assert got != pytest.approx(density[2], rel=1e-5)
