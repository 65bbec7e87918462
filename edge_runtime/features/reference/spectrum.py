"""Operators on the spectrum of a window."""

from __future__ import annotations

import math

import numpy as np

from edge_runtime.features.reference.table import Tolerance, Values, Window, op

NO_SPECTRUM = 1e-30
"""Where the power above DC [square of x's unit] is below this, a window has no spectrum: shape operators give 0."""


def taper(name: str, n: int) -> Values:
    """The window function over its root mean square: periodic, as scipy.signal.get_window(name, n, fftbins=True)."""
    turn = np.cos(2 * np.pi * np.arange(n) / n)
    weights: Values = {"none": np.ones(n), "hann": 0.5 - 0.5 * turn, "hamming": 0.54 - 0.46 * turn}[name]
    over_rms: Values = weights / np.sqrt(np.mean(weights**2))
    return over_rms


def _variance(w: Window, *_params: float) -> float:
    """That of the whole spectrum; of a tapered window at least the plain one: its weights are at most 8/3."""
    tapered = (w.x - np.mean(w.x)) * taper(w.taper, len(w.x))
    return float(max(np.var(w.x), np.mean(tapered**2)))


def _rate(w: Window) -> float:
    return w.rate_hz


def _power(w: Window) -> Values:
    """One-sided periodogram P[0..n/2]; all bins together are the mean square.

    With a taper v: P[k] = c |sum v (x - mean) exp|^2 / (n sum v^2), as scipy.signal.periodogram(scaling="density",
    detrend="constant") times rate/n; mean^2 is added to P[0]. Together: mean^2 + sum v^2 (x - mean)^2 / sum v^2.
    """
    n = len(w.x)
    k = np.arange(n // 2 + 1)
    sides = np.where((k == 0) | (2 * k == n), 1.0, 2.0)
    mean = np.mean(w.x)  # taken off first: it is bin 0, and its rounding would leak into the others
    power: Values = sides * np.square(np.abs(np.fft.rfft((w.x - mean) * taper(w.taper, n)))) / n**2
    power[0] = mean**2 + (0.0 if w.taper == "none" else power[0])
    return power


def _above_dc(w: Window) -> tuple[Values, Values] | None:
    """(f [Hz], P) of the bins k = 1..n/2, or None where there is no spectrum."""
    power = _power(w)[1:]
    frequency = np.arange(1, len(power) + 1) * w.rate_hz / len(w.x)
    return (frequency, power) if np.sum(power) >= NO_SPECTRUM else None


IN_BAND = ((0.0, 1.0), (0.5, 4.0), (4.0, 10.5), (0.0, 11.0))
OF_POWER = Tolerance(rtol=2e-6, atol=2e-6, of=_variance, floor=1e-40)


@op(9, OF_POWER, tries=IN_BAND)
def band_power(w: Window, f0_hz: float, f1_hz: float) -> float:
    """Mean power of the frequencies f0 <= f < f1 [square of x's unit]: sum of the one-sided periodogram.

    P[k] = c |X[k]|^2 / n^2 at f = k * rate / n, c = 1 for DC and Nyquist, else 2; X the plain DFT of the window, or of
    the window times the channel's taper over the taper's rms. All bins together are the mean square (Parseval).

    Args:
        w: The window.
        f0_hz: 0..rate/2.
        f1_hz: Above f0; above rate/2 to take Nyquist in: by a bin, rate/n, at most where a program is made.
    """
    power, n = _power(w), len(w.x)
    k = np.arange(len(power))
    inside = (k * w.rate_hz >= f0_hz * n) & (k * w.rate_hz < f1_hz * n)  # exact: no division
    return float(np.sum(power[inside]))


@op(35, Tolerance(rtol=1e-7, atol=3e-6, of=_rate))
def spectral_centroid(w: Window) -> float:
    """Mean frequency, sum f P / sum P over the bins above DC, 0..rate/2 [Hz]; constant: 0.

    Source: Peeters, A large set of audio features, 2004, 6.1, on the power spectrum.
    """
    bins = _above_dc(w)
    return float(np.sum(bins[0] * bins[1]) / np.sum(bins[1])) if bins else 0.0


@op(36, Tolerance(rtol=1e-6, atol=3e-6, of=_rate))
def spectral_spread(w: Window) -> float:
    """Deviation from the centroid, sqrt(sum (f - centroid)^2 P / sum P), 0..rate/4 [Hz]; constant: 0.

    Source: as spectral_centroid.
    """
    bins = _above_dc(w)
    if not bins:
        return 0.0
    frequency, power = bins
    square = np.square(frequency - np.sum(frequency * power) / np.sum(power))
    return math.sqrt(float(np.sum(square * power) / np.sum(power)))


def _rolloff(w: Window, fraction: float) -> float:
    bins = _above_dc(w)
    if not bins:
        return 0.0
    frequency, power = bins
    sums = np.cumsum(power)
    at = int(np.searchsorted(sums, fraction * sums[-1]))
    return float(frequency[min(at, len(frequency) - 1)])


def _rolloff_step(w: Window, fraction: float) -> float:
    return _rolloff(w, fraction + 4e-6) - _rolloff(w, fraction - 4e-6) + 1e-7 * w.rate_hz


@op(37, Tolerance(rtol=1e-7, atol=1.0, of=_rolloff_step), tries=((0.85,), (0.5,), (0.99,)))
def spectral_rolloff(w: Window, fraction: float) -> float:
    """Least f below or at which `fraction` of the power above DC lies, 0 < fraction < 1 [Hz]; constant: 0.

    Tolerance: the exact answer for a fraction within 4e-6. Source: Peeters 2004, 6.1.6; librosa spectral_rolloff.
    """
    return _rolloff(w, fraction)


def _levels(w: Window) -> Values | None:
    bins = _above_dc(w)
    return np.maximum(bins[1] / np.mean(bins[1]), 1e-8) if bins else None


def _flatness_error(w: Window) -> float:
    """What one unit of amplitude error in every bin [rms of the spectrum] makes."""
    levels = _levels(w)
    return 0.0 if levels is None else spectral_flatness(w) * float(np.mean(1.0 / np.sqrt(levels)))


@op(38, Tolerance(rtol=3e-5, atol=2e-6, of=_flatness_error))
def spectral_flatness(w: Window) -> float:
    """Geometric over arithmetic mean of P above DC, 0..1 [1]; constant: 0.

    A bin counts as at least 1e-8 of the mean bin (-80 dB): below lies the rounding of a float32 transform.
    Source: Gray, Markel 1974; librosa spectral_flatness (power 2).
    """
    levels = _levels(w)
    return 0.0 if levels is None else min(1.0, math.exp(float(np.mean(np.log(levels)))))


@op(39, Tolerance(floor=1e-5))
def spectral_entropy(w: Window) -> float:
    """Entropy of p = P / sum P above DC over that of a flat spectrum, -sum p ln p / ln(n/2), 0..1 [1]; constant: 0.

    With one bin (n = 2 or 3) there is nothing to spread over: 0. Source: Inouye et al. 1991; antropy spectral_entropy.
    """
    bins = _above_dc(w)
    if not bins or len(bins[1]) < 2:
        return 0.0
    p = bins[1] / np.sum(bins[1])
    return float(-np.sum(p[p > 0] * np.log(p[p > 0])) / math.log(len(p)))


def _near_greatest(w: Window) -> float:
    """Distance to the farthest bin that rounding cannot tell from the greatest [Hz]."""
    bins = _above_dc(w)
    if not bins:
        return 0.0
    frequency, power = bins
    rivals = frequency[power >= (1 - 1e-5) * np.max(power)]
    return float(np.max(np.abs(rivals - frequency[np.argmax(power)]))) + 1e-7 * w.rate_hz


@op(40, Tolerance(rtol=1e-7, atol=1.0, of=_near_greatest))
def dominant_frequency(w: Window) -> float:
    """Frequency of the greatest P above DC, the lowest of equals [Hz]; constant: 0.

    Tolerance: any bin within 1e-5 of the greatest power.
    """
    bins = _above_dc(w)
    return float(bins[0][np.argmax(bins[1])]) if bins else 0.0


@op(41, OF_POWER)
def dominant_power(w: Window) -> float:
    """The greatest P above DC [square of x's unit]; a tone of amplitude a on a bin gives a^2/2."""
    return float(np.max(_power(w)[1:]))


@op(42, Tolerance(rtol=1e-6, atol=1e-6, of=_variance, floor=1e-40), tries=((3.0,), (0.01,), (9.99,)))
def goertzel(w: Window, f_hz: float) -> float:
    """Power at one frequency, 2/n^2 |sum (x - mean) exp(-2 pi i f t)|^2, 0 < f < rate/2 [square of x's unit].

    P at a bin, and what lies between the bins; a tone of amplitude a gives about a^2/2. The mean is taken off, as in
    the spectrum, so that it does not leak. Source: Goertzel 1958 (the number; not his recursion).
    """
    turns = f_hz / w.rate_hz * np.arange(len(w.x))
    total = np.sum((w.x - np.mean(w.x)) * np.exp(-2j * np.pi * turns))
    return float(2.0 * np.abs(total) ** 2 / len(w.x) ** 2)
