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
LAST = 32
"""Operator `last`: the newest sample of a window. With a hop of one sample it spells the series out."""
ALL = [(each, params) for each in FILTERS.values() for params in each.tries]
each_case = pytest.mark.parametrize(("each", "params"), ALL, ids=[f"{f.name}{p}" for f, p in ALL])


def program(each: FilterReference, params: tuple[float, ...]) -> Program:
    """`last` of the derived channel, once a sample that comes out (or as often as whole samples allow)."""
    up, down = each.ratio(*params)
    window = 2 * down if up == 1 else down
    return Program(
        rate_hz=RATE,
        channels=tuple(Channel(name=f"c{i}", unit="x") for i in range(each.n_sources)),
        filters=(Filter(name="f", op=each.id, sources=tuple(range(each.n_sources)), params=params),),
        window_frames=max(window, 2),
        hop_frames=down,
        features=(Feature(name="f.last", op=LAST, channel=each.n_sources),),
    )


def series(each: FilterReference, frames: NDArray[np.float32], params: tuple[float, ...]) -> NDArray[np.float64]:
    """What the core gives: one value a window."""
    made = native.batch(program(each, params), np.ascontiguousarray(frames))
    return np.frombuffer(made, np.float32).astype(np.float64)


def expected(each: FilterReference, frames: NDArray[np.float32], params: tuple[float, ...]) -> NDArray[np.float64]:
    """The reference, at the same samples; where a window holds a NaN the feature is NaN."""
    up, down = each.ratio(*params)
    whole = each([frames[:, i].astype(np.float64) for i in range(each.n_sources)], RATE, *params)
    of = program(each, params)
    n, hop = of.window_frames * up // down, of.hop_frames * up // down
    rows = 1 + (len(frames) - of.window_frames) // of.hop_frames
    starts = [row * hop for row in range(rows)]
    return np.array([whole[s + n - 1] if np.isfinite(whole[s : s + n]).all() else np.nan for s in starts])


def test_kernel_and_reference_list_the_same_filters() -> None:
    """A filter added on one side only is caught by name."""
    there = {op.id: op.name for op in native.operators() if op.kind == "filter"}
    assert there == {each.id: each.name for each in FILTERS.values()}


@each_case
@settings(max_examples=40)
@given(data=st.data())
def test_kernel_is_the_reference_to_its_tolerance(
    each: FilterReference, params: tuple[float, ...], data: st.DataObject
) -> None:
    """With values that are not finite among them."""
    elements = st.floats(-1e4, 1e4, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])
    n = data.draw(st.integers(2 * max(each.ratio(*params)) + 2, 200))
    frames = data.draw(hnp.arrays(np.float32, (n, each.n_sources), elements=elements, fill=st.just(np.float32(1.5))))
    got, want = series(each, frames, params), expected(each, frames, params)
    sizes = [np.abs(part[np.isfinite(part)]).max(initial=0) for part in (want, frames)]
    np.testing.assert_allclose(got, want, rtol=0, atol=each.tolerance * max(sizes), equal_nan=True)


@each_case
def test_any_cut_and_any_save_is_one_series(each: FilterReference, params: tuple[float, ...]) -> None:
    """One frame at a time, in pieces, in one go, and saved and restored between: the same bits."""
    rng = np.random.default_rng(each.id)
    frames = rng.standard_normal((600, each.n_sources)).astype(np.float32)
    frames[rng.integers(0, 600, 5), 0] = np.nan
    of, policy = program(each, params), Policy(thresholds_ppm=(0,))
    want = native.batch(of, frames).tobytes()
    for cut in (1, 7, 64, 600):
        stream, got = native.Stream(of, policy), b""
        at = 0
        while at < len(frames):
            at += stream.step(frames, at, min(cut, len(frames) - at))
            if stream.status == "more":
                saved = stream.save()
                stream = native.Stream(of, policy)
                stream.restore(saved)
                continue
            if stream.status == "scores":
                stream.decide((1.0,))
            got += bytes(stream.features)
        assert got == want
