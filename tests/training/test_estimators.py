"""The names of `[train] estimators`: each makes what the exporter has a form of, or says what is missing."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

import cloud_trainer.training.estimators as zoo
from cloud_trainer.estimators import DEFAULTS, ESTIMATORS, METRICS
from cloud_trainer.export.native_forms import check_exportable
from cloud_trainer.task import Task, task_of
from cloud_trainer.training.metrics import evaluate
from edge_runtime.errors import UsageError

EVERY = [(name, task) for name, kind in ESTIMATORS.items() for task in kind.classes]


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_every_name_makes_what_can_be_exported(name: str, task: Task) -> None:
    estimator = zoo.make(name, {}, seed=7, task=task)
    assert task_of(estimator) == task
    check_exportable(estimator)
    seeds = [value for key, value in estimator.get_params().items() if key.rpartition("__")[2] == "random_state"]
    assert all(seed == 7 for seed in seeds)


def test_every_estimator_of_the_contract_has_a_name() -> None:
    named = {place.rpartition(".")[2] for kind in ESTIMATORS.values() for place in kind.classes.values()}
    contract = """
        LogisticRegression LinearSVC Ridge Lasso ElasticNet LinearRegression SGDClassifier SGDRegressor GaussianNB
        LinearDiscriminantAnalysis DecisionTreeClassifier DecisionTreeRegressor RandomForestClassifier
        RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor GradientBoostingClassifier
        GradientBoostingRegressor HistGradientBoostingClassifier HistGradientBoostingRegressor AdaBoostClassifier
        IsolationForest MLPClassifier MLPRegressor KMeans CalibratedClassifierCV OneVsRestClassifier VotingClassifier
        VotingRegressor LGBMClassifier LGBMRegressor XGBClassifier XGBRegressor"""
    assert set(contract.split()) <= named


def test_defaults_and_metrics_are_there_for_each_task() -> None:
    for task, names in DEFAULTS.items():
        assert all(task in ESTIMATORS[name].classes for name in names)
    assert set(METRICS) == {task for _, task in EVERY}


def steps(estimator: Any) -> list[str]:
    return [type(one).__name__ for _, one in estimator.steps]


def test_scaler_pca_and_members_are_words_of_ours() -> None:
    made = zoo.make("logistic", {"scaler": "robust", "pca": 3, "C": 0.5}, seed=1)
    assert steps(made) == ["RobustScaler", "PCA", "LogisticRegression"]
    assert (made[1].n_components, made[-1].C) == (3, 0.5)
    assert type(zoo.make("logistic", {"scaler": "none"}, seed=1)).__name__ == "LogisticRegression"
    voting = zoo.make("voting", {"of": ["forest", "logistic"], "voting": "soft"}, seed=1)
    assert [name for name, _ in voting.estimators] == ["forest", "logistic"]
    assert type(zoo.make("calibrated", {"of": "forest"}, seed=1).estimator).__name__ == "RandomForestClassifier"


@pytest.mark.parametrize(
    ("name", "task", "params", "says"),
    [
        ("logistic", "values", {}, "'logistic' has no form that predicts values"),
        ("adaboost", "values", {}, "'adaboost' has no form that predicts values"),
        ("forest", "labels", {"n_estimator": 3}, "did you mean 'n_estimators'"),
        ("forest", "labels", {"of": "tree"}, "train.forest.of: there is no such parameter"),
        ("forest", "labels", {"scaler": "max"}, "train.forest.scaler: want one of standard, min_max, robust, none"),
        ("forest", "labels", {"pca": -1}, "train.forest.pca: want the number of components, got -1"),
        ("calibrated", "labels", {"of": "kmeans"}, "train.calibrated.of: 'kmeans' is none of those that predict"),
        ("voting", "labels", {"of": ["voting"]}, "train.voting.of: 'voting' is none of those"),
    ],
)
def test_what_cannot_be_made_is_named(name: str, task: Task, params: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        zoo.make(name, params, seed=1, task=task)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_a_missing_package_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = builtins.__import__

    def without(module: str, *a: Any, **k: Any) -> Any:
        if module.partition(".")[0] == name:
            raise ImportError(f"No module named {name!r}")
        return right(module, *a, **k)

    monkeypatch.setattr(zoo.importlib, "import_module", without)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=f"of the package {name}, which is not installed") as missing:
        zoo.make(name, {}, seed=1)
    assert missing.value.hint == f"pip install 'edgeloop[{name}]'"


@pytest.mark.parametrize("task", ["labels", "values"])
def test_lightgbm_is_silent_and_lets_no_clock_choose(task: Task, capfd: pytest.CaptureFixture[str]) -> None:
    """It takes words that `get_params` does not list; left to itself it times rows against columns, and prints."""
    pytest.importorskip("lightgbm")
    estimator = zoo.make("lightgbm", {"n_estimators": 2}, seed=1, task=task)
    assert estimator.get_params() | {"deterministic": True, "force_col_wise": True} == estimator.get_params()
    x = np.random.default_rng(0).random((200, 3))
    zoo.fit("lightgbm", estimator, x, (x[:, 0] > 0.5).astype(np.int32))
    assert capfd.readouterr() == ("", "")


class Says:
    """An estimator that predicts what it was given."""

    def __init__(self, answer: list[float]) -> None:
        self._answer = np.array(answer)

    def predict(self, _: Any) -> Any:
        return self._answer


def test_figures_of_each_task() -> None:
    x = np.zeros((4, 1), np.float32)
    outliers, counts = evaluate(Says([1, 1, -1, -1]), x, np.array([0, 0, 0, 1]), ("normal", "outlier"), task="outliers")
    assert (outliers["accuracy"], counts) == (0.75, [[2, 1], [0, 1]])
    values, counts = evaluate(Says([1.0, 2.0, 3.0, 8.0]), x, np.array([1.0, 2.0, 3.0, 4.0]), ("v",), task="values")
    assert (values["rmse"], values["mae"], counts) == (2.0, 1.0, [])
    clusters, counts = evaluate(Says([2, 2, 0, 0]), x, np.array([0, 0, 1, 1]), tuple("abc"), task="clusters")
    assert (clusters["adjusted_rand"], counts) == (1.0, [[0, 0, 2], [2, 0, 0]])
