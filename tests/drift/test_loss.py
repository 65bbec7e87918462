"""What a change is expected to cost, from sampled records and their scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.drift.loss import expected, fair, weighted


def test_a_weighted_sample_tells_the_mean_of_all_and_an_unweighted_one_does_not() -> None:
    """Unsure windows are kept four times as often; of 300 samples about 285 intervals hold the truth."""
    rng = np.random.default_rng(1)
    scores = rng.beta(8, 1.5, size=20_000)
    chance = np.where(scores < 0.8, 0.04, 0.01)
    truth = float(scores.mean())
    held, plain = 0, []
    for _ in range(300):
        kept = rng.random(len(scores)) < chance
        found = weighted(scores[kept].tolist(), chance[kept].tolist())
        held += found.low <= truth <= found.high
        plain.append(float(scores[kept].mean()))
    assert held >= 280  # Wilson's interval is for 0 and 1; chances in between vary less
    assert abs(float(np.mean(plain)) - truth) > 0.05


def test_by_hand() -> None:
    found = weighted([1.0, 0.0], [0.5, 0.25])
    assert math.isclose(found.value, 2 / 6)
    assert 0.0 <= found.low < found.value < found.high <= 1.0
    sure = weighted([1.0] * 50, [1.0] * 50)
    assert (sure.value, sure.high, sure.records) == (1.0, 1.0, 50)
    assert 0.9 < sure.low < 0.95


def test_the_score_of_the_decided_label_counts_and_abstaining_does_not() -> None:
    rows = [(0, [0.9, 0.1], 1.0, "a"), (1, [0.4, 0.6], 1.0, "b"), (-1, [0.5, 0.5], 1.0, "a")]
    found = expected(rows)
    assert found is not None
    assert (found.value, found.records) == (0.75, 2)


@pytest.mark.parametrize("scores", [[1.5, -0.5], [3.0, 1.0], [20.25]])
def test_scores_that_are_no_probabilities_promise_nothing(scores: list[float]) -> None:
    assert expected([(0, [0.5, 0.5], 1.0, "a"), (0, scores, 1.0, "a")]) is None
    assert expected([]) is None
    assert expected([(-1, [0.5, 0.5], 1.0, "a")]) is None


def test_a_chatty_device_has_at_most_twice_its_share_of_a_mean() -> None:
    """Nine devices are always right; the tenth is wrong, and sends a hundred times as much."""
    values, owners = [1.0] * 9 + [0.0] * 100, [f"d{n}" for n in range(9)] + ["loud"] * 100
    assert math.isclose(weighted(values, [1.0] * 109).value, 9 / 109)
    assert math.isclose(weighted(values, [1.0] * 109, owners).value, 0.8)
    rows = [(0, [value, 1.0 - value], 1.0, owner) for value, owner in zip(values, owners, strict=True)]
    found = expected(rows)
    assert found is not None
    assert math.isclose(found.value, 0.8)


@given(st.lists(st.tuples(st.floats(0.01, 1e4), st.sampled_from("abcdefgh")), min_size=1, max_size=40))
def test_no_owner_of_three_or_more_has_more_than_twice_an_even_share(given_: list[tuple[float, str]]) -> None:
    weights, owners = [weight for weight, _ in given_], [owner for _, owner in given_]
    out, n = fair(weights, owners), len(set(owners))
    of = {name: math.fsum(w for w, owner in zip(out, owners, strict=True) if owner == name) for name in owners}
    if n >= 3:
        assert max(of.values()) <= 2 / n * math.fsum(out) * (1 + 1e-9)
    whole = {name: math.fsum(w for w, o in zip(weights, owners, strict=True) if o == name) for name in owners}
    cut = {name for name in of if of[name] < whole[name] * (1 - 1e-9)}
    assert all(math.isclose(of[name], max(of.values())) for name in cut), "only as far down as needed"
    assert all(new <= old for new, old in zip(out, weights, strict=True))
