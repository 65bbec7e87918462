"""scikit-learn's trees: single, forests, AdaBoost over them, isolation forests.

They round a scaled row to float32 and compare it with float64 thresholds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.native_forms import ends
from cloud_trainer.export.native_forms.form import Form, Source, thresholds, unfolded
from cloud_trainer.export.steps import Affine, Blend, Builder, Lerp, Softmax, Span, Trees, Unary
from cloud_trainer.export.trees import F64, Tree, tree_of
from edge_runtime.errors import ContractError

_SIDE = 2.0**-50  # over the rounding of a score, under what anyone reads of it


def tree(t: Any, source: Source, value: F64, columns: npt.NDArray[np.int64] | None = None) -> Tree:
    """A fitted `tree_` with leaf values [nodes, width]; `columns`: the features that it was given."""
    feature = np.maximum(t.feature, 0).astype(np.int64)
    feature = feature if columns is None else columns[feature]
    threshold = thresholds(source, feature, lambda z: np.asarray(z.astype(np.float32) <= t.threshold))
    left, right = t.children_left.astype(np.int64), t.children_right.astype(np.int64)
    return tree_of(left, right, feature, threshold, t.missing_go_to_left, value=value)


def added(b: Builder, source: Source, trees: list[Tree], base: F64) -> Span:
    """The trees' leaves, each tree to all outputs or, of one value, to output t % m."""
    m, width = len(base), trees[0].value.shape[1]
    column = tuple(0 if width == m else t % m for t in range(len(trees)))
    return b.new(Trees(trees=tuple(trees), column=column, base=base), source.span, m)


def _leaves(model: Any, t: Any) -> F64:
    """Class fractions [nodes, classes], or values [nodes, outputs] of a regressor."""
    from sklearn.base import is_classifier

    return np.asarray(t.value[:, 0, : model.n_classes_] if is_classifier(model) else t.value[:, :, 0], np.float64)


def _sum(model: Any, members: list[Any], source: Source, b: Builder) -> Span:
    if np.ndim(getattr(model, "n_classes_", 0)):
        raise ContractError(f"{type(model).__name__}: several labels a row are not exported", hint="train one for each")
    source = unfolded(source, b)
    trees = [tree(one.tree_, source, _leaves(model, one.tree_)) for one in members]
    return added(b, source, trees, np.zeros(trees[0].value.shape[1]))


def _single(model: Any, source: Source, b: Builder) -> Span:
    return _sum(model, [model], source, b)


def _forest(model: Any, source: Source, b: Builder) -> Span:
    """Added in double in the trees' order, then divided once."""
    span = _sum(model, model.estimators_, source, b)
    return b.over(Affine(div=np.full(span.n, float(len(model.estimators_)))), span)


def _boosted_votes(model: Any, source: Source, b: Builder) -> Span:
    """AdaBoost's raw scores: of two classes only the second's, since the first is its negative. Source: SAMME, 2009."""
    source, k = unfolded(source, b), model.n_classes_
    trees = []
    for one, weight in zip(model.estimators_, model.estimator_weights_, strict=False):
        best = one.tree_.value[:, 0, :].argmax(axis=1)
        votes = np.where(best[:, None] == np.arange(k), weight, -1 / (k - 1) * weight)
        trees.append(tree(one.tree_, source, votes[:, 1:] if k == 2 else votes))
    span = added(b, source, trees, np.zeros(trees[0].value.shape[1]))
    return b.over(Affine(div=np.full(span.n, model.estimator_weights_.sum())), span)


def _ada_decision(model: Any, source: Source, b: Builder) -> Span:
    span = _boosted_votes(model, source, b)
    return b.over(Affine(mul=np.array([2.0])), span) if span.n == 1 else span


def _ada_scores(model: Any, source: Source, b: Builder) -> Span:
    span = _boosted_votes(model, source, b)
    if span.n == 1:
        return b.over(Softmax(), ends.signed(b, span))
    return b.over(Softmax(), b.over(Affine(div=np.full(span.n, model.n_classes_ - 1.0)), span))


def _ada_why_not(model: Any) -> str | None:
    name = type(model.estimator).__name__
    return None if name in ("NoneType", "DecisionTreeClassifier") else f"only over trees, not over {name}"


def _isolation(model: Any, source: Source, b: Builder) -> Span:
    """[score_samples, decision_function]; a row is an outlier where the second is below 0.

    A leaf's value is its depth, so that one tree step adds what the trainer adds tree by tree.
    """
    from sklearn.ensemble._iforest import _average_path_length

    depth = len(model.estimators_) * _average_path_length([model._max_samples])[0]
    if depth == 0:
        raise ContractError("IsolationForest: max_samples is 1: every row scores the same", hint="raise max_samples")
    source = unfolded(source, b)
    trees = []
    for i, (one, columns) in enumerate(zip(model.estimators_, model.estimators_features_, strict=True)):
        value = model._decision_path_lengths[i] + model._average_path_length_per_tree[i] - 1.0
        trees.append(tree(one.tree_, source, value.reshape(-1, 1), np.asarray(columns, np.int64)))
    total = added(b, source, trees, np.zeros(1))
    side = b.new(Lerp(curves=(_side_of(model, depth),)), total, 1)
    score = b.new(Affine(div=np.array([depth])), total, 1)
    for function in (Unary(function="neg"), Unary(function="exp2"), Unary(function="neg")):
        score = b.over(function, score)
    apart = b.joined([b.new(Affine(sub=np.array([model.offset_])), score, 1), side])
    return b.joined([score, b.new(Blend(weight=np.ones(2), total=1.0), apart, 1)])


def _side_of(model: Any, depth: float) -> tuple[F64, F64]:
    """The curve from summed depths to +-2^-50: below 0 where the trainer says outlier, which no exp2 may decide.

    offset_ is often the score of a training row, and then rows stand on it exactly; the sums are the trainer's own
    bits, and its score never falls as they grow, so the least sum of an inlier is found by bisection.
    """

    def is_inlier(total: F64) -> bool:
        return bool((-(2 ** (-np.divide(total, depth))) - model.offset_ >= 0)[0])

    low, high = np.zeros(1), np.full(1, 1100 * depth)  # 2^-1100 is 0
    if is_inlier(low):
        return np.array([-1.0, 0.0]), np.array([-_SIDE, _SIDE])
    if not is_inlier(high):
        return np.array([high[0], 2 * high[0]]), np.array([-_SIDE, _SIDE])
    while np.nextafter(low, high) < high:
        middle = (low.view(np.int64) + (high.view(np.int64) - low.view(np.int64)) // 2).view(np.float64)
        low, high = (low, middle) if is_inlier(middle) else (middle, high)
    return np.concatenate([low, high]), np.array([-_SIDE, _SIDE])


_SINGLE, _FOREST = Form(scores=_single), Form(scores=_forest)
FORMS: dict[str, Form] = {
    "DecisionTreeClassifier": _SINGLE,
    "DecisionTreeRegressor": _SINGLE,
    "ExtraTreeClassifier": _SINGLE,
    "ExtraTreeRegressor": _SINGLE,
    "RandomForestClassifier": _FOREST,
    "RandomForestRegressor": _FOREST,
    "ExtraTreesClassifier": _FOREST,
    "ExtraTreesRegressor": _FOREST,
    "AdaBoostClassifier": Form(scores=_ada_scores, decision=_ada_decision, why_not=_ada_why_not),
    "IsolationForest": Form(scores=_isolation),
}
