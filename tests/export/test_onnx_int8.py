from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cloud_trainer.export import graph
from cloud_trainer.export.erm import erm_bytes
from cloud_trainer.export.interpret import interpret
from cloud_trainer.export.onnx_int8 import best_int8, int8_model, int8_steps
from edge_runtime import native
from edge_runtime.engines import OrtEngine
from edge_runtime.errors import ContractError
from tests.export.made import F32, digits

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def fitted() -> tuple[Any, F32]:
    x, y = digits()
    mlp = MLPClassifier((48, 24), max_iter=300, random_state=0)
    return make_pipeline(StandardScaler(), mlp).fit(x.astype(np.float64), y), x


def engine_of(model: Any, n_scores: int = 10) -> OrtEngine:
    return OrtEngine(graph.model_bytes(model), n_features=64, n_scores=n_scores)


def test_between_quantise_and_the_last_sum_there_are_only_integers(fitted: tuple[Any, F32]) -> None:
    model = int8_model(*fitted)
    assert model is not None
    ops = [node.op_type for node in model.graph.node]
    assert ops == ["Cast", "Sub", "Mul", "Cast", "QuantizeLinear", "QGemm", "QGemm", "QGemm", "Softmax"]
    assert not {"MatMul", "Gemm", "DequantizeLinear"} & set(ops)  # a QDQ graph would multiply in float
    weights = {t.name: numpy_helper.to_array(t).dtype for t in model.graph.initializer}
    assert {weights[f"w_{i}"] for i in range(3)} == {np.dtype("uint8")}  # u8 x s8 saturates without VNNI


def raw_of(model: Any) -> Any:
    """The same graph, ended before the link."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del cut.graph.node[[node.output[0] for node in cut.graph.node].index("raw") + 1 :]
    cut.graph.node.append(graph.node("Identity", ["raw"], ["scores"]))
    return cut


@pytest.mark.parametrize("options", [{}, {"keep": 0.999, "balance": 0.5}])
def test_the_core_computes_onnxruntimes_bits(fitted: tuple[Any, F32], options: dict[str, float]) -> None:
    estimator, x = fitted
    model = int8_model(estimator, x, **options)
    assert model is not None
    steps = int8_steps(graph.model_bytes(model))
    rows = np.concatenate([x, 100 * x[:20], -x[:20], x[:20] * np.float32(1e-40)])
    want = engine_of(raw_of(model)).scores_batch(rows)
    raw = replace(steps, steps=steps.steps[:-1])  # the softmax works in place
    core = native.Model(erm_bytes(raw))
    have = np.frombuffer(core.scores_batch(rows.reshape(-1).data), np.float64).reshape(len(rows), -1)
    assert np.array_equal(have, want)
    assert np.array_equal(have, interpret(raw, rows))
    scores = np.frombuffer(native.Model(erm_bytes(steps)).scores_batch(rows.reshape(-1).data), np.float64)
    assert np.abs(scores.reshape(len(rows), -1) - engine_of(model).scores_batch(rows)).max() < 1e-6


def test_int8_follows_the_trainer(fitted: tuple[Any, F32]) -> None:
    estimator, x = fitted
    engine = engine_of(int8_model(estimator, x))
    differ = engine.scores_batch(x).argmax(axis=1) != estimator.predict(x.astype(np.float64))
    assert differ.mean() <= 0.005


def test_an_answer_does_not_depend_on_its_batch(fitted: tuple[Any, F32]) -> None:
    estimator, x = fitted
    engine = engine_of(int8_model(estimator, x))
    alone = np.array([engine.scores(row.data) for row in x[:200]])
    assert np.array_equal(alone.argmax(axis=1), engine.scores_batch(x[:200]).argmax(axis=1))
    assert np.allclose(alone, engine.scores_batch(x[:200]), rtol=0, atol=1e-6)


def test_integers_of_a_layer_are_those_of_the_formula(fitted: tuple[Any, F32]) -> None:
    """The extreme product, 255 x 255 in every term, does not saturate."""
    x = np.full((1, 64), 1.0, np.float32)
    mlp = MLPClassifier((2,), max_iter=1).fit(x.repeat(4, 0), [0, 1, 2, 0])
    mlp.coefs_ = [np.full((64, 2), 1.0), np.eye(2, 3)]
    mlp.intercepts_ = [np.zeros(2), np.zeros(3)]
    engine = engine_of(int8_model(mlp, x), n_scores=3)
    logits = np.log(engine.scores(x[0].data))
    assert logits[0] - logits[2] == pytest.approx(64.0, rel=0.01)


def test_two_classes_end_in_a_sigmoid() -> None:
    x, y = digits(2)
    mlp = MLPClassifier((8,), max_iter=300, random_state=0).fit(x.astype(np.float64), y)
    scores = engine_of(int8_model(mlp, x), n_scores=2).scores_batch(x)
    assert np.allclose(scores.sum(axis=1), 1)
    assert (scores.argmax(axis=1) != mlp.predict(x.astype(np.float64))).mean() <= 0.005


def test_an_outlier_does_not_spoil_the_scales(fitted: tuple[Any, F32]) -> None:
    estimator, x = fitted
    spoilt = x.copy()
    spoilt[0, :] = 3000.0  # one outlier would spread the range over nothing

    def scores_of(data: bytes) -> Any:
        return OrtEngine(data, n_features=64, n_scores=10).scores_batch(spoilt)

    chosen = best_int8(estimator, spoilt, scores_of=scores_of)
    assert chosen is not None
    plain = graph.model_bytes(int8_model(estimator, spoilt))
    want = estimator.predict(spoilt.astype(np.float64))
    assert (scores_of(chosen).argmax(axis=1) != want).sum() < (scores_of(plain).argmax(axis=1) != want).sum()


def test_same_rows_give_the_same_bytes(fitted: tuple[Any, F32]) -> None:
    assert graph.model_bytes(int8_model(*fitted)) == graph.model_bytes(int8_model(*fitted))


def test_other_activations_are_refused_and_other_estimators_have_none() -> None:
    x, y = digits(3)
    mlp = MLPClassifier((4,), activation="tanh", max_iter=500, random_state=0).fit(x, y)
    with pytest.raises(ContractError, match="int8: hidden activation 'tanh': want 'relu'"):
        int8_model(mlp, x)
    assert int8_model(RandomForestClassifier(2).fit(x, y), x) is None
