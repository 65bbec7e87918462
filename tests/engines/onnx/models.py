"""Models that lie, hang, grow or reach outside, each named by what it attacks; and plain ones that must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

ML = "ai.onnx.ml"


def graph(nodes: list[Any], inits: list[Any] | None = None, *, out: str = "y", dims: Any = (None, 4)) -> Any:
    return h.make_graph(
        nodes,
        "g",
        [h.make_tensor_value_info("x", T.FLOAT, dims)],
        [h.make_tensor_value_info(out, T.FLOAT, None)],
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


ADD = h.make_node("Add", ["x", "w"], ["y"])


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


def loop() -> bytes:
    body = h.make_graph(
        [h.make_node("Identity", ["c"], ["c2"]), h.make_node("Identity", ["v"], ["v2"])],
        "b",
        [
            h.make_tensor_value_info("i", T.INT64, []),
            h.make_tensor_value_info("c", T.BOOL, []),
            h.make_tensor_value_info("v", T.FLOAT, None),
        ],
        [h.make_tensor_value_info("c2", T.BOOL, []), h.make_tensor_value_info("v2", T.FLOAT, None)],
    )
    return straight([h.make_node("Loop", ["", "cond", "x"], ["y"], body=body)], nh.from_array(np.array(True), "cond"))


def nested(depth: int) -> bytes:
    zero, yes = nh.from_array(np.zeros(1, np.float32)), nh.from_array(np.array(True))
    out = [h.make_tensor_value_info("o", T.FLOAT, [1])]

    def leaf(name: str) -> Any:
        return h.make_graph([h.make_node("Constant", [], ["o"], value=zero)], name, [], out)

    made = leaf("n")
    for i in range(depth):
        condition = h.make_node("Constant", [], [f"c{i}"], value=yes)
        branch = h.make_node("If", [f"c{i}"], ["o"], then_branch=made, else_branch=leaf("e"))
        made = h.make_graph([condition, branch], f"n{i}", [], out)
    made.input.append(h.make_tensor_value_info("x", T.FLOAT, [1, 4]))
    return encoded(made)


def doubling(n: int) -> bytes:
    nodes, last = [], "w"
    for i in range(n):
        nodes.append(h.make_node("Concat", [last, last], [f"d{i}"], axis=0))
        last = f"d{i}"
    nodes += [h.make_node("ReduceSum", [last], ["r"], keepdims=0), h.make_node("Add", ["x", "r"], ["y"])]
    return straight(nodes, nh.from_array(np.ones(4, np.float32), "w"))


def outer_products() -> bytes:
    """A row and a column, multiplied again and again: no operator but Mul, 200 bytes of constants."""
    row, column = nh.from_array(np.ones((1, 3000), np.float32), "r"), nh.from_array(np.ones((3000, 1), np.float32), "c")
    return straight([h.make_node("Mul", ["r", "c"], ["rc"]), h.make_node("Add", ["x", "rc"], ["y"])], row, column)


TREE: dict[str, Any] = {
    "n_targets": 1,
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
    return straight([h.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, **{**TREE, **changed})])


def tree5(**changed: Any) -> bytes:
    fields = {
        "n_targets": 1,
        "tree_roots": [0],
        "nodes_featureids": [0, 1],
        "nodes_splits": nh.from_array(np.array([0.5, 0.5], np.float64), "s"),
        "nodes_modes": nh.from_array(np.zeros(2, np.uint8), "m"),
        "nodes_truenodeids": [1, 0],
        "nodes_trueleafs": [0, 1],
        "nodes_falsenodeids": [2, 1],
        "nodes_falseleafs": [1, 1],
        "leaf_targetids": [0, 0, 0],
        "leaf_weights": nh.from_array(np.ones(3, np.float64), "w"),
    }
    node = h.make_node("TreeEnsemble", ["x"], ["y"], domain=ML, **{**fields, **changed})
    opsets = [h.make_opsetid("", 17), h.make_opsetid(ML, 5)]
    data: bytes = h.make_model(graph([node]), opset_imports=opsets, ir_version=9).SerializeToString()
    return data


def branching(**changed: Any) -> dict[str, Any]:
    """Three nodes that all branch: room for cycles."""
    return {"nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"], "target_ids": [0], "target_nodeids": [2],
            "target_treeids": [0], "target_weights": [1.0], **changed}  # fmt: skip


def functions() -> bytes:
    made = onnx.load_from_string(straight([ADD], nh.from_array(np.ones(4, np.float32), "w")))
    made.functions.append(
        h.make_function("f", "F", ["a"], ["b"], [h.make_node("Abs", ["a"], ["b"])], [h.make_opsetid("", 17)])
    )
    data: bytes = made.SerializeToString()
    return data


def two_graphs() -> bytes:
    """Protobuf merges a graph that stands twice: the second one's nodes run too."""
    good, bad = straight([h.make_node("Abs", ["x"], ["y"])]), onnx.ModelProto()
    bad.graph.node.append(h.make_node("Loop", ["", "", "x"], ["z"]))
    data: bytes = good + bad.SerializeToString()
    assert len(onnx.load_from_string(data).graph.node) == 2
    return data


W = nh.from_array(np.ones(4, np.float32), "w")
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "external data": (lambda: straight([ADD], tensor(external="/etc/passwd")), "external_data is not allowed"),
    "external data elsewhere": (lambda: straight([ADD], tensor(external="../../x")), "external_data is not allowed"),
    "external data in memory": (lambda: straight([ADD], tensor(external="*/_ORT_MEM_ADDR_/*")), "external_data"),
    "data location alone": (lambda: straight([ADD], tensor(data_location=1, raw_data=bytes(16))), "outside the file"),
    "dims larger than data": (lambda: straight([ADD], tensor(dims=[1 << 30], raw_data=bytes(16))), "want 4294967296"),
    "dims overflow": (lambda: straight([ADD], tensor(dims=[1 << 40], raw_data=bytes(16))), r"outside 0..2\^32"),
    "dims negative": (lambda: straight([ADD], tensor(dims=[-1, -4], raw_data=bytes(16))), r"outside 0..2\^32"),
    "dims wrap around": (lambda: straight([ADD], tensor(dims=[1 << 32, 1 << 32, 4], raw_data=b"")), "it has 0"),
    "data smaller than dims": (lambda: straight([ADD], tensor(dims=[1], raw_data=bytes(16))), "want 4 bytes"),
    "text tensor": (lambda: straight([ADD], tensor(data_type=T.STRING)), "data type 8"),
    "Loop": (loop, "Loop.attribute.graph is not allowed|operator ai.onnx.Loop is not allowed"),
    "If, deep": (lambda: nested(20), "graph is not allowed"),
    "ConstantOfShape": (
        lambda: straight([h.make_node("ConstantOfShape", ["s"], ["y"])], i64("s", 1 << 33)),
        "not allowed",
    ),
    "Expand": (lambda: straight([h.make_node("Expand", ["x", "s"], ["y"])], i64("s", 100000, 25000, 4)), "not allowed"),
    "Tile": (lambda: straight([h.make_node("Tile", ["x", "s"], ["y"])], i64("s", 1 << 20, 1 << 20)), "not allowed"),
    "Range": (lambda: straight([h.make_node("Range", ["x", "x", "x"], ["y"])]), "not allowed"),
    "custom operator": (lambda: straight([h.make_node("Foo", ["x"], ["y"], domain="evil")]), "evil.Foo is not allowed"),
    "functions": (functions, "functions is not allowed"),
    "two graphs": (two_graphs, "graph stands twice"),
    "feature over the row": (lambda: tree(nodes_featureids=[10**8, 0, 0]), r"leaves 0\.\.3"),
    "feature below the row": (lambda: tree(nodes_featureids=[-5 * 10**6, 0, 0]), r"leaves 0\.\.3"),
    "tree with a cycle": (
        lambda: tree(**branching(nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 2, 0])),
        "two parents",
    ),
    "tree that is its own child": (lambda: tree(nodes_truenodeids=[0, 0, 0]), "own ancestor"),
    "child in no tree": (lambda: tree(nodes_falsenodeids=[77, 0, 0]), "is not in tree"),
    "node out of reach": (lambda: tree(nodes_modes=["LEAF"] * 3), "reached from no root"),
    "target outside": (lambda: tree(target_ids=[0, 5 * 10**8]), r"leaves 0\.\.0"),
    "leaf outside": (lambda: tree(target_nodeids=[1, 9]), "node 9 is not in tree"),
    "lists of two lengths": (lambda: tree(nodes_values=[0.5]), "1 items, want 3"),
    "tree 5 with a cycle": (lambda: tree5(nodes_truenodeids=[0, 0]), "own ancestor"),
    "tree 5 child outside": (lambda: tree5(nodes_falsenodeids=[3, 1]), "outside its table"),
    "tree 5 root outside": (lambda: tree5(tree_roots=[2]), r"leaves 0\.\.1"),
    "tree 5 set membership": (lambda: tree5(nodes_modes=nh.from_array(np.full(2, 6, np.uint8), "m")), r"leaves 0\.\.5"),
    "index below the row": (
        lambda: straight([h.make_node("ArrayFeatureExtractor", ["x", "i"], ["y"], domain=ML)], i64("i", -10)),
        "want constant indices",
    ),
    "newer opset": (lambda: straight([h.make_node("Abs", ["x"], ["y"])], opset=99), "99 is outside 9..22"),
    "newer ir": (lambda: straight([h.make_node("Abs", ["x"], ["y"])], ir=13), "13 is outside 3..10"),
    "reads what is not made": (lambda: straight([h.make_node("Abs", ["z"], ["y"])]), "made by no earlier node"),
    "makes a name twice": (lambda: straight([h.make_node("Abs", ["x"], ["x"])]), "exists already"),
    "no output": (lambda: straight([h.make_node("Abs", ["x"], ["z"])]), "made by no node"),
    "another row": (lambda: encoded(graph([h.make_node("Abs", ["x"], ["y"])], dims=(None, 5))), "one float row of 4"),
    "too many nodes": (
        lambda: straight([h.make_node("Abs", [f"t{i}" if i else "x"], [f"t{i + 1}"]) for i in range(600)]),
        "600 items, limit is 512",
    ),
}  # fmt: skip
TOO_LARGE: dict[str, Callable[[], bytes]] = {
    "Concat that doubles": lambda: doubling(31),
    "outer product": outer_products,
    "trees of many targets": lambda: tree(n_targets=1 << 40),
    "batch in the file": lambda: encoded(graph([h.make_node("Abs", ["x"], ["y"])], dims=(1 << 30, 4))),
}
GOOD: dict[str, Callable[[], bytes]] = {
    "tree 3": tree,
    "tree 5": tree5,
    "typed data": lambda: straight([ADD], h.make_tensor("w", T.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])),
    "raw data": lambda: straight([ADD], W),
    "doubling a little": lambda: doubling(3),
    "perceptron": lambda: straight(
        [
            h.make_node("Cast", ["x"], ["wide"], to=T.DOUBLE),
            h.make_node("Gemm", ["wide", "a", "b"], ["hidden"]),
            h.make_node("Relu", ["hidden"], ["on"]),
            h.make_node("MatMul", ["on", "c"], ["raw"]),
            h.make_node("Softmax", ["raw"], ["y"], axis=-1),
        ],
        *(nh.from_array(np.ones(shape), name) for name, shape in {"a": (4, 64), "b": (64,), "c": (64, 3)}.items()),
    ),
}
