"""What is no label: values, outliers and clusters from a project file to a record of a device, as the trainer says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloud_trainer.datasets import freeze, load
from cloud_trainer.export import export
from cloud_trainer.export.trainer import trainer_scores
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.project import Project, policy_for
from cloud_trainer.project import load as load_project
from cloud_trainer.rollout import signer
from cloud_trainer.training import Run, best, load_run, train_all
from cloud_trainer.workspace import Workspace
from edge_runtime.contract.packed import PackedBatch
from edge_runtime.errors import ContractError, UsageError
from tests.daemon.rig import KEYS, Rig
from tests.datasets.sample import edit, frames, write_project, write_recording

TRAIN = {
    "values": 'estimators = ["ridge", "forest"]\nmetric = "mae"',
    "outliers": 'estimators = ["isolation_forest"]\nnormal = ["idle"]',
    "clusters": 'estimators = ["kmeans"]\n[train.kmeans]\nn_clusters = 3\nn_init = 2',
}


def project_of(folder: Path, task: str) -> Project:
    """The sample with two values beside each frame, or asked for outliers or clusters."""
    path = write_project(folder, takes=6, n=300)
    edit(path, 'estimators = ["logistic", "forest"]', TRAIN[task])
    if task == "values":
        edit(path, '[labels.index]\nfile = "takes.csv"\nlabel_column = "label"', '[labels]\nvalues = ["wear", "load"]')
        for take in range(6):
            for label in ("idle", "busy"):
                rows = [(*frame, i / 8, abs(frame[0])) for i, frame in enumerate(frames(label, take, 300))]
                write_recording(folder / "rec" / f"{label}-{take}.csv", rows, header="x,y,wear,load")
    return load_project(path)


Trained = tuple[Project, Workspace, FeatureTable, Run]


@pytest.fixture(scope="module", params=TRAIN)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp(request.param)
    project = project_of(folder, request.param)
    ws = Workspace(folder / "ws")
    table = materialise(ws, freeze(project, ws), project.program())
    return project, ws, table, best(train_all(project, table, ws), project.train.metric)


def test_a_run_is_loaded_as_it_was(trained: Trained) -> None:
    _, ws, _, run = trained
    again = load_run(ws, run.run_id)
    assert (again.labels, again.metrics) == (run.labels, run.metrics)
    assert again.y_test.tobytes() == run.y_test.tobytes()
    assert again.y_test.shape == run.y_test.shape


def test_the_daemon_says_what_the_trainer_says(trained: Trained, tmp_path: Path) -> None:
    project, ws, table, run = trained
    exported = export(
        run, table=table, name="sample", version=1, policy=policy_for(project, run.labels),
        out_dir=ws.bundles, sign=signer(KEYS.release),
    )  # fmt: skip
    recording = table.recording[-1]
    rig = Rig(tmp_path)
    rig.write(source=f"playback {project.data.root / 'rec' / recording}.csv", bundle=str(exported.path))
    done = rig.run()
    assert done.returncode == 0, done.stderr
    said = {line["window"]: line for line in map(json.loads, done.stdout.splitlines())}
    rows = [i for i in range(len(table.y)) if table.recording[i] == recording]
    assert len(rows) > 5
    want = trainer_scores(run.estimator, table.x[rows])
    for i, scores in zip(rows, want, strict=True):
        check_line(said[int(table.window[i])], run, scores)
    sealed = [PackedBatch.from_bytes(one.payload) for one in rig.sealed() if one.kind == "rec"]
    kept = np.concatenate([np.array(one.scores).reshape(len(one), -1) for one in sealed])
    assert kept.shape[1] == len(run.labels)
    assert np.abs(kept[:, None] - want.astype(np.float32)[None]).max(axis=2).min(axis=1).max() < 1e-4


def check_line(line: dict[str, Any], run: Run, scores: Any) -> None:
    if run.labels == ("wear", "load"):
        assert list(line["values"]) == ["wear", "load"]
        assert "label" not in line
        assert list(line["values"].values()) == pytest.approx(scores.tolist(), rel=1e-5)
    else:
        assert line["label"] == run.labels[int(scores.argmax())]


def test_values_are_those_of_a_windows_last_frame(tmp_path: Path) -> None:
    project = project_of(tmp_path, "values")
    ws = Workspace(tmp_path / "ws")
    version = freeze(project, ws)
    assert load(ws, "sample").targets == ("wear", "load")
    table = materialise(ws, version, project.program())
    assert table.labels == ("wear", "load")
    assert table.y[:, 0].tolist()[:3] == [15 / 8, 23 / 8, 31 / 8]
    assert len(table.y) == 12 * (1 + (300 - 16) // 8), "every window has a value, though no two frames have the same"


def test_the_best_of_values_has_the_least_error(tmp_path: Path) -> None:
    project = project_of(tmp_path, "values")
    ws = Workspace(tmp_path / "ws")
    runs = train_all(project, materialise(ws, freeze(project, ws), project.program()), ws)
    assert best(runs, "mae").metrics["mae"] == min(run.metrics["mae"] for run in runs)
    assert best(runs, "r2").metrics["r2"] == max(run.metrics["r2"] for run in runs)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    project = project_of(tmp_path, "values")
    edit(project.path, '"ridge"', '"logistic"')
    with pytest.raises(UsageError, match=r"'logistic' does not predict values, as labels\.values asks") as wrong:
        load_project(project.path)
    assert "ridge" in wrong.value.hint
    edit(project.path, '"logistic"', '"ridge"')
    edit(tmp_path / "rec" / "idle-0.csv", ",0.12500,", ",much,")
    with pytest.raises(ContractError, match=r"idle-0\.csv line 3, column 'wear': 'much' is no number"):
        freeze(load_project(project.path), Workspace(tmp_path / "ws"))
    project.path.write_text(project.path.read_text() + "[policy]\nk = 2\nn = 3\n", encoding="utf-8")
    with pytest.raises(UsageError, match="policy: values are not decided on"):
        policy_for(load_project(project.path), ("wear", "load"))


def test_outliers_are_learned_from_recordings_of_one_label(tmp_path: Path) -> None:
    project = project_of(tmp_path, "outliers")
    for path in (tmp_path / "rec").glob("busy-*"):
        path.unlink()
    ws = Workspace(tmp_path / "ws")
    (run,) = train_all(project, materialise(ws, freeze(project, ws), project.program()), ws)
    assert run.metrics["recall.normal"] == run.metrics["accuracy"] > 0.5


def test_a_normal_label_that_is_none_is_named(tmp_path: Path) -> None:
    project = project_of(tmp_path, "outliers")
    edit(project.path, 'normal = ["idle"]', 'normal = ["idel"]')
    project = load_project(project.path)
    ws = Workspace(tmp_path / "ws")
    table = materialise(ws, freeze(project, ws), project.program())
    with pytest.raises(UsageError, match=r"train\.normal: there is no label 'idel', did you mean 'idle'"):
        train_all(project, table, ws)
