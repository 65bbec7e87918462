"""The native form of a forest, `model.erf` (FORMAT.md "forest"). One rule: equal leaves are stored once."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.trees import I64, Ensemble, Tree, leaf_table
from edge_runtime.errors import ContractError

_HEAD = struct.Struct("<4sHHIIIIQ")
_LEAF = 0xFFFF  # in the feature field
_MAX_RIGHT = 0xFFFF  # a node's distance to its right child is 16 bit
_MAX_FEATURES, _MAX_OUTPUTS, _MAX_TREES = 1024, 64, 65535
_NODE = np.dtype([("threshold", "<f4"), ("feature", "<u2"), ("right", "<u2")])


def forest_bytes(e: Ensemble) -> bytes:
    """`model.erf` of a mean of trees.

    Raises:
        ContractError: The format has no room for it: a left subtree over 65534 nodes, or counts out of range.
    """
    if e.link != "mean":
        raise ContractError(f"forest: the native form adds means, this ensemble ends in {e.link}")
    for what, have, most in (
        ("features", e.n_features, _MAX_FEATURES),
        ("outputs", e.n_outputs, _MAX_OUTPUTS),
        ("trees", len(e.trees), _MAX_TREES),
    ):
        if not 1 <= have <= most:
            raise ContractError(f"forest: {have} {what} are outside 1..{most}")
    table, indices = leaf_table(e.trees)
    nodes = [_nodes(i, tree, leaves) for i, (tree, leaves) in enumerate(zip(e.trees, indices, strict=True))]
    sizes = [len(n) for n in nodes]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype("<u4").tobytes()
    roots += bytes(-len(roots) % 8)
    body = roots + b"".join(n.tobytes() for n in nodes) + table.tobytes()
    counts = (len(e.trees), sum(sizes), len(table))
    return _HEAD.pack(b"ERF1", e.n_features, e.n_outputs, *counts, 0, _HEAD.size + len(body)) + body


def _nodes(index: int, tree: Tree, leaves: I64) -> npt.NDArray[np.void]:
    leaf = tree.feature < 0
    far = np.where(leaf, 0, tree.right - np.arange(len(tree)))
    if far.max() > _MAX_RIGHT:
        node = int(far.argmax())
        raise ContractError(
            f"forest: tree {index}, node {node}: the right child is {far[node]} nodes away, at most {_MAX_RIGHT}",
            hint="limit max_depth or max_leaf_nodes of the forest",
        )
    out = np.zeros(len(tree), _NODE)
    out["threshold"] = tree.threshold
    out["threshold"][leaf] = leaves.astype("<u4").view("<f4")
    out["feature"] = np.where(leaf, _LEAF, tree.feature)
    out["right"] = far
    return out
