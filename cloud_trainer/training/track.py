"""Runs, kept in MLflow. One rule: a run names what it was made from; its model's hash is checked on load."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloud_trainer.training.estimators as zoo
import edge_runtime
from cloud_trainer.datasets import DatasetVersion, load
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.task import Task
from cloud_trainer.training.asked import answers
from cloud_trainer.training.split import SplitRows, rows_of
from edge_runtime.contract.program import Program
from edge_runtime.errors import ContractError, TrustError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cloud_trainer.workspace import Workspace

ARTIFACTS = ("run.json", "program.json", "model.joblib")
PACKAGES = ("numpy", "scikit-learn", "scipy", "joblib", "deltalake", "duckdb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of training.

    Attributes:
        run_id: MLflow's, 32 hex digits.
        name: Of the estimator, as in the project file.
        estimator: Fitted estimator; classes are label indices, features go in as float64.
        labels: In the order of the index; of values, their names.
        program: What made the features.
        dataset: What they were made from.
        x_train: float32 [n, n_features]; `y_train` int32 [n], or float64 [n] or [n, values]; `x_test`, `y_test` alike.
        test_groups: The groups of the test rows.
        metrics: On the test rows: accuracy, macro_f1 and `recall.<label>`, 0..1, or those of the task.
        confusion: Counts on the test rows: row = true label, column = predicted; none of values.
        params: As the project gave them.
        seed: Of the estimator.
        notes: What scikit-learn warned of.
    """

    run_id: str
    name: str
    estimator: Any
    labels: tuple[str, ...]
    program: Program
    dataset: DatasetVersion
    x_train: npt.NDArray[np.float32]
    y_train: npt.NDArray[Any]
    x_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[Any]
    test_groups: tuple[str, ...]
    metrics: Mapping[str, float]
    confusion: Sequence[Sequence[int]]
    params: Mapping[str, object]
    seed: int
    notes: tuple[str, ...] = ()


class Tracker:
    """Writes runs of one experiment."""

    def __init__(self, ws: Workspace, experiment: str) -> None:
        """Opens the tracking store of `ws`, which is made if it is new."""
        self._ws, self._name = ws, experiment
        self._client = _client(ws)
        found = self._client.get_experiment_by_name(experiment)
        place = None if os.environ.get("MLFLOW_TRACKING_URI") else (ws.artifacts / experiment).as_uri()
        self._experiment = found.experiment_id if found else self._client.create_experiment(experiment, place)

    def log(
        self,
        table: FeatureTable,
        rows: SplitRows,
        *,
        name: str,
        estimator: Any,
        labels: tuple[str, ...],
        task: Task,
        normal: Sequence[str],
        metrics: Mapping[str, float],
        confusion: Sequence[Sequence[int]],
        params: Mapping[str, object],
        seed: int,
        notes: tuple[str, ...],
    ) -> Run:
        """The run, written down with its model."""
        run_id = str(self._client.create_run(self._experiment, run_name=name).info.run_id)
        facts = {
            "name": name,
            "dataset": table.dataset.name,
            "dataset_version": table.dataset.version,
            "dataset_digest": table.dataset.digest,
            "program_digest": table.program.digest,
            "labels": labels,
            "task": task,
            "normal": normal,
            "test_groups": rows.test_groups,
            "seed": seed,
            "params": params,
            "metrics": metrics,
            "confusion": confusion,
            "notes": notes,
            "versions": {package: version(package) for package in PACKAGES}
            | {"python": platform.python_version(), "edgeloop": edge_runtime.__version__},
        }
        self._write(run_id, facts, estimator, table.program)
        self._ws.add_lineage(
            "train",
            inputs=[table.dataset.ref],
            outputs=[f"run/{run_id}"],
            facts={key: facts[key] for key in ("name", "dataset_digest", "program_digest", "seed")},
            run_id=run_id,
        )
        return _run(run_id, facts, estimator, table)

    def _write(self, run_id: str, facts: Mapping[str, Any], estimator: Any, program: Program) -> None:
        import joblib  # type: ignore[import-untyped]

        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder, "model.joblib")
            joblib.dump(estimator, model, compress=3)
            digest = hashlib.sha256(model.read_bytes()).hexdigest()
            Path(folder, "program.json").write_bytes(program.to_bytes())
            Path(folder, "run.json").write_text(
                json.dumps({**facts, "model_sha256": digest}, indent=1, sort_keys=True), encoding="utf-8"
            )
            self._keep(run_id, folder)
        plain = ("dataset", "dataset_version", "dataset_digest", "program_digest", "seed")
        for key in plain:
            self._client.log_param(run_id, key, facts[key])
        for key, value in zoo.settings(estimator).items():
            self._client.log_param(run_id, f"param.{key}", value)
        for key, value in facts["metrics"].items():
            self._client.log_metric(run_id, re.sub(r"[^A-Za-z0-9_.-]", "_", key), value)
        for key, value in {**facts["versions"], "model_sha256": digest}.items():
            self._client.set_tag(run_id, f"edgeloop.{key}", value)
        self._client.set_terminated(run_id)

    def _keep(self, run_id: str, folder: str) -> None:
        """Local artifacts go below the workspace as it lies now: MLflow's own path is absolute, a folder may move."""
        if os.environ.get("MLFLOW_TRACKING_URI"):
            self._client.log_artifacts(run_id, folder)
        else:
            shutil.copytree(folder, self._ws.artifacts / self._name / run_id / "artifacts")


def load_run(ws: Workspace, run_id: str) -> Run:
    """The run as it was, its rows made anew from its dataset version.

    Raises:
        UsageError: There is no such run.
        ContractError: Its dataset version is not what it was trained on.
        TrustError: The stored model is not the one that was trained.
    """
    import joblib
    from mlflow.exceptions import MlflowException

    client = _client(ws)
    with tempfile.TemporaryDirectory() as folder:
        try:
            client.get_run(run_id)
            here = {name: _artifact(ws, client, run_id, name, folder) for name in ARTIFACTS}
        except (MlflowException, OSError) as why:
            raise UsageError(f"run {run_id}: {why}", hint=f"runs are kept at {ws.mlflow_uri}") from why
        facts = json.loads(here["run.json"].read_text(encoding="utf-8"))
        wanted = client.get_run(run_id).data.tags.get("edgeloop.model_sha256", "")
        data = here["model.joblib"].read_bytes()
        if hashlib.sha256(data).hexdigest() != wanted:
            raise TrustError(
                f"run {run_id}: model.joblib has another hash than the run's {wanted[:12]}",
                hint="never load it: train anew from the dataset version",
            )
        estimator = joblib.load(here["model.joblib"])
        program = Program.from_bytes(here["program.json"].read_bytes())
    dataset = load(ws, facts["dataset"], facts["dataset_version"])
    if dataset.digest != facts["dataset_digest"] or program.digest != facts["program_digest"]:
        raise ContractError(
            f"run {run_id}: {dataset.ref} has digest {dataset.digest[:12]}, the run was trained on "
            f"{facts['dataset_digest'][:12]}",
            hint="name the workspace that the run was made in",
        )
    return _run(run_id, facts, estimator, materialise(ws, dataset, program))


def _artifact(ws: Workspace, client: Any, run_id: str, name: str, folder: str) -> Path:
    """A file of a run: below the workspace, or from the team's server."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return Path(client.download_artifacts(run_id, name, folder))
    for found in ws.artifacts.glob(f"*/{run_id}/artifacts/{name}"):
        return found
    raise FileNotFoundError(f"{ws.artifacts}: {name} is missing")


def _run(run_id: str, facts: Mapping[str, Any], estimator: Any, table: FeatureTable) -> Run:
    rows = rows_of(table, facts["test_groups"])
    y = answers(facts.get("task", "labels"), table, facts.get("normal", ()))  # older runs are of labels
    return Run(
        run_id=run_id,
        name=facts["name"],
        estimator=estimator,
        labels=tuple(facts["labels"]),
        program=table.program,
        dataset=table.dataset,
        x_train=table.x[rows.train],
        y_train=y[rows.train],
        x_test=table.x[rows.test],
        y_test=y[rows.test],
        test_groups=rows.test_groups,
        metrics=dict(facts["metrics"]),
        confusion=facts["confusion"],
        params=dict(facts["params"]),
        seed=facts["seed"],
        notes=tuple(facts["notes"]),
    )


def _client(ws: Workspace) -> Any:
    """MLflow's client: quiet, and it tells nobody."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow's mappers use what its own SQLAlchemy calls deprecated
        from mlflow import MlflowClient

        for name in ("alembic", "mlflow"):  # mlflow sets its level while it is imported
            logging.getLogger(name).setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=ws.mlflow_uri)
