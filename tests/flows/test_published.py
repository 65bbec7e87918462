"""Outside data, figures that others have published: reached by the feature programs, and by the core's own answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.export import export
from cloud_trainer.project import policy_for
from cloud_trainer.training import train_all
from cloud_trainer.workspace import Workspace
from edge_runtime.engines import load_bundle
from tests.flows.published import ai4i, cmapss, failures, folder, forms_of, last_cycles, rmse, table_of

pytestmark = pytest.mark.timeout(300)


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not folder(name).is_dir(), reason=f"EDGELOOP_DATA names no folder with {name}")


@needs("cmapss")
def test_the_life_that_is_left_of_engines_is_told_within_15_cycles(tmp_path: Path) -> None:
    """C-MAPSS FD001, RMSE at the last cycle of each of 100 test engines, labels capped at 125."""
    project, ws = cmapss(tmp_path), Workspace(tmp_path / "ws")
    table = table_of(project, ws)
    (run,) = train_all(project, table, ws)
    exported = export(
        run, table=table, name="life", version=1, policy=policy_for(project, run.labels), out_dir=ws.bundles
    )
    assert (exported.manifest.engine, exported.manifest.task) == ("native", "values")
    last = last_cycles(table)
    assert len(last) == 100
    left = [min(125, int(line)) for line in (folder("cmapss") / "RUL_FD001.txt").read_text(encoding="utf-8").split()]
    assert table.y[last].tolist() == left
    wanted = run.estimator.predict(table.x[last].astype(np.float64))
    for form, scores in forms_of(load_bundle(exported.path).members).items():
        told = scores(table.x[last])[:, 0]
        assert np.array_equal(told, wanted), form
        assert rmse(told, table.y[last]) <= 15.0


@needs("ai4i")
def test_failures_of_machines_are_found_out_of_fold(tmp_path: Path) -> None:
    """AI4I 2020: 10,000 records, 339 failures; five stratified folds, each told by trainer, core and onnxruntime."""
    table = table_of(ai4i(tmp_path), Workspace(tmp_path / "ws"))
    assert [table.labels[i] for i in table.y].count("failure") == 339
    found = failures(table)
    assert found["trainer"] == found["native"] == found["ONNX"] >= 0.80, found
