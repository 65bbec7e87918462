"""How large every tensor of a model can get at one row. One rule: where it is not sure, it says more, never less.

A model of 1 KB can ask for gigabytes (a chain of Concat that doubles, a broadcast of a row with a column); this is
why the operators are sorted by how they grow, and one that grows by the *values* of a tensor is not on the list.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from edge_runtime.engines.onnx.model import MAX_RANK, Model, Node, Tensor
from edge_runtime.errors import BudgetError, ContractError
from edge_runtime.lean import Any, dataclass

MAX_ELEMENTS = 1 << 22
"""Of one tensor, and of all that the nodes make together: 32 MiB in float64."""

Dims = tuple[int, ...] | None
Extent = tuple[Dims, int]
"""Dimensions (None where unknown) and the largest number of elements. What is known is exact at one row: a tree
ensemble reads features by it."""


@dataclass(frozen=True, slots=True)
class Given:
    """An input of a node; `value` where it is a constant."""

    dims: Dims
    size: int
    value: Tensor | None = None


def known(dims: tuple[int, ...]) -> Extent:
    """The extent of a shape."""
    return dims, math.prod(dims)


def same(_: Node, given: list[Given]) -> Extent:
    """Like the first input."""
    return given[0].dims, given[0].size


def shrunk(_: Node, given: list[Given]) -> Extent:
    """At most as many elements as the first input, in another shape."""
    return None, given[0].size


def broadcast(_: Node, given: list[Given]) -> Extent:
    """All inputs stretched to one shape."""
    shapes: list[tuple[int, ...]] = []
    for each in given:
        if each.dims is None:
            return None, math.prod(max(1, other.size) for other in given)
        shapes.append(each.dims)
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return known(tuple(0 if 0 in column else max(column) for column in zip(*padded, strict=True)))


def _product(a: Given, b: Given, *, flip_a: bool, flip_b: bool) -> Extent:
    left, right = a.dims, b.dims
    if left is None or right is None or len(left) != 2 or len(right) != 2:
        return None, a.size * b.size
    return known((left[1] if flip_a else left[0], right[0] if flip_b else right[1]))


def product(node: Node, given: list[Given]) -> Extent:
    """A matrix product, the bias broadcast into it; the second matrix of a quantised one is input 3."""
    b = 3 if node.op.startswith("Q") else 1
    if len(given) <= b:
        raise ContractError(f"{node.op}: {len(given)} inputs, want at least {b + 1}")
    flips = {f"flip_{side}": bool(node.integer(f"trans{side.upper()}", 0)) for side in "ab"}
    return _product(given[0], given[b], **flips)


def joined(node: Node, given: list[Given]) -> Extent:
    """All inputs one after another along an axis."""
    axis = node.integer("axis", 1)
    size = sum(each.size for each in given)
    shapes = [each.dims for each in given if each.dims is not None]
    rank = len(shapes[0]) if shapes else 0
    if len(shapes) < len(given) or any(len(shape) != rank for shape in shapes) or not -rank <= axis < rank:
        return None, size
    dims = list(shapes[0])
    dims[axis] = sum(shape[axis] for shape in shapes)
    return tuple(dims), max(size, math.prod(dims))


def picked(node: Node, given: list[Given]) -> Extent:
    """The slices of the first input that the second names; of ArrayFeatureExtractor along the last axis."""
    if len(given) < 2:
        raise ContractError(f"{node.op}: {len(given)} inputs, want 2")
    dims, size, indices, n = given[0].dims, given[0].size, given[1].dims, given[1].size
    axis = node.integer("axis", 0 if node.op == "Gather" else -1)
    if dims is None or indices is None or not -len(dims) <= axis < len(dims) or not dims[axis]:
        return None, size * n
    axis %= len(dims)
    return known((*dims[:axis], *(indices if node.op == "Gather" else (n,)), *dims[axis + 1 :]))


def voted(node: Node, given: list[Given]) -> Extent:
    """One vector a row from a tree ensemble or a linear model of ai.onnx.ml."""
    labels = max(len(node.items(f"classlabels_{kind}")) for kind in ("int64s", "ints", "strings"))
    width = max(1, labels, node.integer("n_targets", 1), node.integer("targets", 1))
    rows = given[0].dims[0] if given[0].dims else 1
    return known((rows, width))


Growth = Callable[[Node, list[Given]], Extent]
_MEANT = {"LinearClassifier": 1, "TreeEnsembleClassifier": 1}
"""Which output an extent is of (else 0); of the others it says only how large they can get, not their shape."""


def constants_of(model: Model) -> dict[str, Tensor]:
    """Return the constants by name, those that a node holds included."""
    made = {
        node.outputs[0]: value
        for node in model.nodes
        for value in node.attributes.values()
        if node.op == "Constant" and node.outputs and isinstance(value, Tensor)
    }
    return made | model.constants


def check_extents(model: Model, growth: dict[tuple[str, str], Growth]) -> dict[str, Extent]:
    """Return the extent of every tensor by name.

    Raises:
        ContractError: a node reads what no earlier node made, or makes what exists.
        BudgetError: tensors may grow over `MAX_ELEMENTS`.
    """
    constants = constants_of(model)
    extents = {name: known(tensor.dims) for name, tensor in model.constants.items()}
    for value in model.inputs:
        if value.name in extents:
            raise ContractError(f"graph.input: {value.name!r} is a constant, or stands twice")
        extents[value.name] = known(tuple(1 if dim is None else dim for dim in value.dims))
    total = sum(extents[value.name][1] for value in model.inputs)
    for i, node in enumerate(model.nodes):
        what = f"node {i} {node.op}"
        for name in node.inputs:
            if name and name not in extents:
                raise ContractError(f"{what}: input {name!r} is made by no earlier node")
        given = [Given(*extents[name], constants.get(name)) if name else Given((), 1) for name in node.inputs]
        extent = _made(node, given, growth, what=what)
        for j, name in enumerate(node.outputs):
            if name in extents:
                raise ContractError(f"{what}: output {name!r} exists already")
            if name:
                extents[name] = extent if j == _MEANT.get(node.op, 0) else (None, extent[1])
            total += extent[1]
        if total > MAX_ELEMENTS:
            raise BudgetError(
                f"{what}: the model's tensors may hold {total} elements, limit is {MAX_ELEMENTS}",
                hint="export a smaller model",
            )
    missing = [value.name for value in model.outputs if value.name not in extents]
    if missing or not model.outputs:
        raise ContractError(f"graph.output: {missing or 'none'}: made by no node")
    return extents


def _made(node: Node, given: list[Given], growth: dict[tuple[str, str], Growth], *, what: str) -> Extent:
    if node.op == "Constant":
        return _constant(node.attributes, what)
    if not node.inputs or not node.inputs[0]:
        raise ContractError(f"{what}: no first input")
    dims, size = growth[node.domain, node.op](node, given)
    if dims is not None and len(dims) > MAX_RANK:
        raise ContractError(f"{what}: {len(dims)} dimensions, limit is {MAX_RANK}")
    return dims, size


def _constant(attributes: dict[str, Any], what: str) -> Extent:
    if len(attributes) != 1:
        raise ContractError(f"{what}: want one value, got {sorted(attributes)}")
    value = next(iter(attributes.values()))
    if isinstance(value, Tensor):
        return known(value.dims)
    if isinstance(value, str) or (isinstance(value, list) and any(isinstance(item, str) for item in value)):
        raise ContractError(f"{what}: a text, want numbers")
    return None, len(value) if isinstance(value, list) else 1
