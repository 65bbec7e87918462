"""Summaries are exact: numpy's histogram, integer sums, and merging gives what one period would have given."""

from __future__ import annotations

from array import array
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.summary import SummaryRow
from tests.native.small import bins, pass_through, stump_forest

EDGES = (-1.5, -0.5, 0.0, 0.25, 1.0, 2.0)
POLICY = Policy(thresholds_ppm=(600_000, 600_000))
CENTRE, SCALE = np.float32(0.1), np.float32(0.75)


def make(window: int = 2) -> native.Stream:
    rows = [
        bins("c0.max", EDGES, centre=float(CENTRE), scale=float(SCALE)),
        bins("a", (0.0, 0.5, 1.0)),
        bins("b", (0.0, 1.0)),
    ]
    return native.Stream(pass_through(window=window), POLICY, model=stump_forest(1, 2), bins=rows)


def play(stream: native.Stream, x: array[float], start: int, end: int) -> list[tuple[float, tuple[float, ...], int]]:
    """(feature, scores, label) of every window of frames start..end."""
    frames, out = memoryview(x), []
    while start < end:
        start += stream.step(frames, start, end - start)
        if stream.status == "decision":
            out.append((stream.features[0], tuple(stream.scores), stream.decision.label))
    return out


def data(n: int) -> array[float]:
    rng = np.random.default_rng(9)
    x = rng.standard_normal(n).astype(np.float32)
    x[::7] = rng.choice(np.array(EDGES, np.float32), len(x[::7]))  # on the edges
    x[50], x[51], x[90] = np.nan, np.inf, 1e30
    return array("f", x)


def z_of(x: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    z = (x - float(CENTRE)) / float(SCALE) * 65536
    return np.clip(np.sign(z) * np.floor(np.abs(z) + 0.5), -(2**20), 2**20).astype(np.int64)  # type: ignore[no-any-return]


def test_a_row_is_the_histogram_and_the_sums() -> None:
    stream = make()
    seen = play(stream, data(500), 0, 500)
    values = np.array([feature for feature, _, _ in seen])
    x = values[~np.isnan(values)]
    rows, labels = stream.summary()
    row, z = rows[0], z_of(x)
    inner = np.histogram(x, np.array(EDGES))[0]
    assert row.counts == (int((x < EDGES[0]).sum()), *inner.tolist(), int((x > EDGES[-1]).sum()))
    assert (row.n, row.n_nan) == (len(x), int(np.isnan(values).sum()))
    assert (row.min, row.max) == (x.min(), x.max())
    assert (row.first, row.last) == (z[0], z[-1])
    assert (row.sum, row.sum_sq, row.sum_lag) == (z.sum(), (z * z).sum(), (z[1:] * z[:-1]).sum())
    assert rows[1].n + rows[1].n_nan == len(seen)
    assert rows[1].n_nan == row.n_nan
    decided = [label for _, _, label in seen]
    assert labels == (decided.count(0), decided.count(1), decided.count(-1))


def test_a_score_of_one_is_in_the_last_bin() -> None:
    stream = native.Stream(
        pass_through(), POLICY, bins=[bins("f", EDGES), bins("a", (0.0, 0.5, 1.0)), bins("b", (0.0, 1.0))]
    )
    stream.step(array("f", [0, 0]), 0, 2)
    stream.decide((1.0, -0.5))
    assert [row.counts for row in stream.summary()[0]] == [(0, 0, 0, 1, 0, 0, 0), (0, 0, 1, 0), (1, 0, 0)]


def merge(a: SummaryRow, b: SummaryRow) -> SummaryRow:
    """Two periods as one: what first and last are for."""
    if not (a.n and b.n):
        return replace(a if a.n else b, n_nan=a.n_nan + b.n_nan)
    return SummaryRow(
        n=a.n + b.n,
        n_nan=a.n_nan + b.n_nan,
        min=min(a.min, b.min),
        max=max(a.max, b.max),
        first=a.first,
        last=b.last,
        sum=a.sum + b.sum,
        sum_sq=a.sum_sq + b.sum_sq,
        sum_lag=a.sum_lag + b.sum_lag + a.last * b.first,
        counts=tuple(x + y for x, y in zip(a.counts, b.counts, strict=True)),
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 500), max_size=6))
@example([10])
@example([50, 51, 90])
def test_any_split_merges_to_the_bits_of_one_pass(cuts: list[int]) -> None:
    """Frames 50, 51 and 90 give no number, so some parts have no values at all."""
    one, two, x = make(), make(), data(500)
    play(one, x, 0, 500)
    whole, labels = one.summary()
    merged: tuple[SummaryRow, ...] | None = None
    added: tuple[int, ...] = (0, 0, 0)
    for start, end in pairwise([0, *sorted(cuts), 500]):
        play(two, x, start, end)
        rows, some = two.summary()
        two.reset_summary()
        merged = rows if merged is None else tuple(map(merge, merged, rows))
        added = tuple(map(sum, zip(added, some, strict=True)))
    assert merged is not None
    assert [repr(row) for row in merged] == [repr(row) for row in whole]
    assert added == labels


def test_an_empty_period_counts_nothing() -> None:
    rows, labels = make().summary()
    assert labels == (0, 0, 0)
    assert [(row.n, row.n_nan, row.sum, row.first, row.last) for row in rows] == [(0, 0, 0, 0, 0)] * 3
    assert all(np.isnan([row.min, row.max]).all() for row in rows)


def test_without_a_baseline_there_are_labels_only() -> None:
    stream = native.Stream(pass_through(), POLICY, model=stump_forest(1, 2))
    play(stream, data(100), 0, 100)
    rows, labels = stream.summary()
    assert rows == ()
    assert sum(labels) == 99
