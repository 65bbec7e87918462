"""Models, one row at a time: the native engine beside onnxruntime, scikit-learn and lleaves. Unit of work = one row.

core         the C core, a call a row from C, over 1000 rows in turn, so that no branch predictor learns one by heart
onnxruntime  skl2onnx's own graph of the estimator, zipmap off, one thread, its optimiser on: as its users run it
sklearn      predict_proba (score_samples) of one row
lleaves      the LightGBM twin of the boosting, compiled, a row a call (`*_batch`: all rows in one, no Python), beside
             the core on the same twin. It wants an older llvmlite: RIVALS_PYTHON names an interpreter that has it.
small        the core with trees in the small layout
float32      the core with the network that is not quantised, beside its int8 twin
Labels are compared first: a rival that answers otherwise is none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.rival_lleaves import timed
from cloud_trainer.export.erm import LAYOUTS, Layout, erm_bytes
from cloud_trainer.export.native_forms import model_of
from edge_runtime import native
from edge_runtime.engines import OrtEngine

N_FEATURES, N_CLASSES, N_ROWS = 144, 5, 1000
COLD_BYTES = 16 << 20
LLEAVES_PYTHON = os.environ.get("RIVALS_PYTHON", sys.executable)


@cache
def data() -> tuple[Any, Any]:
    """4000 rows of noise with classes in it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, N_FEATURES)).astype(np.float32)
    return x, (x[:, :N_CLASSES] + 0.5 * rng.standard_normal((4000, N_CLASSES))).argmax(axis=1)


@cache
def rows() -> Any:
    return np.random.default_rng(1).standard_normal((N_ROWS, N_FEATURES)).astype(np.float32)


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, max_depth=10, random_state=0, n_jobs=1)


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=100, random_state=0)


def _isolation() -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(random_state=0)


def _mlp() -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((64, 64), max_iter=30, random_state=0)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=300)


MODELS: dict[str, tuple[str, Callable[[], Any]]] = {
    "forest": ("forest, 100 trees of depth 10", _forest),
    "hgb": ("histogram gradient boosting, 5 classes x 100 trees", _boosting),
    "iforest": ("isolation forest, 100 trees", _isolation),
    "mlp": ("network 64-64", _mlp),
    "logreg": ("logistic regression", _logistic),
}


@cache
def fitted(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a network has not converged: its speed is the same
        return MODELS[name][1]().fit(*data())


@cache
def our(name: str, layout: Layout = "fast") -> native.Model:
    return native.Model(erm_bytes(model_of(fitted(name)), layout))


@cache
def our_int8() -> native.Model:
    """As the exporter makes it."""
    from cloud_trainer.export.onnx_int8 import best_int8, int8_steps

    calibration = data()[0][:2000]
    shape = {"n_features": N_FEATURES, "n_scores": N_CLASSES}
    made = best_int8(fitted("mlp"), calibration, scores_of=lambda d: OrtEngine(d, **shape).scores_batch(calibration))
    assert made
    return native.Model(erm_bytes(int8_steps(made)))


def scores_of(model: native.Model, x: Any) -> Any:
    return np.frombuffer(model.scores_batch(x), np.float64).reshape(len(x), -1)


@cache
def onnx_of(name: str) -> bytes:
    from skl2onnx import to_onnx

    options = {"score_samples": True} if name == "iforest" else {"zipmap": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = to_onnx(fitted(name), rows()[:1], options=options, target_opset={"": 22, "ai.onnx.ml": 3})
    return bytes(made.SerializeToString())


@cache
def session(name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(onnx_of(name), options)


def named(benchmark: Any, name: str, what: str = "", *, n: int = N_ROWS) -> Any:
    benchmark.group = f"{MODELS[name][0]}{what}"
    benchmark.extra_info |= {"prefix": f"{name}{what and '_' + what.rsplit(maxsplit=1)[-1]}_", "rows": n}
    return benchmark


each = pytest.mark.parametrize("name", MODELS)


@each
def test_core(benchmark: Any, name: str) -> None:
    """The native engine."""
    x, model = rows(), fitted(name)
    if name != "iforest":
        want = np.concatenate([model.predict_proba(row[None]) for row in x[:200].astype(np.float64)])
        assert (scores_of(our(name), x[:200]).argmax(axis=1) == want.argmax(axis=1)).all()
    named(benchmark, name)(our(name).scores_batch, x)


@pytest.mark.parametrize("name", ["forest", "hgb", "iforest"])
def test_small(benchmark: Any, name: str) -> None:
    """The native engine, trees in the small layout: the same bits."""
    assert our(name, "small").scores_batch(rows()) == our(name).scores_batch(rows())
    named(benchmark, name)(our(name, "small").scores_batch, rows())


def test_core_int8(benchmark: Any) -> None:
    """The network with uint8 weights and values."""
    named(benchmark, "mlp", " in int8")(our_int8().scores_batch, rows())


def test_float32(benchmark: Any) -> None:
    """The same network as trained."""
    named(benchmark, "mlp", " in int8")(our("mlp").scores_batch, rows())


@each
def test_onnxruntime(benchmark: Any, name: str) -> None:
    """One row a run."""
    run = session(name).run
    given = [{"X": row[None]} for row in rows()]
    named(benchmark, name)(lambda: [run(None, one) for one in given])


@each
def test_sklearn(benchmark: Any, name: str) -> None:
    """One row a call."""
    model, row = fitted(name), rows()[:1]
    answer = model.score_samples if name == "iforest" else model.predict_proba
    named(benchmark, name, n=1).pedantic(answer, args=(row,), rounds=30, iterations=1, warmup_rounds=2)


# ---- cold: what a device meets that sleeps between two windows ----


def cold(benchmark: Any, run: Callable[[Any], Any]) -> None:
    """One row after 16 MB of something else."""
    other, x, turn = np.ones(COLD_BYTES, np.uint8), rows(), iter(range(10**9))

    def touched() -> tuple[tuple[Any], dict[str, Any]]:
        other.__iadd__(1)
        return (x[next(turn) % N_ROWS],), {}

    named(benchmark, "forest", " cold", n=1).pedantic(run, setup=touched, rounds=300, iterations=1)


def test_core_cold(benchmark: Any) -> None:
    """From Python, one call."""
    cold(benchmark, our("forest").scores)


def test_onnxruntime_cold(benchmark: Any) -> None:
    """From Python, one run."""
    run = session("forest").run
    cold(benchmark, lambda row: run(None, {"X": row[None]}))


# ---- batches, which are onnxruntime's own ----


def batch(benchmark: Any, run: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(2).standard_normal((1024, N_FEATURES)).astype(np.float32)
    named(benchmark, "mlp", " in a batch of 1024", n=1024)(run, x)


def test_core_batch(benchmark: Any) -> None:
    """Our engine, with our graph of it."""
    from cloud_trainer.export import graph
    from cloud_trainer.export.onnx_float import float_model

    proto, _ = float_model(fitted("mlp"), n_features=N_FEATURES)
    batch(benchmark, OrtEngine(graph.model_bytes(proto), n_features=N_FEATURES, n_scores=N_CLASSES).scores_batch)


def test_onnxruntime_batch(benchmark: Any) -> None:
    """One run."""
    run = session("mlp").run
    batch(benchmark, lambda x: run(None, {"X": x}))


def figures(results: dict[str, float]) -> dict[str, float]:
    """Bytes beside the smaller of skl2onnx's graph and ours, and the time from bytes to a first answer."""
    from cloud_trainer.export import graph
    from cloud_trainer.export.onnx_float import float_model

    out: dict[str, float] = {"mlp_batch_x_onnxruntime": results["mlp_1024_x_onnxruntime"]}
    for name in ("forest", "hgb"):
        proto, _ = float_model(fitted(name), n_features=N_FEATURES)
        theirs = {"skl2onnx": len(onnx_of(name)), "onnx": len(graph.model_bytes(proto))}
        small, fast = our(name, "small"), our(name)
        labels = [scores_of(model, rows()).argmax(axis=1) for model in (small, fast)]
        out |= {f"{name}_{whose}_bytes": n for whose, n in theirs.items()}
        out |= {
            f"{name}_fast_bytes": fast.nbytes,
            f"{name}_small_bytes": small.nbytes,
            f"{name}_times_smaller": round(min(theirs.values()) / small.nbytes, 2),
            f"{name}_labels_differ": int((labels[0] != labels[1]).sum()),
        }
    row, times = rows()[0], []
    for name in MODELS:
        for layout in LAYOUTS:
            erm = erm_bytes(model_of(fitted(name)), layout)
            before = time.perf_counter()
            native.Model(erm).scores(row)
            times.append(time.perf_counter() - before)
    return out | {"load_and_first_ms": round(1000 * max(times), 3)} | lleaves()


def lleaves() -> dict[str, float]:
    """Beside the core on one LightGBM model: as many trees and leaves as the boosting, the same rows and labels."""
    import lightgbm

    with tempfile.TemporaryDirectory() as name:
        model, given = Path(name) / "twin.txt", Path(name) / "rows.npy"
        twin = lightgbm.LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1).fit(*data())
        twin.booster_.save_model(model)
        np.save(given, rows())
        core = native.Model(erm_bytes(model_of(twin), "fast"))
        words = [LLEAVES_PYTHON, str(Path(__file__).with_name("rival_lleaves.py")), str(model), str(given)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            why = (done.stderr.splitlines() or ["no answer"])[-1]
            print(f"SKIP hgb_x_lleaves: RIVALS_PYTHON={LLEAVES_PYTHON} does not run it: {why}")
            return {}
        theirs: dict[str, float] = json.loads(done.stdout)
        labels = np.load(f"{given}.scores.npy").argmax(axis=1)
    ours = timed(lambda: core.scores_batch(rows()), N_ROWS)
    assert (scores_of(core, rows()).argmax(axis=1) == labels).all(), "lleaves answers otherwise"
    found = {"hgb_twin_core_us": ours} | {f"hgb_{name}": us for name, us in theirs.items()}
    found |= {f"hgb_x_{name.removesuffix('_us')}": us / ours for name, us in theirs.items()}
    return {name: round(value, 3) for name, value in found.items()}
