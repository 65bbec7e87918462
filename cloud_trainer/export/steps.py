"""A small model as plain data: steps over a vector of float64 values. One rule: what a step does is in FORMAT ERM1.

The values start as the row's features; a step reads a span of them and writes a span behind the features. A step's
constants are numpy arrays. Not here: the bytes (`erm`), the meaning in numpy (`interpret`), and how an estimator
becomes steps (`native_forms`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.trees import Tree
from edge_runtime.errors import ContractError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
Function = Literal["relu", "tanh", "logistic", "exp", "sqrt", "neg", "exp2"]
Activation = Literal["identity", "relu", "tanh", "logistic"]

MAX_FEATURES, MAX_OUTPUTS, MAX_STEPS, MAX_VALUES = 1024, 64, 4096, 65536


class Span(NamedTuple):
    """`n` values from number `at` on."""

    at: int
    n: int

    @property
    def end(self) -> int:
        """The number behind the last."""
        return self.at + self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """Trees in the order in which the trainer adds them; tree t adds its leaf to outputs `column[t]` and on."""

    trees: tuple[Tree, ...]
    column: tuple[int, ...]
    base: F64  # [m]
    is_float32: bool = False  # base, leaves and sums are float32

    @property
    def width(self) -> int:
        """Values of a leaf."""
        return int(self.trees[0].value.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine:
    """((x - sub) * mul) / div + add, each [n] or left out."""

    sub: F64 | None = None
    mul: F64 | None = None
    div: F64 | None = None
    add: F64 | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether every part is left out."""
        return all(part is None for part in (self.sub, self.mul, self.div, self.add))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """bias[j] + sum of x[i] * weights[j, i], in float64."""

    weights: F64  # [m, n]
    bias: F64  # [m]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense32:
    """A layer of a network in float32: inputs rounded, added onto the bias in order, then the activation."""

    weights: F32  # [n, m]
    bias: F32  # [m]
    activation: Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantise:
    """Float32 to 0..255, as ONNX QuantizeLinear: to the nearest even, clamped, NaN to `zero`."""

    scale: float  # a float32
    zero: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense8:
    """A layer u8 x u8 in int32, as onnxruntime's QGemm; `scale_y` None: float32 out, else u8 out."""

    scale_x: float
    zero_x: int
    scale_y: float | None
    zero_y: int
    scale_w: F32  # [m]
    zero_w: U8  # [m]
    bias: I32  # [m]
    weights: U8  # [n, m]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary:
    """One function of each value."""

    function: Function


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax:
    """exp(x - max) / sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One value p becomes two: [1 - p, p], or [-p, p]."""

    is_signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalise:
    """x / sum(x); where the sum is 0: 1/n each, or left as it is."""

    of_nothing: Literal["equal", "kept"] = "equal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """To each centre: the square of the distance, its root, or minus one of them."""

    centres: F64  # [m, n]
    form: Literal["square", "root", "minus root", "minus square"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauss:
    """log_prior - 0.5 * sum((x - mean)^2 / var) of each class."""

    log_prior: F64  # [m], the log of the determinant folded in
    mean: F64  # [m, n]
    var: F64  # [m, n]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lerp:
    """Piecewise linear, clamped at both ends; one curve (x ascending, y) for each value."""

    curves: tuple[tuple[F64, F64], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Weighted sum of p parts of m values, divided by `total`."""

    weight: F64  # [p]
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """Each of p parts gives its weight to the first greatest of its m values."""

    weight: F64  # [p]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Values by number; the step reads from 0."""

    index: tuple[int, ...]


Op = (
    Trees
    | Affine
    | Dense
    | Dense32
    | Quantise
    | Dense8
    | Unary
    | Softmax
    | Pair
    | Normalise
    | Distance
    | Gauss
    | Lerp
    | Blend
    | Vote
    | Pick
)
IN_PLACE = (Affine, Quantise, Unary, Softmax, Normalise, Lerp)
ROUNDS = (Dense, Dense32, Quantise, Dense8, Distance, Gauss)
"""What adds many products of features: the order of the trainer's sum is its own affair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An operation, what it reads and what it writes."""

    op: Op
    source: Span
    target: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A row of features in, answers out.

    Attributes:
        n_features: Float32 numbers of a row, 1..1024.
        n_values: The doubles that the steps work in; the features are the first.
        out: The answer: where it stands at the end, 1..64 values.
        takes_nan: A feature may be NaN.
        steps: In order.
    """

    n_features: int
    n_values: int
    out: Span
    takes_nan: bool
    steps: tuple[Step, ...]

    @property
    def n_outputs(self) -> int:
        """Values of an answer."""
        return self.out.n

    @property
    def is_trees(self) -> bool:
        """Every answer is a sum of leaves and a function of it: nothing but exp can round it otherwise."""
        return not any(isinstance(step.op, ROUNDS) for step in self.steps)

    @property
    def is_float32(self) -> bool:
        """Some sums of features are float32."""
        return any(isinstance(step.op, Dense32) for step in self.steps)

    def trees(self) -> Iterator[Tree]:
        """All trees that ask the features themselves."""
        for step in self.steps:
            if isinstance(step.op, Trees) and step.source.at == 0:
                yield from step.op.trees


class Builder:
    """Makes steps one behind another; `model` ends it. A value is written once, or changed where it stands."""

    def __init__(self, n_features: int) -> None:
        """The first values are `n_features` features."""
        self.features = Span(0, n_features)
        self.top = n_features
        self._steps: list[Step] = []

    def new(self, op: Op, source: Span, m: int) -> Span:
        """`op` of `source`, as `m` new values."""
        target = Span(self.top, m)
        self.top += m
        self._steps.append(Step(op=op, source=source, target=target))
        return target

    def over(self, op: Op, span: Span) -> Span:
        """`op` in place; of features, as new values."""
        if span.at < self.features.n:
            return self.new(op, span, span.n)
        self._steps.append(Step(op=op, source=span, target=span))
        return span

    def pick(self, index: list[int]) -> Span:
        """These values one behind another; no step if they stand so."""
        if index == list(range(index[0], index[0] + len(index))):
            return Span(index[0], len(index))
        return self.new(Pick(index=tuple(index)), Span(0, max(index) + 1), len(index))

    def joined(self, spans: list[Span]) -> Span:
        """The spans as one."""
        return self.pick([i for span in spans for i in range(span.at, span.end)])

    def model(self, out: Span, *, takes_nan: bool) -> Model:
        """The model whose answer is `out`.

        Raises:
            ContractError: A count is out of the format's range.
        """
        for what, have, most in (
            ("features", self.features.n, MAX_FEATURES),
            ("outputs", out.n, MAX_OUTPUTS),
            ("steps", len(self._steps), MAX_STEPS),
            ("values", self.top, MAX_VALUES),
        ):
            if not 1 <= have <= most:
                raise ContractError(f"model.erm: {have} {what} are outside 1..{most}")
        return Model(
            n_features=self.features.n, n_values=self.top, out=out, takes_nan=takes_nan, steps=tuple(self._steps)
        )
