"""A bet on errors that the scores do not explain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cloud_trainer.labels.concept import ALPHA, has_moved, log_evidence


def series(rng: np.random.Generator, n: int, *, sure: float, wrong_more: float = 0.0) -> list[tuple[float, bool]]:
    """Scores of a calibrated model, and how its decisions came out; `wrong_more` of the right ones are wrong."""
    score = rng.beta(sure, 2.0, n)
    right = (rng.random(n) < score) & (rng.random(n) >= wrong_more)
    return [(float(s), bool(r)) for s, r in zip(score, right, strict=True)]


@pytest.mark.parametrize("chosen", ["all", "least certain"])
def test_moved_inputs_and_chosen_records_are_no_concept_drift(chosen: str) -> None:
    """The scores fall from .9 to .6 half-way; of 200 models at most a few are accused, whoever picks the records."""
    rng = np.random.default_rng(3)
    accused = 0
    for _ in range(200):
        labels = series(rng, 300, sure=18.0) + series(rng, 300, sure=3.0)
        if chosen == "least certain":
            labels = sorted(labels)[:300]
        accused += has_moved(log_evidence(labels))
    assert accused <= 2


def test_a_moved_concept_is_told_within_a_hundred_labels() -> None:
    rng = np.random.default_rng(4)
    needed = []
    for _ in range(40):
        labels = series(rng, 400, sure=18.0, wrong_more=0.25)
        needed.append(next((n for n in range(10, 400, 10) if has_moved(log_evidence(labels[:n]))), 400))
    assert np.median(needed) <= 100


@pytest.mark.planted
def test_believing_every_label_alone_would_accuse_the_innocent() -> None:
    """The planted bug: errors counted against the mean error of training, not against the scores."""
    rng = np.random.default_rng(5)
    accused = 0
    for _ in range(40):
        labels = series(rng, 300, sure=18.0) + series(rng, 300, sure=3.0)
        accused += has_moved(log_evidence([(0.9, right) for _, right in labels]))
    assert accused >= 35


def test_no_label_is_no_evidence_and_one_is_little() -> None:
    assert log_evidence([]) == 0.0
    assert 0.0 < log_evidence([(1.0, False)]) < math.log(1 / ALPHA)
    assert log_evidence([(0.5, True)] * 50) == 0.0
