"""Every stream filter gives the series its reference gives, however it is cut. A new one changes nothing here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Filter, Program
from edge_runtime.features.reference.filters import FILTERS, FilterReference

RATE = 20.0
MEAN, LAST = 1, 32
POLICY = Policy(thresholds_ppm=(0,))
NAN_BITS = 0x7FC00000
ALL = [(each, params) for each in FILTERS.values() for params in each.tries]
each_case = pytest.mark.parametrize(("each", "params"), ALL, ids=[f"{f.name}{p}" for f, p in ALL])


def program(each: FilterReference, params: tuple[float, ...], window: int, hop: int) -> Program:
    """Mean and newest sample of the derived channel."""
    return Program(
        rate_hz=RATE,
        channels=tuple(Channel(name=f"c{i}", unit="x") for i in range(each.n_sources)),
        filters=(Filter(name="f", op=each.id, sources=tuple(range(each.n_sources)), params=params),),
        window_frames=window,
        hop_frames=hop,
        features=tuple(Feature(name=f"f.{op}", op=op, channel=each.n_sources) for op in (MEAN, LAST)),
    )


def series(each: FilterReference, frames: NDArray[np.float32], params: tuple[float, ...]) -> NDArray[np.float32]:
    """Every sample that the core makes: what stands last in the saved state of a window that is not full yet."""
    up, down = each.ratio(*params)
    window = down * (4096 // max(up, down))
    assert len(frames) < window
    stream = native.Stream(program(each, params, window, window), POLICY)
    assert stream.step(np.ascontiguousarray(frames), 0, len(frames)) == len(frames)
    room = np.frombuffer(stream.save(), np.float32)[-window * up // down :]
    return room[: -(-len(frames) * up // down)]


def check(each: FilterReference, frames: NDArray[np.float32], params: tuple[float, ...]) -> None:
    """Within the tolerance that the reference states; one NaN, in the same places."""
    got = series(each, frames, params)
    want = each([frames[:, i].astype(np.float64) for i in range(each.n_sources)], RATE, *params)
    sizes = [np.abs(part[np.isfinite(part)]).max(initial=0) for part in (want, frames)]
    np.testing.assert_allclose(got, want, rtol=0, atol=each.tolerance * max(sizes), equal_nan=True)
    assert set(got.view(np.uint32)[np.isnan(got)]) <= {NAN_BITS}


def test_kernel_and_reference_list_the_same_filters() -> None:
    """A filter added on one side only is caught by name."""
    there = {op.id: op.name for op in native.operators() if op.kind == "filter"}
    assert there == {each.id: each.name for each in FILTERS.values()}


@each_case
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_kernel_is_the_reference_to_its_tolerance(
    each: FilterReference, params: tuple[float, ...], data: st.DataObject
) -> None:
    """With values that are not finite among them, at the start too."""
    elements = st.floats(-1e4, 1e4, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])
    n = data.draw(st.integers(1, 200))
    frames = data.draw(hnp.arrays(np.float32, (n, each.n_sources), elements=elements, fill=st.just(np.float32(1.5))))
    check(each, frames, params)


@each_case
@pytest.mark.parametrize(("offset", "size"), [(0.0, 1.0), (9.81, 0.01), (-1e6, 100.0)])
def test_kernel_is_the_reference_on_long_signals(
    each: FilterReference, params: tuple[float, ...], offset: float, size: float
) -> None:
    """Noise on an offset with a drift, a number lost now and then."""
    rng = np.random.default_rng(each.id)
    frames = offset + size * (rng.standard_normal((2000, each.n_sources)) + np.linspace(0, 3, 2000)[:, None])
    frames[rng.integers(0, 2000, 7), 0] = np.nan
    check(each, frames.astype(np.float32), params)


@each_case
def test_any_cut_and_any_save_is_one_series(each: FilterReference, params: tuple[float, ...]) -> None:
    """One frame at a time, in pieces, in one go, and saved and restored between: the same bits, and the same state."""
    rng = np.random.default_rng(each.id)
    frames = rng.standard_normal((600, each.n_sources)).astype(np.float32)
    frames[rng.integers(0, 600, 5), 0] = np.nan
    up, down = each.ratio(*params)
    of = program(each, params, 4 * max(up, down) // up * down, down)
    want, states = native.batch(of, frames).tobytes(), set()
    for cut in (1, 7, 64, 600):
        stream, got = native.Stream(of, POLICY), b""
        at = 0
        while at < len(frames):
            at += stream.step(frames, at, min(cut, len(frames) - at))
            if stream.status == "more":
                saved = stream.save()
                stream = native.Stream(of, POLICY)
                stream.restore(saved)
                continue
            if stream.status == "scores":
                stream.decide((1.0,))
            got += bytes(stream.features)
        assert got == want
        states.add(stream.save())
    assert len(states) == 1
