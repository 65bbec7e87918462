"""From raw scores to probabilities, as the trainers end. One rule: the same functions in the same order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cloud_trainer.export.steps import Builder, Normalise, Pair, Softmax, Span, Unary


def sigmoid(b: Builder, raw: Span) -> Span:
    """[1 - p, p] of one raw score."""
    return second_of(b, b.over(Unary(function="logistic"), raw))


def second_of(b: Builder, p: Span) -> Span:
    """[1 - p, p]."""
    return b.new(Pair(), p, 2)


def sigmoid_or_softmax(b: Builder, raw: Span) -> Span:
    """Two classes have one raw score, more have one each."""
    return sigmoid(b, raw) if raw.n == 1 else b.over(Softmax(), raw)


def one_against_rest(b: Builder, raw: Span) -> Span:
    """A sigmoid each, normalised."""
    return sigmoid(b, raw) if raw.n == 1 else b.over(Normalise(), b.over(Unary(function="logistic"), raw))


def signed(b: Builder, raw: Span) -> Span:
    """Decision values as scores: of two classes [-d, d]."""
    return b.new(Pair(is_signed=True), raw, 2) if raw.n == 1 else raw


def either_side(b: Builder, decision: Span) -> Span:
    """[d, -d]: the scores of normal and outlier, of a decision that is negative for outliers."""
    return b.new(Pair(is_signed=True), b.new(Unary(function="neg"), decision, 1), 2)


def plain(_: Builder, raw: Span) -> Span:
    """As they are."""
    return raw


End = Callable[[Builder, Span], Span]
LINKS: Final[dict[str, End]] = {
    "identity": plain,
    "log": lambda b, raw: b.over(Unary(function="exp"), raw),
}
