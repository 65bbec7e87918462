"""Estimators over estimators: calibration, one against the rest, voting. Each member reads the same source."""

from __future__ import annotations

from typing import Any

import numpy as np

from cloud_trainer.export.native_forms.form import Form, Source
from cloud_trainer.export.steps import Affine, Blend, Builder, Dense, Lerp, Normalise, Pair, Span, Unary, Vote
from edge_runtime.errors import ContractError


def _scores(estimator: Any, source: Source, b: Builder) -> Span:
    from cloud_trainer.export.native_forms import table

    return table.scores(estimator, source, b)


def _decision(estimator: Any, source: Source, b: Builder) -> Span | None:
    from cloud_trainer.export.native_forms import table

    return table.decision(estimator, source, b)


def _first_why_not(members: list[Any]) -> str | None:
    from cloud_trainer.export.native_forms import table

    return next((why for why in map(table.why_not, members) if why), None)


def _blend(b: Builder, parts: list[Span], weights: Any) -> Span:
    weight = np.ones(len(parts)) if weights is None else np.asarray(weights, np.float64)
    return b.new(Blend(weight=weight, total=float(weight.sum())), b.joined(parts), parts[0].n)


# ---- CalibratedClassifierCV


def _calibrated(model: Any, source: Source, b: Builder) -> Span:
    return _blend(b, [_calibrated_one(one, source, b) for one in model.calibrated_classifiers_], None)


def _calibrated_one(one: Any, source: Source, b: Builder) -> Span:
    if len(one.estimator.classes_) != len(one.classes):
        raise ContractError(
            f"CalibratedClassifierCV: a fold saw {len(one.estimator.classes_)} of {len(one.classes)} classes",
            hint="lower cv, or record more of the rare label",
        )
    raw = _decision(one.estimator, source, b)
    if raw is None:
        raw = _scores(one.estimator, source, b)
        raw = Span(raw.at + 1, 1) if raw.n == 2 else raw
    raw = b.over(Affine(mul=np.ones(raw.n)), raw) if raw.at < b.features.n else raw
    span = (_sigmoids if one.method == "sigmoid" else _isotonics)(one.calibrators, raw, b)
    return b.new(Pair(), span, 2) if span.n == 1 else b.over(Normalise(), span)


def _sigmoids(calibrators: list[Any], raw: Span, b: Builder) -> Span:
    """expit(-(a * d + b)). Source: Platt, 1999."""
    slopes, offsets = (np.array([float(getattr(c, key)) for c in calibrators]) for key in ("a_", "b_"))
    span = b.over(Affine(mul=slopes, add=offsets), raw)
    return b.over(Unary(function="logistic"), b.over(Unary(function="neg"), span))


def _isotonics(calibrators: list[Any], raw: Span, b: Builder) -> Span:
    return b.over(Lerp(curves=tuple(_curve(c.X_thresholds_, c.y_thresholds_) for c in calibrators)), raw)


def _curve(x: Any, y: Any) -> tuple[Any, Any]:
    """Of one point, a level line."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return (x, y) if len(x) > 1 else (np.array([x[0], x[0] + 1]), np.array([y[0], y[0]]))


def _calibrated_why_not(model: Any) -> str | None:
    if model.method not in ("sigmoid", "isotonic"):
        return f"method={model.method!r} is not exported; use 'sigmoid' or 'isotonic'"
    if model.estimator is None:
        return None  # a LinearSVC
    return _first_why_not([model.estimator])


# ---- OneVsRestClassifier


def _one_against_rest(model: Any, source: Source, b: Builder) -> Span:
    """`predict_proba` where the members have it, else their decision values."""
    if model.multilabel_:
        raise ContractError("OneVsRestClassifier: several labels a row are not exported", hint="train one for each")
    if not hasattr(model.estimators_[0], "predict_proba"):
        spans = [_member_decision(one, source, b) for one in model.estimators_]
        return b.new(Pair(is_signed=True), spans[0], 2) if len(spans) == 1 else b.joined(spans)
    parts = [_second(_member_scores(one, source, b)) for one in model.estimators_]
    if len(parts) == 1:
        return b.over(Normalise(of_nothing="kept"), b.new(Pair(), parts[0], 2))
    return b.over(Normalise(of_nothing="kept"), b.joined(parts))


def _second(pair: Span) -> Span:
    return Span(pair.at + 1, 1)


def _constant(value: float, b: Builder) -> Span:
    """A class that every row has, or none: scikit-learn puts a constant there."""
    return b.new(Dense(weights=np.zeros((1, 1)), bias=np.array([value])), Span(0, 1), 1)


def _member_scores(one: Any, source: Source, b: Builder) -> Span:
    if type(one).__name__ == "_ConstantPredictor":
        return b.new(Pair(), _constant(float(one.y_[0]), b), 2)
    return _scores(one, source, b)


def _member_decision(one: Any, source: Source, b: Builder) -> Span:
    raw = _constant(float(one.y_[0]), b) if type(one).__name__ == "_ConstantPredictor" else _decision(one, source, b)
    if raw is None:
        raise ContractError(f"OneVsRestClassifier: {type(one).__name__} has neither probabilities nor decision values")
    return raw


# ---- voting


def _voting_classes(model: Any, source: Source, b: Builder) -> Span:
    """Soft: the mean of the probabilities. Hard: the weights of the members that chose a class."""
    parts = [_scores(one, source, b) for one in model.estimators_]
    weights = _weights(model)
    if model.voting == "soft":
        return _blend(b, parts, weights)
    weight = np.ones(len(parts)) if weights is None else np.asarray(weights, np.float64)
    return b.new(Vote(weight=weight), b.joined(parts), parts[0].n)


def _voting_values(model: Any, source: Source, b: Builder) -> Span:
    return _blend(b, [_scores(one, source, b) for one in model.estimators_], _weights(model))


def _weights(model: Any) -> Any:
    """Of the members that are not dropped."""
    if model.weights is None:
        return None
    return [w for (_, one), w in zip(model.estimators, model.weights, strict=True) if one != "drop"]


def _voting_why_not(model: Any) -> str | None:
    return _first_why_not([one for _, one in model.estimators if not isinstance(one, str)])


FORMS: dict[str, Form] = {
    "CalibratedClassifierCV": Form(scores=_calibrated, why_not=_calibrated_why_not),
    "OneVsRestClassifier": Form(scores=_one_against_rest, why_not=lambda m: _first_why_not([m.estimator])),
    "VotingClassifier": Form(scores=_voting_classes, why_not=_voting_why_not),
    "VotingRegressor": Form(scores=_voting_values, why_not=_voting_why_not),
}
