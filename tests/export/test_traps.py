"""Traps of the usual converters that no other test here names. Each test fails without its handling.

Elsewhere: thresholds, tied votes, batches, missing values, calibrated pipelines, scalers before trees
(`test_native_forms`, `test_parity`), a domain twice (`test_onnx_float`), rows and batches of int8 (`test_onnx_int8`).
"""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from cloud_trainer.export import graph
from cloud_trainer.export.native_forms import native_form
from cloud_trainer.export.onnx_float import float_model
from edge_runtime.engines import OrtEngine
from tests.export.zoo import fitted


@pytest.mark.parametrize("name", ["isolation forest", "isolation forest, some features"])
def test_an_isolation_forest_is_one_tree_ensemble_node(name: str) -> None:
    """The usual converter makes 2,710 nodes of one, and 0.9 to 1.5 ms a row."""
    estimator, x = fitted(name)
    proto, _ = float_model(estimator, n_features=x.shape[1])
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.count("TreeEnsembleRegressor") == 1
    assert len(kinds) < 40
    engine = OrtEngine(graph.model_bytes(proto), n_features=x.shape[1], n_scores=2)
    said = np.array(engine.scores(x[0].data)).argmax()
    assert said == (estimator.predict(x[:1].astype(np.float64))[0] < 0)


def test_protobuf_7_is_kept_out() -> None:
    """It breaks every histogram boosting of the usual converter: "Expected an int, got a boolean"."""
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8"))
    assert "protobuf>=5,<7" in project["project"]["optional-dependencies"]["cloud"]
    assert 5 <= int(version("protobuf").partition(".")[0]) < 7


def test_our_boosting_needs_no_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "from_skl2onnx", lambda *_: pytest.fail("asked the usual converter"))
    for name in ("hist boosting, 2 classes", "hist boosting, regression", "AdaBoost, 3 classes", "calibrated AdaBoost"):
        estimator, x = fitted(name)
        assert native_form(estimator) is not None
        float_model(estimator, n_features=x.shape[1])


def test_products_of_int8_do_not_saturate() -> None:
    """Two neighbouring products of u8 and s8 pass 32767 and are cut on x86 without VNNI; u8 by u8 are not."""
    n = 64
    constants: dict[str, np.ndarray[Any, Any]] = {
        "scale": np.array(1, np.float32), "zero": np.array(0, np.uint8),
        "w": np.full((n, 1), 255, np.uint8), "w_scale": np.ones(1, np.float32), "w_zero": np.zeros(1, np.uint8),
        "bias": np.zeros(1, np.int32),
    }  # fmt: skip
    inputs = ["q", "scale", "zero", "w", "w_scale", "w_zero", "bias"]
    nodes = [
        helper.make_node("QuantizeLinear", ["features", "scale", "zero"], ["q"]),
        helper.make_node("QGemm", inputs, ["scores"], domain="com.microsoft"),
    ]
    proto = graph.model_of(nodes, constants, n_features=n, n_scores=1, score_type=TensorProto.FLOAT)
    engine = OrtEngine(graph.model_bytes(proto), n_features=n, n_scores=1)
    assert engine.scores(np.full(n, 255, np.float32).data)[0] == n * 255 * 255
