"""How much each step of a model does for one row: units that a target has counted instructions for. One rule: no time.

Reads `model.erm` (FORMAT.md "model"), which the core has checked. A matrix counts its products; trees count the levels
that real rows pass, as many trees at a time as the core walks.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from edge_runtime.native.model import STEPS

FIRST_STEP: Final = 3000
IN_FLIGHT: Final = 8
PAIRED_IN_FLIGHT: Final = 10
LEAF: Final = 0xFFFF
NAN_LEFT: Final = 0x8000
BY_VARIANT: Final = ("dense32", "dense8", "unary", "distance")
MATRICES: Final = ("dense", "dense32", "dense8", "distance", "gauss")
_HEAD: Final = struct.Struct("<4sHHIIIIQQ")
_STEP: Final = struct.Struct("<HHIIIIIQQ")
_TREES: Final = struct.Struct("<IIIHH")
_SMALL: Final = struct.Struct("<6I2HI")
_SMALL_NODES: Final = ("<BBbb", "<BBhh", "<HHhh")
_FOREST: Final = struct.Struct("<4sHHIIIIQ")
FLOAT: Final = 2
SHARED: Final = 4
Row = Sequence[float]


class Work(NamedTuple):
    """Of one step and row: its kind (with its variant where that matters), and units, the first being 1."""

    kind: str
    units: tuple[float, ...]


class _Step(NamedTuple):
    op: int
    variant: int
    source: int
    n: int
    to: int
    m: int
    reserved: int
    at: int
    size: int


def work_of(model: bytes, rows: Sequence[Row]) -> list[Work]:
    """The work of each step, on the average of `rows`.

    Args:
        model: `model.erm` or `model.erf`, as the core takes it.
        rows: Feature vectors; where a step walks trees on anything but features, each path counts as the longest.
    """
    if model[:4] == b"ERF1":
        _, _, width, n_trees, n_nodes, _, _, _ = _FOREST.unpack_from(model)
        return [_walked(_placed(model, _FOREST.size, n_trees, n_nodes, nodes_at=_even(4 * n_trees)), width, rows)]
    n_features, n_steps = _HEAD.unpack_from(model)[1], _HEAD.unpack_from(model)[3]
    steps = [_Step(*_STEP.unpack_from(model, _HEAD.size + i * _STEP.size)) for i in range(n_steps)]
    return [_of_step(model, step, rows, n_features) for step in steps]


def _of_step(model: bytes, s: _Step, rows: Sequence[Row], n_features: int) -> Work:
    name = STEPS[s.op - FIRST_STEP]
    kind = f"{name} {s.variant}" if name in BY_VARIANT else name
    if name in TREES:
        on = [row[s.source : s.source + s.n] for row in rows] if s.source + s.n <= n_features else []
        return TREES[name](model, s, on)
    if name in MATRICES:
        return Work(kind, (1.0, s.n, s.m, s.n * s.m))
    if name == "affine":
        return Work(kind, (1.0, s.n, s.n * s.variant.bit_count()))
    if name == "lerp":
        counts = struct.unpack_from(f"<{s.n}I", model, s.at)
        return Work(kind, (1.0, s.n, sum(math.log2(count) for count in counts)))
    return Work(kind, (1.0, s.n, s.m))


class _Trees(NamedTuple):
    roots: tuple[int, ...]
    nodes: list[tuple[float, int, int]]


def _trees(model: bytes, s: _Step, rows: Sequence[Row]) -> Work:
    n_trees, n_nodes, _, width, flags = _TREES.unpack_from(model, s.at)
    nodes_at = _even(4 * n_trees) + _even(2 * n_trees)
    trees = _placed(model, s.at + _TREES.size + 8 * s.m, n_trees, n_nodes, nodes_at=nodes_at)
    return _walked(trees, width, rows, kind="trees float32" if flags & FLOAT else "trees")


def _placed(model: bytes, at: int, n_trees: int, n_nodes: int, *, nodes_at: int) -> _Trees:
    """Roots at `at`, nodes so many bytes behind."""
    nodes = memoryview(model)[at + nodes_at : at + nodes_at + 8 * n_nodes]
    return _Trees(struct.unpack_from(f"<{n_trees}I", model, at), list(struct.iter_unpack("<fHH", nodes)))


def _walked(trees: _Trees, width: int, rows: Sequence[Row], kind: str = "trees") -> Work:
    roots, nodes = trees
    n = len(roots)
    ends = (*roots[1:], len(nodes))
    paths = [[_levels(nodes, root, row) for root in roots] for row in rows] or [
        [_deepest(nodes, root, end) for root, end in zip(roots, ends, strict=True)]
    ]
    visits = sum(
        min(IN_FLIGHT, n - at) * (max(path[at : at + IN_FLIGHT]) + 1) for path in paths for at in range(0, n, IN_FLIGHT)
    )
    return Work(kind, (1.0, n, visits / len(paths), n * width))


def _trees_paired(model: bytes, s: _Step, rows: Sequence[Row]) -> Work:
    """Units as of `trees`; the last trees walk alone."""
    n_trees, n_nodes, _, width, flags = _TREES.unpack_from(model, s.at)
    nodes_at = _even(4 * n_trees) + _even(2 * n_trees)
    roots, nodes = _placed(model, s.at + _TREES.size + 8 * s.m, n_trees, n_nodes, nodes_at=nodes_at)
    paths = [[_pairs(nodes, root, row) for root in roots] for row in rows] or [_deepest_pairs(roots, nodes)]
    groups = [path[at : at + PAIRED_IN_FLIGHT] for path in paths for at in range(0, n_trees, PAIRED_IN_FLIGHT)]
    visits = sum(
        len(each) * (max(each) + 1) if len(each) == PAIRED_IN_FLIGHT else sum(each) + len(each) for each in groups
    )
    kind = "trees_paired float32" if flags & FLOAT else "trees_paired"
    return Work(kind, (1.0, n_trees, visits / len(paths), n_trees * width))


def _pairs(nodes: Sequence[tuple[float, int, int]], at: int, row: Row) -> int:
    """Levels that `row` passes; a missing value counts as going right."""
    level = 0
    while nodes[at][2]:
        threshold, feature, away = nodes[at]
        at += away + (not row[feature] <= threshold)
        level += 1
    return level


def _deepest_pairs(roots: Sequence[int], nodes: Sequence[tuple[float, int, int]]) -> list[int]:
    """Of each tree."""
    levels = [0] * len(nodes)
    for at, (_, _, away) in enumerate(nodes):
        if away:
            levels[at + away] = levels[at + away + 1] = levels[at] + 1
    return [max(levels[at:end]) for at, end in itertools.pairwise((*roots, len(nodes)))]


def _trees_small(model: bytes, s: _Step, rows: Sequence[Row]) -> Work:
    """Units as of `trees`, and the halvings of the searches for the rank of each column."""
    n_trees, n_nodes, n_columns, n_floats, n_vectors, n_values, width, flags, depth = _SMALL.unpack_from(model, s.at)
    n_leaves = n_nodes + n_trees
    floats_at = s.at + _SMALL.size + 8 * s.m + 8 * (n_values if flags & SHARED else n_leaves * width)
    columns_at = floats_at + _even(4 * n_floats)
    roots_at = columns_at + 4 * n_columns
    roots_at += -roots_at % 8
    nodes_at = roots_at + _even(4 * n_trees) + _even(2 * n_trees)
    nodes_at += _even(2 * n_leaves) + _even(2 * n_vectors * width) if flags & SHARED else 0
    layout = struct.Struct(_SMALL_NODES[s.variant])
    nodes = list(layout.iter_unpack(memoryview(model)[nodes_at : nodes_at + layout.size * n_nodes]))
    floats = struct.unpack_from(f"<{n_floats}f", model, floats_at)
    columns = list(struct.iter_unpack("<HH", memoryview(model)[columns_at : columns_at + 4 * n_columns]))
    roots = struct.unpack_from(f"<{n_trees}I", model, roots_at)
    visits = 0
    for row in rows:
        ranks = _ranks(columns, floats, row)
        moves = [_moves(nodes, root, ranks) for root in roots]
        visits += sum(len(group) * (max(group) + 1) for group in _groups(moves))
    halvings = sum(math.ceil(math.log2(count)) for _, count in columns)
    return Work(
        "trees_small", (1.0, n_trees, visits / len(rows) if rows else n_trees * depth, n_trees * width, halvings)
    )


def _groups(values: Sequence[int]) -> list[Sequence[int]]:
    return [values[at : at + IN_FLIGHT] for at in range(0, len(values), IN_FLIGHT)]


def _ranks(columns: Sequence[tuple[int, ...]], floats: Sequence[float], row: Row) -> list[int]:
    """How many of a column's thresholds the row is not at or below."""
    ranks, at = [], 0
    for feature, count in columns:
        ranks.append(sum(not row[feature] <= t for t in floats[at : at + count]))
        at += count
    return ranks


def _moves(nodes: Sequence[tuple[int, ...]], at: int, ranks: Sequence[int]) -> int:
    """Steps from node to node; a missing value counts as going right."""
    moves = 0
    while True:
        column, rank, left, right = nodes[at]
        away = right if ranks[column] > rank else left
        if not away:
            return moves
        at += away
        moves += 1


def _levels(nodes: Sequence[tuple[float, int, int]], at: int, row: Row) -> int:
    """Levels that `row` passes."""
    level = 0
    while nodes[at][1] != LEAF:
        threshold, feature, right = nodes[at]
        value = row[feature & (NAN_LEFT - 1)]
        is_left = value <= threshold or (math.isnan(value) and feature & NAN_LEFT)
        at += 1 if is_left else right
        level += 1
    return level


def _deepest(nodes: Sequence[tuple[float, int, int]], root: int, end: int) -> int:
    levels = {root: 0}
    for at in range(root, end):
        _, feature, right = nodes[at]
        if feature != LEAF:
            levels[at + 1] = levels[at + right] = levels[at] + 1
    return max(levels.values())


def _even(n: int) -> int:
    return (n + 7) // 8 * 8


TREES: Final[dict[str, Callable[[bytes, _Step, Sequence[Row]], Work]]] = {
    "trees": _trees,
    "trees_small": _trees_small,
    "trees_paired": _trees_paired,
}
