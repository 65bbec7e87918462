"""Forest of 100 trees of depth 10, one row of 144 features: core, onnxruntime, scikit-learn. Unit of work = one row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_runtime import native
from tests.native.small import encode
from tests.native.test_forest import trees_of

N_FEATURES = 144


@pytest.fixture(scope="module")
def forest() -> Any:
    """A fitted classifier of five classes."""
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4000, N_FEATURES)).astype(np.float32), rng.integers(0, 5, 4000)
    return RandomForestClassifier(n_estimators=100, max_depth=10, random_state=0, n_jobs=1).fit(x, y)


@pytest.fixture
def rows() -> Any:
    """Rows in turn, so that no branch predictor learns one by heart."""
    return np.random.default_rng(1).standard_normal((1000, N_FEATURES)).astype(np.float32)


def test_core(benchmark: Any, forest: Any, rows: Any) -> None:
    """1000 rows, one core call a row."""
    benchmark.group = "forest 100 trees of depth 10"
    benchmark.extra_info["rows"] = len(rows)
    benchmark(native.Model(encode(trees_of(forest), N_FEATURES)).scores_batch, rows)


def test_onnxruntime(benchmark: Any, forest: Any, rows: Any) -> None:
    """One row a run, one thread."""
    import onnxruntime
    from skl2onnx import to_onnx

    model = to_onnx(forest, rows[:1], options={"zipmap": False}, target_opset={"": 22, "ai.onnx.ml": 3})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    each = [{session.get_inputs()[0].name: row[None]} for row in rows]
    benchmark.group = "forest 100 trees of depth 10"
    benchmark.extra_info["rows"] = len(rows)
    benchmark(lambda: [session.run(None, row) for row in each])


def test_scikit_learn(benchmark: Any, forest: Any, rows: Any) -> None:
    """One row a call."""
    benchmark.group = "forest 100 trees of depth 10"
    benchmark.extra_info["rows"] = 1
    benchmark.pedantic(forest.predict_proba, args=(rows[:1],), rounds=50, iterations=1)
