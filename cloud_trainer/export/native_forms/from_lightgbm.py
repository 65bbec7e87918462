"""LightGBM's trees: float64 thresholds, `<=`, float64 sums in the trees' order. Read from the booster's own dump."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from cloud_trainer.export.native_forms import ends
from cloud_trainer.export.native_forms.forests import added
from cloud_trainer.export.native_forms.form import Form, Source, thresholds, unfolded
from cloud_trainer.export.steps import Affine, Builder, Span, Unary
from cloud_trainer.export.trees import F64, Tree, tree_of
from edge_runtime.errors import ContractError

_ZERO: Final = float(np.float32(1e-35))  # kZeroThreshold: an input within it is read as 0


def _sigmoid(b: Builder, raw: Span, slope: float) -> Span:
    span = raw if slope == 1 else b.over(Affine(mul=np.full(raw.n, slope)), raw)
    return b.over(Unary(function="logistic"), span)


LINKS: Final[dict[str, Callable[[Builder, Span, float], Span]]] = {
    "binary": lambda b, raw, slope: ends.second_of(b, _sigmoid(b, raw, slope)),
    "multiclass": lambda b, raw, _: ends.sigmoid_or_softmax(b, raw),
    "multiclassova": _sigmoid,
    "regression": lambda _b, raw, _: raw,
    "regression_l1": lambda _b, raw, _: raw,
    "huber": lambda _b, raw, _: raw,
    "fair": lambda _b, raw, _: raw,
    "quantile": lambda _b, raw, _: raw,
    "mape": lambda _b, raw, _: raw,
    "poisson": lambda b, raw, _: b.over(Unary(function="exp"), raw),
    "gamma": lambda b, raw, _: b.over(Unary(function="exp"), raw),
    "tweedie": lambda b, raw, _: b.over(Unary(function="exp"), raw),
}
"""Objective -> from raw scores to the answer."""
WITHOUT_LINK: Final = ("cross_entropy", "cross_entropy_lambda", "lambdarank", "rank_xendcg", "xentropy", "xentlambda")
"""Objectives that a project may name, though they have none; others are other words for those of `LINKS`."""


def _scores(model: Any, source: Source, b: Builder) -> Span:
    raw, objective, slope = _linked(model, source, b)
    return LINKS[objective](b, raw, slope)


def _raw(model: Any, source: Source, b: Builder) -> Span:
    return _linked(model, source, b)[0]


def _linked(model: Any, source: Source, b: Builder) -> tuple[Span, str, float]:
    """(raw scores, objective, its slope)."""
    dump, source = model.booster_.dump_model(), unfolded(source, b)
    objective, *words = dump["objective"].split()
    params = dict(word.split(":") for word in words if ":" in word)
    if objective not in LINKS or "sqrt" in words or "is_linear=1" in model.booster_.model_to_string():
        raise ContractError(
            f"{type(model).__name__}: objective {dump['objective']!r} or its linear trees are not exported",
            hint=f"use one of {', '.join(LINKS)}, and constant leaves",
        )
    trees = [_tree(one["tree_structure"], source, type(model).__name__) for one in dump["tree_info"]]
    raw = added(b, source, trees, np.zeros(dump["num_tree_per_iteration"]))
    return raw, objective, float(params.get("sigmoid", 1))


def _tree(structure: dict[str, Any], source: Source, name: str) -> Tree:
    nodes: list[dict[str, Any]] = []

    def number(node: dict[str, Any]) -> int:
        at = len(nodes)
        nodes.append(node)
        if "left_child" in node:
            node["left"], node["right"] = number(node["left_child"]), number(node["right_child"])
        return at

    number(structure)
    for node in nodes:
        if node.get("decision_type", "<=") != "<=" or node.get("missing_type") == "Zero":
            raise ContractError(
                f"{name}: splits on categories and zero_as_missing are not exported",
                hint="declare no categorical_feature, and leave zero_as_missing off",
            )

    def column(key: str, otherwise: float) -> Any:
        return np.array([node.get(key, otherwise) for node in nodes])

    feature, asked = column("split_feature", 0).astype(np.int64), column("threshold", 0.0).astype(np.float64)

    def goes_left(z: F64) -> Any:
        return np.where(np.abs(z) <= _ZERO, 0.0, z) <= asked

    # Where training saw no hole in a feature, a NaN is read as 0.
    told = column("default_left", 0).astype(bool)
    has_holes = np.array([node.get("missing_type") == "NaN" for node in nodes])
    return tree_of(
        column("left", -1).astype(np.int64),
        column("right", -1).astype(np.int64),
        feature,
        thresholds(source, feature, goes_left),
        np.where(has_holes, told, asked >= 0),
        value=column("leaf_value", 0.0).astype(np.float64).reshape(-1, 1),
    )


def _why_not(model: Any) -> str | None:
    if model.boosting_type == "rf":
        return "boosting_type='rf' is not exported; use 'gbdt' or RandomForestClassifier"
    if callable(model.objective) or model.objective in WITHOUT_LINK:
        return f"objective={model.objective!r} is not exported; use one of {', '.join(LINKS)}"
    return None


FORMS: dict[str, Form] = {
    "LGBMClassifier": Form(scores=_scores, decision=_raw, why_not=_why_not),
    "LGBMRegressor": Form(scores=_scores, why_not=_why_not),
}
