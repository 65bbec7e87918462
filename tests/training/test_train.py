import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cloud_trainer.training.estimators as zoo
from cloud_trainer.datasets import freeze
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.project import Project
from cloud_trainer.project import load as load_project
from cloud_trainer.training import Run, best, confusion, load_run, train_all
from cloud_trainer.training.metrics import figures
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import ContractError, TrustError, UsageError
from tests.datasets.sample import edit, write_project


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Workspace, FeatureTable, list[Run]]:
    folder = tmp_path_factory.mktemp("trained")
    path = edit(write_project(folder), '"logistic", "forest"', '"logistic", "forest", "hist_gradient_boosting", "mlp"')
    project = load_project(path)
    ws = Workspace(folder / "ws")
    table = materialise(ws, freeze(project, ws), project.program())
    return project, ws, table, train_all(project, table, ws)


Trained = tuple[Project, Workspace, FeatureTable, list[Run]]


def test_what_cannot_be_exported_is_refused_before_anything_is_fitted(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.svm import SVC

    project, ws, table, _ = trained
    fits: list[str] = []
    right = zoo.make
    monkeypatch.setattr(zoo, "make", lambda name, *a, **k: SVC() if name == "mlp" else right(name, *a, **k))
    monkeypatch.setattr(zoo, "fit", lambda name, *_: fits.append(name))
    with pytest.raises(ContractError, match="SVC has no export") as refused:
        train_all(project, table, ws)
    assert "LinearSVC" in refused.value.hint
    assert not fits


def test_each_estimator_gives_a_run(trained: Trained) -> None:
    project, _, table, runs = trained
    assert tuple(run.name for run in runs) == project.train.estimators
    for run in runs:
        assert set(run.metrics) == {"accuracy", "macro_f1", "recall.busy", "recall.idle"}
        assert np.sum(run.confusion) == len(run.y_test)
        assert len(run.y_test) + len(run.y_train) == len(table.y)
        assert run.x_train.dtype == run.x_test.dtype == np.float32
    assert best(runs).metrics["accuracy"] == 1.0


def test_a_run_says_what_it_was_made_from(trained: Trained) -> None:
    from mlflow import MlflowClient

    _, ws, table, runs = trained
    client = MlflowClient(tracking_uri=ws.mlflow_uri)
    for run in runs:
        kept = client.get_run(run.run_id)
        assert kept.info.status == "FINISHED"
        assert kept.data.params["dataset_digest"] == table.dataset.digest
        assert kept.data.params["dataset_version"] == "1"
        assert kept.data.params["program_digest"] == table.program.digest
        assert kept.data.params["seed"] == "1"
        assert kept.data.metrics["accuracy"] == run.metrics["accuracy"]
        assert "edgeloop.scikit-learn" in kept.data.tags
        assert kept.data.params["param.random_state"] == str(run.seed)
        facts = json.loads(Path(client.download_artifacts(run.run_id, "run.json")).read_text(encoding="utf-8"))
        assert facts["confusion"] == run.confusion
        assert facts["test_groups"] == list(run.test_groups)
    events = [json.loads(line) for line in ws.lineage.read_text(encoding="utf-8").splitlines()]
    assert [event["inputs"][0]["name"] for event in events if event["job"]["name"] == "train"] == ["sample@1"] * 4


def test_a_run_is_loaded_as_it_was(trained: Trained) -> None:
    _, ws, _, runs = trained
    for run in runs:
        loaded = load_run(Workspace(ws.root), run.run_id)
        same = ("name", "labels", "dataset", "program", "metrics", "confusion", "params", "seed", "test_groups")
        assert [getattr(loaded, name) for name in same] == [getattr(run, name) for name in same]
        assert loaded.x_test.tobytes() == run.x_test.tobytes()
        assert loaded.y_train.tobytes() == run.y_train.tobytes()
        x = run.x_test.astype(np.float64)
        assert loaded.estimator.predict_proba(x).tobytes() == run.estimator.predict_proba(x).tobytes()


def test_the_same_seed_gives_the_same_model(trained: Trained) -> None:
    project, ws, table, runs = trained
    for run, again in zip(runs, train_all(project, table, ws), strict=True):
        assert again.run_id != run.run_id
        x = run.x_test.astype(np.float64)
        assert again.estimator.predict_proba(x).tobytes() == run.estimator.predict_proba(x).tobytes()


def test_a_model_that_was_changed_is_not_loaded(trained: Trained) -> None:
    _, ws, _, runs = trained
    (model,) = ws.artifacts.glob(f"**/{runs[0].run_id}/artifacts/model.joblib")
    good = model.read_bytes()
    try:
        model.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(TrustError, match=r"model\.joblib has another hash"):
            load_run(ws, runs[0].run_id)
    finally:
        model.write_bytes(good)
    with pytest.raises(UsageError, match="run 0123"):
        load_run(ws, "0123" * 8)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n_estimator = 10", r"train\.forest\.n_estimator: there is no such parameter, did you mean 'n_estimators'"),
        ("max_features = -3", r"train\.forest: The 'max_features' parameter .* must be"),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path: Path, line: str, message: str) -> None:
    project = load_project(edit(write_project(tmp_path), "n_estimators = 10", line))
    ws = Workspace(tmp_path / "ws")
    table = materialise(ws, freeze(project, ws), project.program())
    with pytest.raises(UsageError, match=message):
        train_all(project, table, ws)


def test_figures_come_from_the_counts() -> None:
    y = np.array([0, 0, 0, 1, 1, 2], dtype=np.int32)
    predicted = np.array([0, 0, 1, 1, -1, 0], dtype=np.int32)
    counts = confusion(y, predicted, 3)
    assert counts.tolist() == [[2, 1, 0], [0, 1, 0], [1, 0, 0]]
    got = figures(counts, ("a", "b", "c"), y)
    assert got == pytest.approx(
        {"accuracy": 0.5, "macro_f1": (4 / 6 + 0.5 + 0) / 3, "recall.a": 2 / 3, "recall.b": 0.5, "recall.c": 0.0}
    )


def test_the_commands_load_nothing_heavy() -> None:
    heavy = ("numpy", "sklearn", "duckdb", "deltalake", "mlflow", "pandas", "scipy")
    code = (
        "import sys, typer, importlib.util as u; s = u.spec_from_file_location('data', sys.argv[1]); "
        "m = u.module_from_spec(s); s.loader.exec_module(m); m.register(typer.Typer()); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run(
        [sys.executable, "-c", code, str(root / "cloud_trainer" / "cli" / "data.py")],
        env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert out.stdout.strip() == "[]"
