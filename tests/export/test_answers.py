"""Bundles that answer with more than probabilities: values, outliers, clusters, decision values. Each decides live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, IsolationForest, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from cloud_trainer.export import Exported, export, models, parity
from cloud_trainer.export.rows import Rows
from cloud_trainer.export.trainer import trainer_scores
from cloud_trainer.task import task_of
from edge_runtime import native
from edge_runtime.engines import decide_all, load_bundle, open_engine
from edge_runtime.errors import ContractError
from edge_runtime.update.inspect import inspect
from tests.export.made import policy, signal, signal_table, trained

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y, RECORDING, WINDOW = signal_table()
ONE = X[:, 0] * 100 + X[:, 9]
TWO = np.stack([ONE, X[:, 17]], axis=1)


def scaled(model: Any) -> Any:
    return make_pipeline(StandardScaler(), model)


CASES: dict[str, tuple[Any, Any]] = {
    "forest, a value": (RandomForestRegressor(10, random_state=0), ONE),
    "forest, two values": (ExtraTreesRegressor(10, random_state=0), TWO),
    "boosting, a value": (HistGradientBoostingRegressor(max_iter=10), ONE),
    "ridge, two values": (scaled(Ridge()), TWO),
    "network, two values": (scaled(MLPRegressor(hidden_layer_sizes=(8,), max_iter=30, random_state=0)), TWO),
    "outliers": (IsolationForest(n_estimators=20, random_state=0), Y),
    "clusters": (scaled(KMeans(4, n_init=1, random_state=0)), Y),
    "decision values": (scaled(LinearSVC()), Y),
}


def made(name: str, out: Path) -> tuple[Any, Exported]:
    estimator, y = CASES[name]
    run, table = trained(estimator, X, y, recording=RECORDING, window=WINDOW)
    rule = policy(len(run.labels))
    # int8 of a network may win, and says something else.
    return run, export(run, table=table, name="made", version=1, policy=rule, out_dir=out, precision="float32")


@pytest.mark.parametrize("name", CASES)
def test_a_device_answers_as_the_trainer(name: str, tmp_path: Path) -> None:
    run, exported = made(name, tmp_path)
    bundle = load_bundle(exported.path)
    inspect(bundle)
    assert bundle.manifest.engine == "native"
    frames, _ = signal(77, 1500)
    flat = frames.reshape(-1).data
    x = np.frombuffer(native.batch(run.program, flat), np.float32).reshape(-1, 24)
    engine, said = open_engine(bundle), run.estimator.predict(x.astype(np.float64))
    if task_of(run.estimator) == "values":
        assert bundle.manifest.task == "values"
        have = np.array([engine.scores(row.data) for row in x])
        assert np.abs(have - said.reshape(have.shape)).max() <= 1e-5 * np.abs(said).max()
        return
    assert bundle.manifest.task == "labels"
    said = np.where(said < 0, 1, 0) if task_of(run.estimator) == "outliers" else said
    assert len(set(said.tolist())) > 1
    assert [decision.label for decision in decide_all(bundle, flat)] == said.tolist()


@pytest.mark.parametrize("name", ["forest, a value", "forest, two values"])
def test_evidence_of_values_speaks_of_no_labels(name: str, tmp_path: Path) -> None:
    _, exported = made(name, tmp_path)
    kinds = {row["kind"] for row in exported.evidence}
    assert kinds == {"test", "threshold", "extreme"}
    assert not [row for row in exported.evidence if "labels_differ" in row]
    assert max(row["max_score_diff"] for row in exported.evidence) == 0


def test_scores_of_an_outlier_detector_are_its_decision_and_minus_it(tmp_path: Path) -> None:
    run, exported = made("outliers", tmp_path)
    assert run.labels == ("normal", "outlier")
    decision = run.estimator.decision_function(X[:50].astype(np.float64))
    assert np.allclose(trainer_scores(run.estimator, X[:50]), np.stack([decision, -decision], axis=1), atol=1e-12)
    assert {row["kind"] for row in exported.evidence} == {"test", "threshold", "extreme"}


# ---- planted


@pytest.mark.planted
@pytest.mark.parametrize(
    ("name", "shift", "says"),
    [("ridge, two values", 2e-2, "have another value"), ("boosting, a value", 1e-9, "reach another leaf or sum")],
)
def test_planted_shift_of_a_value_is_refused(
    name: str, shift: float, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = models._native
    monkeypatch.setattr(models, "_native", lambda data: lambda x: right(data)(x) + shift)
    with pytest.raises(ContractError, match=f"parity: native, batch 1, test rows: .* {says}; worst: row"):
        made(name, tmp_path)


@pytest.mark.planted
def test_planted_decision_values_of_another_size_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far from the boundary nothing shows; beside it a margin of 2e-5 of the score range does."""
    right = models._native
    move = np.array([[4e-5, 0, 0]])
    monkeypatch.setattr(models, "_native", lambda data: lambda x: right(data)(x) + move * parity_unit())
    with pytest.raises(ContractError, match="parity: native, batch 1, beside rows"):
        made("decision values", tmp_path)


def parity_unit() -> float:
    """The range of the decision values, which is far above 1."""
    unit = float(np.ptp(CASES["decision values"][0].decision_function(X)))
    assert unit > 3
    return unit


def test_the_rule_measures_values_by_their_size() -> None:
    def asked(have: float, *, is_exact: bool) -> list[dict[str, Any]]:
        form = parity.Form(name="native", batch="1", is_exact=is_exact, scores=lambda _: np.array([[have]]))
        rows = Rows("test", np.zeros((1, 1), np.float32))
        rule = parity.Rule(labels=("v",), is_values=True, unit=10.0)
        return parity.check([form], [(rows, np.array([[1000.0]]))], rule)

    assert asked(1000.009, is_exact=False)[0]["max_score_diff"] == pytest.approx(0.009)
    with pytest.raises(ContractError, match=r"a score is 0\.011 off, 0\.01 may be"):
        asked(1000.011, is_exact=False)
    with pytest.raises(ContractError, match="reach another leaf or sum"):
        asked(1000 + 2e-9, is_exact=True)
