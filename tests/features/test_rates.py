"""Channels of different rates in one program: the very numbers of separate programs, each at its own rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Filter, Program
from edge_runtime.errors import ContractError
from edge_runtime.features.reference import FILTERS, OPS
from edge_runtime.features.reference.filters import FilterReference

Frames = NDArray[np.float32]
Chosen = tuple[FilterReference, tuple[float, ...]]
POLICY = Policy(thresholds_ppm=(0,))
RATE, EVERY, WINDOW, HOP = 100.0, 50, 400, 100
LAST, DECIMATE, LOWPASS, RESAMPLE, SUBTRACT, MAGNITUDE = 32, 1002, 1007, 1013, 1016, 1014
OF_ONE = [op for op in native.operators() if op.kind == "window" and op.n_sources[1] == 1]


def filter_of(name: str, op: int, *sources: int, params: tuple[float, ...] = ()) -> Filter:
    return Filter(name=name, op=op, sources=sources, params=params)


def features_of(channels: Sequence[int]) -> tuple[Feature, ...]:
    """Every window operator on each channel."""
    return tuple(
        Feature(name=f"{c}.{op.name}", op=op.id, channel=c, params=params_of(op.id)) for c in channels for op in OF_ONE
    )


def params_of(op: int) -> tuple[float, ...]:
    """Small ones: a window of 8 samples at 2 Hz takes them too."""
    small = {9: (0.2, 0.8), 42: (0.5,), 23: (2.0,), 43: (4.0,)}
    return small.get(op, next(iter(OPS[op].tries)))


def fits(rate: float, window: int, hop: int, op: int) -> bool:
    """Some operators want longer windows or higher rates."""
    try:
        native.check_program(alone(rate, window, hop, (), (Feature(name="f", op=op, channel=0, params=params_of(op)),)))
    except ContractError:
        return False
    return True


def alone(rate: float, window: int, hop: int, filters: tuple[Filter, ...], features: tuple[Feature, ...]) -> Program:
    return Program(
        rate_hz=rate,
        channels=(Channel(name="c", unit="x"),),
        filters=filters,
        window_frames=window,
        hop_frames=hop,
        features=features,
    )


def table(of: Program, frames: Frames) -> NDArray[np.uint32]:
    """Bits of the features, one row a window."""
    made = native.batch(of, np.ascontiguousarray(frames))
    return np.frombuffer(made, np.uint32).reshape(-1, len(of.features))


def play(stream: native.Stream, frames: Frames, cuts: Sequence[int]) -> bytes:
    """Every feature vector, the frames given in pieces of `cuts`, over and over."""
    out, at, turn = b"", 0, 0
    while at < len(frames):
        at += stream.step(frames, at, min(cuts[turn % len(cuts)], len(frames) - at))
        turn += 1
        if stream.status == "scores":
            stream.decide((1.0,))
        if stream.status == "decision":
            out += bytes(stream.features)
    return out


OF_ONE = [op for op in OF_ONE if op.id in OPS and fits(RATE / EVERY, WINDOW // EVERY, HOP // EVERY, op.id)]

MIXED = Program(
    rate_hz=RATE,
    channels=(Channel(name="acc", unit="g"), Channel(name="temperature", unit="degC", every=EVERY)),
    filters=(
        filter_of("acc.low", LOWPASS, 0, params=(12.0, 0.7071)),
        filter_of("acc.tenth", DECIMATE, 2, params=(10.0,)),
        filter_of("temperature.low", LOWPASS, 1, params=(0.2, 0.7071)),
        filter_of("acc.40", RESAMPLE, 0, params=(2.0, 5.0)),
    ),
    window_frames=WINDOW,
    hop_frames=HOP,
    features=features_of(range(6)),
)
"""An accelerometer at 100 Hz beside a thermometer at 2 Hz, with a channel at 10 Hz and one at 40 Hz made of it."""


def recording(seed: int, n: int) -> Frames:
    """What stands between two temperatures must not count: it is not even a number."""
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((n, 2)).astype(np.float32)
    frames[np.arange(n) % EVERY != 0, 1] = np.nan
    return frames


def separate(frames: Frames) -> NDArray[np.uint32]:
    """The features of MIXED by programs of one channel at one rate."""
    acc, temperature = frames[:, :1], frames[::EVERY, 1:]
    low = filter_of("low", LOWPASS, 0, params=(12.0, 0.7071))
    tenth = filter_of("tenth", DECIMATE, 1, params=(10.0,))
    slow = filter_of("low", LOWPASS, 0, params=(0.2, 0.7071))
    forty = filter_of("forty", RESAMPLE, 0, params=(2.0, 5.0))
    fast = (RATE, WINDOW, HOP)
    rare = (RATE / EVERY, WINDOW // EVERY, HOP // EVERY)
    parts = [
        table(alone(*fast, (), features_of([0])), acc),
        table(alone(*rare, (), features_of([0])), temperature),
        table(alone(*fast, (low,), features_of([1])), acc),
        table(alone(*fast, (low, tenth), features_of([2])), acc),
        table(alone(*rare, (slow,), features_of([1])), temperature),
        table(alone(*fast, (forty,), features_of([1])), acc),
    ]
    return np.hstack(parts)


def test_each_channel_gives_the_numbers_of_a_program_of_its_own() -> None:
    """All window operators that 8 samples at 2 Hz take, on six channels of four rates."""
    frames = recording(1, 2000)
    got, want = table(MIXED, frames), separate(frames)
    assert got.shape == (17, 6 * len(OF_ONE))
    assert len(OF_ONE) > 30
    assert (got == want).all()


def test_a_channel_made_slower_by_hand_is_the_same_channel() -> None:
    """decimate(10) and every=10 hold the same samples at the same rate."""
    x = np.random.default_rng(2).standard_normal((800, 1)).astype(np.float32)
    made = alone(RATE, 400, 100, (filter_of("tenth", DECIMATE, 0, params=(10.0,)),), features_of([1]))
    assert (table(made, x) == table(alone(RATE / 10, 40, 10, (), features_of([0])), x[::10])).all()


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(1, 500), min_size=1, max_size=5), middle=st.integers(0, 1500), seed=st.integers(0, 9))
def test_any_cut_and_a_save_in_the_middle_change_nothing(cuts: list[int], middle: int, seed: int) -> None:
    """The bits of the batch, whatever the cutting and wherever it was saved."""
    frames = recording(seed, 1500)
    want = table(MIXED, frames).tobytes()
    first, second = native.Stream(MIXED, POLICY), native.Stream(MIXED, POLICY)
    before = play(first, frames[:middle], cuts)
    second.restore(first.save())
    assert before + play(second, np.ascontiguousarray(frames[middle:]), cuts) == want


ONES = [(each, params) for each in FILTERS.values() if each.n_sources == 1 for params in each.tries]


def row_of(
    chosen: Sequence[tuple[FilterReference, tuple[float, ...]]], source: int, columns: int
) -> tuple[Filter, ...]:
    """Filters one after another, the first on column `source`."""
    return tuple(
        filter_of(f"f{i}", each.id, columns + i - 1 if i else source, params=params)
        for i, (each, params) in enumerate(chosen)
    )


@settings(max_examples=60, deadline=None)
@given(
    chosen=st.lists(st.sampled_from(ONES), min_size=1, max_size=3),
    every=st.sampled_from([1, 2, 4, 5, 10]),
    cut=st.integers(1, 130),
)
def test_filters_by_chance_over_a_slow_channel(chosen: list[Chosen], every: int, cut: int) -> None:
    """A row of up to three filters over a channel of any rate equals the row over that channel alone."""
    n = len(chosen)
    mixed = Program(
        rate_hz=20.0 * every,
        channels=(Channel(name="a", unit="x"), Channel(name="b", unit="x", every=every), Channel(name="c", unit="x")),
        filters=row_of(chosen, 1, 3),
        window_frames=100 * every,
        hop_frames=50 * every,
        features=(Feature(name="last", op=LAST, channel=2 + n),),
    )
    single = alone(20.0, 100, 50, row_of(chosen, 0, 1), (Feature(name="last", op=LAST, channel=n),))
    frames = np.random.default_rng(every).standard_normal((1500, 3)).astype(np.float32)
    try:
        native.check_program(single)
    except ContractError:
        with pytest.raises(ContractError):
            native.check_program(mixed)
        return
    want = table(single, frames[::every, 1:2]).tobytes()
    assert table(mixed, frames).tobytes() == want
    assert play(native.Stream(mixed, POLICY), frames, [cut]) == want


# ---- what cannot be


def refusal(*filters: Filter, every: int = EVERY, window: int = WINDOW, hop: int = HOP) -> str:
    """What check_program says of these filters over the two channels, with its hint."""
    channels = (Channel(name="acc", unit="g"), Channel(name="temperature", unit="degC", every=every))
    mean = (Feature(name="mean", op=1, channel=0),)
    of = Program(rate_hz=RATE, channels=channels, filters=filters, window_frames=window, hop_frames=hop, features=mean)
    with pytest.raises(ContractError) as why:
        native.check_program(of)
    return f"{why.value} {why.value.hint}"


def test_a_rate_that_does_not_divide_window_and_hop_is_named() -> None:
    said = refusal(every=30)
    assert "channel temperature: every 30 does not divide window 400 and hop 100" in said
    assert "multiples of 30" in said


def test_two_sources_of_different_rates_are_named() -> None:
    said = refusal(filter_of("both", SUBTRACT, 0, 1))
    assert "filter both: acc has 100 samples/s, temperature 2" in said
    assert "decimate or resample" in said
    third = refusal(filter_of("all", MAGNITUDE, 0, 0, 1))
    assert "filter all: acc has 100 samples/s, temperature 2" in third


def test_a_corner_above_the_channels_own_nyquist_is_named() -> None:
    said = refusal(filter_of("low", LOWPASS, 1, params=(1.0, 0.7071)))
    assert "filter low: parameters (1.0, 0.7071) are out of range at 2 frames/s" in said
    assert "2e-05 <= f < 1 [Hz]" in said
    tenth = filter_of("tenth", DECIMATE, 0, params=(10.0,))
    said = refusal(tenth, filter_of("low", LOWPASS, 2, params=(5.0, 0.7071)))
    assert "at 10 frames/s" in said
    assert "f < 5 [Hz]" in said


def test_a_ratio_without_whole_samples_is_named() -> None:
    said = refusal(filter_of("third", DECIMATE, 0, params=(3.0,)))
    assert "filter third: decimate(3) makes no whole number of samples, 2..4096, of acc" in said
    assert "at 100 frames/s, window 400 and hop 100" in said
    said = refusal(filter_of("fast", RESAMPLE, 0, params=(32.0, 1.0)))
    assert "filter fast: resample(32, 1) makes no whole number of samples, 2..4096" in said


def test_equal_rates_that_come_at_other_frames_are_named() -> None:
    half, back = filter_of("half", DECIMATE, 0, params=(2.0,)), filter_of("back", RESAMPLE, 2, params=(2.0, 1.0))
    said = refusal(half, back, filter_of("both", SUBTRACT, 0, 3))
    assert "filter both: acc and back have 100 samples/s, but not with the same frames" in said


def test_equal_rates_by_other_ways_meet() -> None:
    """The thermometer beside the accelerometer brought to its rate."""
    slow = filter_of("slow", DECIMATE, 0, params=(float(EVERY),))
    both = filter_of("both", SUBTRACT, 2, 1)
    of = Program(
        rate_hz=RATE,
        channels=MIXED.channels,
        filters=(slow, both),
        window_frames=WINDOW,
        hop_frames=HOP,
        features=(Feature(name="last", op=LAST, channel=3),),
    )
    frames = recording(3, 1000)
    want = frames[::EVERY, 0] - frames[::EVERY, 1]
    assert (table(of, frames)[:, 0].view(np.float32) == want[7::2]).all()
