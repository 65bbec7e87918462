"""The steps of a model as an ONNX graph. One rule: each operation becomes operators of the same type and order.

In float64 throughout, but for the layers of networks. Sums of trees go through CumSum, which adds in order; dense steps
are onnxruntime's own sums, so a score may differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from cloud_trainer.export import graph
from cloud_trainer.export import steps as op
from cloud_trainer.export.onnx_float import tree_attributes
from cloud_trainer.export.trees import constant, leaf_table
from edge_runtime.errors import ContractError

_EXACT: Final = 1 << 24  # a leaf's number travels as float32, exact up to here


class _Piece(NamedTuple):
    """Values at .. at + n are columns offset .. offset + n of a tensor."""

    at: int
    n: int
    tensor: str
    offset: int


class Graph:
    """Nodes and constants as they are made, and which tensor holds which values."""

    def __init__(self, n_features: int) -> None:
        """The features, as float64."""
        self.n = n_features  # values that the step at hand reads
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self._width: dict[str, int] = {}
        self._pieces: list[_Piece] = []
        self.write(op.Span(0, n_features), self.node("Cast", "features", to=graph.DOUBLE))

    def node(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """The name of its one output; an input that is an array becomes a constant."""
        names = [one if isinstance(one, str) else self._constant(one) for one in inputs]
        output = f"t{len(self.nodes)}"
        self.nodes.append(graph.node(kind, names, [output], **attributes))
        return output

    def total(self, x: str, axis: int, n: int) -> str:
        """Sum along an axis of length n, in order; its shape is known before it runs, as the inspection asks."""
        return self.node("Gather", self.node("CumSum", x, np.array(axis)), np.array(n - 1), axis=axis)

    def _constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def read(self, span: op.Span) -> str:
        """A tensor [N, n] of these values."""
        parts = []
        for piece in self._pieces:
            low, high = max(piece.at, span.at), min(piece.at + piece.n, span.end)
            if low >= high:
                continue
            first = piece.offset + low - piece.at
            is_whole = first == 0 and high - low == self._width[piece.tensor]
            columns = np.arange(first, first + high - low)
            parts.append(piece.tensor if is_whole else self.node("Gather", piece.tensor, columns, axis=1))
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=1)

    def write(self, span: op.Span, tensor: str) -> None:
        """These values are the tensor's columns from now on."""
        self._width[tensor], kept = span.n, []
        for p in self._pieces:
            before, after = min(p.n, max(0, span.at - p.at)), min(p.n, max(0, p.at + p.n - span.end))
            if before:
                kept.append(p._replace(n=before))
            if after and before < p.n:
                kept.append(p._replace(at=p.at + p.n - after, n=after, offset=p.offset + p.n - after))
        self._pieces = sorted([*kept, _Piece(span.at, span.n, tensor, 0)])


def steps_model(model: op.Model) -> Any:
    """ModelProto of the steps: float32 "features" [N, F] in, float64 "scores" [N, C] out.

    Raises:
        ContractError: An operation has no ONNX form, or a tree step too many leaves for it.
    """
    g = Graph(model.n_features)
    for step in model.steps:
        make = OPERATORS.get(type(step.op))
        if make is None:
            raise ContractError(f"ONNX: a step {type(step.op).__name__} is not translated")
        is_row = isinstance(step.op, op.Trees) and step.source == (0, model.n_features)
        g.n = step.source.n
        g.write(step.target, make(step.op, "features" if is_row else g.read(step.source), g))
    g.nodes.append(graph.node("Identity", [g.read(model.out)], ["scores"]))
    return graph.model_of(
        g.nodes, g.constants, n_features=model.n_features, n_scores=model.n_outputs, score_type=graph.DOUBLE
    )


def _ints(*values: int) -> Any:
    return np.array(values, np.int64)


def _trees(o: op.Trees, x: str, g: Graph) -> str:
    """Trees that name a leaf each, as `onnx_float.tree_model`; the base is one tree more in front."""
    m, is_vector = len(o.base), o.width == len(o.base)
    if not is_vector and o.column != tuple(t % m for t in range(len(o.trees))):
        raise ContractError("ONNX: trees add to outputs in turn, this model's do not")
    trees = (*(constant(row) for row in (o.base[None] if is_vector else o.base[:, None])), *o.trees)
    table, indices = leaf_table(trees)
    if len(table) > _EXACT:
        raise ContractError(f"forest: {len(table)} distinct leaves, at most {_EXACT} fit this ONNX form")
    if x != "features":
        x = g.node("Cast", x, to=graph.FLOAT)
    kind = np.float32 if o.is_float32 else np.float64
    attributes = tree_attributes(trees, indices)
    leaf = g.node("Cast", g.node("TreeEnsembleRegressor", x, domain="ai.onnx.ml", **attributes), to=graph.INT64)
    rounds = len(trees) if is_vector else len(trees) // m
    if is_vector:
        values = g.node("Gather", table.astype(kind), leaf, axis=0)
    else:
        flat = g.node("Gather", table[:, 0].astype(kind), leaf, axis=0)
        values = g.node("Gather", flat, np.arange(len(trees)).reshape(rounds, m), axis=1)
    return g.node("Cast", g.total(values, 1, rounds), to=graph.DOUBLE)


def _affine(o: op.Affine, x: str, g: Graph) -> str:
    for kind, part in (("Sub", o.sub), ("Mul", o.mul), ("Div", o.div), ("Add", o.add)):
        x = x if part is None else g.node(kind, x, part)
    return g.node("Identity", x) if o.is_nothing else x


def _dense32(o: op.Dense32, x: str, g: Graph) -> str:
    raw = g.node("Gemm", g.node("Cast", x, to=graph.FLOAT), o.weights, o.bias)
    return g.node("Cast", raw if o.activation == "identity" else _FUNCTIONS[o.activation](g, raw), to=graph.DOUBLE)


def _pair(o: op.Pair, x: str, g: Graph) -> str:
    return g.node("Concat", g.node("Neg", x) if o.is_signed else g.node("Sub", np.array(1.0), x), x, axis=1)


def _normalise(o: op.Normalise, x: str, g: Graph) -> str:
    total = g.node("Gather", g.node("CumSum", x, np.array(1)), _ints(g.n - 1), axis=1)
    instead = x if o.of_nothing == "kept" else np.full((1, g.n), 1 / g.n)
    return g.node("Where", g.node("Equal", total, np.array(0.0)), instead, g.node("Div", x, total))


def _apart(x: str, centres: Any, g: Graph) -> str:
    """X - centre [N, m, n]."""
    m, n = centres.shape
    return g.node("Sub", g.node("Gather", x, np.tile(np.arange(n), (m, 1)), axis=1), centres)


def _distance(o: op.Distance, x: str, g: Graph) -> str:
    apart = _apart(x, o.centres, g)
    out = g.total(g.node("Mul", apart, apart), 2, g.n)
    out = g.node("Sqrt", out) if "root" in o.form else out
    return g.node("Neg", out) if o.form.startswith("minus") else out


def _gauss(o: op.Gauss, x: str, g: Graph) -> str:
    apart = _apart(x, o.mean, g)
    total = g.total(g.node("Div", g.node("Mul", apart, apart), o.var), 2, g.n)
    return g.node("Sub", o.log_prior, g.node("Mul", total, np.array(0.5)))


def _lerp(o: op.Lerp, x: str, g: Graph) -> str:
    """The number of inner knots that x has reached says the piece."""
    columns = []
    for i, (knots, y) in enumerate(o.curves):
        one = g.node("Gather", x, _ints(i), axis=1)
        inside = g.node("Min", g.node("Max", one, knots[:1]), knots[-1:])
        parts: list[Any] = [knots[:-1], y[:-1], np.diff(y) / np.diff(knots)]
        inner = len(knots) - 2
        if inner:
            reached = g.node("Cast", g.node("GreaterOrEqual", inside, knots[None, 1:-1]), to=graph.INT64)
            piece = g.node("Gather", g.node("CumSum", reached, np.array(1)), _ints(inner - 1), axis=1)
            parts = [g.node("Gather", part, piece) for part in parts]
        left, base, slope = parts
        columns.append(g.node("Add", g.node("Mul", slope, g.node("Sub", inside, left)), base))
    return columns[0] if len(columns) == 1 else g.node("Concat", *columns, axis=1)


def _parts(weight: Any, x: str, g: Graph) -> str:
    return g.node("Gather", x, np.arange(g.n).reshape(len(weight), -1), axis=1)


def _blend(o: op.Blend, x: str, g: Graph) -> str:
    return g.node("Div", _weighed(_parts(o.weight, x, g), o.weight, g), np.array(o.total))


def _vote(o: op.Vote, x: str, g: Graph) -> str:
    best = g.node("ArgMax", _parts(o.weight, x, g), axis=2, keepdims=1)
    classes = np.arange(g.n // len(o.weight), dtype=np.int64)[None, None]
    return _weighed(g.node("Cast", g.node("Equal", best, classes), to=graph.DOUBLE), o.weight, g)


def _weighed(parts: str, weight: Any, g: Graph) -> str:
    return g.total(g.node("Mul", parts, weight[:, None]), 1, len(weight))


_FUNCTIONS: Final[dict[str, Callable[[Graph, str], str]]] = {
    "relu": lambda g, x: g.node("Relu", x),
    "tanh": lambda g, x: g.node("Tanh", x),
    "logistic": lambda g, x: g.node("Sigmoid", x),
    "exp": lambda g, x: g.node("Exp", x),
    "sqrt": lambda g, x: g.node("Sqrt", x),
    "neg": lambda g, x: g.node("Neg", x),
    "exp2": lambda g, x: g.node("Pow", np.array(2.0), x),
}
OPERATORS: Final[dict[type, Callable[[Any, str, Graph], str]]] = {
    op.Trees: _trees,
    op.Affine: _affine,
    op.Dense: lambda o, x, g: g.node("Gemm", x, o.weights, o.bias, transB=1),
    op.Dense32: _dense32,
    op.Unary: lambda o, x, g: _FUNCTIONS[o.function](g, x),
    op.Softmax: lambda _, x, g: g.node("Softmax", x, axis=-1),
    op.Pair: _pair,
    op.Normalise: _normalise,
    op.Distance: _distance,
    op.Gauss: _gauss,
    op.Lerp: _lerp,
    op.Blend: _blend,
    op.Vote: _vote,
    op.Pick: lambda o, x, g: g.node("Gather", x, _ints(*o.index), axis=1),
}
"""Operation -> the tensor of its values, from the tensor that it reads; int8 has its own graph (`onnx_int8`)."""
