"""Small models from "features" [N, 4] to "scores" [N, 4], by hand; those of `GOOD` must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

ML = "ai.onnx.ml"


def graph(nodes: list[Any], inits: list[Any] | None = None, *, dims: Any = (None, 4)) -> Any:
    return h.make_graph(
        nodes,
        "g",
        [h.make_tensor_value_info("features", T.FLOAT, dims)],
        [h.make_tensor_value_info("scores", T.FLOAT, (None, 4))],
        inits or [],
    )


def encoded(g: Any, *, opset: int = 17, ir: int = 9, **more: Any) -> bytes:
    opsets = [h.make_opsetid("", opset), h.make_opsetid(ML, 3)]
    data: bytes = h.make_model(g, opset_imports=opsets, ir_version=ir, **more).SerializeToString()
    return data


def straight(nodes: list[Any], *inits: Any, **more: Any) -> bytes:
    return encoded(graph(nodes, list(inits)), **more)


def i64(name: str, *values: int) -> Any:
    return nh.from_array(np.array(values, np.int64), name)


def one(op: str, *inits: Any, domain: str = "", **attributes: Any) -> bytes:
    """A model of one operator, whose inputs are the features and *inits*."""
    node = h.make_node(op, ["features", *[init.name for init in inits]], ["scores"], domain=domain, **attributes)
    return straight([node], *inits)


ADD = h.make_node("Add", ["features", "w"], ["scores"])


def tensor(**fields: Any) -> Any:
    made = T(name="w", data_type=fields.pop("data_type", T.FLOAT), dims=fields.pop("dims", [4]))
    for name, value in fields.items():
        if name == "external":
            made.data_location = T.EXTERNAL
            for key, text in (("location", value), ("offset", "0"), ("length", "16")):
                made.external_data.add(key=key, value=text)
        else:
            setattr(made, name, value)
    return made


TREE: dict[str, Any] = {
    "n_targets": 4,
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
    "target_ids": [0, 0],
    "target_nodeids": [1, 2],
    "target_treeids": [0, 0],
    "target_weights": [1.0, 2.0],
}


def tree(**changed: Any) -> bytes:
    return straight([h.make_node("TreeEnsembleRegressor", ["features"], ["scores"], domain=ML, **{**TREE, **changed})])


def tree5(**changed: Any) -> bytes:
    fields = {
        "n_targets": 4,
        "tree_roots": [0],
        "nodes_featureids": [0, 1],
        "nodes_splits": nh.from_array(np.array([0.5, 0.5], np.float32), "s"),
        "nodes_modes": nh.from_array(np.zeros(2, np.uint8), "m"),
        "nodes_truenodeids": [1, 0],
        "nodes_trueleafs": [0, 1],
        "nodes_falsenodeids": [2, 1],
        "nodes_falseleafs": [1, 1],
        "leaf_targetids": [0, 0, 0],
        "leaf_weights": nh.from_array(np.ones(3, np.float32), "w"),
    }
    node = h.make_node("TreeEnsemble", ["features"], ["scores"], domain=ML, **{**fields, **changed})
    opsets = [h.make_opsetid("", 17), h.make_opsetid(ML, 5)]
    data: bytes = h.make_model(graph([node]), opset_imports=opsets, ir_version=9).SerializeToString()
    return data


def changed(data: bytes, change: Callable[[Any], object]) -> bytes:
    """The model after `change`."""
    model = onnx.load_from_string(data)
    change(model)
    out: bytes = model.SerializeToString()
    return out


def classifier(n_labels: int = 4, **more: Any) -> bytes:
    fields = {"coefficients": [1.0] * 4 * n_labels, "intercepts": [0.0] * n_labels, "classlabels_ints": range(n_labels)}
    return straight([h.make_node("LinearClassifier", ["features"], ["label", "scores"], domain=ML, **fields | more)])


def quantised(scale: float = 0.1, column: float = 0.1) -> bytes:
    """One QGemm of 4 x 4 weights, a scale a column."""
    f32, u8, columns = np.float32, np.uint8, np.full(4, 0.1, np.float32)
    columns[2] = column
    constants = {
        "s": f32(scale), "z": u8(0), "w": np.ones((4, 4), u8), "ws": columns, "wz": np.zeros(4, u8),
        "b": np.zeros(4, np.int32),
    }  # fmt: skip
    nodes = [
        h.make_node("QuantizeLinear", ["features", "s", "z"], ["q"]),
        h.make_node("QGemm", ["q", "s", "z", "w", "ws", "wz", "b"], ["scores"], domain="com.microsoft"),
    ]
    made = straight(nodes, *(nh.from_array(np.asarray(value), name) for name, value in constants.items()))
    return changed(made, lambda model: model.opset_import.append(h.make_opsetid("com.microsoft", 1)))


W = nh.from_array(np.ones(4, np.float32), "w")
GOOD: dict[str, Callable[[], bytes]] = {
    "tree 3": tree,
    "tree 5": tree5,
    "typed data": lambda: straight([ADD], h.make_tensor("w", T.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])),
    "raw data": lambda: straight([ADD], W),
    "label and scores": classifier,
    "quantised": quantised,
    "perceptron": lambda: straight(
        [
            h.make_node("Cast", ["features"], ["wide"], to=T.DOUBLE),
            h.make_node("Gemm", ["wide", "a", "b"], ["hidden"]),
            h.make_node("Relu", ["hidden"], ["on"]),
            h.make_node("MatMul", ["on", "c"], ["raw"]),
            h.make_node("Softmax", ["raw"], ["wide_scores"], axis=-1),
            h.make_node("Cast", ["wide_scores"], ["scores"], to=T.FLOAT),
        ],
        *(nh.from_array(np.ones(shape), name) for name, shape in {"a": (4, 64), "b": (64,), "c": (64, 4)}.items()),
    ),
}
