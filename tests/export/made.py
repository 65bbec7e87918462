"""Runs and feature tables for the tests: digits as if they were features, and a signal that really is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from cloud_trainer.datasets import DatasetVersion
from cloud_trainer.features import FeatureTable
from cloud_trainer.task import SIDES, task_of
from cloud_trainer.training import Run
from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Program

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
OPS = range(1, 9)  # all that take no parameter


def program_of(n_features: int, *, n_channels: int = 0, window: int = 32, hop: int = 16) -> Program:
    """`n_features` features: operators 1..8 of channel c0, then of c1, ..."""
    channels = tuple(Channel(name=f"c{i}", unit="m") for i in range(n_channels or -(-n_features // len(OPS))))
    features = tuple(
        Feature(name=f"c{i // len(OPS)}.op{i % len(OPS) + 1}", op=i % len(OPS) + 1, channel=i // len(OPS))
        for i in range(n_features)
    )
    return Program(rate_hz=20.0, channels=channels, window_frames=window, hop_frames=hop, features=features)


def digits(n_classes: int = 10) -> tuple[F32, I32]:
    x, y = load_digits(return_X_y=True)
    keep = y < n_classes
    return x[keep].astype(np.float32), y[keep].astype(np.int32)


def signal(seed: int, n_frames: int) -> tuple[F32, npt.NDArray[np.str_]]:
    """Frames [n, 3] of three kinds of motion in stretches of 200, and the kind of each frame."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(rng.integers(3, size=-(-n_frames // 200)), 200)[:n_frames]
    t = np.arange(n_frames)
    wave = np.sin(t * np.array([0.02, 0.2, 0.9])[kind]) * np.array([0.5, 2.0, 1.0])[kind]
    frames = np.stack([wave, wave**2, kind * 0.3], axis=1) + rng.normal(scale=0.4, size=(n_frames, 3))
    return frames.astype(np.float32), np.array(["rest", "walk", "run"])[kind]


def signal_table(n_recordings: int = 6, n_frames: int = 2000) -> tuple[F32, I32, list[str], npt.NDArray[np.int64]]:
    """(x, y, recording, window) of signals, windows of mixed labels left out."""
    program, code = program_of(24, n_channels=3), {"rest": 0, "walk": 1, "run": 2}
    xs: list[F32] = []
    ys: list[int] = []
    names: list[str] = []
    windows: list[int] = []
    for i in range(n_recordings):
        frames, labels = signal(i, n_frames)
        x = np.frombuffer(native.batch(program, frames.reshape(-1).data), np.float32).reshape(-1, 24)
        for w, row in enumerate(x):
            inside = set(labels[w * 16 : w * 16 + 32].tolist())
            if len(inside) == 1:
                xs.append(row)
                ys.append(code[inside.pop()])
                names.append(f"take{i}")
                windows.append(w)
    return np.array(xs, np.float32), np.array(ys, np.int32), names, np.array(windows, np.int64)


def _dataset(program: Program, labels: tuple[str, ...]) -> DatasetVersion:
    return DatasetVersion(
        name="made",
        version=1,
        digest="ab" * 32,
        rows=1,
        recordings=6,
        labels=labels,
        channels=program.channels,
        rate_hz=program.rate_hz,
        parents=(),
        record_program="",
        delta_version=0,
        made_ms=0,
    )


def _clusters(estimator: Any) -> int:
    return int(next(v for key, v in estimator.get_params().items() if key.rpartition("__")[2] == "n_clusters"))


def _labels(estimator: Any, y: npt.NDArray[Any]) -> tuple[str, ...]:
    task = task_of(estimator)
    if task == "values":
        return tuple(f"value-{i}" for i in range(1 if y.ndim == 1 else y.shape[1]))
    if task == "outliers":
        return SIDES
    n = _clusters(estimator) if task == "clusters" else int(y.max()) + 1
    return tuple(f"label-{i}" for i in range(n))


def trained(
    estimator: Any,
    x: F32,
    y: npt.NDArray[Any],
    *,
    recording: list[str] | None = None,
    window: npt.NDArray[np.int64] | None = None,
    time_us: npt.NDArray[np.int64] | None = None,
    program: Program | None = None,
) -> tuple[Run, FeatureTable]:
    """A run on the first two thirds of the groups (each recording is a group), and its table."""
    n = len(x)
    names = recording or [f"take{i * 6 // n}" for i in range(n)]
    test_groups = tuple(sorted(set(names))[-2:])
    test = np.isin(names, test_groups)
    program = program or program_of(x.shape[1])
    labels = _labels(estimator, y)
    dataset = _dataset(program, labels)
    table = FeatureTable(
        x=x,
        y=y,
        groups=names,
        recording=names,
        window=np.arange(n, dtype=np.int64) if window is None else window,
        labels=labels,
        program=program,
        dataset=dataset,
        time_us=np.full(n, -1, dtype=np.int64) if time_us is None else time_us,
    )
    estimator.fit(x[~test].astype(np.float64), y[~test])
    run = Run(
        run_id="0" * 32,
        name="made",
        estimator=estimator,
        labels=labels,
        program=program,
        dataset=dataset,
        x_train=x[~test],
        y_train=y[~test],
        x_test=x[test],
        y_test=y[test],
        test_groups=test_groups,
        metrics={},
        confusion=(),
        params={},
        seed=0,
    )
    return run, table


def policy(n_labels: int, *, threshold: float = 0.0, k: int = 1, n: int = 1) -> Policy:
    return Policy(thresholds_ppm=(round(1e6 * threshold),) * n_labels, k=k, n=n)
