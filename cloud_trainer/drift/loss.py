"""What a change costs, before any label is there: the accuracy that the scores themselves promise. Pure.

Of a calibrated classifier the decided label's score is the chance that it is right, so its mean is the accuracy to
expect (confidence-based performance estimation, CBPE). Records are a weighted sample: each stands for 1/p windows
(Hájek's ratio; its interval is Wilson's at the effective number of records, (sum w)^2 / sum w^2).

What it assumes: the scores are calibrated probabilities, and only the inputs have moved. Where the meaning of a label
has moved, scores are as sure as ever; only labels tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Z95: Final = 1.959963984540054
ASSUMES: Final = "if the scores are calibrated and only inputs moved"  # stands beside every figure of these
ROUNDING: Final = 1e-3  # how far the sum of a row's probabilities may be from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """An estimated share of right decisions, with its 95 % interval."""

    value: float
    low: float
    high: float
    records: int  # of the field that it rests on


def expected(rows: Sequence[tuple[int, Sequence[float], float, str]]) -> Accuracy | None:
    """The accuracy that scores promise.

    Args:
        rows: (label or -1 for abstain, scores, probability that the record was kept, its device) of each record.

    Returns:
        None where no label was decided, or the scores are no probabilities.
    """
    decided = [row for row in rows if row[0] >= 0]
    if not decided or not all(are_probabilities(scores) for _, scores, _, _ in decided):
        return None
    sure = [scores[label] for label, scores, _, _ in decided]
    return weighted(sure, [p for _, _, p, _ in decided], [device for *_, device in decided])


def are_probabilities(scores: Sequence[float]) -> bool:
    """None below 0, and 1 together."""
    return abs(sum(scores) - 1.0) <= ROUNDING and min(scores) >= 0.0


def fair(weights: Sequence[float], owners: Sequence[str]) -> list[float]:
    """The weights, those of each owner with more than twice an even share of all scaled down to twice."""
    of: dict[str, float] = {}
    for weight, owner in zip(weights, owners, strict=True):
        of[owner] = of.get(owner, 0.0) + weight
    scale = fair_scales(of)
    return [weight * scale[owner] for weight, owner in zip(weights, owners, strict=True)]


def fair_scales(of: Mapping[str, float]) -> dict[str, float]:
    """By how much each owner's weight is scaled, 0..1.

    Of one or two owners none is. With the k heaviest of n cut to c each, c = 2/n of the sum of the rest and k c.
    """
    heaviest, rest, n = sorted(of.values(), reverse=True), math.fsum(of.values()), len(of)
    if n < 3:
        return dict.fromkeys(of, 1.0)
    most, cut = 2 * rest / n, 0
    while heaviest[cut] > most:
        rest -= heaviest[cut]
        cut += 1
        most = 2 * rest / (n - 2 * cut)
    return {owner: min(1.0, most / weight) for owner, weight in of.items()}


def weighted(values: Sequence[float], probabilities: Sequence[float], owners: Sequence[str] | None = None) -> Accuracy:
    """The mean of values 0..1 over everything that the records were drawn from.

    Args:
        values: One a record, at least one.
        probabilities: That it was kept, over 0 up to 1.
        owners: The device of each: none has more than twice an even share (`fair`); None asks for no such bound.
    """
    weights = [1.0 / p for p in probabilities]
    if owners is not None:
        weights = fair(weights, owners)
    return of_sums(
        total=math.fsum(weights), value=math.fsum(w * v for w, v in zip(weights, values, strict=True)),
        square=math.fsum(w * w for w in weights), records=len(values),
    )  # fmt: skip


def of_sums(*, total: float, value: float, square: float, records: int) -> Accuracy:
    """The same from the sums of weights w, of w times the value, and of w squared."""
    mean = min(1.0, value / total)
    n = total * total / square
    centre = (mean + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * math.sqrt(mean * (1 - mean) / n + Z95**2 / (4 * n * n)) / (1 + Z95**2 / n)
    return Accuracy(value=mean, low=max(0.0, centre - half), high=min(1.0, centre + half), records=records)
