"""An ONNX model as plain values, read without onnx. One rule: what a tensor says of itself equals the bytes it has.

It knows the parts of a straight-line model: no functions, no sub-graphs, no sparse or external tensors. Whether its
operators may run is `inspect`'s question.

Source: onnx.proto (IR 10); the numbers below are its field numbers.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.engines.onnx.wire import Kind, Table, message, text
from edge_runtime.errors import ContractError

MAX_NODES = 512
MAX_TENSORS = 1024
MAX_NAMES = 256  # inputs, outputs or attributes of one node

INT, BYTES, INTS, MANY, FIXED = Kind.INT, Kind.BYTES, Kind.INTS, Kind.MANY, Kind.FIXED
SKIPPED, REFUSED = Kind.SKIPPED, Kind.REFUSED

MODEL: Table = {
    1: ("ir_version", INT), 2: ("producer_name", SKIPPED), 3: ("producer_version", SKIPPED), 4: ("domain", SKIPPED),
    5: ("model_version", SKIPPED), 6: ("doc_string", SKIPPED), 7: ("graph", BYTES), 8: ("opset_import", MANY),
    14: ("metadata_props", SKIPPED), 20: ("training_info", REFUSED), 25: ("functions", REFUSED),
}  # fmt: skip
GRAPH: Table = {
    1: ("node", MANY), 2: ("name", SKIPPED), 5: ("initializer", MANY), 10: ("doc_string", SKIPPED),
    11: ("input", MANY), 12: ("output", MANY), 13: ("value_info", SKIPPED), 15: ("sparse_initializer", REFUSED),
    16: ("metadata_props", SKIPPED),
}  # fmt: skip
NODE: Table = {
    1: ("input", MANY), 2: ("output", MANY), 3: ("name", SKIPPED), 4: ("op_type", BYTES), 5: ("attribute", MANY),
    6: ("doc_string", SKIPPED), 7: ("domain", BYTES), 9: ("metadata_props", SKIPPED),
}  # fmt: skip
ATTRIBUTE: Table = {
    1: ("name", BYTES), 2: ("f", BYTES), 3: ("i", INT), 4: ("s", BYTES), 5: ("t", BYTES), 6: ("graph", REFUSED),
    7: ("floats", FIXED), 8: ("ints", INTS), 9: ("strings", MANY), 10: ("tensors", REFUSED), 11: ("graphs", REFUSED),
    13: ("doc_string", SKIPPED), 14: ("type_proto", REFUSED), 15: ("type_protos", REFUSED), 20: ("type", INT),
    21: ("ref_attr_name", REFUSED), 22: ("sparse_tensor", REFUSED), 23: ("sparse_tensors", REFUSED),
}  # fmt: skip
TENSOR: Table = {
    1: ("dims", INTS), 2: ("data_type", INT), 3: ("segment", REFUSED), 4: ("float_data", FIXED),
    5: ("int32_data", INTS), 6: ("string_data", REFUSED), 7: ("int64_data", INTS), 8: ("name", BYTES),
    9: ("raw_data", BYTES), 10: ("double_data", FIXED), 11: ("uint64_data", REFUSED), 12: ("doc_string", SKIPPED),
    13: ("external_data", REFUSED), 14: ("data_location", INT), 16: ("metadata_props", SKIPPED),
}  # fmt: skip
OPSET: Table = {1: ("domain", BYTES), 2: ("version", INT)}
VALUE: Table = {
    1: ("name", BYTES), 2: ("type", BYTES), 3: ("doc_string", SKIPPED), 4: ("metadata_props", SKIPPED),
}  # fmt: skip
TYPE: Table = {
    1: ("tensor_type", BYTES), 4: ("sequence_type", REFUSED), 5: ("map_type", REFUSED), 6: ("denotation", SKIPPED),
    8: ("sparse_tensor_type", REFUSED), 9: ("optional_type", REFUSED),
}  # fmt: skip
TENSOR_TYPE: Table = {1: ("elem_type", INT), 2: ("shape", BYTES)}
SHAPE: Table = {1: ("dim", MANY)}
DIM: Table = {1: ("dim_value", INT), 2: ("dim_param", BYTES), 3: ("denotation", SKIPPED)}

# data_type -> (name, bytes of an element, the field that holds it unless raw_data does)
TYPES = {
    1: ("float", 4, "float_data"), 2: ("uint8", 1, "int32_data"), 3: ("int8", 1, "int32_data"),
    6: ("int32", 4, "int32_data"), 7: ("int64", 8, "int64_data"), 9: ("bool", 1, "int32_data"),
    11: ("double", 8, "double_data"),
}  # fmt: skip
WIDTHS = {name: width for name, width, _ in TYPES.values()}
_DATA = ("float_data", "int32_data", "int64_data", "double_data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A constant, whose bytes are as many as its shape says; `data` is raw bytes, or the typed fields as they came."""

    name: str
    dims: tuple[int, ...]
    type: str
    data: memoryview | tuple[Any, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.dims)

    def integers(self) -> Sequence[int]:
        """Return the elements of an integer tensor, in order; of floats, nothing."""
        if self.type in ("float", "double"):
            return ()
        if not isinstance(self.data, memoryview):
            return self.data
        width, is_signed = WIDTHS[self.type], self.type.startswith("int")
        pieces = range(0, len(self.data), width)
        return [int.from_bytes(self.data[i : i + width], "little", signed=is_signed) for i in pieces]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator; an attribute is an int, float, str, Tensor, or a list of one of the first three."""

    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise ContractError(f"{self.op}.{name}: want an integer")
        return value

    def items(self, name: str) -> Sequence[Any]:
        """Return the items of a list attribute, or the integers of a tensor; nothing where it is missing."""
        value = self.attributes.get(name, [])
        if isinstance(value, Tensor):
            return value.integers()
        if not isinstance(value, list):
            raise ContractError(f"{self.op}.{name}: want a list")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An input of the graph; a dimension that is a name or missing (the batch) is 1."""

    name: str
    type: str
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A straight-line model."""

    ir_version: int
    opsets: dict[str, int]
    nodes: tuple[Node, ...]
    constants: dict[str, Tensor]
    inputs: tuple[Value, ...]
    outputs: tuple[str, ...]


def read_model(data: bytes) -> Model:
    """Return the model in *data*.

    Raises:
        ContractError: any bytes that are not a straight-line model within the limits above.
    """
    model = message(memoryview(data), MODEL, "model")
    graph = message(model.get("graph", memoryview(b"")), GRAPH, "graph")
    _limit(len(graph["node"]), MAX_NODES, "graph.node")
    _limit(len(graph["initializer"]), MAX_TENSORS, "graph.initializer")
    _limit(len(graph["input"]) + len(graph["output"]), MAX_TENSORS, "graph.input")
    tensors = [_tensor(item, f"initializer {i}") for i, item in enumerate(graph["initializer"])]
    constants = {tensor.name: tensor for tensor in tensors}
    if len(constants) != len(tensors):
        raise ContractError("graph.initializer: one name stands twice")
    return Model(
        ir_version=model.get("ir_version", 0),
        opsets=_opsets(model["opset_import"]),
        nodes=tuple(_node(item, f"node {i}") for i, item in enumerate(graph["node"])),
        constants=constants,
        inputs=tuple(v for item in graph["input"] if (v := _value(item)).name not in constants),
        outputs=tuple(_name(message(item, VALUE, "output"), "name", "output") for item in graph["output"]),
    )


def _limit(n: int, limit: int, what: str) -> None:
    if n > limit:
        raise ContractError(f"{what}: {n} items, limit is {limit}")


def _name(fields: dict[str, Any], key: str, what: str) -> str:
    return text(fields.get(key, b""), f"{what}.{key}")


def _opsets(items: list[memoryview]) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in items:
        fields = message(item, OPSET, "opset_import")
        domain = _name(fields, "domain", "opset_import")
        if domain in found:
            raise ContractError(f"opset_import: {domain or 'ai.onnx'!r} stands twice")
        found[domain] = fields.get("version", 0)
    return found


def _tensor(data: memoryview, what: str) -> Tensor:
    fields = message(data, TENSOR, what)
    name, dims = _name(fields, "name", what), tuple(fields["dims"])
    what = f"{what} {name!r}"
    if fields.get("data_location", 0):
        raise ContractError(f"{what}: data outside the file is not allowed")
    if fields.get("data_type") not in TYPES:
        raise ContractError(f"{what}: data type {fields.get('data_type')} is not one of {sorted(TYPES)}")
    kind, width, home = TYPES[fields["data_type"]]
    if len(dims) > 8 or any(not 0 <= dim <= 1 << 32 for dim in dims):
        raise ContractError(f"{what}: dims {list(dims)[:9]} are outside 0..2^32 or more than 8")
    if any(fields[other] for other in _DATA if other != home) or ("raw_data" in fields and fields[home]):
        raise ContractError(f"{what}: data of {kind} stands in the wrong field, or twice")
    raw = fields.get("raw_data")
    n_bytes = len(raw) if raw is not None else _n_bytes(fields[home], width)
    if math.prod(dims) * width != n_bytes:
        wanted = math.prod(dims) * width
        raise ContractError(f"{what}: dims {list(dims)} of {kind} want {wanted} bytes, it has {n_bytes}")
    return Tensor(name=name, dims=dims, type=kind, data=tuple(fields[home]) if raw is None else raw)


def _n_bytes(items: list[Any], width: int) -> int:
    """Return the bytes of typed data: pieces of fixed-width numbers, or integers each worth *width*."""
    return sum(len(item) if isinstance(item, memoryview) else width for item in items)


def _node(data: memoryview, what: str) -> Node:
    fields = message(data, NODE, what)
    for key in ("input", "output", "attribute"):
        _limit(len(fields[key]), MAX_NAMES, f"{what}.{key}")
    op = _name(fields, "op_type", what)
    attributes: dict[str, Any] = {}
    for item in fields["attribute"]:
        found = message(item, ATTRIBUTE, f"{what} {op}.attribute")
        name = _name(found, "name", what)
        if name in attributes:
            raise ContractError(f"{what} {op}.{name} stands twice")
        attributes[name] = _attribute(found, f"{what} {op}.{name}")
    return Node(
        op=op,
        domain=_name(fields, "domain", what),
        inputs=tuple(text(item, f"{what}.input") for item in fields["input"]),
        outputs=tuple(text(item, f"{what}.output") for item in fields["output"]),
        attributes=attributes,
    )


def _attribute(found: dict[str, Any], what: str) -> Any:
    """Return the value that `type` names; values in other fields are refused, as engines may differ about them."""
    kind = found.get("type")
    home = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}.get(kind or 0)
    if home is None:
        raise ContractError(f"{what}: attribute type {kind} is not allowed (no sub-graphs)")
    if any(found.get(key) for key in ("f", "i", "s", "t", "floats", "ints", "strings") if key != home):
        raise ContractError(f"{what}: holds more than its type says")
    value = found.get(home)
    match home:
        case "t":
            return _tensor(value or memoryview(b""), what)
        case "s":
            return text(value or b"", what)
        case "strings":
            return [text(item, what) for item in value or ()]
        case "floats":
            return _floats(value or (), what).tolist()
        case "f":
            return (_floats([value or bytes(4)], what) or (0.0,))[0]
    return value if value is not None else 0


def _floats(pieces: Iterable[memoryview | bytes], what: str) -> array[float]:
    packed = b"".join(pieces)
    if len(packed) % 4:
        raise ContractError(f"{what}: {len(packed)} bytes are no float32 values")
    return array("f", packed)


def _value(data: memoryview) -> Value:
    fields = message(data, VALUE, "input")
    name = _name(fields, "name", "input")
    what = f"input {name!r}"
    kind = message(fields.get("type", memoryview(b"")), TYPE, what)
    tensor = message(kind.get("tensor_type", memoryview(b"")), TENSOR_TYPE, what)
    shape = message(tensor.get("shape", memoryview(b"")), SHAPE, what)
    dims = tuple(message(dim, DIM, what).get("dim_value", 1) for dim in shape["dim"][:9])
    if len(dims) > 8 or any(not 0 <= dim <= 1 << 32 for dim in dims):
        raise ContractError(f"{what}: dims {list(dims)} are outside 0..2^32 or more than 8")
    return Value(name=name, type=TYPES.get(tensor.get("elem_type", 0), ("other", 0, ""))[0], dims=dims)
