"""What the trained model says of a row. One rule: one row at a time, in float64, on one thread.

In batches scikit-learn does not agree with itself on rows at a class boundary, and a forest on several threads adds
its trees in whatever order they finish.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from cloud_trainer.export.onnx_float import parts_of

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
One = Callable[[F64], F64]
_WITNESSES = 20


def trainer_scores(estimator: Any, x: F32) -> F64:
    """Scores [n, C] of float32 rows [n, F]."""
    rows = x.astype(np.float64)
    alone = _alone(estimator)
    quick = _forest(estimator)
    with threadpool_limits(1):
        if quick is not None and all(np.array_equal(quick(row), alone(row)) for row in rows[:_WITNESSES, None]):
            alone = quick
        return np.concatenate([alone(row) for row in rows[:, None]])


def _alone(estimator: Any) -> One:
    """Its own `predict_proba`, on one thread."""
    one = one_thread(estimator)
    return lambda row: np.asarray(one.predict_proba(row), np.float64)


def one_thread(estimator: Any) -> Any:
    """A copy that uses one thread."""
    one = copy.deepcopy(estimator)
    threads = [key for key in one.get_params() if key.rpartition("__")[2] == "n_jobs"]
    return one.set_params(**dict.fromkeys(threads, 1))


def _forest(estimator: Any) -> One | None:
    """What a forest's `predict_proba` does inside, without 4 ms of checks a row."""
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    scaler, model = parts_of(estimator)
    if not isinstance(model, RandomForestClassifier | ExtraTreesClassifier):
        return None
    trees = [one.tree_ for one in model.estimators_]

    def scores(row: F64) -> F64:
        x = (row if scaler is None else scaler.transform(row)).astype(np.float32)
        total = np.zeros((1, model.n_classes_))
        for tree in trees:
            total += tree.predict(x)[:, : model.n_classes_]
        total /= len(trees)
        return total

    return scores


def trainer_answers(estimator: Any, x: F32) -> F64:
    """What the native form answers, by the trainer: float32 rows [n, F], one at a time, on one thread.

    `predict_proba`, else `decision_function` (of two classes [-d, d]), else `predict`; hard votes are counted, KMeans
    says minus its distances and IsolationForest [score, decision].
    """
    alone = _answer(one_thread(estimator))
    with threadpool_limits(1):
        answers = [np.asarray(alone(row), np.float64).reshape(1, -1) for row in x.astype(np.float64)[:, None]]
    return np.concatenate(answers)


def _answer(one: Any) -> One:
    last = one.steps[-1][1] if hasattr(one, "steps") else one
    name = type(last).__name__
    if name == "IsolationForest":
        return lambda row: np.concatenate([one.score_samples(row), one.decision_function(row)])
    if hasattr(one, "predict_proba"):
        return lambda row: np.asarray(one.predict_proba(row))
    if name == "VotingClassifier":
        return lambda row: _votes(last, row if one is last else one[:-1].transform(row))
    if hasattr(one, "decision_function"):
        return lambda row: _signed(np.ravel(one.decision_function(row)))
    if hasattr(last, "cluster_centers_"):
        return lambda row: -one.transform(row)
    return lambda row: np.asarray(one.predict(row))


def _votes(model: Any, row: F64) -> F64:
    chosen, weights = np.ravel(model._predict(row)), model._weights_not_none
    weights = np.ones(len(chosen)) if weights is None else weights
    return np.asarray(np.bincount(chosen, weights=weights, minlength=len(model.classes_)), np.float64)


def _signed(decision: F64) -> F64:
    return np.concatenate([-decision, decision]) if len(decision) == 1 else decision
