"""How large every tensor of a model can get at one row. One rule: where it is not sure, it says more, never less.

A model of 1 KB can ask for gigabytes (a chain of Concat that doubles, a broadcast of a row with a column); this is
why the operators are sorted by how they grow, and one that grows by the *values* of a tensor is not on the list.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edge_runtime.engines.onnx.model import Model, Node, Tensor
from edge_runtime.errors import BudgetError, ContractError

MAX_ELEMENTS = 1 << 22
"""Of one tensor, and of all that the nodes make together: 32 MiB in float64."""

Dims = tuple[int, ...] | None
Extent = tuple[Dims, int]
"""Dimensions (None where unknown) and the largest number of elements."""


def _known(dims: tuple[int, ...]) -> Extent:
    return dims, math.prod(dims)


def same(_: Node, given: list[Extent]) -> Extent:
    """Like the first input."""
    return given[0]


def shrunk(_: Node, given: list[Extent]) -> Extent:
    """At most as many elements as the first input, in another shape."""
    return None, given[0][1]


def broadcast(_: Node, given: list[Extent]) -> Extent:
    """All inputs stretched to one shape."""
    shapes: list[tuple[int, ...]] = []
    for dims, _size in given:
        if dims is None:
            return None, math.prod(max(1, size) for _, size in given)
        shapes.append(dims)
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return _known(tuple(max(column) for column in zip(*padded, strict=True)))


def _product(a: Extent, b: Extent, *, flip_a: bool, flip_b: bool) -> Extent:
    (left, n), (right, m) = a, b
    if left is None or right is None or len(left) != 2 or len(right) != 2:
        return None, n * m
    return _known((left[1] if flip_a else left[0], right[0] if flip_b else right[1]))


def product(node: Node, given: list[Extent]) -> Extent:
    """A matrix product, the bias broadcast into it; the second matrix of a quantised one is input 3."""
    b = 3 if node.op.startswith("Q") else 1
    if len(given) <= b:
        raise ContractError(f"{node.op}: {len(given)} inputs, want at least {b + 1}")
    flips = {f"flip_{side}": bool(node.integer(f"trans{side.upper()}", 0)) for side in "ab"}
    return _product(given[0], given[b], **flips)


def joined(node: Node, given: list[Extent]) -> Extent:
    """All inputs one after another along an axis."""
    axis = node.integer("axis", 1)
    size = sum(size for _, size in given)
    shapes = [dims for dims, _ in given if dims is not None]
    rank = len(shapes[0]) if shapes else 0
    if len(shapes) < len(given) or any(len(shape) != rank for shape in shapes) or not -rank <= axis < rank:
        return None, size
    dims = list(shapes[0])
    dims[axis] = sum(shape[axis] for shape in shapes)
    return tuple(dims), max(size, math.prod(dims))


def picked(node: Node, given: list[Extent]) -> Extent:
    """The slices of the first input that the second names; of ArrayFeatureExtractor along the last axis."""
    if len(given) < 2:
        raise ContractError(f"{node.op}: {len(given)} inputs, want 2")
    (dims, size), (indices, n) = given[:2]
    axis = node.integer("axis", 0 if node.op == "Gather" else -1)
    if dims is None or indices is None or not -len(dims) <= axis < len(dims) or not dims[axis]:
        return None, size * n
    axis %= len(dims)
    return _known((*dims[:axis], *(indices if node.op == "Gather" else (n,)), *dims[axis + 1 :]))


def voted(node: Node, given: list[Extent]) -> Extent:
    """One vector a row from a tree ensemble or a linear model of ai.onnx.ml."""
    labels = max(len(node.items(f"classlabels_{kind}")) for kind in ("int64s", "ints", "strings"))
    width = max(1, labels, node.integer("n_targets", 1), node.integer("targets", 1))
    rows = given[0][0][0] if given[0][0] else 1
    return _known((rows, width))


Growth = Callable[[Node, list[Extent]], Extent]


def check_extents(model: Model, growth: dict[tuple[str, str], Growth]) -> dict[str, Extent]:
    """Return the extent of every tensor by name.

    Raises:
        ContractError: a node reads what no earlier node made, or makes what exists.
        BudgetError: tensors may grow over `MAX_ELEMENTS`.
    """
    extents = {name: _known(tensor.dims) for name, tensor in model.constants.items()}
    extents |= {value.name: _known(value.dims) for value in model.inputs}
    total = sum(math.prod(value.dims) for value in model.inputs)
    for i, node in enumerate(model.nodes):
        what = f"node {i} {node.op}"
        for name in node.inputs:
            if name and name not in extents:
                raise ContractError(f"{what}: input {name!r} is made by no earlier node")
        extent = _made(node, [extents[name] for name in node.inputs if name], growth, what=what)
        for name in filter(None, node.outputs):
            if name in extents:
                raise ContractError(f"{what}: output {name!r} exists already")
            extents[name] = extent
            total += extent[1]
        if total > MAX_ELEMENTS:
            raise BudgetError(
                f"{what}: the model's tensors may hold {total} elements, limit is {MAX_ELEMENTS}",
                hint="export a smaller model",
            )
    missing = [name for name in model.outputs if name not in extents]
    if missing or not model.outputs:
        raise ContractError(f"graph.output: {missing or 'none'}: made by no node")
    return extents


def _made(node: Node, given: list[Extent], growth: dict[tuple[str, str], Growth], *, what: str) -> Extent:
    if node.op == "Constant" and not node.domain:
        return _constant(node.attributes, what)
    if not given:
        raise ContractError(f"{what}: no input")
    return growth[node.domain, node.op](node, given)


def _constant(attributes: dict[str, Any], what: str) -> Extent:
    if len(attributes) != 1:
        raise ContractError(f"{what}: want one value, got {sorted(attributes)}")
    value = next(iter(attributes.values()))
    if isinstance(value, Tensor):
        return _known(value.dims)
    return None, len(value) if isinstance(value, list | str) else 1
