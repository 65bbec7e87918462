"""The step `trees_small` of `model.erm` (FORMAT.md "Model"): trees in less memory, with the same answers.

One rule: nothing is rounded. A threshold becomes its rank among those of its feature, an inner node a few bytes in
the order of its tree (left subtree, node, right subtree), so that leaves need no place of their own; equal leaves and
equal numbers in them are stored once, where that is smaller.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export import steps as op
from cloud_trainer.export.trees import F32, F64, I64, Tree
from edge_runtime.errors import ContractError

_HEAD: Final = struct.Struct("<6I2HI")
_NAN, _FLOAT32, _SHARED = 1, 2, 4
_MAX_SHARED: Final = 65536  # numbers of 16 bit
_KINDS: Final = (
    # most columns, most thresholds of one, fields of a node
    (256, 255, np.dtype([("column", "u1"), ("rank", "u1"), ("away", "<i1", 2)])),
    (256, 255, np.dtype([("column", "u1"), ("rank", "u1"), ("away", "<i2", 2)])),
    (65535, 65535, np.dtype([("column", "<u2"), ("rank", "<u2"), ("away", "<i2", 2)])),
)
Column = tuple[int, F32]


@dataclass(frozen=True, slots=True, kw_only=True)
class InOrder:
    """The inner nodes of one tree, each behind its left subtree, and its leaves from left to right."""

    root: int
    feature: I64
    threshold: F32
    missing_left: npt.NDArray[np.bool_]
    away: I64  # [nodes, 2] to the left and the right child, 0: a leaf
    leaves: F64  # [nodes + 1, width]
    depth: int


def small_trees(o: op.Trees) -> tuple[int, bytes]:
    """(variant, constants): the smallest kind of node that has room.

    Raises:
        ContractError: No kind has.
    """
    trees = [in_order(tree) for tree in o.trees]
    feature, threshold, away = (
        np.concatenate([getattr(t, name) for t in trees]) for name in ("feature", "threshold", "away")
    )
    for variant, (most_columns, most, kind) in enumerate(_KINDS):
        columns = list(_columns(feature, threshold, most))
        limits = np.iinfo(kind["away"].base)
        if len(columns) <= most_columns and limits.min <= away.min() and away.max() <= limits.max:
            nodes = np.zeros(len(feature), kind)
            nodes["column"], nodes["rank"] = _ranks(columns, feature, threshold)
            nodes["away"] = away
            return variant, _constants(o, trees, columns, nodes)
    raise ContractError(
        f"trees_small: {len(columns)} columns, children up to {np.abs(away).max()} nodes away: no node has room",
        hint="the layout 'fast' has",
    )


def in_order(tree: Tree) -> InOrder:
    """A tree of one leaf becomes a node that has it on both sides."""
    inner = tree.feature >= 0
    if not inner.any():
        nothing = np.zeros(1, np.int64)
        return InOrder(
            root=0,
            feature=nothing,
            threshold=np.zeros(1, np.float32),
            missing_left=np.zeros(1, np.bool_),
            away=np.zeros((1, 2), np.int64),
            leaves=np.repeat(tree.value[:1], 2, axis=0),
            depth=1,
        )
    place = _places(tree, inner)
    at = np.flatnonzero(inner)
    order = at[np.argsort(place[at])]
    children = np.stack([order + 1, tree.right[order]], axis=1)
    away = np.where(inner[children], place[children] - place[order][:, None], 0)
    return InOrder(
        root=int(place[0]),
        feature=tree.feature[order],
        threshold=tree.threshold[order],
        missing_left=tree.missing_left[order],
        away=away,
        leaves=tree.value[~inner],
        depth=_depth(tree),
    )


def _places(tree: Tree, inner: npt.NDArray[np.bool_]) -> I64:
    """In order: behind all before it in pre-order but the nodes of whose left subtree it is, and behind its own."""
    before = np.concatenate([[0], np.cumsum(inner)])
    at = np.flatnonzero(inner)
    opens = np.zeros(len(tree) + 1, np.int64)
    np.add.at(opens, at + 1, 1)
    np.add.at(opens, tree.right[at], -1)
    left_of = np.cumsum(opens)[:-1]
    place = before[:-1] - left_of
    place[at] += before[tree.right[at]] - before[at + 1]
    return np.asarray(place)


def _depth(tree: Tree) -> int:
    """Inner nodes on the longest way."""
    level, depth = np.zeros(1, np.int64), 0
    while len(level := level[tree.feature[level] >= 0]):
        level, depth = np.concatenate([level + 1, tree.right[level]]), depth + 1
    return depth


def _columns(feature: I64, threshold: F32, most: int) -> Iterator[Column]:
    """(feature, its distinct thresholds ascending), a feature with too many in several columns."""
    for one in np.unique(feature):
        distinct = np.unique(threshold[feature == one])
        for at in range(0, len(distinct), most):
            yield int(one), distinct[at : at + most]


def _ranks(columns: list[Column], feature: I64, threshold: F32) -> tuple[I64, I64]:
    """(column, rank in it) of each node."""
    column, rank = np.zeros((2, len(feature)), np.int64)
    for number, (one, distinct) in enumerate(columns):
        own = (feature == one) & (threshold >= distinct[0]) & (threshold <= distinct[-1])
        column[own], rank[own] = number, np.searchsorted(distinct, threshold[own])
    return column, rank


def _constants(o: op.Trees, trees: list[InOrder], columns: list[Column], nodes: npt.NDArray[np.void]) -> bytes:
    starts = np.cumsum([0, *(len(t.feature) for t in trees[:-1])])
    missing_left = np.concatenate([t.missing_left for t in trees])
    values, leaves, vectors = _shared(np.concatenate([t.leaves for t in trees]))
    has_nan, is_shared = bool(missing_left.any()), len(leaves) > 0
    head = _HEAD.pack(
        len(trees),
        len(nodes),
        len(columns),
        sum(len(t) for _, t in columns),
        len(vectors),
        len(values) if is_shared else 0,
        o.width,
        _NAN * has_nan | _FLOAT32 * o.is_float32 | _SHARED * is_shared,
        max(t.depth for t in trees),
    )
    parts: list[tuple[Any, Any]] = [
        (o.base, "<f8"),
        (values, "<f8"),
        (np.concatenate([t for _, t in columns]), "<f4"),
        ([(one, len(t)) for one, t in columns], "<u2"),
        (starts + [t.root for t in trees], "<u4"),
        (o.column, "<u2"),
        (leaves, "<u2"),
        (vectors, "<u2"),
        (nodes, nodes.dtype),
        (np.packbits(missing_left, bitorder="little") if has_nan else [], "u1"),
    ]
    return head + b"".join(_padded(np.ascontiguousarray(a, kind).tobytes()) for a, kind in parts)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _shared(leaves: F64) -> tuple[F64, I64, I64]:
    """(numbers, vector of each leaf, numbers of each vector [n, width]); the last two empty where that is larger."""
    bits = np.ascontiguousarray(leaves, "<f8").view("<u8").reshape(leaves.shape)
    vectors, index = np.unique(bits, axis=0, return_inverse=True)
    numbers, cells = np.unique(vectors, return_inverse=True)
    small = 8 * len(numbers) + 2 * cells.size + 2 * len(leaves) < 8 * leaves.size
    if not small or max(len(vectors), len(numbers)) > _MAX_SHARED:
        return leaves, np.zeros(0, np.int64), np.zeros((0, leaves.shape[1]), np.int64)
    return numbers.view("<f8"), index.reshape(-1), cells.reshape(vectors.shape)
