"""LightGBM and XGBoost leave as scikit-learn's trees do; without the package there is nothing to test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from cloud_trainer.export import native_forms, steps
from cloud_trainer.export.interpret import interpret
from cloud_trainer.export.trainer import trainer_answers
from edge_runtime.errors import ContractError
from tests.export.test_native_forms import SUMS, by_the_core, rows_for
from tests.export.zoo import data, scaled

LIGHT = {"n_estimators": 10, "verbose": -1, "n_jobs": 1}
EXTREME = {"n_estimators": 10, "max_depth": 4, "n_jobs": 1}
FLOAT32 = 2e-6  # of the score: XGBoost's link is float32


def light(kind: str, **params: Any) -> Any:
    return getattr(pytest.importorskip("lightgbm"), f"LGBM{kind}")(**LIGHT, **params)


def extreme(kind: str, **params: Any) -> Any:
    return getattr(pytest.importorskip("xgboost"), f"XGB{kind}")(**EXTREME, **params)


CASES: dict[str, tuple[str, Callable[[], Any]]] = {
    "LightGBM, 2 classes": ("cancer", lambda: light("Classifier")),
    "LightGBM, 3 classes with holes": ("wine nan", lambda: light("Classifier")),
    "LightGBM, one against the rest": ("wine", lambda: light("Classifier", objective="multiclassova")),
    "LightGBM behind a scaler": ("cancer", lambda: scaled(light("Classifier"), StandardScaler())),
    "LightGBM, regression": ("diabetes", lambda: light("Regressor")),
    "LightGBM, Poisson": ("diabetes", lambda: light("Regressor", objective="poisson")),
    "XGBoost, 2 classes": ("cancer", lambda: extreme("Classifier")),
    "XGBoost, 3 classes with holes": ("wine nan", lambda: extreme("Classifier")),
    "XGBoost, 10 classes": ("digits", lambda: extreme("Classifier")),
    "XGBoost behind a scaler": ("cancer", lambda: scaled(extreme("Classifier"), StandardScaler())),
    "XGBoost, regression": ("diabetes", lambda: extreme("Regressor")),
    "XGBoost, Poisson": ("diabetes", lambda: extreme("Regressor", objective="count:poisson")),
    "XGBoost, 2 targets": ("diabetes 2", lambda: extreme("Regressor")),
}


def fitted(name: str) -> tuple[Any, Any]:
    where, make = CASES[name]
    x, y = data(where)
    return make().fit(x[::2].astype(np.float64), y[::2]), np.ascontiguousarray(x[1::2])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_answers_are_the_trainers(name: str) -> None:
    estimator, x = fitted(name)
    model = native_forms.model_of(estimator)
    rows = rows_for(estimator, model, x)
    want = trainer_answers(estimator, rows)
    most = SUMS if name.startswith("LightGBM") else FLOAT32 * max(1.0, np.abs(want).max())
    for have in (interpret(model, rows), by_the_core(model, rows)):
        assert np.array_equal(have.argmax(axis=1), want.argmax(axis=1))
        assert np.abs(have - want).max() <= most


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("XGBoost") and "scaler" not in name])
def test_raw_scores_of_xgboost_are_its_own_bits(name: str) -> None:
    estimator, x = fitted(name)
    model = native_forms.model_of(estimator)
    raw = replace(model, steps=model.steps[:1], out=model.steps[0].target)
    rows = rows_for(estimator, model, x)
    want = np.concatenate(
        [estimator.get_booster().inplace_predict(row[None], predict_type="margin").reshape(1, -1) for row in rows]
    )
    assert np.array_equal(interpret(raw, rows), want.astype(np.float64))


@pytest.mark.planted
def test_planted_float64_sums_are_not_xgboosts() -> None:
    estimator, x = fitted("XGBoost, 10 classes")
    model = native_forms.model_of(estimator)
    first = model.steps[0]
    assert isinstance(first.op, steps.Trees)
    naive = replace(model, steps=(replace(first, op=replace(first.op, is_float32=False)),), out=first.target)
    want = estimator.get_booster().inplace_predict(x, predict_type="margin")
    assert not np.array_equal(interpret(naive, x), want.astype(np.float64))


def test_early_stopping_leaves_with_the_trees_that_predict() -> None:
    x, y = data("cancer")
    estimator = extreme("Classifier", early_stopping_rounds=1, learning_rate=1.0)
    estimator.fit(x[::2], y[::2], eval_set=[(x[1::2], y[1::2])], verbose=False)
    assert estimator.best_iteration + 1 < 10
    have = interpret(native_forms.model_of(estimator), x)
    assert np.abs(have - trainer_answers(estimator, x)).max() <= FLOAT32


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: light("Classifier", boosting_type="rf"), "boosting_type='rf'"),
        (lambda: light("Classifier", objective="cross_entropy"), "objective='cross_entropy'"),
        (lambda: light("Regressor", objective=max), "objective=<built-in function max>"),
        (lambda: extreme("Classifier", missing=0.0), "missing=0.0"),
        (lambda: extreme("Classifier", booster="gblinear"), "booster='gblinear'"),
        (lambda: extreme("Regressor", booster="dart"), "booster='dart'"),
        (lambda: extreme("Classifier", objective="binary:hinge"), "objective='binary:hinge'"),
        (lambda: extreme("Regressor", multi_strategy="multi_output_tree"), "multi_strategy='multi_output_tree'"),
    ],
)
def test_what_has_no_form_is_refused_unfitted(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ContractError, match=says):
        native_forms.check_exportable(make())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: light("Regressor", linear_tree=True), "linear trees"),
        (lambda: light("Classifier", zero_as_missing=True), "zero_as_missing"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_only_training_shows_is_refused_after_it(make: Callable[[], Any], says: str) -> None:
    x, y = data("cancer")
    estimator = make().fit(x.astype(np.float64), y)
    with pytest.raises(ContractError, match=says):
        native_forms.model_of(estimator)
