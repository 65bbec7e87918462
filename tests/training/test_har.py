"""Outside data: the project file of tests/flows on people that training never saw."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_trainer.datasets import freeze
from cloud_trainer.features import materialise
from cloud_trainer.project import load
from cloud_trainer.training import train_all
from cloud_trainer.workspace import Workspace

FOLDER = Path(os.environ.get("EDGELOOP_DATA", ""), "har_hapt")


@pytest.mark.skipif(
    "EDGELOOP_DATA" not in os.environ or not FOLDER.is_dir(), reason="EDGELOOP_DATA names no folder with har_hapt"
)
def test_people_that_training_never_saw_are_recognised(tmp_path: Path) -> None:
    project = load(Path(__file__).parents[1] / "flows" / "har.toml")
    ws = Workspace(tmp_path / "ws")
    dataset = freeze(project, ws)
    assert (dataset.recordings, dataset.rows) == (42, 797484)
    table = materialise(ws, dataset, project.program())
    only_forest = replace(project, train=replace(project.train, estimators=("forest",)))  # what the core itself runs
    (run,) = train_all(only_forest, table, ws)
    assert run.test_groups == ("25", "26", "27", "28", "29", "30")
    assert run.metrics["accuracy"] >= 0.90, run.metrics
