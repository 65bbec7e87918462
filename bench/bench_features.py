"""Features: all nine operators, the core against the reference in numpy. Group = size; unit of work = one window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_runtime import native
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


@each_size
def test_core(benchmark: Any, channels: int, window: int) -> None:
    """One window through a stream, its features ready."""
    from edge_runtime.contract.manifest import Policy

    program, frames = case(channels, window)
    stream = native.Stream(program, Policy(thresholds_ppm=(0,)))

    def one_window() -> None:
        stream.step(frames, 0, window)
        stream.decide((1.0,))

    benchmark.group = f"features {channels} channels, window {window}"
    benchmark(one_window)


@each_size
def test_numpy(benchmark: Any, channels: int, window: int) -> None:
    """The same window through the reference operators."""
    program, frames = case(channels, window)

    def one_window() -> list[float]:
        columns = [Window(x=frames[:, c].astype(np.float64), rate_hz=20.0) for c in range(channels)]
        return [OPS[f.op](columns[f.channel], *f.params) for f in program.features]

    benchmark.group = f"features {channels} channels, window {window}"
    benchmark(one_window)
