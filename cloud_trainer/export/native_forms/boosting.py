"""scikit-learn's gradient boosting, both kinds: a baseline, trees one behind another, a link."""

from __future__ import annotations

from typing import Any

import numpy as np

from cloud_trainer.export.native_forms import ends
from cloud_trainer.export.native_forms.forests import added, tree
from cloud_trainer.export.native_forms.form import Form, Source, thresholds, unfolded
from cloud_trainer.export.steps import Affine, Builder, Span
from cloud_trainer.export.trees import Tree, tree_of


def _gradient_raw(model: Any, source: Source, b: Builder) -> Span:
    """A leaf is added as learning_rate * value, one rounding each, as the trainer does."""
    source = unfolded(source, b)
    base = model._raw_predict_init(np.zeros((1, model.n_features_in_)))[0]
    trees = [tree(one.tree_, source, model.learning_rate * one.tree_.value[:, :, 0]) for one in model.estimators_.flat]
    return added(b, source, trees, np.asarray(base, np.float64))


def _gradient_scores(model: Any, source: Source, b: Builder) -> Span:
    raw = _gradient_raw(model, source, b)
    if model.loss == "exponential":
        raw = b.over(Affine(mul=np.array([2.0])), raw)
    return ends.sigmoid_or_softmax(b, raw)


def _gradient_why_not(model: Any) -> str | None:
    if model.init is None or model.init == "zero":
        return None
    return f"init={type(model.init).__name__} is not exported; leave init out"


def _hist_tree(predictor: Any, source: Source) -> Tree:
    """Thresholds are float64 and meet float64 rows: the largest float32 that goes left asks the same."""
    n = predictor.nodes
    leaf = n["is_leaf"] != 0
    left = np.where(leaf, -1, n["left"].astype(np.int64))
    right = np.where(leaf, -1, n["right"].astype(np.int64))
    feature = np.where(leaf, 0, n["feature_idx"]).astype(np.int64)
    threshold = thresholds(source, feature, lambda z: np.asarray(z <= n["num_threshold"]))
    return tree_of(left, right, feature, threshold, n["missing_go_to_left"], value=n["value"].reshape(-1, 1))


def _hist_raw(model: Any, source: Source, b: Builder) -> Span:
    source = unfolded(source, b)
    trees = [_hist_tree(one, source) for iteration in model._predictors for one in iteration]
    return added(b, source, trees, np.ravel(model._baseline_prediction).astype(np.float64))


def _hist_scores(model: Any, source: Source, b: Builder) -> Span:
    return ends.sigmoid_or_softmax(b, _hist_raw(model, source, b))


def _hist_values(model: Any, source: Source, b: Builder) -> Span:
    link = "log" if model.loss in ("poisson", "gamma") else "identity"
    return ends.LINKS[link](b, _hist_raw(model, source, b))


def _hist_why_not(model: Any) -> str | None:
    fitted, wanted = getattr(model, "is_categorical_", None), model.categorical_features
    if fitted is None:  # "from_dtype" finds categories in data frames only, and rows are numbers
        wants = wanted is not None and not isinstance(wanted, str)
        fitted = wants and (any(wanted) if np.asarray(wanted).dtype == bool else len(wanted))
    return "splits on categories are not exported; declare no categorical_features" if np.any(fitted) else None


FORMS: dict[str, Form] = {
    "GradientBoostingClassifier": Form(scores=_gradient_scores, decision=_gradient_raw, why_not=_gradient_why_not),
    "GradientBoostingRegressor": Form(scores=_gradient_raw, why_not=_gradient_why_not),
    "HistGradientBoostingClassifier": Form(scores=_hist_scores, decision=_hist_raw, why_not=_hist_why_not),
    "HistGradientBoostingRegressor": Form(scores=_hist_values, why_not=_hist_why_not),
}
