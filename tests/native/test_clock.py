"""Frames with times: the core's clock against its plain meaning, in batch and live, however it is cut."""

from __future__ import annotations

import dataclasses
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Filter, Program
from edge_runtime.contract.timing import TIME_POLICIES, Timing
from edge_runtime.errors import ContractError
from edge_runtime.features.reference.clock import Regular, frames_of, regular

EMA, DECIMATE = (next(op for op in native.operators() if op.name == name) for name in ("ema", "decimate"))
POLICY = Policy(thresholds_ppm=(0,), k=2, n=3, hold_windows=1)
LARGE = 2**63 - 1


def program_of(timing: Timing, *, rate_hz: float = 20.0, window: int = 12, hop: int = 4) -> Program:
    """A quick channel, filters with a state on it, and a channel of a fourth of the rate."""
    return Program(
        rate_hz=rate_hz,
        channels=(Channel(name="a", unit="g", scale=0.5, offset=1.0), Channel(name="b", unit="K", every=4)),
        window_frames=window,
        hop_frames=hop,
        features=(
            Feature(name="a.mean", op=1, channel=0),
            Feature(name="a.max", op=5, channel=0),
            Feature(name="b.mean", op=1, channel=1),
            Feature(name="smooth.last", op=32, channel=2),
            Feature(name="slow.max", op=5, channel=3),
        ),
        filters=(
            Filter(name="smooth", op=EMA.id, sources=(0,), params=EMA.example),
            Filter(name="slow", op=DECIMATE.id, sources=(2,), params=DECIMATE.example),
        ),
        timing=timing,
    )


@st.composite
def recordings(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Frames with gaps, duplicates, late frames, drift, steps of the clock and nonsense, most of them good."""
    n = draw(st.integers(1, 250))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = np.full(n, 50_000 * draw(st.floats(0.97, 1.03)))
    bad = rng.random(n)
    steps[bad < 0.06] *= rng.integers(2, 14, n)[bad < 0.06]  # gaps
    steps[bad > 0.985] += rng.choice([-3_600e6, 86_400e6, -4e5], n)[bad > 0.985]  # steps of the clock
    times = (draw(st.integers(-(2**60), 2**60)) + np.cumsum(steps).astype(np.int64)).astype(np.int64)
    times += rng.integers(0, 1 + draw(st.integers(0, 60_000)), n)  # jitter: from none to far too much
    for i in np.flatnonzero((bad > 0.06) & (bad < 0.12)):
        times[i] = times[max(0, int(i) - int(rng.integers(1, 4)))]  # duplicates and late ones
    for at in draw(st.lists(st.integers(0, n - 1), max_size=2)):
        times[at] = draw(st.sampled_from([-LARGE - 1, LARGE, 0, 2**61, -(2**61)]) | st.integers(-LARGE - 1, LARGE))
    return rng.standard_normal((n, 2)).astype(np.float32), times


timings = st.builds(
    Timing, policy=st.sampled_from(TIME_POLICIES[1:]), most_frames=st.sampled_from([1, 2, 5, 12, 40, 65535])
)


def meaning(program: Program, frames: NDArray[np.float32], times: NDArray[np.int64]) -> tuple[Regular, bytes]:
    """The grid by the reference, and the rows of its stretches by the core without times."""
    policy, most = program.timing.policy, program.timing.most_frames
    grid = regular(times.tolist(), rate_hz=program.rate_hz, policy=policy, most=most)
    plain = dataclasses.replace(program, timing=Timing())
    rows = b""
    for stretch in grid.stretches:
        x = frames_of(stretch, frames, policy=policy, every=[channel.every for channel in program.channels])
        rows += native.batch(plain, np.ascontiguousarray(x).reshape(-1)).tobytes()
    return grid, rows


def spans_of(grid: Regular, program: Program) -> list[tuple[int, int, bool, bool]]:
    """(first, last, is filled, is after a reset) of every window."""
    out = []
    for k, stretch in enumerate(grid.stretches):
        for at in range(0, len(stretch) - program.window_frames + 1, program.hop_frames):
            window = stretch[at : at + program.window_frames]
            is_filled = any(entry.place for entry in window)
            out.append((window[0].left, window[-1].right, is_filled, k > 0 and at == 0))
    return out


@given(recording=recordings(), timing=timings)
@settings(max_examples=400, deadline=None)
def test_the_rows_of_a_recording_are_those_of_the_meaning(
    recording: tuple[NDArray[np.float32], NDArray[np.int64]], timing: Timing
) -> None:
    frames, times = recording
    if timing.most_frames == 65535:  # the meaning is slow: no fill as long as that
        times = times[np.abs(times - times[0]) < 2_000_000_000]
        frames = frames[: len(times)]
    program = program_of(timing)
    grid, rows = meaning(program, frames, times)
    walked = native.batch_at(program, frames.reshape(-1), times)
    assert walked.clock == (grid.duplicates, grid.late, grid.filled, grid.resets)
    assert walked.values.tobytes() == rows
    flags = [(bool(flag & native.FILLED), bool(flag & native.RESET)) for flag in walked.flags]
    got = [(*span, *flag) for span, flag in zip(zip(walked.first, walked.last, strict=True), flags, strict=True)]
    assert got == spans_of(grid, program)


def live(
    program: Program, frames: NDArray[np.float32], times: NDArray[np.int64], cuts: list[int], *, saves: bool
) -> tuple[list[tuple[bytes, native.Decision]], native.Stream]:
    """Every window of a stream that gets blocks of these lengths, over and over, saved and restored between them."""
    stream, out, at, turn = native.Stream(program, POLICY), [], 0, 0
    flat, moments = memoryview(array("f", frames.tobytes())), memoryview(array("q", times.tobytes()))
    while at < len(times):
        n = min(cuts[turn % len(cuts)], len(times) - at)
        turn += 1
        at += stream.step(flat, at, n, moments)
        if stream.status == "scores":
            stream.decide([1.0])
        if stream.status == "decision":
            out.append((bytes(stream.features), stream.decision))
        if saves:
            fresh = native.Stream(program, POLICY)
            fresh.restore(stream.save())
            stream = fresh
    return out, stream


@given(
    recording=recordings(),
    timing=timings,
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    saves=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_cutting_and_saving_gives_the_bits_of_the_batch(
    recording: tuple[NDArray[np.float32], NDArray[np.int64]], timing: Timing, cuts: list[int], saves: bool
) -> None:
    """Also a restore in the middle of a fill: a block of one frame that fills several windows is cut there."""
    frames, times = recording
    if timing.most_frames == 65535:
        timing = Timing(policy=timing.policy, most_frames=300)
    program = program_of(timing)
    walked = native.batch_at(program, frames.reshape(-1), times)
    windows, stream = live(program, frames, times, cuts, saves=saves)
    assert b"".join(features for features, _ in windows) == walked.values.tobytes()
    assert [d.flags & (native.FILLED | native.RESET) for _, d in windows] == list(walked.flags)
    assert [d.window for _, d in windows] == list(range(len(windows)))
    assert stream.clock == walked.clock
    assert stream.frames == len(times)


def test_without_times_frames_stand_one_period_apart() -> None:
    frames = np.random.default_rng(2).standard_normal((100, 2)).astype(np.float32)
    for policy in TIME_POLICIES[1:]:
        program = program_of(Timing(policy=policy, most_frames=3))
        plain = native.batch(program_of(Timing()), frames.reshape(-1))
        assert native.batch_at(program, frames.reshape(-1), None).values == plain
        assert native.batch(program, frames.reshape(-1)) == plain
        even = (np.arange(100) * 50_000).astype(np.int64)
        assert native.batch_at(program, frames.reshape(-1), even).values == plain


def test_without_a_policy_times_are_ignored() -> None:
    frames = np.random.default_rng(2).standard_normal((100, 2)).astype(np.float32)
    times = np.random.default_rng(3).integers(-LARGE, LARGE, 100)
    walked = native.batch_at(program_of(Timing()), frames.reshape(-1), times)
    assert walked.values == native.batch(program_of(Timing()), frames.reshape(-1))
    assert list(walked.first) == [4 * row for row in range(23)]
    assert list(walked.last) == [4 * row + 11 for row in range(23)]


def test_marked_windows_abstain_and_no_others() -> None:
    frames = np.ones((100, 2), np.float32)
    times = (np.arange(100) * 50_000).astype(np.int64)
    times[50:] += 150_000
    walked = native.batch_at(program_of(Timing(policy="mark", most_frames=3)), frames.reshape(-1), times)
    values = np.frombuffer(walked.values, np.float32).reshape(-1, 5)
    assert [bool(flag & native.FILLED) for flag in walked.flags] == np.isnan(values[:, 0]).tolist()
    assert 3 <= sum(np.isnan(values[:, 0])) <= 4


def test_wrong_times_are_refused() -> None:
    program, frames = program_of(Timing(policy="hold", most_frames=3)), array("f", bytes(4 * 2 * 10))
    with pytest.raises(ValueError, match="times: 9 for 10 frames"):
        native.batch_at(program, frames, array("q", range(9)))
    with pytest.raises(ValueError, match=r"contiguous int64 \[µs\], got format 'd'"):
        native.batch_at(program, frames, array("d", range(10)))
    with pytest.raises(ValueError, match="no whole number of frames"):
        native.batch_at(program, array("f", [1.0]), None)
    stream = native.Stream(program, POLICY)
    with pytest.raises(ValueError, match=r"outside the 0\.\.9 of times"):
        stream.step(frames, 0, 10, array("q", range(9)))


def test_times_are_read_anew_at_every_step() -> None:
    """Bound once, not copied: a source may refill one block, or hand out another."""
    stream = native.Stream(program_of(Timing(policy="hold", most_frames=50)), POLICY)
    frames, times = array("f", bytes(8)), array("q", [0])
    for k in range(5):
        times[0] = k * 100_000
        stream.step(frames, 0, 1, times)
    stream.step(frames, 0, 1, array("q", [500_000]))
    assert stream.clock == (0, 0, 5, 0)


def test_another_timing_is_another_stream() -> None:
    one = native.Stream(program_of(Timing(policy="hold", most_frames=5)), POLICY)
    other = native.Stream(program_of(Timing(policy="hold", most_frames=6)), POLICY)
    with pytest.raises(ContractError, match="timing was Timing"):
        other.adopt(one)
    with pytest.raises(ContractError, match="do not have one shape"):
        other.restore(one.save())
