"""Fit every estimator that the project names. One rule: the same seed and data give the same run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cloud_trainer.training.estimators as zoo
from cloud_trainer.training.metrics import evaluate
from cloud_trainer.training.split import split
from cloud_trainer.training.track import Run, Tracker

if TYPE_CHECKING:
    from cloud_trainer.datasets import Progress
    from cloud_trainer.features import FeatureTable
    from cloud_trainer.project import Project
    from cloud_trainer.workspace import Workspace


def train_all(project: Project, table: FeatureTable, ws: Workspace, *, progress: Progress | None = None) -> list[Run]:
    """One tracked run for each estimator of the project, in its order.

    Raises:
        UsageError: A parameter or a test group that there is not; nothing was fitted.
        ContractError: A label cannot be in training and in test, or an estimator could not be exported.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from cloud_trainer.export.native_forms import check_exportable

    rows = split(table, project.split)
    seed = project.train.seed
    made = {name: zoo.make(name, project.train.params.get(name, {}), seed=seed) for name in project.train.estimators}
    for estimator in made.values():
        check_exportable(estimator)
    tracker = Tracker(ws, table.dataset.name)
    runs = []
    for done, (name, estimator) in enumerate(made.items()):
        if progress:
            progress(f"training {name}", done, len(made))
        # One BLAS and OpenMP thread: sums do not depend on the cores there are, and spinning threads on busy cores
        # were nine times slower (254 s against 27). A forest's own threads stay: each fits whole trees.
        with threadpool_limits(limits=1):
            notes = zoo.fit(name, estimator, table.x[rows.train], table.y[rows.train])
            metrics, counts = evaluate(estimator, table.x[rows.test], table.y[rows.test], table.labels)
        runs.append(
            tracker.log(
                table,
                rows,
                name=name,
                estimator=estimator,
                metrics=metrics,
                confusion=counts.tolist(),
                params=dict(project.train.params.get(name, {})),
                seed=seed,
                notes=notes,
            )
        )
    if progress:
        progress("training", len(made), len(made))
    return runs


def best(runs: Sequence[Run], metric: str = "accuracy") -> Run:
    """The run with the greatest `metric`; of equals the first."""
    return max(runs, key=lambda run: run.metrics[metric])
