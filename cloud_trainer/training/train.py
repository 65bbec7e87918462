"""Fit every estimator that the project names. One rule: the same seed and data give the same run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cloud_trainer.training.estimators as zoo
from cloud_trainer.estimators import LESS_IS_BETTER
from cloud_trainer.training import asked
from cloud_trainer.training.metrics import evaluate
from cloud_trainer.training.split import split
from cloud_trainer.training.track import Run, Tracker
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from cloud_trainer.datasets import Progress
    from cloud_trainer.features import FeatureTable
    from cloud_trainer.project import Project
    from cloud_trainer.workspace import Workspace


def train_all(project: Project, table: FeatureTable, ws: Workspace, *, progress: Progress | None = None) -> list[Run]:
    """One tracked run for each estimator of the project, in its order.

    Raises:
        UsageError: A parameter, a label or a test group that there is not; nothing was fitted.
        ContractError: A label cannot be in training and in test, or an estimator could not be exported.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from cloud_trainer.export.native_forms import check_exportable

    wanted = project.train
    _check_task(project, table)
    y = asked.answers(wanted.task, table, wanted.normal)
    rows = split(table, project.split, by_label=wanted.task == "labels")
    fitted = rows.train
    if wanted.task == "outliers":
        fitted = rows.train[asked.is_normal(table, wanted.normal)[rows.train]]
    made = {
        name: zoo.make(name, wanted.params.get(name, {}), seed=wanted.seed, task=wanted.task)
        for name in wanted.estimators
    }
    for estimator in made.values():
        check_exportable(estimator)
    if project.policy.is_chosen:
        from cloud_trainer.training import policy

        policy.check(project.policy, made, table.labels)
    tracker = Tracker(ws, table.dataset.name)
    runs = []
    for done, (name, estimator) in enumerate(made.items()):
        if progress:
            progress(f"training {name}", done, len(made))
        labels = asked.labels(wanted.task, table, estimator)
        # One BLAS and OpenMP thread: sums do not depend on the cores there are, and spinning threads on busy cores
        # were nine times slower (254 s against 27). A forest's own threads stay: each fits whole trees.
        with threadpool_limits(limits=1):
            notes = zoo.fit(name, estimator, table.x[fitted], y[fitted])
            metrics, counts = evaluate(estimator, table.x[rows.test], y[rows.test], labels, task=wanted.task)
        runs.append(
            tracker.log(
                table,
                rows,
                name=name,
                estimator=estimator,
                labels=labels,
                task=wanted.task,
                normal=wanted.normal,
                metrics=metrics,
                confusion=counts,
                params=dict(wanted.params.get(name, {})),
                seed=wanted.seed,
                notes=notes,
            )
        )
    if progress:
        progress("training", len(made), len(made))
    return runs


def _check_task(project: Project, table: FeatureTable) -> None:
    """A dataset of values cannot be asked for labels, nor the other way."""
    has_values = bool(table.dataset.targets)
    if has_values != (project.train.task == "values"):
        there = "values" if has_values else "labels"
        raise UsageError(
            f"dataset {table.dataset.ref} has {there}, train.estimators predict {project.train.task}",
            hint="freeze the recordings anew with this project",
        )


def best(runs: Sequence[Run], metric: str = "accuracy") -> Run:
    """The run that is best by `metric`; of equals the first."""
    sign = -1 if metric in LESS_IS_BETTER else 1
    return max(runs, key=lambda run: sign * run.metrics[metric])
