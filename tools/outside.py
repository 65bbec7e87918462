"""The sets of `EDGELOOP_DATA` in the evidence: rows and figures as the projects of tests/flows make them.

One rule: what is written of them is a count, a size or a figure over all rows, never a row.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.models import Models
from cloud_trainer.features import FeatureTable
from cloud_trainer.project import Project
from cloud_trainer.task import Task
from cloud_trainer.training import Run, asked
from cloud_trainer.training.split import split
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import UsageError
from tests.flows.published import PROJECTS, failures, folder, forms_of, last_cycles, rmse, table_of

LIFE, MILLING, MOTION = PROJECTS
SAID: Final = {
    LIFE: "life left at the last cycle of 100 engines, labels capped at 125: RMSE in cycles (at most 15.0)",
    MILLING: "failures of a milling machine, five folds: out-of-fold F1 (at least 0.80)",
    MOTION: "six activities of six people who were not in training: accuracy (at least 0.90)",
}
BY: Final = {LIFE: "hist_gradient_boosting", MILLING: "hist_gradient_boosting", MOTION: "forest"}
"""Whose figure is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What is trained on and what is asked: features float32 [n, F], and the answer of each row."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[Any]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[Any]


@cache
def project_of(where: str) -> tuple[Project, FeatureTable]:
    """A set as a project and its table.

    Raises:
        UsageError: `EDGELOOP_DATA` does not have it.
    """
    name, project = PROJECTS[where]
    if not folder(name).is_dir():
        raise UsageError(f"EDGELOOP_DATA: no folder {name}", hint="it names the folder of the outside sets")
    out = Path(tempfile.mkdtemp(prefix="evidence-"))
    made = project(out)
    return made, table_of(made, Workspace(out / "ws"))


def sides_of(where: str, task: Task) -> Sides:
    """Both sides of the project's split."""
    project, table = project_of(where)
    rows = split(table, project.split, by_label=task != "values")
    y = asked.answers(task, table, ("fine",) if task == "outliers" else ())
    return Sides(x=table.x[rows.train], y=y[rows.train], x_test=table.x[rows.test], y_test=y[rows.test])


def params_of(where: str, name: str) -> dict[str, Any]:
    """What the project asks of an estimator."""
    return dict(project_of(where)[0].train.params.get(name, {}))


def figure(where: str, run: Run, models: Models) -> str:
    """Its line on the page: the figure by the trainer and by each form."""
    _, table = project_of(where)
    if where == MILLING:
        by = failures(table)
    else:
        asks = {"trainer": _trainer(run.estimator, is_values=where == LIFE), **forms_of(models.members)}
        by = {form: _judged(where, table, scores) for form, scores in asks.items()}
    told = ", ".join(f"{form} {value:.{2 if where == LIFE else 3}f}" for form, value in by.items())
    return f"* {where}, {SAID[where]}: {told}."


def _trainer(estimator: Any, *, is_values: bool) -> Any:
    ask = estimator.predict if is_values else estimator.predict_proba
    return lambda x: ask(x.astype(np.float64)).reshape(len(x), -1)


def _judged(where: str, table: FeatureTable, scores: Any) -> float:
    if where == LIFE:
        last = last_cycles(table)
        return rmse(scores(table.x[last])[:, 0], table.y[last])
    sides = sides_of(where, "labels")
    return float(np.mean(scores(sides.x_test).argmax(axis=1) == sides.y_test))
