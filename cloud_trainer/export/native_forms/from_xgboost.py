"""XGBoost's trees: float32 rows, `<`, float32 sums in the trees' order. Read from the booster's own JSON.

Its probabilities are float32 as well; here the raw scores are its own, and the link is float64.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from cloud_trainer.export.native_forms import ends
from cloud_trainer.export.native_forms.form import Form, Source, thresholds, unfolded
from cloud_trainer.export.steps import Builder, Span, Trees, Unary
from cloud_trainer.export.trees import F64, Tree, tree_of
from edge_runtime.errors import ContractError


def _exp(b: Builder, raw: Span) -> Span:
    return b.over(Unary(function="exp"), raw)


LINKS: Final[dict[str, ends.End]] = {
    "binary:logistic": ends.sigmoid,
    "multi:softprob": ends.sigmoid_or_softmax,
    "multi:softmax": ends.sigmoid_or_softmax,
    "reg:squarederror": ends.plain,
    "reg:absoluteerror": ends.plain,
    "reg:pseudohubererror": ends.plain,
    "reg:quantileerror": ends.plain,
    "count:poisson": _exp,
    "reg:gamma": _exp,
    "reg:tweedie": _exp,
}
"""Objective -> from raw scores to the answer."""


def _scores(model: Any, source: Source, b: Builder) -> Span:
    learner = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
    booster, source, name = learner["gradient_booster"], unfolded(source, b), type(model).__name__
    objective = learner["objective"]["name"]
    if booster["name"] != "gbtree" or objective not in LINKS:
        raise ContractError(
            f"{name}: booster {booster['name']!r} with objective {objective!r} is not exported",
            hint=f"use 'gbtree' and one of {', '.join(LINKS)}",
        )
    forest = booster["model"]
    rounds = forest["iteration_indptr"]
    best = getattr(model, "best_iteration", None) if learner["attributes"].get("best_iteration") else None
    n = len(forest["trees"]) if best is None else rounds[best + 1]
    params = learner["learner_model_param"]
    m = max(1, int(params["num_class"]), int(params.get("num_target", 1)))
    trees = Trees(
        trees=tuple(_tree(one, source, name) for one in forest["trees"][:n]),
        column=tuple(forest["tree_info"][:n]),
        base=_base(params["base_score"], objective, m),
        is_float32=True,
    )
    return LINKS[objective](b, b.new(trees, source.span, m))


def _base(text: str, objective: str, m: int) -> F64:
    """The raw score before the first tree: float32, by a logarithm that is rounded once, as the C library's is."""
    base = np.asarray(json.loads(text), np.float32)
    if LINKS[objective] is ends.sigmoid:
        base = -np.log((np.float32(1) / base - np.float32(1)).astype(np.float64)).astype(np.float32)
    elif LINKS[objective] is _exp:
        base = np.log(base.astype(np.float64)).astype(np.float32)
    return np.broadcast_to(base.astype(np.float64), (m,)).copy()


def _tree(one: dict[str, Any], source: Source, name: str) -> Tree:
    if any(one["split_type"]) or int(one["tree_param"]["size_leaf_vector"]) > 1:
        raise ContractError(
            f"{name}: splits on categories and trees of several outputs are not exported",
            hint="leave enable_categorical and multi_strategy out",
        )
    left, right = (np.array(one[key], np.int64) for key in ("left_children", "right_children"))
    feature = np.where(left < 0, 0, np.array(one["split_indices"], np.int64))
    asked = np.array(one["split_conditions"], np.float32)
    threshold = thresholds(source, feature, lambda z: np.asarray(z.astype(np.float32) < asked))
    told = np.array(one["default_left"])
    return tree_of(left, right, feature, threshold, told, value=asked.astype(np.float64).reshape(-1, 1))


def _why_not(model: Any) -> str | None:
    if model.missing is not None and not np.isnan(model.missing):
        return f"missing={model.missing} is not exported; leave missing out, and mark holes by NaN"
    if model.booster not in (None, "gbtree"):
        return f"booster={model.booster!r} is not exported; use 'gbtree'"
    if model.objective is not None and model.objective not in LINKS:
        return f"objective={model.objective!r} is not exported; use one of {', '.join(LINKS)}"
    if model.multi_strategy not in (None, "one_output_per_tree"):
        return f"multi_strategy={model.multi_strategy!r} is not exported; use 'one_output_per_tree'"
    return None


FORMS: dict[str, Form] = {
    "XGBClassifier": Form(scores=_scores, why_not=_why_not),
    "XGBRegressor": Form(scores=_scores, why_not=_why_not),
}
