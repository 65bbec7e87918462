"""onnxruntime by its C API: the scores of its Python package, without that package."""

from __future__ import annotations

import subprocess
import sys
import threading
from array import array
from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.export import graph
from edge_runtime import native
from edge_runtime.errors import ContractError

FEATURES, SCORES = 5, 3
LIBRARY = native.ort_library()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="not installed: onnxruntime")


def softmax_model(kind: int = graph.FLOAT) -> bytes:
    """A dense layer and softmax."""
    dtype = np.float32 if kind == graph.FLOAT else np.float64
    rng = np.random.default_rng(1)
    constants = {
        "w": rng.standard_normal((FEATURES, SCORES)).astype(dtype),
        "b": rng.standard_normal(SCORES).astype(dtype),
    }
    nodes = [graph.node("Cast", ["features"], ["x"], to=kind), graph.node("Gemm", ["x", "w", "b"], ["raw"])]
    nodes.append(graph.node("Softmax", ["raw"], ["scores"], axis=-1))
    return graph.model_bytes(graph.model_of(nodes, constants, n_features=FEATURES, n_scores=SCORES, score_type=kind))


def session(data: bytes, **shape: int) -> native.OrtSession:
    assert LIBRARY
    return native.OrtSession(LIBRARY, data, **({"n_features": FEATURES, "n_scores": SCORES} | shape))


@pytest.mark.parametrize("kind", [graph.FLOAT, graph.DOUBLE])
def test_its_scores_are_those_of_the_package(kind: int) -> None:
    import onnxruntime

    data = softmax_model(kind)
    ours, theirs = session(data), onnxruntime.InferenceSession(data)
    rows = np.random.default_rng(2).standard_normal((100, FEATURES)).astype(np.float32)
    for row in rows:
        assert ours.scores(row.data) == tuple(theirs.run(["scores"], {"features": row[None]})[0][0].tolist())
    assert ours.why == f"onnxruntime {onnxruntime.__version__} by its C API"


def test_neither_numpy_nor_the_package_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(softmax_model())
    script = (
        "import sys; from array import array; from edge_runtime import native\n"
        f"data = open({str(tmp_path / 'm.onnx')!r}, 'rb').read()\n"
        f"s = native.OrtSession(native.ort_library(), data, n_features={FEATURES}, n_scores={SCORES})\n"
        f"assert abs(sum(s.scores(array('f', [0] * {FEATURES}))) - 1) < 1e-6\n"
        "print([m for m in ('numpy', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_that_does_not_fit_is_refused() -> None:
    data = softmax_model()
    with pytest.raises(ContractError, match=r"onnxruntime refuses it: .*protobuf"):
        session(data[:-9])
    with pytest.raises(ContractError, match=r"features: want \[N, 6\], got \[N, 5\]"):
        session(data, n_features=6)
    with pytest.raises(ContractError, match=r"scores: want \[N, 2\], got \[N, 3\]"):
        session(data, n_scores=2)
    with pytest.raises(ContractError, match=r"onnxruntime refuses it: .*cannot open shared object"):
        native.OrtSession(Path("/nowhere/lib.so"), data, n_features=FEATURES, n_scores=SCORES)
    with pytest.raises(ValueError, match="features: 4 values, the model reads 5"):
        session(data).scores(array("f", [0.0] * 4))


def endless_model() -> bytes:
    """Counts to 2^40 in a Loop before it answers."""
    from onnx import TensorProto, helper

    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", FEATURES]),
        ],
    )
    made = helper.make_graph(
        [helper.make_node("Loop", ["turns", "true", "features"], ["scores"], body=body)],
        "endless",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", FEATURES])],
        [
            helper.make_tensor("turns", TensorProto.INT64, [], [1 << 40]),
            helper.make_tensor("true", TensorProto.BOOL, [], [True]),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


def test_a_run_without_end_is_ended_from_another_thread() -> None:
    one = session(endless_model(), n_scores=FEATURES)
    timer = threading.Timer(0.2, one.stop)
    timer.start()
    with pytest.raises(ContractError, match=r"onnxruntime failed: .*terminate"):
        one.scores(array("f", [0.0] * FEATURES))
    timer.join()
    good = session(softmax_model())
    good.stop()
    with pytest.raises(ContractError, match="terminate"):
        good.scores(array("f", [0.0] * FEATURES))
    good.go_on()
    assert len(good.scores(array("f", [0.0] * FEATURES))) == SCORES


def test_sessions_come_and_go_without_growth() -> None:
    """A hundred sessions, and a hundred refused, leave less than a session's memory behind."""
    data = softmax_model()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    def many() -> None:
        for _ in range(100):
            session(data).scores(array("f", [0.0] * FEATURES))
            with pytest.raises(ContractError):
                session(data, n_features=6)

    many()
    before = resident()
    many()
    assert resident() - before < 4 << 20
