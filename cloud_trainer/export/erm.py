"""The bytes of a model, `model.erm` (FORMAT.md "ERM1"). One rule: same steps, same bytes.

Each operation is a row of `LAYOUT`: its number, and what makes (variant, constants) of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from cloud_trainer.export import steps as op
from cloud_trainer.export.erm_paired import paired_trees
from cloud_trainer.export.erm_small import small_trees
from cloud_trainer.export.trees import Tree, leaf_table
from edge_runtime.errors import ContractError

_HEAD: Final = struct.Struct("<4sHHIIIIQQ")
_STEP: Final = struct.Struct("<HHIIIIIQQ")
_LEAF: Final = 0xFFFF  # in a node's feature field
_NAN_LEFT: Final = 0x8000
_MAX_RIGHT: Final = 0xFFFF  # a node's distance to its right child is 16 bit
_MAX_TREES: Final = 65535
_LANES: Final = 8  # float32 rows are padded to whole vectors
_PAIRS: Final = 16  # and rows of int8 weights
_NODE: Final = np.dtype([("threshold", "<f4"), ("feature", "<u2"), ("right", "<u2")])
TAKES_NAN: Final = 1
FUNCTIONS: Final = {"relu": 1, "tanh": 2, "logistic": 3, "exp": 4, "sqrt": 5, "neg": 6, "exp2": 7}
ACTIVATIONS: Final = {"identity": 0, "relu": 1, "tanh": 2, "logistic": 3}
DISTANCES: Final = {"square": 0, "root": 1, "minus root": 2, "minus square": 3}
OF_NOTHING: Final = {"equal": 0, "kept": 2}
Body = tuple[int, bytes]
Layout = Literal["fast", "small", "first"]


def erm_bytes(model: op.Model, layout: Layout = "fast") -> bytes:
    """`model.erm`, its trees in the layout that is told.

    Raises:
        ContractError: A tree's subtree is too large for the layout, or there are too many trees.
    """
    at = _HEAD.size + _STEP.size * len(model.steps)
    table, sections = [], []
    for step in model.steps:
        if isinstance(step.op, op.Trees):
            number, trees_of = LAYOUTS[layout]
            variant, body = trees_of(step.op, step.source.n)
        else:
            number, body_of = LAYOUT[type(step.op)]
            variant, body = body_of(step.op)
        table.append(_STEP.pack(number, variant, *step.source, *step.target, 0, at if body else 0, len(body)))
        body = _padded(body)
        sections.append(body)
        at += len(body)
    counts = (model.n_features, model.n_outputs, len(model.steps), model.n_values, model.out.at)
    head = _HEAD.pack(b"ERM1", *counts, TAKES_NAN if model.takes_nan else 0, at, 0)
    return b"".join([head, *table, *sections])


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _doubles(*arrays: Any) -> bytes:
    return b"".join(np.ascontiguousarray(a, "<f8").tobytes() for a in arrays if a is not None)


def _columns(a: npt.NDArray[Any], kind: str, lanes: int = _LANES) -> bytes:
    """`a` [..., m] with zeros up to whole vectors."""
    pad = [(0, 0)] * (a.ndim - 1) + [(0, -a.shape[-1] % lanes)]
    return np.ascontiguousarray(np.pad(a, pad), kind).tobytes()


def _affine(o: op.Affine) -> Body:
    parts = (o.sub, o.mul, o.div, o.add)
    return sum(1 << i for i, part in enumerate(parts) if part is not None), _doubles(*parts)


def _dense32(o: op.Dense32) -> Body:
    return ACTIVATIONS[o.activation], _columns(o.weights, "<f4") + _columns(o.bias, "<f4")


def _dense8(o: op.Dense8) -> Body:
    head = struct.pack("<fIfI", o.scale_x, o.zero_x, o.scale_y or 0.0, o.zero_y)
    rows = ((o.scale_w, "<f4"), (o.zero_w, "u1"), (o.bias, "<i4"))
    weights = _columns(o.weights.T, "u1", _PAIRS)
    return int(o.scale_y is not None), head + b"".join(_columns(a, kind) for a, kind in rows) + weights


def _lerp(o: op.Lerp) -> Body:
    counts = np.array([len(x) for x, _ in o.curves], "<u4").tobytes()
    return 0, _padded(counts) + _doubles(*(x for x, _ in o.curves), *(y for _, y in o.curves))


def _pick(o: op.Pick) -> Body:
    return 0, _padded(np.array(o.index, "<u4").tobytes())


def _trees(o: op.Trees) -> Body:
    if len(o.trees) > _MAX_TREES:
        raise ContractError(f"model.erm: {len(o.trees)} trees are outside 1..{_MAX_TREES}")
    table, indices = leaf_table(o.trees)
    nodes = [_nodes(i, tree, leaves) for i, (tree, leaves) in enumerate(zip(o.trees, indices, strict=True))]
    sizes = [len(n) for n in nodes]
    flags = int(any(tree.missing_left.any() for tree in o.trees)) | int(o.is_float32) << 1
    head = struct.pack("<IIIHH", len(o.trees), sum(sizes), len(table), o.width, flags)
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype("<u4").tobytes()
    columns = np.array(o.column, "<u2").tobytes()
    nodes_data = b"".join(n.tobytes() for n in nodes)
    return 0, head + _doubles(o.base) + _padded(roots) + _padded(columns) + nodes_data + table.tobytes()


def _nodes(index: int, tree: Tree, leaves: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
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
    out["feature"] = np.where(leaf, _LEAF, tree.feature | np.where(tree.missing_left, _NAN_LEFT, 0))
    out["right"] = far
    return out


LAYOUT: Final[dict[type, tuple[int, Callable[[Any], Body]]]] = {
    op.Affine: (3001, _affine),
    op.Dense: (3002, lambda o: (0, _doubles(o.weights, o.bias))),
    op.Dense32: (3003, _dense32),
    op.Quantise: (3004, lambda o: (0, struct.pack("<fI", o.scale, o.zero))),
    op.Dense8: (3005, _dense8),
    op.Unary: (3006, lambda o: (FUNCTIONS[o.function], b"")),
    op.Softmax: (3007, lambda _: (0, b"")),
    op.Pair: (3008, lambda o: (int(o.is_signed), b"")),
    op.Normalise: (3009, lambda o: (OF_NOTHING[o.of_nothing], b"")),
    op.Distance: (3010, lambda o: (DISTANCES[o.form], _doubles(o.centres))),
    op.Gauss: (3011, lambda o: (0, _doubles(o.log_prior, o.mean, o.var))),
    op.Lerp: (3012, _lerp),
    op.Blend: (3013, lambda o: (0, _doubles(o.weight, np.array(o.total)))),
    op.Vote: (3014, lambda o: (0, _doubles(o.weight))),
    op.Pick: (3015, _pick),
}
"""Operation -> (its number in the format, what makes (variant, constants) of it)."""
LAYOUTS: Final[dict[Layout, tuple[int, Callable[[op.Trees, int], Body]]]] = {
    "fast": (3017, paired_trees),
    "small": (3016, lambda o, _: small_trees(o)),
    "first": (3000, lambda o, _: _trees(o)),
}
"""How trees are laid out: `fast` compares floats, `small` ranks; `first` is what devices have from before `fast`. The
answers are the same."""
