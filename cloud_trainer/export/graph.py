"""ONNX models with one shape: float32 [N, F] "features" in, [N, C] "scores" out. One rule: same inputs, same bytes.

So the model names no version and no time, imports each domain once, and is IR 10 with opset 21, which
every onnxruntime from 1.20 on reads (it refuses 22).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cloud_trainer.export.trees import F64, affine_of
from edge_runtime.errors import ContractError

IR_VERSION = 10
OPSETS = {"": 21, "ai.onnx.ml": 3, "com.microsoft": 1}
DOUBLE, FLOAT, INT64 = TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node


def model_of(
    nodes: Sequence[Any],
    constants: Mapping[str, np.ndarray[Any, Any]],
    *,
    n_features: int,
    n_scores: int,
    score_type: int,
) -> Any:
    """The checked ModelProto of these nodes, from the tensor "features" to the tensor "scores"."""
    graph = helper.make_graph(
        list(nodes),
        "edgeloop",
        [helper.make_tensor_value_info("features", FLOAT, ["N", n_features])],
        [helper.make_tensor_value_info("scores", score_type, ["N", n_scores])],
        [numpy_helper.from_array(np.asarray(v, order="C"), k) for k, v in constants.items()],
    )
    used = sorted({n.domain for n in nodes} | {""})
    imports = [helper.make_opsetid(domain, OPSETS[domain]) for domain in used]
    model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="edgeloop")
    onnx.checker.check_model(model)
    return model


def model_bytes(model: Any) -> bytes:
    """The model's one serialisation."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def scaling(
    mean: F64 | None, scale: F64 | None, *, source: str, target: str, factor: F64 | None = None
) -> tuple[list[Any], dict[str, np.ndarray[Any, Any]]]:
    """Nodes from float32 `source` to float64 `target` = (source - mean) / scale * factor, and their constants.

    In float64, as the trainer scales: where mean / scale is large, the float32 mean alone is off by more than a
    class boundary is wide.
    """
    parts = (("Sub", "mean", mean), ("Div", "scale", scale), ("Mul", "factor", factor))
    steps = [(op, name, x) for op, name, x in parts if x is not None]
    tensors = ["wide", *[f"after_{name}" for _, name, _ in steps]]
    tensors[-1] = target
    nodes = [node("Cast", [source], [tensors[0]], to=DOUBLE)]
    for i, (op, name, _) in enumerate(steps):
        nodes.append(node(op, [tensors[i], name], [tensors[i + 1]]))
    return nodes, {name: np.asarray(x, np.float64) for _, name, x in steps}


def behind(model: Any, scaler: Any) -> Any:
    """`model` with the scaler in front, in float64; `model` itself if `scaler` is None."""
    if scaler is None:
        return model
    nodes, constants = scaling(*affine_of(scaler), source="features", target="scaled")
    nodes.append(node("Cast", ["scaled"], ["network"], to=FLOAT))
    for one in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(one)
        copy.input[:] = ["network" if name == "features" else name for name in one.input]
        nodes.append(copy)
    constants |= {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    ends = [model.graph.input[0], model.graph.output[0]]
    n_features, n_scores = (e.type.tensor_type.shape.dim[-1].dim_value for e in ends)
    score_type = ends[1].type.tensor_type.elem_type
    return model_of(nodes, constants, n_features=n_features, n_scores=n_scores, score_type=score_type)


def from_skl2onnx(model: Any, n_features: int) -> Any:
    """What skl2onnx makes of a fitted classifier, in this module's shape: zipmap off, scores only, each domain once.

    Raises:
        ContractError: skl2onnx cannot convert it.
    """
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    try:
        raw = skl2onnx.convert_sklearn(
            model,
            initial_types=[("features", FloatTensorType([None, n_features]))],
            options={"zipmap": False},
            target_opset={k: v for k, v in OPSETS.items() if k != "com.microsoft"},
        )
    except Exception as why:  # its own zoo of types
        first = (str(why).strip().splitlines() or [""])[0]
        raise ContractError(f"{type(model).__name__}: skl2onnx cannot convert it: {first}") from why
    return tidy(raw, n_features)


def tidy(raw: Any, n_features: int) -> Any:
    """`raw` with its probabilities as the one output "scores"; nodes that only made the label are gone."""
    output = raw.graph.output[-1]
    if output.type.WhichOneof("value") != "tensor_type":
        raise ContractError(f"onnx: output {output.name!r} is no tensor", hint="convert with zipmap off")
    nodes, producer = list(raw.graph.node), {name: n for n in raw.graph.node for name in n.output}
    source = output.name
    while producer[source].op_type == "Identity":
        source = producer[source].input[0]
    wanted, todo = set(), [source]
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += list(producer[name].input) if name in producer else []
    kept = []
    for one in nodes:
        if wanted.intersection(one.output):
            copy = onnx.NodeProto()
            copy.CopyFrom(one)
            for names in (copy.input, copy.output):
                names[:] = ["scores" if name == source else name for name in names]
            copy.name = ""
            kept.append(copy)
    constants = {t.name: numpy_helper.to_array(t) for t in raw.graph.initializer if t.name in wanted}
    shape = output.type.tensor_type
    return model_of(
        _joined(kept, constants),
        constants,
        n_features=n_features,
        n_scores=shape.shape.dim[-1].dim_value,
        score_type=shape.elem_type,
    )


def _joined(nodes: Sequence[Any], constants: dict[str, np.ndarray[Any, Any]]) -> list[Any]:
    """`nodes` without casts of the float32 features to float32, and with MatMul and the Add behind it as one Gemm.

    Devices run with onnxruntime's own optimiser off; this is the part of it that networks feel: a batch takes 3/4.
    """
    joined: list[Any] = []
    new_name: dict[str, str] = {}
    readers = Counter(name for each in nodes for name in each.input)
    for one in nodes:
        one.input[:] = [new_name.get(name, name) for name in one.input]
        if one.op_type == "Cast" and one.input[0] == "features" and one.attribute[0].i == FLOAT:
            new_name[one.output[0]] = "features"
            continue
        before = joined[-1] if joined else one
        if one.op_type == "Add" and _is_product(before, one, constants) and readers[before.output[0]] == 1:
            bias = next(name for name in one.input if name in constants)
            constants[bias] = constants[bias].reshape(-1)
            joined[-1] = node("Gemm", [*before.input, bias], list(one.output))
        else:
            joined.append(one)
    return joined


def _is_product(before: Any, add: Any, constants: Mapping[str, np.ndarray[Any, Any]]) -> bool:
    """`add` adds a constant row to `before`'s product of rows and a constant matrix."""
    if before.op_type != "MatMul" or before.output[0] not in add.input or before.input[1] not in constants:
        return False
    matrix = constants[before.input[1]]
    bias = [constants[name] for name in add.input if name in constants]
    return matrix.ndim == 2 and len(bias) == 1 and bias[0].size == matrix.shape[1] == bias[0].shape[-1]
