"""What the steps of a model mean, in numpy. One rule: the order and the type of every sum are those of FORMAT ERM1.

The reference of tests: the C engine must give these numbers, but for the last bit of exp, log and tanh, which are the
core's own there and the platform's here. Not fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export import steps as op
from cloud_trainer.export.trees import Tree

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


def interpret(model: op.Model, x: F32) -> F64:
    """Answers [rows, n_outputs] of float32 rows [rows, n_features]; a row's answer does not depend on the others."""
    values = np.zeros((len(x), model.n_values))
    values[:, : model.n_features] = x
    with np.errstate(all="ignore"):
        for step in model.steps:
            read = values[:, step.source.at : step.source.end].copy()
            values[:, step.target.at : step.target.end] = MEANING[type(step.op)](step.op, read)
    return values[:, model.out.at : model.out.end].copy()


def leaf_of(tree: Tree, x: F32) -> npt.NDArray[np.int64]:
    """The leaf's node for each row: left where x <= threshold; a NaN where the node sends it."""
    node = np.zeros(len(x), np.int64)
    rows = np.arange(len(x))
    while True:
        feature = tree.feature[node]
        inner = feature >= 0
        if not inner.any():
            return node
        z = x[rows, np.maximum(feature, 0)]
        left = np.where(np.isnan(z), tree.missing_left[node], z <= tree.threshold[node])
        node = np.where(inner, np.where(left, node + 1, tree.right[node]), node)


def _trees(o: op.Trees, x: F64) -> F64:
    kind = np.float32 if o.is_float32 else np.float64
    rounded = x.astype(np.float32)
    total = np.tile(o.base.astype(kind), (len(x), 1))
    for tree, column in zip(o.trees, o.column, strict=True):
        total[:, column : column + o.width] += tree.value[leaf_of(tree, rounded)].astype(kind)
    return total.astype(np.float64)


def _affine(o: op.Affine, x: F64) -> F64:
    x = x if o.sub is None else x - o.sub
    x = x if o.mul is None else x * o.mul
    x = x if o.div is None else x / o.div
    return x if o.add is None else x + o.add


def _lanes(terms: F64) -> F64:
    """Sum over the last axis in four lanes, (0 + 2) + (1 + 3)."""
    lanes = np.zeros((*terms.shape[:-1], 4))
    for i in range(terms.shape[-1]):
        lanes[..., i % 4] += terms[..., i]
    return np.asarray((lanes[..., 0] + lanes[..., 2]) + (lanes[..., 1] + lanes[..., 3]))


def _dense(o: op.Dense, x: F64) -> F64:
    return _lanes(x[:, None, :] * o.weights) + o.bias


def _dense32(o: op.Dense32, x: F64) -> F64:
    rounded = x.astype(np.float32)
    total = np.tile(o.bias, (len(x), 1))
    for i in range(x.shape[1]):
        total += rounded[:, i : i + 1] * o.weights[i]
    if o.activation == "identity":
        return total.astype(np.float64)
    return np.asarray(FUNCTIONS[o.activation](total.astype(np.float64)).astype(np.float32), np.float64)


def _quantise(o: op.Quantise, x: F64) -> F64:
    scaled = np.rint(x.astype(np.float32) / np.float32(o.scale)).astype(np.float64)
    return np.asarray(np.clip(np.where(np.isnan(scaled), 0, scaled) + o.zero, 0, 255))


def _dense8(o: op.Dense8, x: F64) -> F64:
    acc = (x.astype(np.int64) - o.zero_x) @ (o.weights.astype(np.int64) - o.zero_w) + o.bias
    scale = np.float32(o.scale_x) * o.scale_w
    if o.scale_y is None:
        return (acc.astype(np.float32) * scale).astype(np.float64)
    scaled = acc.astype(np.float32) * (scale / np.float32(o.scale_y))
    return np.clip(np.rint(scaled).astype(np.float64) + o.zero_y, 0, 255)


def _softmax(_: op.Softmax, x: F64) -> F64:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / _sum(e))


def _sum(x: F64) -> F64:
    """Along a row, in order."""
    return np.cumsum(x, axis=1)[:, -1:]


def _pair(o: op.Pair, x: F64) -> F64:
    return np.concatenate([-x if o.is_signed else 1 - x, x], axis=1)


def _normalise(o: op.Normalise, x: F64) -> F64:
    total = _sum(x)
    instead = 1 / x.shape[1] if o.of_nothing == "equal" else x
    return np.where(total == 0, instead, x / total)


def _distance(o: op.Distance, x: F64) -> F64:
    square = _lanes((x[:, None, :] - o.centres) ** 2)
    out = np.sqrt(square) if "root" in o.form else square
    return np.asarray(-out if o.form.startswith("minus") else out)


def _gauss(o: op.Gauss, x: F64) -> F64:
    return o.log_prior - 0.5 * _lanes((x[:, None, :] - o.mean) ** 2 / o.var)


def _lerp(o: op.Lerp, x: F64) -> F64:
    return np.stack([np.interp(x[:, i], *curve) for i, curve in enumerate(o.curves)], axis=1)


def _parts(x: F64, p: int) -> F64:
    return x.reshape(len(x), p, -1)


def _blend(o: op.Blend, x: F64) -> F64:
    weighted = _parts(x, len(o.weight)) * o.weight[:, None]
    return np.cumsum(weighted, axis=1)[:, -1] / o.total


def _vote(o: op.Vote, x: F64) -> F64:
    parts = _parts(x, len(o.weight))
    best = np.eye(parts.shape[2])[parts.argmax(axis=2)]
    return np.cumsum(best * o.weight[:, None], axis=1)[:, -1]


def _logistic(x: F64) -> F64:
    return 1 / (1 + np.exp(-x))


FUNCTIONS: Final[dict[str, Callable[[F64], F64]]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "logistic": _logistic,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "neg": np.negative,
    "exp2": lambda x: np.power(2.0, x),
}
MEANING: Final[dict[type, Callable[[Any, F64], F64]]] = {
    op.Trees: _trees,
    op.Affine: _affine,
    op.Dense: _dense,
    op.Dense32: _dense32,
    op.Quantise: _quantise,
    op.Dense8: _dense8,
    op.Unary: lambda o, x: FUNCTIONS[o.function](x),
    op.Softmax: _softmax,
    op.Pair: _pair,
    op.Normalise: _normalise,
    op.Distance: _distance,
    op.Gauss: _gauss,
    op.Lerp: _lerp,
    op.Blend: _blend,
    op.Vote: _vote,
    op.Pick: lambda o, x: x[:, list(o.index)],
}
"""Operation -> its values [rows, m] from [rows, n]."""
