"""Mel energies and cepstral coefficients, as librosa defines them with center=False; the mean over a window's frames.

A frame is tapered (Hann, periodic; its mean stays in), X its plain DFT. Triangles stand on Slaney's mel scale from 0 to
rate/2, each of area 1 (Auditory Toolbox, 1998). A window holds 1 + (n - frame) // hop frames.

Tolerances: a bin of a float32 transform is off by at most 2e-6 of the root of the frame's tapered energy.
"""

from __future__ import annotations

import numpy as np

from edge_runtime.features.reference.table import Tolerance, Values, Window, op

LEAST = 1e-10
"""Energies count as at least this [x^2/Hz]: -100 dB."""


def _hz(mel: Values) -> Values:
    """Slaney's scale: linear below 1 kHz, 27 steps to a factor of 6.4 above."""
    return np.where(mel < 15, mel / 15 * 1000, 1000 * np.exp2((np.maximum(mel, 15) - 15) * np.log2(6.4) / 27))


def _mel(hz: float) -> float:
    return 15 * hz / 1000 if hz < 1000 else float(15 + 27 * np.log2(hz / 1000) / np.log2(6.4))


def triangles(mels: int, frame: int, rate_hz: float) -> Values:
    """Weights of the bins, shape (mels, frame // 2 + 1); as librosa.filters.mel(norm="slaney", htk=False)."""
    edges = _hz(np.linspace(0, _mel(rate_hz / 2), mels + 2))
    bins = np.arange(frame // 2 + 1) * rate_hz / frame
    low, mid, high = (edges[i : i + mels, None] for i in range(3))
    height = np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid))
    weights: Values = np.maximum(0, height) * 2 / (high - low)
    return weights


def _energies(w: Window, mels: int, frame: int, hop: int) -> tuple[Values, Values]:
    """(energy, what rounding may make of it), each of shape (frames, mels)."""
    n = 1 + (len(w.x) - frame) // hop
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    frames = np.stack([w.x[i * hop : i * hop + frame] for i in range(n)]) * hann
    size = np.abs(np.fft.rfft(frames))
    off = 2e-6 * np.sqrt(np.sum(frames**2, axis=1, keepdims=True))
    weights = triangles(mels, frame, w.rate_hz).T
    energy = size**2 @ weights
    return energy, (2 * size * off + off**2) @ weights + 4e-6 * energy + 1e-37


def _mel_error(w: Window, band: float, mels: float, frame: float, hop: float) -> float:
    return float(np.mean(_energies(w, int(mels), int(frame), int(hop))[1][:, int(band)]))


TRIES = ((0.0, 1.0, 2.0, 1.0), (3.0, 5.0, 16.0, 5.0), (12.0, 40.0, 128.0, 128.0), (1.0, 13.0, 97.0, 10.0))


@op(51, Tolerance(atol=1.0, of=_mel_error), tries=TRIES)
def mel(w: Window, band: float, mels: float, frame: float, hop: float) -> float:
    """Energy under triangle `band` of `mels`, the mean over the window's frames [square of x's unit per Hz].

    Like librosa's, |X|^2 is not divided by the length of a frame. A triangle narrower than a bin may hold none: 0.

    Args:
        w: The window.
        band: Whole, 0..mels-1, from low to high.
        mels: Whole, 1..256; 40 is usual.
        frame: Whole, 2..n samples; 512 is usual.
        hop: Whole, 1..n samples between the starts of two frames.

    Source: librosa.feature.melspectrogram(y, sr, n_fft=frame, hop_length=hop, n_mels=mels, center=False).
    """
    return float(np.mean(_energies(w, int(mels), int(frame), int(hop))[0][:, int(band)]))


def _decibels(energy: Values) -> Values:
    db: Values = 10 * np.log10(np.maximum(energy, LEAST))
    return db


def _log_mel_error(w: Window, band: float, mels: float, frame: float, hop: float) -> float:
    energy, off = (each[:, int(band)] for each in _energies(w, int(mels), int(frame), int(hop)))
    db = _decibels(energy)
    errors = np.maximum(_decibels(energy + off) - db, db - _decibels(np.maximum(energy - off, 0)))
    return float(np.mean(errors + 1e-6 * np.abs(db)))


@op(53, Tolerance(atol=1.0, of=_log_mel_error), tries=TRIES)
def log_mel(w: Window, band: float, mels: float, frame: float, hop: float) -> float:
    """Mel energy in decibels, 10 log10 of at least 1e-10, the mean over the window's frames, -100.. [dB].

    Args:
        w: The window.
        band: As of mel.
        mels: As of mel.
        frame: As of mel.
        hop: As of mel.

    Source: librosa.power_to_db(mel energies, ref=1, amin=1e-10, top_db=None).
    """
    return float(np.mean(_decibels(_energies(w, int(mels), int(frame), int(hop))[0][:, int(band)])))


def _row(coefficient: int, mels: int) -> Values:
    """One row of the orthonormal DCT-II."""
    angles = np.pi * coefficient * (2 * np.arange(mels) + 1) / (2 * mels)
    row: Values = np.cos(angles) * np.sqrt((2 if coefficient else 1) / mels)
    return row


def _mfcc_error(w: Window, coefficient: float, mels: float, frame: float, hop: float) -> float:
    energy, off = _energies(w, int(mels), int(frame), int(hop))
    db = _decibels(energy)
    errors = np.maximum(_decibels(energy + off) - db, db - _decibels(np.maximum(energy - off, 0))) + 1e-6 * np.abs(db)
    return float(np.mean(errors @ np.abs(_row(int(coefficient), int(mels)))))


@op(52, Tolerance(atol=1.0, of=_mfcc_error), tries=TRIES)
def mfcc(w: Window, coefficient: float, mels: float, frame: float, hop: float) -> float:
    """Mel-frequency cepstral coefficient: orthonormal DCT-II of the mel energies in dB, the mean over frames [dB].

    Decibels are 10 log10 of an energy, at least 1e-10; nothing is cut off above that floor (librosa.feature.mfcc cuts
    80 dB below the greatest energy of the whole recording, which no stream can know).

    Args:
        w: The window.
        coefficient: Whole, 0..mels-1; 0..12 are usual.
        mels: As of mel.
        frame: As of mel.
        hop: As of mel.

    Source: Davis, Mermelstein 1980; librosa.feature.mfcc(S=power_to_db(mel energies, top_db=None)).
    """
    levels = _decibels(_energies(w, int(mels), int(frame), int(hop))[0])
    return float(np.mean(levels @ _row(int(coefficient), int(mels))))
