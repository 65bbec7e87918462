"""Bundles whose costs are told and counted: several estimators, on the vibration monitor and on a small program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cloud_trainer.export import export
from edge_runtime import native
from edge_runtime.contract.program import Channel, Program
from edge_runtime.features import build_program
from edge_runtime.selftest import STANDARD
from tests.export.made import F32, policy, program_of, signal, trained

N_FRAMES: Final = 6000


def monitor() -> Program:
    """The standard program on three channels, half a window a hop."""
    columns = [Channel(name=f"c{i}", unit="g") for i in range(3)]
    return build_program(columns, rate_hz=128, window_frames=256, hop_frames=128, features=STANDARD)


ESTIMATORS: Final[dict[str, Callable[[], Any]]] = {
    "forest": lambda: RandomForestClassifier(40, max_depth=8, random_state=0),
    "hist": lambda: HistGradientBoostingClassifier(max_iter=25, random_state=0),
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
    "mlp": lambda: make_pipeline(StandardScaler(), MLPClassifier((32, 16), max_iter=300, tol=1e-3, random_state=0)),
}
PROGRAMS: Final[dict[str, Callable[[], Program]]] = {
    "small": lambda: program_of(24, n_channels=3),
    "monitor": monitor,
}


def table_of() -> Program:
    """Records alone: numbers, texts and times."""
    kinds = {"age": "number", "load": "number", "at": "number", "colour": "text", "site": "text"}
    entries = ["age:impute(38)|standardise(40,12)", "age:missing", "load:log1p|min_max(0,9,0)", "at:hour(60)"]
    entries += ["colour:one_hot(red,green,blue)", "site:ordinal(-1,north,south)", "age,load:product"]
    return build_program([], rate_hz=1, window_frames=1, hop_frames=1, features=entries, fields=kinds)


RECORDS: Final = [
    (20.0 + 5 * i, 0.5 * i * i, 1.7e12 + 1e7 * i, ("red", "green", "ochre")[i % 3], ("north", "s7")[i % 2])
    for i in range(8)
]


def made_of_records(estimator: Any, out: Path) -> Path:
    """A proved bundle's file whose rows are the records, with some noise."""
    program, rng = table_of(), np.random.default_rng(0)
    rows = native.Rows(program)
    x = np.array([np.array(rows.run(RECORDS[i % len(RECORDS)])) for i in range(400)], np.float32)
    x += rng.normal(scale=0.2, size=x.shape).astype(np.float32)
    y = (x[:, 0] + rng.normal(scale=0.3, size=len(x)) > 0).astype(np.int32)
    run, table = trained(estimator, x, y, program=program)
    return export(run, table=table, name="pump", version=1, policy=policy(2), out_dir=out).path


def frames() -> F32:
    """Three channels of a signal that no bundle was trained on."""
    return np.ascontiguousarray(signal(99, 1024)[0])


def made(program: Program, estimator: Any, out: Path) -> Path:
    """A proved bundle's file."""
    xs, ys, names = [], [], []
    code = {"rest": 0, "walk": 1, "run": 2}
    for i in range(6):
        signals, labels = signal(i, N_FRAMES)
        rows = np.frombuffer(native.batch(program, signals.reshape(-1).data), np.float32)
        xs.append(rows.reshape(-1, len(program.features)))
        ends = [w * program.hop_frames + program.window_frames - 1 for w in range(len(xs[-1]))]
        ys += [code[labels[end]] for end in ends]
        names += [f"take{i}"] * len(ends)
    run, table = trained(estimator, np.concatenate(xs), np.array(ys, np.int32), recording=names, program=program)
    return export(run, table=table, name="pump", version=1, policy=policy(3), out_dir=out).path
