"""Every hostile model by what it attacks, and the words of its refusal. One rule: nothing else is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

from tests.engines.onnx import attacks as a
from tests.engines.onnx.attacks import PLAIN, attribute, field, through, tree_behind, typed
from tests.engines.onnx.models import (
    ADD,
    ML,
    W,
    changed,
    classifier,
    encoded,
    graph,
    i64,
    one,
    quantised,
    straight,
    tensor,
    tree,
    tree5,
)  # fmt: skip

Table = dict[str, tuple[Callable[[], bytes], str]]
NAN, INF = float("nan"), float("inf")


def node(op: str, *inputs: str, **more: Any) -> Any:
    return h.make_node(op, [*inputs] or ["features"], ["scores"], **more)


def scaled(scale: Any) -> bytes:
    return through("QuantizeLinear", nh.from_array(np.asarray(scale, np.float32), "s"))


def with_metadata(model: Any) -> None:
    model.metadata_props.add(key="ort_config", value="{}")


BYTES: Table = {
    "group": (lambda: PLAIN + b"\x33", "wire type 3"),
    "wire type 7": (lambda: PLAIN + b"\x2f", "wire type 7"),
    "field of another wire type": (lambda: PLAIN + b"\x0a\x01\x09", "ir_version: wire type 2, want one integer"),
    "over-long integer": (lambda: PLAIN + b"\x28\x80\x00", "8000 is an integer over 64 bits, or longer"),
    "over-long key": (lambda: PLAIN + b"\xa8\x00\x01", "longer than it need be"),
    "integer of 70 bits": (lambda: PLAIN + b"\x28" + b"\xff" * 9 + b"\x7f", "over 64 bits"),
    "integer without end": (lambda: PLAIN + b"\x28" + b"\xff" * 1000, "starts no integer of 64 bits"),
    "number that stands twice": (lambda: PLAIN + b"\x08\x09", "ir_version stands twice"),
    "two graphs": (a.two_graphs, "graph stands twice"),
    "field that nobody knows": (lambda: PLAIN + field(99, b"x"), "field 99 is not allowed"),
    "truncated": (lambda: PLAIN[:-7], "bytes, .* are left|starts no integer"),
    "length past the end": (lambda: PLAIN + b"\x3a\xff\xff\xff\xff\x0f", "4294967295 bytes, 0 are left"),
    "a million empty nodes": (lambda: field(7, b"\x0a\x00" * 10**6), r"graph.node: 513 items, limit is 512"),
    "a million opsets": (lambda: PLAIN + b"\x42\x00" * 10**6, "9 items, limit is 8"),
    "a million dims": (lambda: straight([ADD], tensor(dims=[1] * 10**6)), "dims: 49 items, limit is 8"),
    "name that is not UTF-8": (lambda: PLAIN.replace(b"features", b"featur\xff\xfe"), "not UTF-8"),
    "name of 100 KB": (lambda: straight([node("A" * 10**5)]), "a text of 100000 bytes, limit is 1024"),
    "comment of 1 MB": (
        lambda: changed(PLAIN, lambda m: setattr(m, "doc_string", "x" * 10**6)),
        "doc_string: a text of 1000000 bytes, limit is 4096",
    ),
    "options of the session": (lambda: changed(PLAIN, with_metadata), "metadata_props is not allowed"),
    "metadata of a node": (
        lambda: changed(PLAIN, lambda m: m.graph.node[0].metadata_props.add(key="k", value="v" * 10**6)),
        "metadata_props is not allowed",
    ),
    "shapes that lie": (
        lambda: changed(PLAIN, lambda m: m.graph.value_info.add(name="scores")),
        "value_info is not allowed",
    ),
    "training": (lambda: changed(PLAIN, lambda m: m.training_info.add()), "training_info is not allowed"),
}  # fmt: skip

GRAPHS: Table = {
    "Loop": (a.loop, "Loop.attribute.graph is not allowed"),
    "If, deep": (lambda: a.nested(20), "graph is not allowed"),
    "Scan": (lambda: one("Scan", num_scan_inputs=1), "Scan is not allowed"),
    "functions": (a.functions, "functions is not allowed"),
    "sub-graph in a harmless operator": (lambda: attribute(g=graph([ADD]), type=5), "graph is not allowed"),
    "type in an attribute": (lambda: attribute(tp=a.sequences(1), type=13), "type_proto is not allowed"),
    "attribute of a function": (lambda: attribute(ref_attr_name="b", type=2), "ref_attr_name is not allowed"),
    "attribute of two types": (lambda: attribute(i=1, f=1.0, type=2), "holds more than its type"),
    "attribute of no type": (lambda: attribute(i=1), "attribute type None is not allowed"),
    "custom operator": (lambda: one("Foo", domain="evil"), "evil.Foo is not allowed"),
    "operator of two domains": (lambda: one("Abs", domain=ML), "ai.onnx.ml.Abs is not allowed"),
    "random": (lambda: one("RandomNormalLike"), "not allowed"),
    "text operator": (lambda: one("StringNormalizer"), "not allowed"),
    "sequence operator": (lambda: one("SequenceConstruct"), "not allowed"),
    "domain without a version": (
        lambda: changed(tree(), lambda m: m.opset_import.pop()),
        "domain ai.onnx.ml has no opset_import",
    ),
    "no opset": (lambda: changed(PLAIN, lambda m: m.ClearField("opset_import")), "model.opset_import: none"),
    "opset twice": (lambda: changed(PLAIN, lambda m: m.opset_import.add(version=9)), "stands twice"),
    "opset twice by its other name": (
        lambda: changed(PLAIN, lambda m: m.opset_import.add(domain="ai.onnx", version=22)),
        "'ai.onnx' stands twice",
    ),
    "opset of no domain we know": (
        lambda: changed(PLAIN, lambda m: m.opset_import.add(domain="evil", version=1)),
        "evil 1 is of no known domain",
    ),
    "newer opset": (lambda: straight([node("Abs")], opset=99), "99 is outside 9..22"),
    "older opset": (lambda: straight([node("Abs")], opset=1), "1 is outside 9..22"),
    "newer ir": (lambda: straight([node("Abs")], ir=13), "13 is outside 3..10"),
    "older ir": (lambda: straight([node("Abs")], ir=2), "2 is outside 3..10"),
    "too many nodes": (
        lambda: straight([h.make_node("Abs", [f"t{i}" if i else "features"], [f"t{i + 1}"]) for i in range(600)]),
        "513 items, limit is 512",
    ),
    "too many inputs": (lambda: straight([node("Sum", *["features"] * 300)]), "257 items, limit is 256"),
    "too many attributes": (lambda: a.many_attributes(300), "257 items, limit is 256"),
    "too many constants": (lambda: straight([node("Abs")], *[i64(f"w{i}", 1) for i in range(1100)]), "limit is 1024"),
    "reads what is not made": (lambda: straight([node("Abs", "z")]), "made by no earlier node"),
    "nodes in a circle": (a.cycle, "node 0 Add: input 'b' is made by no earlier node"),
    "makes a name twice": (lambda: straight([h.make_node("Abs", ["features"], ["features"])]), "exists already"),
    "constant twice": (lambda: straight([ADD], W, W), "one name stands twice"),
    "constant without a name": (lambda: straight([node("Abs")], nh.from_array(np.ones(1), "")), "or is empty"),
    "first input left out": (lambda: straight([node("Clip", "", "w", "w")], W), "no first input"),
}  # fmt: skip

ENDS: Table = {
    "no output": (lambda: straight([h.make_node("Abs", ["features"], ["z"])]), "'scores'.*: made by no node"),
    "another row": (lambda: encoded(graph([node("Abs")], dims=(None, 5))), r"want \[N, 4\] of float, got \['N', 5\]"),
    "batch in the file": (lambda: encoded(graph([node("Abs")], dims=(1 << 30, 4))), r"got \[1073741824, 4\]"),
    "negative batch": (lambda: encoded(graph([node("Abs")], dims=(-1, 4))), r"-1 is outside 0..2\^32"),
    "row of three dimensions": (lambda: encoded(graph([node("Abs")], dims=(1, 1, 4))), r"got \[1, 1, 4\]"),
    "dimension with value and name": (
        lambda: changed(PLAIN, a.denoted).replace(b"\x08\x04\x1a\x01N", b"\x08\x04\x12\x01N"),
        "has a name too",
    ),
    "input of double": (lambda: typed("input", h.make_tensor_type_proto(T.DOUBLE, (None, 4))), "of double"),
    "output of integers": (lambda: typed("output", h.make_tensor_type_proto(T.INT64, (None, 4))), "of int64"),
    "input of texts": (lambda: typed("input", h.make_tensor_type_proto(T.STRING, (None, 4))), "of other"),
    "sequence": (lambda: typed("input", a.sequences(1)), "sequence_type is not allowed"),
    "sequences, 80 deep": (lambda: typed("output", a.sequences(80)), "sequence_type is not allowed"),
    "optional": (
        lambda: typed("input", h.make_optional_type_proto(h.make_tensor_type_proto(T.FLOAT, [4]))),
        "optional_type is not allowed",
    ),
    "map": (
        lambda: typed("output", h.make_map_type_proto(T.INT64, h.make_tensor_type_proto(T.FLOAT, [4]))),
        "map_type is not allowed",
    ),
    "sparse": (lambda: typed("input", h.make_sparse_tensor_type_proto(T.FLOAT, [1, 4])), "sparse_tensor_type is not"),
    "two inputs": (
        lambda: changed(PLAIN, lambda m: m.graph.input.append(h.make_tensor_value_info("b", T.FLOAT, (None, 4)))),
        "want 'features' alone",
    ),
    "two outputs": (
        lambda: changed(PLAIN, lambda m: m.graph.output.append(m.graph.input[0])),
        "want 'scores' alone",
    ),
    "input that is a constant": (lambda: straight([node("Abs")], nh.from_array(np.ones(4), "features")), "a constant"),
    "scores of another width": (
        lambda: straight([node("Concat", "features", "features", axis=1)]),
        r"4 scores are declared, the nodes make \(1, 8\)",
    ),
}  # fmt: skip

TENSORS: Table = {
    "external data": (lambda: straight([ADD], tensor(external="/etc/passwd")), "external_data is not allowed"),
    "external data elsewhere": (lambda: straight([ADD], tensor(external="../../x")), "external_data is not allowed"),
    "external data in memory": (lambda: straight([ADD], tensor(external="*/_ORT_MEM_ADDR_/*")), "external_data"),
    "data location alone": (lambda: straight([ADD], tensor(data_location=1, raw_data=bytes(16))), "outside the file"),
    "dims larger than data": (lambda: straight([ADD], tensor(dims=[1 << 30], raw_data=bytes(16))), "want 4294967296"),
    "dims overflow": (lambda: straight([ADD], tensor(dims=[1 << 40], raw_data=bytes(16))), r"outside 0..2\^32"),
    "dims negative": (lambda: straight([ADD], tensor(dims=[-1, -4], raw_data=bytes(16))), r"outside 0..2\^32"),
    "dims wrap around": (lambda: straight([ADD], tensor(dims=[1 << 32, 1 << 32, 4], raw_data=b"")), "it has 0"),
    "data smaller than dims": (lambda: straight([ADD], tensor(dims=[1], raw_data=bytes(16))), "want 4 bytes"),
    "data in two fields": (
        lambda: straight([ADD], changed_tensor(raw_data=bytes(16), float_data=[1.0])),
        "in the wrong field, or twice",
    ),
    "integer that engines cut": (
        lambda: straight([ADD], tensor_of(T.UINT8, int32_data=[1, 2, 3, 262])),
        r"1\.\.262 is no uint8",
    ),
    "text tensor": (lambda: straight([ADD], tensor(data_type=T.STRING)), "data type 8"),
    "sparse constant": (
        lambda: changed(PLAIN, lambda m: m.graph.sparse_initializer.add()),
        "sparse_initializer is not allowed",
    ),
    "Cast to text": (lambda: through("Cast", to=T.STRING), "Cast.to: type 8"),
    "Constant of texts": (
        lambda: straight([h.make_node("Constant", [], ["t"], value_strings=["a"]), node("Abs")]),
        "a text, want numbers",
    ),
}  # fmt: skip

GROWTH: Table = {
    "ConstantOfShape": (lambda: straight([node("ConstantOfShape", "s")], i64("s", 1 << 33)), "not allowed"),
    "Expand": (lambda: one("Expand", i64("s", 100000, 25000, 4)), "not allowed"),
    "Tile": (lambda: one("Tile", i64("s", 1 << 20, 1 << 20)), "not allowed"),
    "Range": (lambda: straight([node("Range", "features", "features", "features")]), "not allowed"),
    "Resize": (lambda: one("Resize"), "not allowed"),
    "Pad": (lambda: one("Pad", i64("s", 0, 0, 0, 1 << 33)), "not allowed"),
    "OneHot": (lambda: one("OneHot"), "not allowed"),
    "Concat that doubles": (lambda: a.doubling(31), "elements, limit is 4194304"),
    "outer product": (a.outer_products, "elements, limit is 4194304"),
    "sum that sums nothing": (a.sum_of_nothing, "elements, limit is 4194304"),
    "product behind a Reshape": (a.column_times_row, "elements, limit is 4194304"),
    "trees of many targets": (lambda: tree(n_targets=1 << 40), "elements, limit is 4194304"),
    "Reshape to 100 dimensions": (lambda: through("Reshape", i64("s", 4, *[1] * 99)), "100 dimensions, limit is 8"),
    "Unsqueeze to 100 dimensions": (lambda: through("Unsqueeze", i64("s", *range(100))), "100 dimensions, limit is 8"),
    "Reshape to what is computed": (lambda: straight([node("Reshape", "features", "features")]), "want a constant"),
}  # fmt: skip

TREES: Table = {
    "feature over the row": (lambda: tree(nodes_featureids=[10**8, 0, 0]), r"leaves 0\.\.3"),
    "feature below the row": (lambda: tree(nodes_featureids=[-5 * 10**6, 0, 0]), r"leaves 0\.\.3"),
    "features behind a Reshape": (
        lambda: tree_behind(h.make_node("Reshape", ["features", "s"], ["t"]), inits=(i64("s", -1, 1),)),
        r"leaves 0\.\.0",
    ),
    "features behind a Transpose": (
        lambda: tree_behind(h.make_node("Transpose", ["features"], ["t"])),
        r"leaves 0\.\.0",
    ),
    "features behind a Slice": (
        lambda: tree_behind(
            h.make_node("Slice", ["features", "zero", "three", "one"], ["t"]),
            inits=(i64("zero", 0), i64("three", 3), i64("one", 1)),
        ),
        r"leaves 0\.\.2",
    ),
    "features behind a Slice that jumps": (
        lambda: tree_behind(
            h.make_node("Slice", ["features", "zero", "four", "one", "two"], ["t"]),
            inits=(i64("zero", 0), i64("four", 4), i64("one", 1), i64("two", 2)),
        ),
        "'t' of unknown shape",
    ),
    "features of a scalar": (
        lambda: tree_behind(h.make_node("DynamicQuantizeLinear", ["features"], ["q", "t", "z"])),
        "'t' of unknown shape",
    ),
    "features of an empty tensor": (
        lambda: tree_behind(
            h.make_node("Add", ["one", "none"], ["t"]),
            inits=(nh.from_array(np.ones((1, 1)), "one"), nh.from_array(np.ones((1, 0)), "none")),
        ),
        r"leaves 0\.\.-1",
    ),
    "tree with a cycle": (
        lambda: tree(**a.branching(nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 2, 0])),
        "two parents",
    ),
    "tree that is its own child": (lambda: tree(nodes_truenodeids=[0, 0, 0]), "own ancestor"),
    "tree of 260 levels": (lambda: a.deep_tree(260), "more than 256 levels"),
    "child in no tree": (lambda: tree(nodes_falsenodeids=[77, 0, 0]), "is not in tree"),
    "node out of reach": (lambda: tree(nodes_modes=["LEAF"] * 3), "reached from no root"),
    "target outside": (lambda: tree(target_ids=[0, 5 * 10**8]), r"leaves 0\.\.3"),
    "leaf outside": (lambda: tree(target_nodeids=[1, 9]), "node 9 is no leaf of tree 0"),
    "vote of a branch": (lambda: tree(target_nodeids=[1, 0]), "node 0 is no leaf of tree 0"),
    "lists of two lengths": (lambda: tree(nodes_values=[0.5]), "1 items, want 3"),
    "mode that nobody knows": (lambda: tree(nodes_modes=["BRANCH_EVIL", "LEAF", "LEAF"]), "'BRANCH_EVIL' is not one"),
    "transform that nobody knows": (lambda: tree(post_transform="EVIL"), "'EVIL' is not one of"),
    "sum that nobody knows": (lambda: tree(aggregate_function="EVIL"), "'EVIL' is not one of"),
    "base values of another width": (lambda: tree(base_values=[0.0] * 1000), "1000 items, want 4"),
    "weight that is NaN": (lambda: tree(target_weights=[1.0, NAN]), "a weight is NaN or infinite"),
    "node ids of float": (lambda: tree(nodes_nodeids=[0.0, 1.0, 2.0]), "nodes_nodeids: want integers"),
    "label of 1 MB": (
        lambda: changed(classifier(), lambda m: label_bomb(m.graph.node[0])),
        "a text of 1000000 bytes, limit is 1024",
    ),
    "tree 5 with a cycle": (lambda: tree5(nodes_truenodeids=[0, 0]), "own ancestor"),
    "tree 5 of 260 levels": (lambda: a.deep_tree5(260), "more than 256 levels"),
    "tree 5 child outside": (lambda: tree5(nodes_falsenodeids=[3, 1]), "outside its table"),
    "tree 5 root outside": (lambda: tree5(tree_roots=[2]), r"leaves 0\.\.1"),
    "tree 5 set membership": (lambda: tree5(nodes_modes=nh.from_array(np.full(2, 6, np.uint8), "m")), r"leaves 0\.\.5"),
    "tree 5 transform that nobody knows": (lambda: tree5(post_transform=9), "9 is not one of"),
}  # fmt: skip

NUMBERS: Table = {
    "scale of zero": (lambda: quantised(scale=0.0), "scale 's' has a value outside"),
    "scale of one column zero": (lambda: quantised(column=0.0), "scale 'ws' has a value outside"),
    "scale of NaN": (lambda: scaled(NAN), "scale 's' has a value outside"),
    "scale of infinity": (lambda: scaled(INF), "scale 's' has a value outside"),
    "scale below zero": (lambda: scaled(-0.1), "scale 's' has a value outside"),
    "scale that is denormal": (lambda: scaled(1e-40), "scale 's' has a value outside"),
    "scale without a value": (lambda: scaled(np.zeros(0)), "scale 's' has a value outside"),
    "scale that is computed": (
        lambda: straight([h.make_node("QuantizeLinear", ["features", "features"], ["q"]), node("Abs")]),
        "is computed, want a constant",
    ),
    "index below the row": (lambda: one("ArrayFeatureExtractor", i64("i", -10), domain=ML), "want constant indices"),
    "linear model of two coefficients": (lambda: classifier(coefficients=[1.0, 2.0]), "2 coefficients"),
    "linear model of few intercepts": (lambda: classifier(intercepts=[1.0]), "16 coefficients and 1 intercepts"),
    "linear regression of one coefficient": (
        lambda: one("LinearRegressor", domain=ML, coefficients=[1.0], targets=4),
        "1 coefficients and 0 intercepts, want 4 x 4",
    ),
    "scaler of another width": (lambda: one("Scaler", domain=ML, offset=[1.0] * 3, scale=[1.0]), "want 1 or 4"),
}  # fmt: skip


def label_bomb(linear: Any) -> None:
    linear.attribute.append(h.make_attribute("classlabels_strings", ["x" * 10**6] * 4))


def changed_tensor(*, raw_data: bytes, float_data: list[float]) -> Any:
    made = tensor(raw_data=raw_data)
    made.float_data.extend(float_data)
    return made


def tensor_of(kind: int, *, int32_data: list[int]) -> Any:
    made = tensor(data_type=kind)
    made.int32_data.extend(int32_data)
    return made


HOSTILE: Table = BYTES | GRAPHS | ENDS | TENSORS | GROWTH | TREES | NUMBERS
assert len(HOSTILE) == sum(map(len, (BYTES, GRAPHS, ENDS, TENSORS, GROWTH, TREES, NUMBERS)))
