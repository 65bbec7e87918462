"""The step `trees_paired` of `model.erm` (FORMAT.md "Model"): the fastest walk. One rule: the answers of `trees`.

Both children of a node stand side by side, so the next node is an addition, and a leaf is a node that asks for a value
of minus infinity and is never left.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export import steps as op
from cloud_trainer.export.trees import I64, Tree, leaf_table
from edge_runtime.errors import ContractError

_HEAD: Final = struct.Struct("<3I2H")
_NODE: Final = np.dtype([("threshold", "<f4"), ("feature", "<u2"), ("away", "<u2")])
_MAX_AWAY: Final = 0xFFFF  # a node's distance to its children is 16 bit
_MAX_TREES: Final = 65535
_NAN, _FLOAT32 = 1, 2


def paired_trees(o: op.Trees, n: int) -> tuple[int, bytes]:
    """(variant, constants) of trees that read `n` values.

    Raises:
        ContractError: A tree's subtree is too large, or there are too many trees.
    """
    if len(o.trees) > _MAX_TREES:
        raise ContractError(f"model.erm: {len(o.trees)} trees are outside 1..{_MAX_TREES}")
    table, indices = leaf_table(o.trees)
    made = [_nodes(i, tree, leaves, n) for i, (tree, leaves) in enumerate(zip(o.trees, indices, strict=True))]
    nodes, missing_left = (np.concatenate(part) for part in zip(*made, strict=True))
    starts = np.cumsum([0, *(len(tree) for tree in o.trees[:-1])])
    has_nan = bool(missing_left.any())
    head = _HEAD.pack(len(o.trees), len(nodes), len(table), o.width, _NAN * has_nan | _FLOAT32 * o.is_float32)
    parts = (
        np.asarray(o.base, "<f8"),
        starts.astype("<u4"),
        np.array(o.column, "<u2"),
        nodes,
        table,
        np.packbits(missing_left, bitorder="little") if has_nan else np.zeros(0, np.uint8),
    )
    return 0, head + b"".join(_padded(part.tobytes()) for part in parts)


def _nodes(index: int, tree: Tree, leaves: I64, n: int) -> tuple[npt.NDArray[np.void], npt.NDArray[np.bool_]]:
    """(nodes, which of them send NaN left): the root, then the children of each inner node."""
    leaf = tree.feature < 0
    inner = _order(tree)
    children = 1 + 2 * np.arange(len(inner))
    place = np.zeros(len(tree), np.int64)
    place[inner + 1], place[tree.right[inner]] = children, children + 1
    away = np.zeros(len(tree), np.int64)
    away[inner] = children - place[inner]
    if away.max() > _MAX_AWAY:
        node = int(away.argmax())
        raise ContractError(
            f"trees_paired: tree {index}, node {node}: its children are {away[node]} nodes away, at most {_MAX_AWAY}",
            hint="limit max_depth or max_leaf_nodes of the forest",
        )
    out, missing_left = np.zeros(len(tree), _NODE), np.zeros(len(tree), np.bool_)
    out["threshold"][place] = tree.threshold
    out["threshold"][place[leaf]] = leaves.astype("<u4").view("<f4")
    out["feature"][place] = np.where(leaf, n, tree.feature)
    out["away"][place] = away
    missing_left[place] = tree.missing_left
    return out, missing_left


def _order(tree: Tree) -> I64:
    """Inner nodes: one, those right below it, then the same below those; so two steps mostly share a cache line."""
    is_leaf, right = (tree.feature < 0).tolist(), tree.right.tolist()
    order: list[int] = []
    todo = [] if is_leaf[0] else [0]
    while todo:
        one = todo.pop()
        near = [i for i in (one + 1, right[one]) if not is_leaf[i]]
        order += [one, *near]
        todo += [i for two in reversed(near) for i in (right[two], two + 1) if not is_leaf[i]]
    return np.array(order, np.int64)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
