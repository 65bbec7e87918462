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


def test_two_channels_mean_what_the_field_means() -> None:
    from scipy import signal, stats

    a, b = noise(2, 250), noise(3, 250)
    b[30:] += 0.8 * a[:-30]
    x, y = a.astype(np.float32).astype(np.float64), b.astype(np.float32).astype(np.float64)
    cross = signal.correlate(y - y.mean(), x - x.mean()) / (250 * x.std() * y.std())
    lags = signal.correlation_lags(250, 250)
    near = np.abs(lags) <= 40
    peers = {
        ("correlation", ()): stats.pearsonr(x, y).statistic,
        ("covariance", ()): np.cov(x, y, bias=True)[0, 1],
        ("energy_ratio", ()): np.sum(x**2) / np.sum(y**2),
        ("best_lag", (40.0,)): lags[near][cross[near].argmax()] / RATE,
        ("lag_correlation", (40.0,)): cross[near].max(),
    }
    assert peers["best_lag", (40.0,)] == 1.5
    for (name, params), want in peers.items():
        assert kernel(name, x, *params, other=y) == pytest.approx(want, rel=1e-5), name
    frequency, csd = signal.csd(x, y, RATE, "boxcar", nperseg=250)
    for k in (1, 30, 77):
        assert kernel("phase", x, frequency[k], other=y) == pytest.approx(np.angle(csd[k]), abs=1e-4)


def test_a_later_channel_has_a_lag_above_zero_and_a_phase_below() -> None:
    """One convention for both, by a tone that comes 3 frames later: and the two channels swapped turn both round."""
    i = np.arange(400)
    a, b = np.sin(2 * np.pi * i / 40), np.sin(2 * np.pi * (i - 3) / 40)
    assert kernel("best_lag", a, 10, other=b) == pytest.approx(3 / RATE)
    assert kernel("best_lag", b, 10, other=a) == pytest.approx(-3 / RATE)
    assert kernel("phase", a, RATE / 40, other=b) == pytest.approx(-2 * np.pi * 3 / 40, abs=1e-4)
    assert kernel("phase", b, RATE / 40, other=a) == pytest.approx(2 * np.pi * 3 / 40, abs=1e-4)


def test_equal_lags_go_to_the_smallest() -> None:
    """Two spikes each: the tie between +4 and -4 goes to +4, and 0 would win over both."""
    a, b = np.zeros(64), np.zeros(64)
    a[30], b[26], b[34] = 1.0, 1.0, 1.0
    assert kernel("best_lag", a, 8, other=b) == pytest.approx(4 / RATE)
    assert kernel("best_lag", a, 3, other=b) == 0.0  # no spike meets another
    b[30] = 1.0
    assert kernel("best_lag", a, 8, other=b) == 0.0


def test_a_ratio_over_nothing_is_none_and_nothing_over_nothing_is_zero() -> None:
    a, none = noise(4, 32), np.zeros(32)
    assert np.isnan(kernel("energy_ratio", a, other=none))
    assert kernel("energy_ratio", none, other=a) == 0.0
    assert kernel("energy_ratio", none, other=none) == 0.0
    assert np.isnan(kernel("energy_ratio", a * 1e15, other=a * 1e-15))
    assert kernel("energy_ratio", a * 1e30, other=a * 1e30) == pytest.approx(1.0, rel=1e-6)


def test_a_constant_goes_with_nothing() -> None:
    a, flat = noise(5, 32), np.full(32, 0.1)
    for name, params in (("correlation", ()), ("covariance", ()), ("best_lag", (5,)), ("phase", (3.0,))):
        assert kernel(name, a, *params, other=flat) == kernel(name, flat, *params, other=a) == 0.0


def test_hjorths_activity_is_the_variance() -> None:
    x = noise(6, 100)
    assert kernel("hjorth_activity", x) == kernel("var", x)


def chirp(n: int, rate_hz: float) -> Values:
    """A rising tone on noise, with an offset: each triangle gets something."""
    t = np.arange(n) / rate_hz
    tone = np.sin(2 * np.pi * rate_hz * (0.05 + 0.2 * t * rate_hz / n) * t)
    noisy = 0.1 + 0.3 * tone + 0.02 * np.random.default_rng(7).standard_normal(n)
    return noisy.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    ("rate_hz", "n", "mels", "frame", "hop"),
    [(16000.0, 512, 40, 512, 160), (16000.0, 4000, 40, 512, 160), (44100.0, 3001, 20, 400, 401), (20.0, 256, 8, 63, 7)],
)
def test_mel_and_mfcc_are_those_of_librosa(rate_hz: float, n: int, mels: int, frame: int, hop: int) -> None:
    librosa = pytest.importorskip("librosa", reason="not installed: librosa (dev)")
    y = chirp(n, rate_hz)
    shape = {"sr": rate_hz, "n_fft": frame, "hop_length": hop, "n_mels": mels, "center": False, "dtype": np.float64}
    power = librosa.feature.melspectrogram(y=y, **shape)
    levels = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)
    coefficients = librosa.feature.mfcc(S=levels, n_mfcc=13 if mels > 13 else mels).mean(axis=1)
    got = [kernel("mel", y, band, mels, frame, hop, rate_hz=rate_hz) for band in range(mels)]
    np.testing.assert_allclose(got, power.mean(axis=1), rtol=1e-4)
    got = [kernel("mfcc", y, k, mels, frame, hop, rate_hz=rate_hz) for k in range(len(coefficients))]
    np.testing.assert_allclose(got, coefficients, atol=2e-3)  # [dB] of hundreds


@pytest.mark.planted
def test_the_comparison_sees_another_mel_scale() -> None:
    """The planted bug: HTK's scale instead of Slaney's."""
    librosa = pytest.importorskip("librosa", reason="not installed: librosa (dev)")
    y = chirp(512, 16000)
    power = librosa.feature.melspectrogram(y=y, sr=16000, n_fft=512, hop_length=512, n_mels=40, center=False, htk=True)
    got = [kernel("mel", y, band, 40, 512, 512, rate_hz=16000) for band in range(40)]
    assert not np.allclose(got, power[:, 0], rtol=1e-2)


def test_mel_of_several_channels_and_shapes_stand_in_one_program() -> None:
    """Tables and sums are shared where rate, mels, frame and hop agree, and only there."""
    x, y = chirp(256, 100.0), noise(8, 256)
    asked = [("mel", (2, 8, 64, 32)), ("mfcc", (1, 8, 64, 32)), ("mfcc", (1, 8, 64, 16)), ("mel", (2, 8, 256, 1))]
    channels = tuple(Channel(name=name, unit="x", taper="hann") for name in "xy")
    program = Program(
        rate_hz=100.0,
        channels=channels,
        window_frames=256,
        hop_frames=256,
        features=tuple(
            Feature(name=f"{i}.{c}.{name}", op=ID[name], channel=c, params=tuple(map(float, params)))
            for i, (name, params) in enumerate([*asked, ("spectral_centroid", ())])
            for c in (1, 0)
        ),
    )
    got = native.batch(program, np.column_stack([x, y]).astype(np.float32)).tolist()
    want = [
        kernel(name, column, *params, rate_hz=100.0, taper="hann")
        for name, params in [*asked, ("spectral_centroid", ())]
        for column in (y, x)
    ]
    assert got == want
