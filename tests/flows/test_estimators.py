"""What is trained is what runs, for every estimator: project file, bundle, daemon, the trainer's own labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from cloud_trainer.datasets import freeze
from cloud_trainer.export import export
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.project import Project, load, policy_for
from cloud_trainer.rollout import signer
from cloud_trainer.training import Run, train_all
from cloud_trainer.workspace import Workspace
from tests.daemon.rig import KEYS, Rig
from tests.datasets.sample import write_project

ENGINE = {
    "logistic": "native", "forest": "native", "hist_gradient_boosting": "native", "mlp": "native"
}  # fmt: skip

Trained: TypeAlias = tuple[Project, Workspace, FeatureTable, list[Run]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("project")
    project = load(write_project(folder, takes=6, n=400))
    project = replace(project, train=replace(project.train, estimators=tuple(ENGINE)))
    ws = Workspace(folder / "ws")
    table = materialise(ws, freeze(project, ws), project.program())
    return project, ws, table, train_all(project, table, ws)


@pytest.mark.parametrize("name", ENGINE)
def test_the_daemon_says_what_the_trainer_says(trained: Trained, name: str, tmp_path: Path) -> None:
    project, ws, table, runs = trained
    run = next(run for run in runs if run.name == name)
    exported = export(
        run, table=table, name=f"sample-{name.replace('_', '-')}", version=1, policy=policy_for(project, run.labels),
        out_dir=ws.bundles, sign=signer(KEYS.release),
    )  # fmt: skip
    assert exported.manifest.engine == ENGINE[name]
    recording = table.recording[-1]
    rig = Rig(tmp_path)
    rig.write(source=f"playback {project.data.root / 'rec' / recording}.csv", bundle=str(exported.path))
    done = rig.run()
    assert done.returncode == 0, done.stderr
    said = {line["window"]: line["label"] for line in map(json.loads, done.stdout.splitlines())}
    rows = [i for i in range(len(table.y)) if table.recording[i] == recording]
    assert len(rows) > 5
    for i in rows:
        (label,) = run.estimator.predict(table.x[i : i + 1].astype("float64"))
        assert said[int(table.window[i])] == table.labels[label]
