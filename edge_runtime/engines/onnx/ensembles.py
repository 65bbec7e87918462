"""Tree ensembles of an ONNX model. One rule: every walk from a root ends in a leaf of its own tree, inside every table.

An engine follows the child ids it is given: a cycle never ends and an id outside the table reads foreign memory.
onnxruntime 1.32 builds a tree by recursion, about 0.8 KiB of stack a level: one of 12,000 levels (0.8 MB) ends the
process at load.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite

from edge_runtime.engines.onnx.model import Node, Tensor
from edge_runtime.errors import ContractError

MAX_TREE_NODES = 1 << 20
MAX_DEPTH = 256
_MODES = {f"BRANCH_{rule}" for rule in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")} | {"LEAF"}
_WORDS = {
    "post_transform": ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"),
    "aggregate_function": ("AVERAGE", "SUM", "MIN", "MAX"),
}


def check_trees(node: Node, n_features: int) -> None:
    """Raise ContractError unless the ensemble of *node* (version 3 or 5 of ai.onnx.ml) is a set of trees."""
    n_nodes = len(node.items("nodes_featureids"))
    if not 0 < n_nodes <= MAX_TREE_NODES:
        raise ContractError(f"{node.op}: {n_nodes} nodes, want 1..{MAX_TREE_NODES}")
    within(node, "nodes_featureids", n_features)
    _per_node(node, n_nodes)
    for name, words in _WORDS.items():
        given, known = node.attributes.get(name), range(len(words)) if node.op == "TreeEnsemble" else words
        if given is not None and given not in known:
            raise ContractError(f"{node.op}.{name}: {given!r} is not one of {list(known)}")
    if node.op == "TreeEnsemble":
        _check_5(node, n_nodes)
    else:
        _check_3(node, n_nodes)


def within(node: Node, name: str, limit: int) -> None:
    """Raise ContractError unless every integer of the attribute is in 0..limit-1."""
    values = node.integers(name)
    if values and not 0 <= min(values) <= max(values) < limit:
        raise ContractError(f"{node.op}.{name}: {min(values)}..{max(values)} leaves 0..{limit - 1}")


def _same_length(node: Node, names: Sequence[str], n: int) -> None:
    for name in names:
        value = node.attributes.get(name)
        found = value.size if isinstance(value, Tensor) else len(node.items(name))
        if found != n:
            raise ContractError(f"{node.op}.{name}: {found} items, want {n}")


def _finite(node: Node, name: str) -> None:
    if not all(map(isfinite, node.reals(name))):
        raise ContractError(f"{node.op}.{name}: a weight is NaN or infinite")


def _per_node(node: Node, n: int) -> None:
    """Every list that is there has one item a node."""
    _same_length(node, [name for name in node.attributes if name.startswith("nodes_")], n)


def _check_forest(node: Node, children: list[tuple[int, ...]], roots: Sequence[int]) -> None:
    """Every node hangs below exactly one root or parent, not too deep."""
    seen, level, depth = bytearray(len(children)), list(roots), 0
    while level:
        if depth > MAX_DEPTH:
            raise ContractError(f"{node.op}: a tree of more than {MAX_DEPTH} levels", hint="train with a max_depth")
        below: list[int] = []
        for i in level:
            if seen[i]:
                raise ContractError(f"{node.op}: node {i} has two parents or is its own ancestor")
            seen[i] = 1
            below += children[i]
        level, depth = below, depth + 1
    if not all(seen):
        raise ContractError(f"{node.op}: node {seen.index(0)} is reached from no root")


def _check_5(node: Node, n_nodes: int) -> None:
    sides = ("true", "false")
    _same_length(node, [f"nodes_{side}{kind}" for side in sides for kind in ("leafs", "nodeids")], n_nodes)
    n_leaves, n_targets = len(node.items("leaf_targetids")), node.integer("n_targets", 0)
    within(node, "leaf_targetids", n_targets)
    within(node, "tree_roots", n_nodes)
    within(node, "nodes_modes", 6)  # 6 is BRANCH_MEMBER: sets of values, which no exporter of ours makes
    _same_length(node, ["nodes_modes", "nodes_splits"], n_nodes)
    _same_length(node, ["leaf_weights"], n_leaves)
    _finite(node, "leaf_weights")
    children: list[tuple[int, ...]] = [() for _ in range(n_nodes)]
    for side in sides:
        flags, ids = node.integers(f"nodes_{side}leafs"), node.integers(f"nodes_{side}nodeids")
        for i, (is_leaf, child) in enumerate(zip(flags, ids, strict=True)):
            if not 0 <= child < (n_leaves if is_leaf else n_nodes):
                raise ContractError(f"{node.op}: {side} child {child} of node {i} is outside its table")
            if not is_leaf:
                children[i] += (child,)
    _check_forest(node, children, node.integers("tree_roots"))


def _check_3(node: Node, n_nodes: int) -> None:
    trees, ids = node.integers("nodes_treeids"), node.integers("nodes_nodeids")
    values = "nodes_values" if "nodes_values" in node.attributes else "nodes_values_as_tensor"
    names = ["nodes_treeids", "nodes_nodeids", "nodes_modes", "nodes_truenodeids", "nodes_falsenodeids", values]
    _same_length(node, names, n_nodes)
    place = {key: i for i, key in enumerate(zip(trees, ids, strict=True))}
    if len(place) != n_nodes:
        raise ContractError(f"{node.op}: two nodes of one tree have one id")
    if any(after < before for before, after in pairwise(trees)):
        raise ContractError(f"{node.op}: the nodes are not in the order of their trees")
    children: list[tuple[int, ...]] = [() for _ in range(n_nodes)]
    sides = zip(node.integers("nodes_truenodeids"), node.integers("nodes_falsenodeids"), strict=True)
    modes = node.items("nodes_modes")
    if not set(modes) <= _MODES:
        raise ContractError(f"{node.op}.nodes_modes: {min(set(modes) - _MODES)!r} is not one of {sorted(_MODES)}")
    for i, (mode, pair) in enumerate(zip(modes, sides, strict=True)):
        if mode == "LEAF":
            continue
        left, right = place.get((trees[i], pair[0])), place.get((trees[i], pair[1]))
        if left is None or right is None:
            raise ContractError(f"{node.op}: a child of node {ids[i]} is not in tree {trees[i]}")
        children[i] = (left, right)
    first = [i for i, tree in enumerate(trees) if i == 0 or trees[i - 1] != tree]
    _check_forest(node, children, first)
    _check_votes_3(node, {key for key, i in place.items() if modes[i] == "LEAF"})


def _check_votes_3(node: Node, leaves: set[tuple[int, int]]) -> None:
    kind = "class" if node.op == "TreeEnsembleClassifier" else "target"
    votes = node.items(f"{kind}_ids")
    weights = f"{kind}_weights" if f"{kind}_weights" in node.attributes else f"{kind}_weights_as_tensor"
    _same_length(node, [f"{kind}_treeids", f"{kind}_nodeids", weights], len(votes))
    if kind == "class":
        n_outputs = max(len(node.items("classlabels_int64s")), len(node.items("classlabels_strings")))
    else:
        n_outputs = node.integer("n_targets", 0)
    if n_outputs < 1:
        raise ContractError(f"{node.op}: {n_outputs} outputs, want at least 1")
    within(node, f"{kind}_ids", n_outputs)
    _finite(node, weights)
    if len(node.items("base_values")) not in (0, n_outputs, 1 if (kind, n_outputs) == ("class", 2) else 0):
        raise ContractError(f"{node.op}.base_values: {len(node.items('base_values'))} items, want {n_outputs}")
    for key in zip(node.integers(f"{kind}_treeids"), node.integers(f"{kind}_nodeids"), strict=True):
        if key not in leaves:
            raise ContractError(f"{node.op}.{kind}_nodeids: node {key[1]} is no leaf of tree {key[0]}")
