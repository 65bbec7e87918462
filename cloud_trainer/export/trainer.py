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
from cloud_trainer.task import task_of

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
One = Callable[[F64], F64]
_WITNESSES = 20
_FORESTS = ("RandomForestClassifier", "ExtraTreesClassifier", "RandomForestRegressor", "ExtraTreesRegressor")


def trainer_scores(estimator: Any, x: F32) -> F64:
    """What a bundle's model answers, by the trainer: a score a label [n, C], or the values, of float32 rows [n, F].

    As `trainer_answers`, but that an outlier detector answers [decision, -decision].
    """
    rows = x.astype(np.float64)
    alone = _bundle_answer(one_thread(estimator))
    quick = _forest(estimator)
    with threadpool_limits(1):
        if quick is not None and all(np.array_equal(quick(row), alone(row)) for row in rows[:_WITNESSES, None]):
            alone = quick
        return np.concatenate([alone(row) for row in rows[:, None]])


def search_of(estimator: Any) -> Callable[[F32], F64]:
    """`trainer_scores` in batches and in any order of sums: good enough to look for rows."""
    answer = _bundle_answer(estimator)
    return lambda x: answer(x.astype(np.float64))


def is_float32(estimator: Any) -> bool:
    """Whether the trainer itself, or one that it is made over, adds in float32."""
    every = (estimator, *estimator.get_params(deep=True).values())
    return any(type(one).__module__.startswith("xgboost") for one in every)


def _bundle_answer(one: Any) -> One:
    if task_of(one) == "outliers":
        return lambda row: _signed(-np.ravel(one.decision_function(row)))
    return _answer(one)


def one_thread(estimator: Any) -> Any:
    """A copy that uses one thread."""
    one = copy.deepcopy(estimator)
    threads = [key for key in one.get_params() if key.rpartition("__")[2] == "n_jobs"]
    return one.set_params(**dict.fromkeys(threads, 1))


def _forest(estimator: Any) -> One | None:
    """What a forest answers inside, without 4 ms of checks a row."""
    scaler, model = parts_of(estimator)
    if type(model).__name__ not in _FORESTS or np.ndim(getattr(model, "n_classes_", 0)):
        return None
    trees = [one.tree_ for one in model.estimators_]
    n_outputs = getattr(model, "n_classes_", model.n_outputs_)

    def scores(row: F64) -> F64:
        x = (row if scaler is None else scaler.transform(row)).astype(np.float32)
        total = np.zeros((1, n_outputs))
        for tree in trees:
            total += tree.predict(x)[:, :n_outputs].reshape(1, n_outputs)
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
        return np.concatenate([alone(row) for row in x.astype(np.float64)[:, None]])


def _answer(one: Any) -> One:
    """Answers [n, m] of rows [n, F]."""
    last = one.steps[-1][1] if hasattr(one, "steps") else one
    name = type(last).__name__
    if name == "IsolationForest":
        return lambda rows: np.stack([one.score_samples(rows), one.decision_function(rows)], axis=1)
    if hasattr(one, "predict_proba"):
        return lambda rows: np.asarray(one.predict_proba(rows), np.float64)
    if name == "VotingClassifier":
        return lambda rows: _votes(last, rows if one is last else one[:-1].transform(rows))
    if hasattr(one, "decision_function"):
        return lambda rows: _signed(one.decision_function(rows))
    if hasattr(last, "cluster_centers_"):
        return lambda rows: -np.asarray(one.transform(rows), np.float64)
    return lambda rows: np.asarray(one.predict(rows), np.float64).reshape(len(rows), -1)


def _votes(model: Any, rows: F64) -> F64:
    weights = model._weights_not_none
    best = np.eye(len(model.classes_))[model._predict(rows)]  # [n, members, classes]
    return np.asarray((best * (1.0 if weights is None else np.asarray(weights)[:, None])).sum(axis=1), np.float64)


def _signed(decision: F64) -> F64:
    return np.stack([-decision, decision], axis=1) if decision.ndim == 1 else np.asarray(decision, np.float64)
