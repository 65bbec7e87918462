"""MFCC of one frame: 512 samples at 16 kHz, 40 mels, 13 coefficients. Group = the task; unit of work = one frame.

Rivals: librosa as its users call it, at its best settings for one frame; librosa with its filter bank made once; and
numpy with scipy written by hand, all tables made once, in float32.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Program
from edge_runtime.features import build_program

RATE, FRAME, MELS, COEFFICIENTS = 16000, 512, 40, 13


def program() -> Program:
    return build_program(
        [Channel(name="sound", unit="1")],
        rate_hz=RATE,
        window_frames=FRAME,
        hop_frames=FRAME,
        features=[f"mfcc({k},{MELS},{FRAME},{FRAME})" for k in range(COEFFICIENTS)],
    )


def sound() -> Any:
    t = np.arange(FRAME) / RATE
    tones = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 3000 * t)
    return (tones + 0.05 * np.random.default_rng(1).standard_normal(FRAME)).astype(np.float32)


def named(benchmark: Any) -> Any:
    benchmark.group = f"MFCC: {FRAME} frame, {MELS} mels, {COEFFICIENTS} coefficients"
    benchmark.extra_info["prefix"] = ""
    return benchmark


def agree(rival: Any) -> None:
    """A rival that computes something else is none [dB]."""
    np.testing.assert_allclose(np.ravel(rival), native.batch(program(), sound()), atol=2e-3)


def by_core() -> Callable[[], None]:
    stream = native.Stream(program(), Policy(thresholds_ppm=(0,)))
    frames = array("f", sound().tobytes())

    def one_frame() -> None:
        stream.step(frames, 0, FRAME)
        stream.decide((1.0,))

    return one_frame


def test_core(benchmark: Any) -> None:
    """One window through a stream, its features ready."""
    named(benchmark)(by_core())


def test_librosa(benchmark: Any) -> None:
    """The call of its documentation, with one frame and nothing padded."""
    librosa = pytest.importorskip("librosa", reason="not installed: librosa (dev)")
    y = sound()

    def one_frame() -> Any:
        return librosa.feature.mfcc(
            y=y, sr=RATE, n_mfcc=COEFFICIENTS, n_mels=MELS, n_fft=FRAME, hop_length=FRAME, center=False
        )

    agree(one_frame())
    named(benchmark)(one_frame)


def test_librosa_filters_once(benchmark: Any) -> None:
    """Its own parts, the filter bank made once."""
    librosa = pytest.importorskip("librosa", reason="not installed: librosa (dev)")
    y, bank = sound(), librosa.filters.mel(sr=RATE, n_fft=FRAME, n_mels=MELS)

    def one_frame() -> Any:
        power = np.abs(librosa.stft(y, n_fft=FRAME, hop_length=FRAME, center=False)) ** 2
        return librosa.feature.mfcc(S=librosa.power_to_db(bank @ power, top_db=None), n_mfcc=COEFFICIENTS)

    agree(one_frame())
    named(benchmark)(one_frame)


def test_numpy(benchmark: Any) -> None:
    """By hand: scipy's real FFT in float32, window, filter bank and cosines made once."""
    from scipy import fft  # type: ignore[import-untyped]

    from edge_runtime.features.reference.mel import triangles

    y = sound()
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)
    bank = triangles(MELS, FRAME, RATE).astype(np.float32)
    cosines = fft.dct(np.eye(MELS), norm="ortho", axis=0)[:COEFFICIENTS].astype(np.float32) * np.float32(10)

    def one_frame() -> Any:
        bins = fft.rfft(y * hann)
        power = bins.real**2 + bins.imag**2
        return cosines @ np.log10(np.maximum(bank @ power, np.float32(1e-10)))

    agree(one_frame())
    named(benchmark)(one_frame)
