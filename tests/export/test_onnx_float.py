from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cloud_trainer.export import graph
from cloud_trainer.export.onnx_float import float_model
from cloud_trainer.export.trainer import trainer_scores
from edge_runtime.engines import OrtEngine
from edge_runtime.errors import ContractError
from tests.export.made import F32, digits

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
MODELS: dict[str, Any] = {
    "forest": RandomForestClassifier(20, random_state=0),
    "scaled forest": make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)),
    "boosting": HistGradientBoostingClassifier(max_iter=8),
    "scaled boosting": make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=4)),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
    "bare logistic": LogisticRegression(max_iter=3000),
    "mlp": make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=60, random_state=0)),
    "tanh mlp": MLPClassifier((16,), activation="tanh", max_iter=60, random_state=0),
    "bayes": make_pipeline(StandardScaler(), GaussianNB(var_smoothing=1e-2)),
}
TREES = {"forest", "scaled forest", "boosting", "scaled boosting"}


def run_model(model: Any, x: F32, n_scores: int) -> Any:
    engine = OrtEngine(graph.model_bytes(model), n_features=x.shape[1], n_scores=n_scores)
    alone = np.array([engine.scores(row.data) for row in x[:50]])
    together = engine.scores_batch(x)
    assert np.allclose(alone, together[:50], rtol=0, atol=1e-6)
    return together


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("name", MODELS)
def test_scores_are_the_trainers(name: str, n_classes: int) -> None:
    x, y = digits(n_classes)
    estimator = MODELS[name].fit(x[::2].astype(np.float64), y[::2])
    model, precision = float_model(estimator, n_features=64)
    test = np.ascontiguousarray(x[1::2][:150])
    want, have = trainer_scores(estimator, test), run_model(model, test, n_classes)
    assert np.array_equal(want.argmax(axis=1), have.argmax(axis=1))
    assert np.abs(want - have).max() <= (1e-13 if precision == "float64" else 1e-4)  # e to the 600, of sums
    if name in {"forest", "scaled forest"}:
        assert np.array_equal(want, have)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_one_shape(name: str) -> None:
    x, y = digits()
    model, _ = float_model(MODELS[name].fit(x[:500].astype(np.float64), y[:500]), n_features=64)
    domains = [entry.domain for entry in model.opset_import]
    assert len(domains) == len(set(domains)), "a domain stands twice: onnxruntime.quantization refuses that"
    assert model.ir_version == 10
    assert {e.domain: e.version for e in model.opset_import}[""] <= 21
    assert [one.name for one in model.graph.input] == ["features"]
    assert [one.name for one in model.graph.output] == ["scores"]
    assert model.graph.output[0].type.WhichOneof("value") == "tensor_type", "zipmap makes a sequence of maps"
    assert not any(node.op_type == "ZipMap" for node in model.graph.node)


@pytest.mark.parametrize("name", MODELS)
def test_same_inputs_give_the_same_bytes(name: str) -> None:
    x, y = digits(3)
    estimator = MODELS[name].fit(x.astype(np.float64), y)
    first, second = (graph.model_bytes(float_model(estimator, n_features=64)[0]) for _ in range(2))
    assert first == second


def test_a_domain_that_stands_twice_is_mended() -> None:
    x, y = digits(3)
    raw = graph.from_skl2onnx(MLPClassifier((4,), max_iter=400, random_state=0).fit(x, y), 64)
    twice = onnx.ModelProto()
    twice.CopyFrom(raw)
    twice.opset_import.append(helper.make_opsetid("", 22))
    mended = graph.tidy(twice, 64)
    assert [e.domain for e in mended.opset_import] == [""]


def test_maps_in_place_of_scores_are_refused() -> None:
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    x, y = digits(3)
    model = LogisticRegression(max_iter=2000).fit(x, y)
    raw = skl2onnx.convert_sklearn(
        model, initial_types=[("features", FloatTensorType([None, 64]))], options={"zipmap": True}
    )
    with pytest.raises(ContractError, match="no tensor"):
        graph.tidy(raw, 64)


def test_missing_values_take_the_trainers_way() -> None:
    x, y = digits(4)
    rng = np.random.default_rng(0)
    x[rng.random(x.shape) < 0.2] = np.nan
    for estimator in (
        HistGradientBoostingClassifier(max_iter=10),
        RandomForestClassifier(10, random_state=0),
    ):
        estimator.fit(x.astype(np.float64), y)
        model, _ = float_model(estimator, n_features=64)
        have, want = run_model(model, x, 4), estimator.predict_proba(x.astype(np.float64))
        assert np.abs(have - want).max() <= 1e-14


def test_a_large_mean_does_not_move_the_boundary() -> None:
    """Scaled in float32, a mean of 1e6 times the spread moves labels at margins far over rounding."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 6))
    y = (z @ rng.normal(size=(6, 3))).argmax(axis=1)
    x = (1e6 + 20 * z).astype(np.float32)
    for model in (LogisticRegression(), MLPClassifier((8,), max_iter=800, random_state=0)):
        estimator = make_pipeline(StandardScaler(), model).fit(x.astype(np.float64), y)
        scores = run_model(float_model(estimator, n_features=6)[0], x, 3)
        assert np.abs(scores - trainer_scores(estimator, x)).max() < 1e-5


def test_an_estimator_without_export_is_refused_by_name() -> None:
    class Odd:
        pass

    with pytest.raises(ContractError, match="Odd: skl2onnx cannot convert it"):
        float_model(Odd(), n_features=3)


def test_layers_of_a_network_are_one_node_each_and_nothing_is_cast_to_what_it_is() -> None:
    """Devices run with the optimiser off: what it would join is joined here."""
    x, y = digits(10)
    model = MLPClassifier((16, 8), max_iter=60, random_state=0).fit(x[::2].astype(np.float64), y[::2])
    kinds = [one.op_type for one in float_model(model, n_features=64)[0].graph.node]
    assert kinds == ["Gemm", "Relu", "Gemm", "Relu", "Gemm", "Softmax"]


def test_a_product_that_two_nodes_read_stays() -> None:
    """The planted shape: joining the Add would take the product away from the other reader."""
    constants = {"w": np.eye(3, dtype=np.float32), "b": np.ones((1, 3), np.float32)}
    nodes = [
        graph.node("MatMul", ["features", "w"], ["product"]),
        graph.node("Add", ["product", "b"], ["sum"]),
        graph.node("Mul", ["product", "sum"], ["scores"]),
    ]
    raw = graph.model_of(nodes, constants, n_features=3, n_scores=3, score_type=graph.FLOAT)
    assert [one.op_type for one in graph.tidy(raw, 3).graph.node] == ["MatMul", "Add", "Mul"]
    row = np.array([[1, 2, 3]], np.float32)
    assert np.array_equal(run_model(graph.tidy(raw, 3), row, 3), [[2, 6, 12]])
