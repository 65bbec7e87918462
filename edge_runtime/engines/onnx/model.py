"""An ONNX model as plain values, read without onnx. One rule: what a tensor says of itself equals the bytes it has.

It knows the parts of a straight-line model: no functions, no sub-graphs, no sparse or external tensors. Whether its
operators may run is `inspect`'s question.

Source: onnx.proto (IR 10); the numbers below are its field numbers.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Sequence

from edge_runtime.engines.onnx.wire import Kind, Table, message, text
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, dataclass

MAX_NODES = 512
MAX_TENSORS = 1024
MAX_NAMES = 256  # inputs, outputs or attributes of one node
MAX_RANK = 8
MAX_DIM = 1 << 32
MAX_ITEMS = 1 << 20  # of one list; a list of a tree ensemble has an item a node

INT, FLOAT, BYTES, NOTE, INTS, MANY = Kind.INT, Kind.FLOAT, Kind.BYTES, Kind.NOTE, Kind.INTS, Kind.MANY
FLOATS, DOUBLES, REFUSED = Kind.FLOATS, Kind.DOUBLES, Kind.REFUSED

# metadata_props is refused: onnxruntime can be told to take the options of its session from there. value_info too: it
# plans memory by it, and no exporter of ours writes any.
MODEL: Table = {
    1: ("ir_version", INT, 1), 2: ("producer_name", NOTE, 1), 3: ("producer_version", NOTE, 1), 4: ("domain", NOTE, 1),
    5: ("model_version", INT, 1), 6: ("doc_string", NOTE, 1), 7: ("graph", BYTES, 1), 8: ("opset_import", MANY, 8),
    14: ("metadata_props", REFUSED, 0), 20: ("training_info", REFUSED, 0), 25: ("functions", REFUSED, 0),
}  # fmt: skip
GRAPH: Table = {
    1: ("node", MANY, MAX_NODES), 2: ("name", NOTE, 1), 5: ("initializer", MANY, MAX_TENSORS),
    10: ("doc_string", NOTE, 1), 11: ("input", MANY, MAX_NAMES), 12: ("output", MANY, MAX_NAMES),
    13: ("value_info", REFUSED, 0), 14: ("quantization_annotation", REFUSED, 0), 15: ("sparse_initializer", REFUSED, 0),
    16: ("metadata_props", REFUSED, 0),
}  # fmt: skip
NODE: Table = {
    1: ("input", MANY, MAX_NAMES), 2: ("output", MANY, MAX_NAMES), 3: ("name", NOTE, 1), 4: ("op_type", BYTES, 1),
    5: ("attribute", MANY, MAX_NAMES), 6: ("doc_string", NOTE, 1), 7: ("domain", BYTES, 1),
    9: ("metadata_props", REFUSED, 0),
}  # fmt: skip
ATTRIBUTE: Table = {
    1: ("name", BYTES, 1), 2: ("f", FLOAT, 1), 3: ("i", INT, 1), 4: ("s", BYTES, 1), 5: ("t", BYTES, 1),
    6: ("graph", REFUSED, 0), 7: ("floats", FLOATS, MAX_ITEMS), 8: ("ints", INTS, MAX_ITEMS),
    9: ("strings", MANY, MAX_ITEMS), 10: ("tensors", REFUSED, 0), 11: ("graphs", REFUSED, 0),
    13: ("doc_string", NOTE, 1), 14: ("type_proto", REFUSED, 0), 15: ("type_protos", REFUSED, 0), 20: ("type", INT, 1),
    21: ("ref_attr_name", REFUSED, 0), 22: ("sparse_tensor", REFUSED, 0), 23: ("sparse_tensors", REFUSED, 0),
}  # fmt: skip
TENSOR: Table = {
    1: ("dims", INTS, MAX_RANK), 2: ("data_type", INT, 1), 3: ("segment", REFUSED, 0),
    4: ("float_data", FLOATS, MAX_ITEMS), 5: ("int32_data", INTS, MAX_ITEMS), 6: ("string_data", REFUSED, 0),
    7: ("int64_data", INTS, MAX_ITEMS), 8: ("name", BYTES, 1), 9: ("raw_data", BYTES, 1),
    10: ("double_data", DOUBLES, MAX_ITEMS), 11: ("uint64_data", REFUSED, 0), 12: ("doc_string", NOTE, 1),
    13: ("external_data", REFUSED, 0), 14: ("data_location", INT, 1), 16: ("metadata_props", REFUSED, 0),
}  # fmt: skip
OPSET: Table = {1: ("domain", BYTES, 1), 2: ("version", INT, 1)}
VALUE: Table = {
    1: ("name", BYTES, 1), 2: ("type", BYTES, 1), 3: ("doc_string", NOTE, 1), 4: ("metadata_props", REFUSED, 0),
}  # fmt: skip
TYPE: Table = {
    1: ("tensor_type", BYTES, 1), 4: ("sequence_type", REFUSED, 0), 5: ("map_type", REFUSED, 0),
    6: ("denotation", NOTE, 1), 8: ("sparse_tensor_type", REFUSED, 0), 9: ("optional_type", REFUSED, 0),
}  # fmt: skip
TENSOR_TYPE: Table = {1: ("elem_type", INT, 1), 2: ("shape", BYTES, 1)}
SHAPE: Table = {1: ("dim", MANY, MAX_RANK)}
DIM: Table = {1: ("dim_value", INT, 1), 2: ("dim_param", BYTES, 1), 3: ("denotation", NOTE, 1)}

# data_type -> (name, bytes of an element, the field that holds it unless raw_data does)
TYPES = {
    1: ("float", 4, "float_data"), 2: ("uint8", 1, "int32_data"), 3: ("int8", 1, "int32_data"),
    6: ("int32", 4, "int32_data"), 7: ("int64", 8, "int64_data"), 9: ("bool", 1, "int32_data"),
    11: ("double", 8, "double_data"),
}  # fmt: skip
_CODES = {
    "float": "f", "uint8": "B", "int8": "b", "int32": "i", "int64": "q", "bool": "B", "double": "d"
}  # fmt: skip
RANGES = {
    "uint8": (0, 255), "int8": (-128, 127), "bool": (0, 1), "int32": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
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
        return _numbers((self.data,), self.type)

    def reals(self) -> Sequence[float]:
        """Return the elements of a float tensor, in order; of integers, nothing."""
        if self.type not in ("float", "double"):
            return ()
        return _numbers((self.data,) if isinstance(self.data, memoryview) else self.data, self.type)


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

    def integers(self, name: str) -> Sequence[int]:
        """Return the items of a list or tensor of integers."""
        values = self.items(name)
        if not set(map(type, values)) <= {int}:
            raise ContractError(f"{self.op}.{name}: want integers")
        return values

    def reals(self, name: str) -> Sequence[float]:
        """Return the items of a list or tensor of floats."""
        values = self.items(name)
        if not set(map(type, values)) <= {float}:
            raise ContractError(f"{self.op}.{name}: want floats")
        return values

    def items(self, name: str) -> Sequence[Any]:
        """Return the items of a list attribute or of a tensor; nothing where it is missing."""
        value = self.attributes.get(name, [])
        if isinstance(value, Tensor):
            return value.integers() or value.reals()
        if not isinstance(value, list):
            raise ContractError(f"{self.op}.{name}: want a list")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An end of the graph; a dimension that is a name or missing (the batch) is None."""

    name: str
    type: str
    dims: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A straight-line model; the domain "ai.onnx" is "", as engines take them for one."""

    ir_version: int
    opsets: dict[str, int]
    nodes: tuple[Node, ...]
    constants: dict[str, Tensor]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def read_model(data: bytes) -> Model:
    """Return the model in *data*.

    Raises:
        ContractError: any bytes that are not a straight-line model within the limits above.
    """
    model = message(memoryview(data), MODEL, "model")
    graph = message(model.get("graph", memoryview(b"")), GRAPH, "graph")
    tensors = [_tensor(item, f"initializer {i}") for i, item in enumerate(graph["initializer"])]
    constants = {tensor.name: tensor for tensor in tensors}
    if len(constants) != len(tensors) or "" in constants:
        raise ContractError("graph.initializer: one name stands twice, or is empty")
    return Model(
        ir_version=model.get("ir_version", 0),
        opsets=_opsets(model["opset_import"]),
        nodes=tuple(_node(item, f"node {i}") for i, item in enumerate(graph["node"])),
        constants=constants,
        inputs=tuple(_value(item, "input") for item in graph["input"]),
        outputs=tuple(_value(item, "output") for item in graph["output"]),
    )


def _name(fields: dict[str, Any], key: str, what: str) -> str:
    return text(fields.get(key, b""), f"{what}.{key}")


def _domain(fields: dict[str, Any], what: str) -> str:
    domain = _name(fields, "domain", what)
    return "" if domain == "ai.onnx" else domain


def _opsets(items: list[memoryview]) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in items:
        fields = message(item, OPSET, "opset_import")
        domain = _domain(fields, "opset_import")
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
    if any(not 0 <= dim <= MAX_DIM for dim in dims):
        raise ContractError(f"{what}: dims {list(dims)} are outside 0..2^32")
    if any(fields[other] for other in _DATA if other != home) or ("raw_data" in fields and fields[home]):
        raise ContractError(f"{what}: data of {kind} stands in the wrong field, or twice")
    raw = fields.get("raw_data")
    n_bytes = len(raw) if raw is not None else _n_bytes(fields[home], kind, what)
    if math.prod(dims) * width != n_bytes:
        wanted = math.prod(dims) * width
        raise ContractError(f"{what}: dims {list(dims)} of {kind} want {wanted} bytes, it has {n_bytes}")
    return Tensor(name=name, dims=dims, type=kind, data=tuple(fields[home]) if raw is None else raw)


def _n_bytes(items: list[Any], kind: str, what: str) -> int:
    """Return the bytes of typed data: pieces of fixed-width numbers, or integers each worth the width of *kind*."""
    if kind in RANGES and items and not RANGES[kind][0] <= min(items) <= max(items) <= RANGES[kind][1]:
        raise ContractError(f"{what}: {min(items)}..{max(items)} is no {kind}")  # an engine would cut the bits off
    return sum(WIDTHS[kind] if isinstance(item, int) else len(item) for item in items)


def _node(data: memoryview, what: str) -> Node:
    fields = message(data, NODE, what)
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
        domain=_domain(fields, what),
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
            raws = [bytes(item) for item in value or ()]
            words = {raw: text(raw, what) for raw in set(raws)}
            return [words[raw] for raw in raws]
        case "floats":
            return _numbers(value or (), "float").tolist()
        case "f":
            number: float = _numbers([value or bytes(4)], "float")[0]
            return number
    return value if value is not None else 0


def _numbers(pieces: Iterable[memoryview | bytes], kind: str) -> array[Any]:
    """Return packed little-endian numbers, whose bytes were counted."""
    numbers = array(_CODES[kind], b"".join(pieces))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _value(data: memoryview, what: str) -> Value:
    fields = message(data, VALUE, what)
    name = _name(fields, "name", what)
    what = f"{what} {name!r}"
    kind = message(fields.get("type", memoryview(b"")), TYPE, what)
    tensor = message(kind.get("tensor_type", memoryview(b"")), TENSOR_TYPE, what)
    shape = message(tensor.get("shape", memoryview(b"")), SHAPE, what)
    dims = tuple(_dim(message(dim, DIM, f"{what}.dim"), what) for dim in shape["dim"])
    return Value(name=name, type=TYPES.get(tensor.get("elem_type", 0), ("other", 0, ""))[0], dims=dims)


def _dim(fields: dict[str, Any], what: str) -> int | None:
    value: int | None = fields.get("dim_value")
    if value is not None and ("dim_param" in fields or not 0 <= value <= MAX_DIM):
        raise ContractError(f"{what}: a dimension of {value} is outside 0..2^32, or has a name too")
    return value
