"""Outside data as projects, and the figures that others have published; files are made in the caller's folder.

One rule: a figure is told of every form that leaves, by the bytes of that form.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import cloud_trainer.training.estimators as zoo
from cloud_trainer.datasets import freeze
from cloud_trainer.definition import program_for
from cloud_trainer.export import float_model
from cloud_trainer.export.erm import erm_bytes
from cloud_trainer.export.graph import model_bytes
from cloud_trainer.export.native_forms import model_of
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.project import Project, load
from cloud_trainer.workspace import Workspace
from edge_runtime import native
from edge_runtime.engines import OrtEngine

Scores = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]
"""float32 [n, features] -> [n, scores]."""

HERE = Path(__file__).parent
SENSORS = (2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 17, 20, 21)
"""Those of C-MAPSS FD001 that change."""
CAP = 125
"""Labels of remaining useful life are capped here [cycles]. Source: Heimes, PHM 2008."""


def folder(name: str) -> Path:
    """A set of EDGELOOP_DATA, which may be missing."""
    return Path(os.environ.get("EDGELOOP_DATA", "none"), name)


def cmapss(out: Path) -> Project:
    """FD001: a recording an engine, its remaining life beside each cycle; test engines are the test groups."""
    data = folder("cmapss")
    left = [int(line) for line in (data / "RUL_FD001.txt").read_text(encoding="utf-8").split()]
    tests = []
    for kind in ("train", "test"):
        for unit, rows in _engines(data / f"{kind}_FD001.csv.gz"):
            name = f"{kind}-{unit:03}"
            tests += [name] if kind == "test" else []
            _write(out / f"{name}.csv", rows, left=left[unit - 1] if kind == "test" else 0)
    names = [f"s_{i}" for i in SENSORS]
    channels = "\n".join(f'[[channel]]\nname = "{name}"\nunit = "1"' for name in ["cycle", *names])
    text = (HERE / "cmapss.toml").read_text(encoding="utf-8").replace("CHANNELS", channels)
    slow = "\n".join(f'slow_{name[2:]} = "{name}:ema(12)"' for name in names)
    path = out / "edgeloop.toml"
    path.write_text(text.replace("DERIVED", slow).replace("TEST", repr(tests)), encoding="utf-8")
    return load(path)


def ai4i(out: Path) -> Project:
    """AI4I 2020: a record a product; one feature more than ai4i.toml has."""
    text = (HERE / "ai4i.toml").read_text(encoding="utf-8")
    path = out / "edgeloop.toml"
    path.write_text(text.replace('"torque,wear:product', '"process,air:ratio", "torque,wear:product'), "utf-8")
    return load(path)


def har(_out: Path) -> Project:
    """HAR: recordings of people, split by person."""
    return load(HERE / "har.toml")


PROJECTS: Final[Mapping[str, tuple[str, Callable[[Path], Project]]]] = {
    "C-MAPSS FD001": ("cmapss", cmapss),
    "AI4I": ("ai4i", ai4i),
    "HAR": ("har_hapt", har),
}
"""Set -> (its folder, its project)."""


def table_of(project: Project, ws: Workspace) -> FeatureTable:
    """All its windows, or records."""
    dataset = freeze(project, ws)
    return materialise(ws, dataset, program_for(project, ws, dataset))


def members_of(estimator: Any) -> dict[str, bytes]:
    """The model files that a bundle of it has."""
    proto, _ = float_model(estimator, n_features=int(estimator.n_features_in_))
    return {"model.erm": erm_bytes(model_of(estimator)), "model.onnx": model_bytes(proto)}


def forms_of(members: Mapping[str, bytes]) -> dict[str, Scores]:
    """Both forms, each by its own bytes."""
    core = native.Model(members["model.erm"])
    n = core.n_outputs
    ort = OrtEngine(members["model.onnx"], n_features=core.n_features, n_scores=n)
    return {
        "native": lambda x: np.frombuffer(core.scores_batch(x.reshape(-1).data), np.float64).reshape(len(x), n),
        "ONNX": ort.scores_batch,
    }


def last_cycles(table: FeatureTable) -> list[int]:
    """The last row of each test engine of C-MAPSS."""
    ends = np.flatnonzero(np.array(table.recording) != np.array([*table.recording[1:], ""]))
    return [i for i in ends.tolist() if table.groups[i].startswith("test-")]


def rmse(told: npt.NDArray[np.float64], true: npt.NDArray[np.float64]) -> float:
    """Root of the mean squared error [unit of the values]."""
    return float(np.sqrt(np.mean((told - true) ** 2)))


def failures(table: FeatureTable) -> dict[str, float]:
    """F1 of AI4I's failures, each record told by a model that was fitted without its fold; by trainer and forms."""
    failure = (np.array(table.labels)[table.y] == "failure").astype(np.int32)
    told: dict[str, npt.NDArray[np.int32]] = {}
    for train, test in StratifiedKFold(5, shuffle=True, random_state=1).split(table.x, failure):
        estimator = zoo.make("hist_gradient_boosting", {}, seed=1)
        with threadpool_limits(1):
            zoo.fit("hist_gradient_boosting", estimator, table.x[train], failure[train])
            by: dict[str, Scores] = {"trainer": estimator.predict_proba}
            for form, scores in (by | forms_of(members_of(estimator))).items():
                told.setdefault(form, np.zeros_like(failure))[test] = scores(table.x[test]).argmax(axis=1)
    return {form: float(f1_score(failure, each)) for form, each in told.items()}


def _engines(path: Path) -> Iterator[tuple[int, list[dict[str, str]]]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for unit, rows in groupby(csv.DictReader(file), key=lambda row: int(row["unit"])):
            yield unit, list(rows)


def _write(path: Path, rows: list[dict[str, str]], *, left: int) -> None:
    names = ["cycle", *(f"s_{i}" for i in SENSORS)]
    lines = [",".join([*names, "rul"])]
    for i, row in enumerate(rows):
        rul = min(CAP, left + len(rows) - 1 - i)
        lines.append(",".join([*(row[name] for name in names), str(rul)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
