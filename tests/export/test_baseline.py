from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.export.baseline import baseline_of, bins_of, counts_of, edges_of, neighbours
from edge_runtime import native
from edge_runtime.contract.baseline import Baseline
from tests.export.made import policy, program_of, signal

values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=0, max_size=300)


@given(values)
def test_any_values_give_ascending_float32_edges_and_count_every_value(drawn: list[float]) -> None:
    x = np.array(drawn, np.float32)
    bins = bins_of("f", x, neighbours(np.zeros(len(x)), np.arange(len(x))))
    assert all(a < b for a, b in zip(bins.edges, bins.edges[1:], strict=False))
    assert 2 <= len(bins.edges) <= 11
    assert sum(bins.counts) == len(x)
    assert bins.scale > 0
    assert -1 <= bins.lag1 <= 1


def test_continuous_values_fill_twelve_equal_shares() -> None:
    x = np.random.default_rng(0).normal(size=12_000).astype(np.float32)
    counts = counts_of(x, edges_of(x))
    assert len(counts) == 12
    assert np.abs(counts - 1000).max() <= 1


def test_a_constant_feature_has_one_bin_around_its_value() -> None:
    bins = bins_of("f", np.full(50, 3.0, np.float32), np.zeros((2, 0), np.int64))
    assert bins.counts == (0, 50, 0)
    assert bins.edges == pytest.approx((2.997, 3.003))
    assert (bins.scale, bins.lag1) == (1.0, 0.0)


def test_a_value_that_nearly_all_share_has_a_bin_of_its_own() -> None:
    x = np.concatenate([np.zeros(990), np.arange(1, 11)]).astype(np.float32)
    bins = bins_of("f", x, np.zeros((2, 0), np.int64))
    assert bins.counts == (0, 990, 10)


def test_nan_is_counted_apart() -> None:
    bins = bins_of("f", np.array([1, np.nan, 2, 3], np.float32), np.array([[0, 1, 2], [1, 2, 3]]))
    assert (bins.n_nan, sum(bins.counts)) == (1, 3)


def test_neighbours_stay_within_a_recording_and_skip_gaps() -> None:
    pairs = neighbours(np.array(["b", "a", "a", "a", "b"]), np.array([7, 1, 0, 3, 8]))
    assert pairs.tolist() == [[2, 0], [1, 4]]


def test_autocorrelation_is_that_of_the_series() -> None:
    rng = np.random.default_rng(0)
    x = np.zeros(20_000)
    for i in range(1, len(x)):
        x[i] = 0.8 * x[i - 1] + rng.normal()
    bins = bins_of("f", x.astype(np.float32), neighbours(np.zeros(len(x)), np.arange(len(x))))
    assert bins.lag1 == pytest.approx(0.8, abs=0.02)


def test_bins_count_as_the_core_counts() -> None:
    program, rule = program_of(24, n_channels=3), policy(2)
    frames, _ = signal(0, 4000)
    flat = frames.reshape(-1).data
    x = np.frombuffer(native.batch(program, flat), np.float32).reshape(-1, 24)
    x_scores = np.tile([0.25, 0.75], (len(x), 1))
    made = baseline_of(
        features=x,
        feature_names=[f.name for f in program.features],
        recording=["take"] * len(x),
        window=np.arange(len(x)),
        scores=x_scores,
        score_names=["a", "b"],
        score_rows=np.arange(len(x)),
        label_counts=[0, len(x), 0],
    )
    assert Baseline.from_bytes(made.to_bytes()) == made
    stratum = made.strata[0]
    stream = native.Stream(program, rule, bins=(*stratum.features, *stratum.scores))
    at = 0
    while at < len(frames):
        at += stream.step(flat, at, len(frames) - at)
        if stream.status == "scores":
            stream.decide([0.25, 0.75])
    rows, labels = stream.summary()
    assert [row.counts for row in rows] == [b.counts for b in (*stratum.features, *stratum.scores)]
    assert labels == stratum.label_counts
