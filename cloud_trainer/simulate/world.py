"""The world that the devices of a simulation look at, and the model that they run.

Its one rule: a device's numbers hang on (seed, device, period) alone, whatever happens to its connection.
The program reads 16 sensors as fields; the model is a naive Bayes of three states, as a real bundle with its baseline.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cloud_trainer.simulate.plan import Plan
from edge_runtime.contract.bundle import Bundle, members_of, pack, unpack
from edge_runtime.contract.golden import Golden
from edge_runtime.contract.manifest import Budget, Lineage, Manifest, Policy
from edge_runtime.contract.program import Feature, Field, Program

F32: TypeAlias = npt.NDArray[np.float32]
N_FEATURES: Final = 16
LABELS: Final = ("idle", "busy", "worn")
SHARES: Final = (0.6, 0.35, 0.05)
WINDOW_S: Final = 1.0
SICK: Final = 4  # the sensor that fails
MOVED: Final = (5, 6)  # the features that a shift moves
TRAINED_ON: Final = 5000
OP_VALUE: Final = 2000


def program() -> Program:
    """16 fields, each as it is."""
    names = [f"sensor-{i:02d}" for i in range(N_FEATURES)]
    return Program(
        rate_hz=1 / WINDOW_S, channels=(), window_frames=1, hop_frames=1,
        fields=tuple(Field(name=name) for name in names),
        features=tuple(Feature(name=name, op=OP_VALUE, channel=i) for i, name in enumerate(names)),
    )  # fmt: skip


def draw(rng: np.random.Generator, n: int) -> tuple[F32, npt.NDArray[np.int64]]:
    """[n, 16] rows and their states."""
    state = rng.choice(len(LABELS), n, p=SHARES)
    rows = rng.standard_normal((n, N_FEATURES), dtype=np.float32)
    rows[:, : len(LABELS)] += 2 * np.eye(len(LABELS), dtype=np.float32)[state]
    return rows, state


def windows(plan: Plan, device: int, period: int, *, is_sick: bool, is_moved: bool) -> F32:
    """The rows that a device sees in a period."""
    rows, _ = draw(np.random.default_rng((plan.seed, device, period)), plan.windows)
    if is_sick:
        rows[:, SICK] = 0.1 * rows[:, SICK] + 2.5
    if is_moved:
        rows[:, MOVED] += 1.0
    return rows


def bundle(seed: int) -> tuple[bytes, Bundle]:
    """The file of the bundle that every device runs, and what it holds."""
    from sklearn.naive_bayes import GaussianNB

    from cloud_trainer.export import graph
    from cloud_trainer.export.baseline import baseline_of
    from cloud_trainer.export.erm import erm_bytes
    from cloud_trainer.export.native_forms import model_of
    from cloud_trainer.export.onnx_float import float_model
    from edge_runtime import native

    rows, state = draw(np.random.default_rng((seed, 1 << 32)), TRAINED_ON)
    fitted: Any = GaussianNB().fit(rows, state)
    model = erm_bytes(model_of(fitted))
    scores = np.frombuffer(native.Model(model).scores_batch(rows), np.float64).reshape(len(rows), -1)
    votes, whole = scores.argmax(axis=1), np.arange(len(rows))
    baseline = baseline_of(
        features=rows, feature_names=[f.name for f in program().features], recording=["training"] * len(rows),
        window=whole, scores=scores, score_names=LABELS, score_rows=whole,
        label_counts=np.bincount(votes, minlength=len(LABELS) + 1).tolist(),
    )  # fmt: skip
    golden = Golden(
        features=tuple(map(tuple, rows[:16].tolist())), labels=tuple(votes[:16].tolist()),
        scores=tuple(map(tuple, scores[:16].tolist())),
    )  # fmt: skip
    files = {
        "program.json": program().to_bytes(),
        "model.onnx": graph.model_bytes(float_model(fitted, n_features=N_FEATURES)[0]),
        "model.erm": model, "baseline.json": baseline.to_bytes(), "golden.json": golden.to_bytes(),
    }  # fmt: skip
    manifest = Manifest(
        name="simulated", version=1, labels=LABELS,
        program_digest=hashlib.sha256(files["program.json"]).hexdigest(), engine="native", precision="float64",
        policy=Policy(thresholds_ppm=(0,) * len(LABELS)),
        lineage=Lineage(dataset="simulated", dataset_version=1, dataset_digest="0" * 64, run_id="simulated"),
        budget=Budget(state_bytes=0, model_bytes=0, memory_bytes=0, latency_us=0, record_bytes_day=0),
        evidence=(), members=members_of(files),
    )  # fmt: skip
    data = pack(manifest, files, [])
    return data, unpack(data)
