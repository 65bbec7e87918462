"""Has the meaning of the labels moved? A bet that the model errs more often than its own scores say. Pure.

Of a calibrated model with score s for the decided label, P(wrong | s) = 1 - s, whatever the inputs do and however the
records to label were chosen by their scores. So each label gives a term x = wrong - (1 - s) - tolerance in -2..1 with a
mean of at most 0, and the product of 1 + bet x is a test martingale: it passes 1/alpha with a chance of alpha, ever.
Half of the money is bet small, half large: the mean of two martingales is one.
Source: Waudby-Smith, Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86(1), 2024.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

ALPHA: Final = 0.01  # one model in a hundred whose concept never moved is accused, in all its life
TOLERANCE: Final = 0.03  # by so much scores may promise too much, on average
BETS: Final = (0.1, 0.4)  # below 1/2, so that no term makes the product 0


def log_evidence(labels: Iterable[tuple[float, bool]]) -> float:
    """Log of the greatest value that the martingale had.

    Args:
        labels: (score of the decided label 0..1, it was right) of each labelled record, oldest first.
    """
    logs = [0.0] * len(BETS)
    top = 0.0
    for score, is_right in labels:
        x = (0.0 if is_right else 1.0) - (1.0 - score) - TOLERANCE
        logs = [log + math.log1p(bet * x) for log, bet in zip(logs, BETS, strict=True)]
        most = max(logs)
        top = max(top, most + math.log(math.fsum(math.exp(log - most) for log in logs) / len(BETS)))
    return top


def has_moved(log_e: float) -> bool:
    """The evidence passes 1/alpha."""
    return log_e >= -math.log(ALPHA)
