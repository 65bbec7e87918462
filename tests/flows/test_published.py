"""Outside data, figures that others have published: reached by the feature programs, and by the core's own answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import cloud_trainer.training.estimators as zoo
from cloud_trainer.datasets import freeze
from cloud_trainer.definition import program_for
from cloud_trainer.export import export
from cloud_trainer.export.erm import erm_bytes
from cloud_trainer.export.native_forms import model_of
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.project import Project, load, policy_for
from cloud_trainer.training import train_all
from cloud_trainer.workspace import Workspace
from edge_runtime import native
from edge_runtime.engines import load_bundle, open_engine
from tests.flows.published import HERE, cmapss, folder

pytestmark = pytest.mark.timeout(300)


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not folder(name).is_dir(), reason=f"EDGELOOP_DATA names no folder with {name}")


def made(project: Project, ws: Workspace) -> FeatureTable:
    dataset = freeze(project, ws)
    return materialise(ws, dataset, program_for(project, ws, dataset))


@needs("cmapss")
def test_the_life_that_is_left_of_engines_is_told_within_15_cycles(tmp_path: Path) -> None:
    """C-MAPSS FD001, RMSE at the last cycle of each of 100 test engines, labels capped at 125."""
    project, ws = cmapss(tmp_path), Workspace(tmp_path / "ws")
    table = made(project, ws)
    (run,) = train_all(project, table, ws)
    exported = export(
        run, table=table, name="life", version=1, policy=policy_for(project, run.labels), out_dir=ws.bundles
    )
    assert (exported.manifest.engine, exported.manifest.task) == ("native", "values")
    ends = np.flatnonzero(np.array(table.recording) != np.array([*table.recording[1:], ""]))
    last = [i for i in ends.tolist() if table.groups[i] in run.test_groups]
    assert len(last) == 100
    left = [min(125, int(line)) for line in (folder("cmapss") / "RUL_FD001.txt").read_text(encoding="utf-8").split()]
    assert table.y[last].tolist() == left
    engine = open_engine(load_bundle(exported.path))
    told = np.array([engine.scores(table.x[i].data)[0] for i in last])
    assert np.array_equal(told, run.estimator.predict(table.x[last].astype(np.float64)))
    rmse = float(np.sqrt(np.mean((told - left) ** 2)))
    print(f"C-MAPSS FD001: RMSE {rmse:.2f}")
    assert rmse <= 15.0


@needs("ai4i")
def test_failures_of_machines_are_found_out_of_fold(tmp_path: Path) -> None:
    """AI4I 2020: 10,000 records, 339 failures; five stratified folds, each predicted by the core."""
    toml = (HERE / "ai4i.toml").read_text(encoding="utf-8")
    path = tmp_path / "edgeloop.toml"
    path.write_text(toml.replace('"torque,wear:product', '"process,air:ratio", "torque,wear:product'), "utf-8")
    table = made(load(path), Workspace(tmp_path / "ws"))
    failure = (np.array(table.labels)[table.y] == "failure").astype(np.int32)
    assert failure.sum() == 339
    found = np.zeros(len(failure), np.int32)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=1).split(table.x, failure):
        estimator = zoo.make("hist_gradient_boosting", {}, seed=1)
        with threadpool_limits(1):
            zoo.fit("hist_gradient_boosting", estimator, table.x[train], failure[train])
            wanted = estimator.predict(table.x[test].astype(np.float64))
        core = native.Model(erm_bytes(model_of(estimator)))
        scores = np.frombuffer(core.scores_batch(table.x[test].reshape(-1).data), np.float64).reshape(len(test), 2)
        found[test] = scores.argmax(axis=1)
        assert np.array_equal(found[test], wanted)
    f1 = float(f1_score(failure, found))
    print(f"AI4I: out-of-fold F1 {f1:.3f}")
    assert f1 >= 0.80
