"""What a hostile model is made of: graphs inside graphs, tensors that grow, trees too deep, bytes no library writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

from tests.engines.onnx.models import ADD, ML, TREE, changed, encoded, i64, one, straight, tree, tree5

PLAIN = one("Abs")


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
    return straight(
        [h.make_node("Loop", ["", "cond", "features"], ["scores"], body=body)], nh.from_array(np.array(True), "cond")
    )


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
    made.input.append(h.make_tensor_value_info("features", T.FLOAT, [1, 4]))
    return encoded(made)


def doubling(n: int) -> bytes:
    nodes, last = [], "w"
    for i in range(n):
        nodes.append(h.make_node("Concat", [last, last], [f"d{i}"], axis=0))
        last = f"d{i}"
    nodes += [h.make_node("ReduceSum", [last], ["r"], keepdims=0), h.make_node("Add", ["features", "r"], ["scores"])]
    return straight(nodes, nh.from_array(np.ones(4, np.float32), "w"))


def outer_products() -> bytes:
    """A row and a column, multiplied again and again: no operator but Mul, 200 bytes of constants."""
    row, column = nh.from_array(np.ones((1, 3000), np.float32), "r"), nh.from_array(np.ones((3000, 1), np.float32), "c")
    return straight(
        [h.make_node("Mul", ["r", "c"], ["rc"]), h.make_node("Add", ["features", "rc"], ["scores"])], row, column
    )


def column_times_row() -> bytes:
    """4096 x 4096 of a column and a row; that the row was reshaped hides nothing."""
    row = nh.from_array(np.ones(4096, np.float32), "r")
    column = nh.from_array(np.ones((4096, 1), np.float32), "c")
    nodes = [h.make_node("Reshape", ["r", "s"], ["flat"]), h.make_node("MatMul", ["c", "flat"], ["big"])]
    return straight([*nodes, h.make_node("Abs", ["features"], ["scores"])], row, column, i64("s", 1, -1))


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
    good, bad = straight([h.make_node("Abs", ["features"], ["scores"])]), onnx.ModelProto()
    bad.graph.node.append(h.make_node("Loop", ["", "", "features"], ["z"]))
    data: bytes = good + bad.SerializeToString()
    assert len(onnx.load_from_string(data).graph.node) == 2
    return data


def field(number: int, payload: bytes) -> bytes:
    """A field of wire type 2."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def deep_tree(depth: int) -> bytes:
    """A tree that is a chain: every node has a leaf and the next one."""
    ids = range(2 * depth + 1)
    branches = [i % 2 == 0 and i < 2 * depth for i in ids]
    leaves = [i for i in ids if not branches[i]]
    return tree(
        nodes_treeids=[0] * len(ids),
        nodes_nodeids=list(ids),
        nodes_featureids=[0] * len(ids),
        nodes_values=[float(-i) for i in ids],
        nodes_modes=["BRANCH_LEQ" if is_branch else "LEAF" for is_branch in branches],
        nodes_truenodeids=[i + 1 if branches[i] else 0 for i in ids],
        nodes_falsenodeids=[i + 2 if branches[i] else 0 for i in ids],
        target_ids=[0] * len(leaves),
        target_nodeids=leaves,
        target_treeids=[0] * len(leaves),
        target_weights=[1.0] * len(leaves),
    )


def deep_tree5(depth: int) -> bytes:
    return tree5(
        nodes_featureids=[0] * depth,
        nodes_splits=nh.from_array(-np.arange(depth, dtype=np.float64), "s"),
        nodes_modes=nh.from_array(np.zeros(depth, np.uint8), "m"),
        nodes_truenodeids=list(range(depth)),
        nodes_trueleafs=[1] * depth,
        nodes_falsenodeids=[*range(1, depth), depth],
        nodes_falseleafs=[0] * (depth - 1) + [1],
        leaf_targetids=[0] * (depth + 1),
        leaf_weights=nh.from_array(np.ones(depth + 1), "w"),
    )


def tree_behind(*nodes: Any, inits: tuple[Any, ...] = ()) -> bytes:
    """A tree that reads feature 3 of "t", whatever that is."""
    fields = TREE | {"nodes_featureids": [3, 0, 0]}
    return straight([*nodes, h.make_node("TreeEnsembleRegressor", ["t"], ["scores"], domain=ML, **fields)], *inits)


def typed(end: str, kind: Any) -> bytes:
    """A model whose input or output is of that type."""

    def change(model: Any) -> None:
        getattr(model.graph, end)[0].type.CopyFrom(kind)

    return changed(PLAIN, change)


def sequences(depth: int) -> Any:
    """A sequence of sequences of ... floats, as deep as protobuf reads."""
    made = h.make_tensor_type_proto(T.FLOAT, [4])
    for _ in range(depth):
        made = h.make_sequence_type_proto(made)
    return made


def attribute(**fields: Any) -> bytes:
    """An Abs with an attribute that holds what it may not."""

    def change(model: Any) -> None:
        made = model.graph.node[0].attribute.add(name="a")
        for name, value in fields.items():
            if isinstance(value, str | int | float):
                setattr(made, name, value)
            else:
                getattr(made, name).CopyFrom(value)

    return changed(PLAIN, change)


def cycle() -> bytes:
    nodes = [h.make_node("Add", ["features", "b"], ["a"]), h.make_node("Abs", ["a"], ["b"])]
    return straight([*nodes, h.make_node("Abs", ["b"], ["scores"])])


def through(op: str, *inits: Any, **attributes: Any) -> bytes:
    """An operator whose output nobody reads, beside a plain one."""
    node = h.make_node(op, ["features", *[init.name for init in inits]], ["unread"], **attributes)
    return straight([node, h.make_node("Abs", ["features"], ["scores"])], *inits)


def denoted(model: Any) -> None:
    """Field 3 of a dimension; one bit away from field 2, its name."""
    model.graph.input[0].type.tensor_type.shape.dim[1].denotation = "N"


def many_attributes(n: int) -> bytes:
    return straight([h.make_node("Abs", ["features"], ["scores"], **{f"a{i}": i for i in range(n)})])


def sum_of_nothing() -> bytes:
    """A sum along no axis keeps its 2000 elements, whose outer product is 4 million; one along all axes has 1."""
    row, column = np.ones((1, 2000), np.float32), np.ones((2000, 1), np.float32)
    nodes = [
        h.make_node("ReduceSum", ["r"], ["s"], noop_with_empty_axes=1),
        h.make_node("ReduceSum", ["c"], ["t"], noop_with_empty_axes=1),
        h.make_node("Mul", ["s", "t"], ["big"]),
        h.make_node("Abs", ["big"], ["bigger"]),
        h.make_node("Abs", ["features"], ["scores"]),
    ]
    return straight(nodes, nh.from_array(row, "r"), nh.from_array(column, "c"))
