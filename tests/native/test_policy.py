"""From scores to a label: the core against a model of twenty lines, and the rules one by one."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from tests.native.small import pass_through

ABSTAIN = -1


def decide_all(policy: Policy, scores: list[list[float]]) -> list[native.Decision]:
    """One decision a row of scores, by the core; a row of None-like NaN frames is not made here."""
    stream = native.Stream(pass_through(), policy)
    frames = memoryview(array("f", bytes(4 * (len(scores) + 1))))
    out, at = [], 0
    for row in scores:
        at += stream.step(frames, at, len(scores) + 1 - at)
        assert stream.status == "scores"
        out.append(stream.decide(row))
    return out


def model(policy: Policy, rows: list[list[float]]) -> list[tuple[int, int]]:
    """(label, vote) of each row, as csrc/er_policy.c words it."""
    votes: list[int] = []
    label, age, out = ABSTAIN, 0, []
    for row in rows:
        best = int(np.argmax(row))
        least = policy.thresholds_ppm[best]
        votes.insert(0, best if least == 0 or row[best] * 1e6 >= least else ABSTAIN)
        recent = votes[: policy.n]
        count = Counter(vote for vote in recent if vote != ABSTAIN)
        most = max(count.values(), default=0)
        new = next((v for v in recent if count[v] == most), ABSTAIN) if most >= policy.k else ABSTAIN
        if new != label and (label == ABSTAIN or age >= policy.hold_windows):
            label, age = new, 0
        age += 1
        out.append((label, votes[0]))
    return out


score = st.sampled_from([-0.5, 0.0, 0.2, 0.25, 0.5, 0.5000001, 0.9, 1.0])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Policy, list[list[float]]]:
    classes, n = draw(st.integers(1, 4)), draw(st.integers(1, 16))
    policy = Policy(
        thresholds_ppm=tuple(draw(st.sampled_from([0, 250_000, 500_000, 900_000])) for _ in range(classes)),
        k=draw(st.integers(1, n)),
        n=n,
        hold_windows=draw(st.sampled_from([0, 1, 2, 5, 65535])),
    )
    return policy, draw(st.lists(st.lists(score, min_size=classes, max_size=classes), min_size=1, max_size=60))


@given(cases())
@settings(max_examples=200, deadline=None)
def test_the_core_does_what_the_model_does(case: tuple[Policy, list[list[float]]]) -> None:
    policy, rows = case
    got = decide_all(policy, rows)
    assert [(d.label, d.vote) for d in got] == model(policy, rows)
    assert [d.window for d in got] == list(range(len(rows)))


def labels(policy: Policy, votes: str, classes: int = 3) -> str:
    """Labels for a story of votes: a letter scores 1 for its class, '-' nothing for any."""
    rows = [[1.0 if "abc"[c] == vote else 0.0 for c in range(classes)] for vote in votes]
    return "".join("-" if d.label == ABSTAIN else "abc"[d.label] for d in decide_all(policy, rows))


@pytest.mark.parametrize(
    ("k", "n", "hold", "votes", "want"),
    [
        (1, 1, 0, "ab-c", "ab-c"),
        (2, 3, 0, "aababb", "-aaabb"),
        (2, 3, 0, "aabc-c", "-aa--c"),
        (2, 4, 0, "aabb", "-aab"),  # equal votes: the last voted for
        (1, 4, 0, "ab--", "abbb"),
        (1, 1, 3, "abbbb", "aaabb"),  # a label stays 3 windows
        (1, 1, 3, "a----", "aaa--"),  # abstain, too, waits
        (1, 1, 3, "-a", "-a"),  # abstain itself gives way at once
        (1, 1, 3, "a---b", "aaa-b"),
    ],
)
def test_vote_and_hold_by_example(k: int, n: int, hold: int, votes: str, want: str) -> None:
    policy = Policy(thresholds_ppm=(500_000,) * 3, k=k, n=n, hold_windows=hold)
    assert labels(policy, votes) == want


def test_the_first_of_equal_scores_wins_and_a_threshold_is_reached_at_equality() -> None:
    policy = Policy(thresholds_ppm=(500_000, 0))
    (equal, below) = decide_all(policy, [[0.5, 0.5], [0.49, 0.49]])
    assert (equal.vote, equal.margin) == (0, 0.0)
    assert below.vote == ABSTAIN


def test_a_threshold_of_0_asks_for_nothing() -> None:
    """Decision values and minus distances may all be negative."""
    (decision,) = decide_all(Policy(thresholds_ppm=(0, 0)), [[-3.0, -2.0]])
    assert (decision.label, decision.margin) == (1, 1.0)
    assert decide_all(Policy(thresholds_ppm=(1, 1)), [[-3.0, -2.0]])[0].label == ABSTAIN


def test_margin_is_the_best_minus_the_second() -> None:
    policy = Policy(thresholds_ppm=(0, 0, 0))
    assert [d.margin for d in decide_all(policy, [[0.25, 0.5, 0.125], [1.0, 0.0, 0.0]])] == [0.25, 1.0]
    assert decide_all(Policy(thresholds_ppm=(0,)), [[0.75]])[0].margin == 0.75


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_abstains_with_its_flag(bad: float) -> None:
    for row in ([bad, 0.5], [0.5, bad]):
        (decision,) = decide_all(Policy(thresholds_ppm=(0, 0)), [row])
        assert decision == native.Decision(0, ABSTAIN, ABSTAIN, 0.0, 1)
