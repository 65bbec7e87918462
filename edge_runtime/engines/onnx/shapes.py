"""Shapes that constants say: of slices, reductions and the like. One rule: exact at one row, or said to be unknown.

A tree ensemble reads its row by position, so a width that is guessed is memory that is not its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_runtime.engines.onnx.extents import Extent, Given, known
from edge_runtime.engines.onnx.model import MAX_RANK, Node


def _constant(given: list[Given], i: int) -> Sequence[int] | None:
    """Integers of an input; None where it is computed, left out, or longer than a shape can be."""
    value = given[i].value if i < len(given) else None
    return value.integers() if value is not None and value.size <= MAX_RANK else None


def _axes(node: Node, given: list[Given], rank: int) -> list[int] | None:
    """Axes from input 1 or, in older opsets, from an attribute, each once and in 0..rank-1; None where they are not."""
    axes = node.integers("axes") if len(given) < 2 else _constant(given, 1)
    if axes is None or not all(-rank <= axis < rank for axis in axes):
        return None
    found = sorted({axis % rank for axis in axes})
    return found if len(found) == len(axes) else None


def reshaped(_: Node, given: list[Given]) -> Extent:
    """The elements of the first input, in a shape of which 0 copies a dimension and -1 is the rest."""
    dims, size, shape = given[0].dims, given[0].size, _constant(given, 1)
    if dims is None or shape is None or (0 in shape and len(shape) > len(dims)) or list(shape).count(-1) > 1:
        return None, size
    made = [dims[i] if n == 0 else n for i, n in enumerate(shape)]
    others = math.prod(n for n in made if n != -1)
    made = [size // others if n == -1 and others else n for n in made]
    return known(tuple(made)) if math.prod(made) == size and min(made, default=0) >= 0 else (None, size)


def reduced(node: Node, given: list[Given]) -> Extent:
    """One element along each axis named; where none is, of all axes or, if the node says so, of none."""
    dims, size = given[0].dims, given[0].size
    if dims is None or (axes := _axes(node, given, len(dims))) is None:
        return None, max(1, size)
    if not axes and node.integer("noop_with_empty_axes", 0):
        return dims, size
    return _without(dims, axes or range(len(dims)), keeps=bool(node.integer("keepdims", 1)))


def placed(node: Node, given: list[Given]) -> Extent:
    """The index of the greatest or least along one axis."""
    dims, axis = given[0].dims, node.integer("axis", 0)
    if dims is None or not -len(dims) <= axis < len(dims):
        return None, given[0].size
    return _without(dims, [axis % len(dims)], keeps=bool(node.integer("keepdims", 1)))


def _without(dims: tuple[int, ...], axes: Sequence[int], *, keeps: bool) -> Extent:
    if keeps:
        return known(tuple(1 if i in axes else n for i, n in enumerate(dims)))
    return known(tuple(n for i, n in enumerate(dims) if i not in axes))


def sliced(_: Node, given: list[Given]) -> Extent:
    """From start to end along each axis, one by one."""
    dims, size = given[0].dims, given[0].size
    begins, ends = _constant(given, 1), _constant(given, 2)
    if dims is None or begins is None or ends is None:
        return None, size
    axes = range(len(begins)) if len(given) < 4 else _constant(given, 3)
    steps = [1] * len(begins) if len(given) < 5 else _constant(given, 4)
    if axes is None or steps is None or not len(begins) == len(ends) == len(axes) == len(steps):
        return None, size
    if set(steps) - {1} or len(set(axes)) < len(axes) or not all(0 <= axis < len(dims) for axis in axes):
        return None, size
    made = list(dims)
    for axis, begin, end in zip(axes, begins, ends, strict=True):
        made[axis] = len(range(*slice(begin, end).indices(dims[axis])))
    return known(tuple(made))


def unsqueezed(node: Node, given: list[Given]) -> Extent:
    """A 1 at each axis named."""
    dims, size = given[0].dims, given[0].size
    n = len(node.integers("axes")) if len(given) < 2 else given[1].size
    if dims is None or n > MAX_RANK or (axes := _axes(node, given, len(dims) + n)) is None:
        return None, size
    rest = iter(dims)
    return known(tuple(1 if i in axes else next(rest) for i in range(len(dims) + n)))


def squeezed(node: Node, given: list[Given]) -> Extent:
    """Without the axes named, which are 1; where none is named, it would depend on the number of rows."""
    dims, size = given[0].dims, given[0].size
    axes = _axes(node, given, len(dims)) if dims is not None else None
    if dims is None or not axes or any(dims[axis] != 1 for axis in axes):
        return None, size
    return _without(dims, axes, keeps=False)


def transposed(node: Node, given: list[Given]) -> Extent:
    """The axes in another order, backwards where none is named."""
    dims, size = given[0].dims, given[0].size
    if dims is None:
        return None, size
    order = node.integers("perm") or range(len(dims))[::-1]
    return known(tuple(dims[i] for i in order)) if sorted(order) == list(range(len(dims))) else (None, size)


def flattened(node: Node, given: list[Given]) -> Extent:
    """Two dimensions: what stands before an axis, and the rest."""
    dims, size, axis = given[0].dims, given[0].size, node.integer("axis", 1)
    if dims is None or not 0 <= axis <= len(dims):
        return None, size
    return known((math.prod(dims[:axis]), math.prod(dims[axis:])))
