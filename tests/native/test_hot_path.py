"""The path of every block of frames: what it allocates, and what it reads of the core's memory."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from array import array
from pathlib import Path

import pytest

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel
from edge_runtime.features import build_program
from edge_runtime.native._er import ffi
from edge_runtime.native.stream import DECISION
from tests.csrc.targets import CSRC, RECIPE, need

WINDOW, CHANNELS = 64, 3
FEATURES = ("mean", "std", "median", "iqr", "mad", "kurtosis", "spectral_entropy", "band_power(0,4)", "goertzel(3)")


def stream_and_frames() -> tuple[native.Stream, array[float]]:
    columns = [Channel(name=f"c{i}", unit="x") for i in range(CHANNELS)]
    program = build_program(columns, rate_hz=20.0, window_frames=WINDOW, hop_frames=WINDOW, features=FEATURES)
    frames = array("f", [(i * 7919 % 1000) / 500 - 1 for i in range(WINDOW * CHANNELS)])
    return native.Stream(program, Policy(thresholds_ppm=(0,))), frames


def run(stream: native.Stream, frames: array[float], windows: int, keep: list[object] | None = None) -> None:
    for _ in range(windows):
        for start in range(0, WINDOW, 16):
            stream.step(frames, start, 16)
        decision = stream.decide((1.0,))
        if keep is not None:
            keep.append(decision)


def growth(windows: int, keep: list[object] | None = None) -> int:
    """Blocks that Python holds after so many windows and did not before."""
    stream, frames = stream_and_frames()
    run(stream, frames, 10)
    gc.collect()  # of the tests before: what is freed in between would hide as many blocks
    before = sys.getallocatedblocks()
    run(stream, frames, windows, keep)
    return sys.getallocatedblocks() - before


def test_a_stream_holds_no_more_after_a_thousand_windows() -> None:
    assert growth(1000) <= 20, "a few blocks are the interpreter's own"


@pytest.mark.planted
def test_a_held_decision_is_counted() -> None:
    """The negative control: the same count sees what a stream would leave behind."""
    assert growth(1000, keep=[]) >= 1000


def test_a_block_of_frames_costs_no_memory_of_its_size() -> None:
    """What a call needs for a moment is numbers and a pointer: less than one channel of a block."""
    stream, frames = stream_and_frames()
    run(stream, frames, 10)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        run(stream, frames, 100)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 1024


def test_the_core_calls_nothing_but_memory_moves(tmp_path: Path) -> None:
    """No allocation, because nothing that allocates is linked: the undefined symbols of the whole core."""
    need("gcc", "nm")
    sources = sorted(map(str, CSRC.glob("er_*.c")))
    subprocess.run(["gcc", *RECIPE, "-c", *sources], cwd=tmp_path, check=True)
    subprocess.run(["ld", "-r", *sorted(tmp_path.glob("*.o")), "-o", "whole.o"], cwd=tmp_path, check=True)
    done = subprocess.run(["nm", "-u", "whole.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
    called = {line.split()[-1] for line in done.stdout.splitlines()}
    assert called <= {"memchr", "memcmp", "memcpy", "memmove", "memset"}


def test_a_decision_is_read_as_the_header_lays_it_out() -> None:
    assert DECISION.size == ffi.sizeof("er_decision")
    out = ffi.new("er_decision *", {"window": 1 << 40, "label": -1, "vote": 3, "margin": 0.25, "flags": 5})
    assert DECISION.unpack(ffi.buffer(out)) == (1 << 40, -1, 3, 0.25, 5)
