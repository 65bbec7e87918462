"""Tree ensembles of scikit-learn as plain arrays, exact for float32 rows. One rule: a row takes the trainer's path.

A scaler in front is folded into the thresholds: scaling is monotone, so the question "does the scaled x go left"
has one answer, the largest float32 x that still does, found by bisection over all float32 values.
Not here: their bytes (`forest` for the native form, `onnx_float` for the graph).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ContractError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Link = Literal["mean", "sigmoid", "softmax"]

_LOWEST = np.int64(np.float32(-np.inf).view(np.int32)) ^ 0x7FFFFFFF
_HIGHEST = np.int64(np.float32(np.inf).view(np.int32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One tree in pre-order: the left child of node i is i + 1. A leaf has feature -1."""

    feature: I64
    threshold: F32  # the largest float32 that goes left
    right: I64  # index of the right child, 0 in a leaf
    missing_left: npt.NDArray[np.bool_]  # where a NaN goes
    value: F64  # [nodes, outputs], meant in leaves

    def __len__(self) -> int:
        return len(self.feature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Trees in the order in which the trainer adds them.

    mean: the scores are the mean of the leaves. sigmoid, softmax: tree t adds its one leaf value to raw score
    t % n_raw, the first n_raw trees being constants (the trainer's baseline); the link makes scores of them.
    """

    n_features: int
    n_outputs: int  # scores
    link: Link
    trees: tuple[Tree, ...]

    @property
    def n_raw(self) -> int:
        """Columns that the trees add into; of a mean, one vector."""
        return {"mean": 1, "sigmoid": 1, "softmax": self.n_outputs}[self.link]


def ensemble(model: Any, scaler: Any = None) -> Ensemble | None:
    """The trees of a forest or of histogram gradient boosting; None if `model` is neither.

    Raises:
        ContractError: It splits on categories, which the exporter does not do.
    """
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier

    if isinstance(model, RandomForestClassifier | ExtraTreesClassifier):
        return _forest(model, scaler)
    if isinstance(model, HistGradientBoostingClassifier):
        return _boosting(model, scaler)
    return None


def largest_going_left(goes_left: Callable[[F32], npt.NDArray[np.bool_]], n: int) -> F32:
    """For each of n monotone questions (true for small x), the largest float32 for which it is true; -inf if none."""
    low = np.full(n, _LOWEST, np.int64)  # always true: -inf goes left
    high = np.full(n, _HIGHEST + 1, np.int64)  # one past +inf
    while bool((high - low > 1).any()):
        middle = (low + high) // 2
        left = goes_left(_float_of(np.minimum(middle, _HIGHEST)))
        low = np.where(left, middle, low)
        high = np.where(left, high, middle)
    return _float_of(low)


def affine_of(scaler: Any) -> tuple[F64 | None, F64 | None]:
    """(mean, scale) that a StandardScaler subtracts and divides by, None for a step that it leaves out or no scaler.

    It keeps `mean_` even where it does not subtract it.
    """
    if scaler is None:
        return None, None
    return scaler.mean_ if scaler.with_mean else None, scaler.scale_ if scaler.with_std else None


def _float_of(key: I64) -> F32:
    """Float32 by its place in the order of all float32 (the inverse of folding the sign bit)."""
    bits = np.where(key >= 0, key, key ^ 0x7FFFFFFF)
    return bits.astype(np.int32).view(np.float32)


def _fold(threshold: F64, feature: I64, scaler: Any, *, as_float32: bool) -> F32:
    """Thresholds for raw float32 rows; `as_float32`: the trainer rounds the scaled row before it asks."""
    mean, scale = (None if part is None else part[feature] for part in affine_of(scaler))

    def goes_left(x: F32) -> npt.NDArray[np.bool_]:
        z = x.astype(np.float64)
        z = z if mean is None else z - mean
        z = z if scale is None else z / scale
        return np.asarray((z.astype(np.float32) if as_float32 else z) <= threshold)

    with np.errstate(over="ignore", invalid="ignore"):
        return largest_going_left(goes_left, len(threshold))


def _pre_order(left: I64, right: I64) -> tuple[I64, I64]:
    """(nodes in pre-order, place of each node in it); children < 0 mean a leaf."""
    order, todo = [], [0]
    while todo:
        node = todo.pop()
        order.append(node)
        if left[node] >= 0:
            todo += [int(right[node]), int(left[node])]
    place = np.zeros(len(left), np.int64)
    place[order] = np.arange(len(order))
    return np.array(order, np.int64), place


def tree_of(left: I64, right: I64, feature: I64, threshold: F32, missing_left: npt.NDArray[Any], *, value: F64) -> Tree:
    """A tree from nodes in any order, the root first; a child < 0 means a leaf."""
    order, place = _pre_order(left, right)
    leaf = left[order] < 0
    return Tree(
        feature=np.where(leaf, -1, feature[order]),
        threshold=np.where(leaf, np.float32(0), threshold[order]),
        right=np.where(leaf, 0, place[np.maximum(right[order], 0)]),
        missing_left=np.asarray(missing_left[order] != 0) & ~leaf,
        value=value[order],
    )


def _forest(model: Any, scaler: Any) -> Ensemble:
    trees = []
    for one in model.estimators_:
        t = one.tree_
        feature = np.maximum(t.feature, 0).astype(np.int64)
        threshold = _fold(t.threshold, feature, scaler, as_float32=True)
        value = t.value[:, 0, : model.n_classes_]
        left, right = t.children_left.astype(np.int64), t.children_right.astype(np.int64)
        trees.append(tree_of(left, right, feature, threshold, t.missing_go_to_left, value=value))
    return Ensemble(n_features=model.n_features_in_, n_outputs=model.n_classes_, link="mean", trees=tuple(trees))


def _boosting(model: Any, scaler: Any) -> Ensemble:
    if model.is_categorical_ is not None and bool(np.any(model.is_categorical_)):
        raise ContractError(
            "HistGradientBoostingClassifier: splits on categories are not exported",
            hint="declare no categorical_features",
        )
    trees = [constant(float(b)) for b in np.ravel(model._baseline_prediction)]
    for iteration in model._predictors:
        for one in iteration:
            n = one.nodes
            leaf = n["is_leaf"] != 0
            left = np.where(leaf, -1, n["left"].astype(np.int64))
            right = np.where(leaf, -1, n["right"].astype(np.int64))
            feature = np.where(leaf, 0, n["feature_idx"])
            threshold = _fold(n["num_threshold"], feature, scaler, as_float32=False)
            value = n["value"].reshape(-1, 1)
            trees.append(tree_of(left, right, feature, threshold, n["missing_go_to_left"], value=value))
    n_raw = model.n_trees_per_iteration_
    return Ensemble(
        n_features=model.n_features_in_,
        n_outputs=len(model.classes_),
        link="sigmoid" if n_raw == 1 else "softmax",
        trees=tuple(trees),
    )


def leaf_table(trees: tuple[Tree, ...]) -> tuple[F64, list[npt.NDArray[np.int64]]]:
    """(distinct leaf vectors [n, width] in order of first use, index of each tree's leaves in node order)."""
    seen: dict[bytes, int] = {}
    indices = []
    for tree in trees:
        leaves = np.ascontiguousarray(tree.value[tree.feature < 0], "<f8")
        indices.append(np.array([seen.setdefault(row.tobytes(), len(seen)) for row in leaves], np.int64))
    return np.frombuffer(b"".join(seen), "<f8").reshape(len(seen), -1), indices


def constant(value: npt.ArrayLike) -> Tree:
    """A tree of one leaf [width]."""
    return Tree(
        feature=np.array([-1]),
        threshold=np.zeros(1, np.float32),
        right=np.zeros(1, np.int64),
        missing_left=np.zeros(1, np.bool_),
        value=np.atleast_2d(np.asarray(value, np.float64)),
    )
