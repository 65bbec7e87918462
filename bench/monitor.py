"""A vibration monitor, for `endtoend` and `daemon`: 6 x 256 frames -> 150 features -> scaler -> a network 64-64.

One rule: one thing is measured everywhere: the same windows, the same network, its bundle as a device gets it.
"""

from __future__ import annotations

import hashlib
import warnings
from functools import cache
from typing import Any

import numpy as np

from bench.bench_features import CHANNELS, MONITOR, RATE, WINDOW, by_numpy
from bench.bench_features import monitor as program_of
from cloud_trainer.export import graph
from cloud_trainer.export.baseline import baseline_of
from cloud_trainer.export.erm import erm_bytes
from cloud_trainer.export.native_forms import model_of
from cloud_trainer.export.onnx_float import float_model
from edge_runtime import native
from edge_runtime.contract.bundle import members_of, pack
from edge_runtime.contract.golden import Golden
from edge_runtime.contract.manifest import Budget, Lineage, Manifest, Policy
from edge_runtime.contract.order import Signature
from edge_runtime.contract.program import Program

NAMES = tuple(name for name in MONITOR if name != "range")
PLACES = [MONITOR.index(name) for name in NAMES]
N_FEATURES = CHANNELS * len(NAMES)
LABELS = tuple(f"state-{i}" for i in range(5))
POLICY = Policy(thresholds_ppm=(0,) * len(LABELS))


@cache
def program() -> Program:
    return program_of(NAMES)[0]


@cache
def windows(n: int = 600) -> tuple[Any, Any]:
    """Windows [n, frames, channels] of a machine whose hum moves with its state, and the states."""
    rng = np.random.default_rng(4)
    state = rng.integers(0, len(LABELS), n)
    t = np.arange(WINDOW)[None, :, None] / RATE
    phase = rng.uniform(0, 2 * np.pi, (n, 1, CHANNELS))
    hum = np.sin(2 * np.pi * (6.0 + 9.0 * state)[:, None, None] * t + phase)
    return (hum + rng.standard_normal((n, WINDOW, CHANNELS))).astype(np.float32), state


def row_by_numpy(frames: Any) -> Any:
    """The 150 features in the order of the program, by hand."""
    return by_numpy(frames)[PLACES].reshape(-1)


@cache
def rows() -> Any:
    """The features of all windows, by the core."""
    x = windows()[0]
    return np.frombuffer(native.batch(program(), x.reshape(-1)), np.float32).reshape(len(x), -1)


@cache
def fitted() -> Any:
    """The network, its features standardised: they have other units and sizes."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged: its speed is the same
        network = MLPClassifier((64, 64), max_iter=60, random_state=0)
        return make_pipeline(StandardScaler(), network).fit(rows(), windows()[1])


@cache
def onnx() -> bytes:
    """Our graph of it, of the bundle."""
    return graph.model_bytes(float_model(fitted(), n_features=N_FEATURES)[0])


@cache
def erm() -> bytes:
    return erm_bytes(model_of(fitted()))


def bundle(*, engine: str = "native", signer: Any = None) -> bytes:
    """The bundle, as the exporter packs one."""
    scores = np.frombuffer(native.Model(erm()).scores_batch(rows()), np.float64).reshape(len(rows()), -1)
    votes = scores.argmax(axis=1)
    whole = np.arange(len(rows()))
    baseline = baseline_of(
        features=rows(), feature_names=[f.name for f in program().features], recording=["run"] * len(whole),
        window=whole, scores=scores, score_names=LABELS, score_rows=whole,
        label_counts=np.bincount(votes, minlength=len(LABELS) + 1).tolist(),
    )  # fmt: skip
    picked = slice(0, 16)
    golden = Golden(
        features=tuple(map(tuple, rows()[picked].tolist())),
        labels=tuple(votes[picked].tolist()),
        scores=tuple(map(tuple, scores[picked].tolist())),
    )
    files = {
        "program.json": program().to_bytes(), "model.onnx": onnx(), "model.erm": erm(),
        "baseline.json": baseline.to_bytes(), "golden.json": golden.to_bytes(),
    }  # fmt: skip
    manifest = Manifest(
        name="monitor", version=1, labels=LABELS,
        program_digest=hashlib.sha256(files["program.json"]).hexdigest(), engine=engine,
        precision="float64" if engine == "native" else "float32", policy=POLICY,
        lineage=Lineage(dataset="monitor", dataset_version=1, dataset_digest="0" * 64, run_id="bench"),
        budget=Budget(state_bytes=0, model_bytes=0, memory_bytes=0, latency_us=0, record_bytes_day=0),
        evidence=(), members=members_of(files),
    )  # fmt: skip
    signatures: list[Signature] = [signer(manifest.to_bytes())] if signer else []
    return pack(manifest, files, signatures)
