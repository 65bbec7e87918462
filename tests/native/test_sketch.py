"""The sketch of times: the core's bins, two per cent everywhere, merging that loses nothing, on bytes too."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract.sketch import LIMIT_NS, N_BINS, bin_of, least_of, merged, quantile, value_of
from edge_runtime.errors import ContractError
from edge_runtime.native import Sketch, sketch

times = st.lists(st.integers(0, 10**9) | st.integers(0, 2**64 - 1) | st.integers(0, 40), max_size=60)
EDGES = [least_of(number) for number in range(N_BINS)]


def count(some: list[int]) -> dict[int, int]:
    made = Sketch()
    for ns in some:
        made.add(ns)
    return dict(zip(*made.counts(), strict=True))


def test_the_core_and_the_reader_have_the_same_bins() -> None:
    """At both ends of every bin, at powers of two, and anywhere."""
    rng = random.Random(1)
    some = [ns for edge in EDGES for ns in (edge, edge - 1) if ns >= 0]
    some += [ns for e in range(64) for ns in (2**e - 1, 2**e, 2**e + 1)]
    some += [rng.randrange(2 ** rng.randrange(1, 64)) for _ in range(3000)]
    assert sketch.N_BINS == N_BINS
    for ns in some:
        assert count([ns]) == {bin_of(ns): 1}, ns


def test_a_value_is_within_two_per_cent_of_all_that_its_bin_holds() -> None:
    """Of every bin, both ends; bins follow one another without a hole."""
    assert all(a <= b for a, b in pairwise(EDGES))
    held = {number for number in range(1, N_BINS) if bin_of(least_of(number)) == number}
    assert len(held) > 600
    for number in held:
        low, high = least_of(number), least_of(number + 1) - 1 if number < N_BINS - 1 else LIMIT_NS - 1
        for ns in (low, high):
            assert abs(value_of(number) - ns) <= 0.02 * ns, (number, ns)
    assert value_of(0) == 0.0


@given(times, st.lists(st.integers(0, 60), max_size=4))
def test_any_split_merges_to_the_sketch_of_the_whole(some: list[int], cuts: list[int]) -> None:
    marks = [0, *sorted(min(cut, len(some)) for cut in cuts), len(some)]
    assert merged([count(some[a:b]) for a, b in pairwise(marks)]) == count(some)


@given(st.lists(st.integers(1, LIMIT_NS - 1), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_a_quantile_is_within_two_per_cent_of_the_true_one(some: list[int], q: float) -> None:
    true = sorted(some)[max(0, -int(-q * len(some) // 1) - 1)]
    assert abs(quantile(count(some), q) - true) <= 0.02 * true


def test_no_times_have_no_quantile_and_a_saved_sketch_goes_on() -> None:
    assert quantile({}, 0.5) != quantile({}, 0.5)
    first, second = Sketch(), Sketch()
    for ns in (0, 15_000, 15_100, 2**60):
        first.add(ns)
    second.restore(first.save())
    assert second.counts() == first.counts() == ((0, bin_of(15_000), N_BINS - 1), (1, 2, 1))
    first.reset()
    assert first.counts() == ((), ())
    with pytest.raises(ContractError, match="saved sketch: 3 bytes, want 2804"):
        second.restore(b"abc")
