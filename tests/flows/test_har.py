"""Outside data, whole: recordings of people, a forest, a bundle, and a daemon that decides about people never seen."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cloud_trainer.datasets import freeze
from cloud_trainer.export import Exported, export
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.project import load, policy_for
from cloud_trainer.rollout import signer
from cloud_trainer.training import Run, train_all
from cloud_trainer.workspace import Workspace
from tests.daemon.rig import KEYS, Rig

FOLDER = Path(os.environ.get("EDGELOOP_DATA", ""), "har_hapt")
PEOPLE = ("25", "26", "27", "28", "29", "30")
pytestmark = pytest.mark.skipif(
    "EDGELOOP_DATA" not in os.environ or not FOLDER.is_dir(), reason="EDGELOOP_DATA names no folder with har_hapt"
)


@dataclass(frozen=True)
class Made:
    """What the project file made."""

    table: FeatureTable
    run: Run
    exported: Exported


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("har")
    project = load(Path(__file__).with_name("har.toml"))
    project = replace(project, train=replace(project.train, estimators=("forest",)))  # what the core itself runs
    ws = Workspace(folder / "ws")
    dataset = freeze(project, ws)
    assert (dataset.recordings, dataset.rows) == (42, 797484)
    table = materialise(ws, dataset, project.program())
    (run,) = train_all(project, table, ws)
    exported = export(
        run, table=table, name="har", version=1, policy=policy_for(project, run.labels), out_dir=ws.bundles,
        target=project.target, sign=signer(KEYS.release),
    )  # fmt: skip
    return Made(table, run, exported)


@pytest.mark.timeout(400)
def test_people_that_training_never_saw_are_recognised(made: Made) -> None:
    assert made.run.test_groups == PEOPLE
    assert made.run.metrics["accuracy"] >= 0.90, made.run.metrics


@pytest.mark.timeout(400)
def test_the_daemon_decides_as_the_batch_did_window_by_window(made: Made, tmp_path: Path) -> None:
    """0 differences between the trainer on the batch table and the daemon on the raw recordings."""
    table = made.table
    batch = made.run.estimator.predict(table.x.astype("float64"))
    wanted = {
        (table.recording[i], int(table.window[i])): table.labels[batch[i]]
        for i in range(len(batch))
        if table.groups[i] in PEOPLE
    }
    decided = {}
    for name in sorted({recording for recording, _ in wanted}):
        rig = Rig(tmp_path / name)
        rig.write(source=f"playback {FOLDER / 'raw' / name}.csv.gz", bundle=str(made.exported.path))
        done = rig.run()
        assert done.returncode == 0, done.stderr
        for line in map(json.loads, done.stdout.splitlines()):
            decided[name, line["window"]] = line["label"]
    differ = {key for key, label in wanted.items() if decided[key] != label}
    assert len(wanted) > 2000
    assert not differ
