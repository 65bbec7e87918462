"""The operators a model may have, and what each may be given. One rule: an allow-list; a new one is a word in a table.

Not on it: Loop, If, Scan (sub-graphs), ConstantOfShape, Expand, Tile, Range, Pad, Resize, OneHot (a few bytes of
*values* make any size), anything random, anything custom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from edge_runtime.engines.onnx import extents, shapes
from edge_runtime.engines.onnx.ensembles import check_trees
from edge_runtime.engines.onnx.extents import Extent, Growth
from edge_runtime.engines.onnx.model import MAX_RANK, TYPES, Node, Tensor
from edge_runtime.errors import ContractError
from edge_runtime.lean import dataclass

_STANDARD: dict[Growth, str] = {
    extents.same: "Abs BatchNormalization Cast Ceil Clip Constant CumSum DequantizeLinear DynamicQuantizeLinear Elu "
    "Erf Exp Floor HardSigmoid Identity IsNaN LeakyRelu Log LogSoftmax LpNormalization Neg Not QuantizeLinear "
    "Reciprocal Relu Round Selu Sigmoid Sign Softmax Softplus Softsign Sqrt Tanh",
    extents.broadcast: "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mul Or Pow PRelu Sub "
    "Sum Where Xor",
    extents.product: "Gemm MatMul MatMulInteger QLinearMatMul",
    extents.joined: "Concat",
    extents.picked: "Gather",
    extents.shrunk: "TopK",
    shapes.flattened: "Flatten",
    shapes.placed: "ArgMax ArgMin",
    shapes.reduced: "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
    "ReduceSum ReduceSumSquare",
    shapes.reshaped: "Reshape",
    shapes.sliced: "Slice",
    shapes.squeezed: "Squeeze",
    shapes.transposed: "Transpose",
    shapes.unsqueezed: "Unsqueeze",
}
_ML: dict[Growth, str] = {
    extents.same: "Binarizer Imputer Normalizer Scaler",
    extents.picked: "ArrayFeatureExtractor",
    extents.voted: "LinearClassifier LinearRegressor TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor",
}
_MICROSOFT: dict[Growth, str] = {
    extents.same: "QLinearLeakyRelu QLinearSigmoid QLinearSoftmax",
    extents.broadcast: "QLinearAdd QLinearMul",
    extents.product: "QGemm",
}
GROWTH: dict[tuple[str, str], Growth] = {
    (domain, op): growth
    for domain, table in (("", _STANDARD), ("ai.onnx.ml", _ML), ("com.microsoft", _MICROSOFT))
    for growth, ops in table.items()
    for op in ops.split()
}
"""(domain, operator) -> how its output grows; the allow-list."""

SCALES = {
    "QuantizeLinear": (1,), "DequantizeLinear": (1,), "QLinearMatMul": (1, 4, 6), "QGemm": (1, 4, 7),
    "QLinearAdd": (1, 4, 6), "QLinearMul": (1, 4, 6), "QLinearLeakyRelu": (1, 3), "QLinearSigmoid": (1, 3),
    "QLinearSoftmax": (1, 3),
}  # fmt: skip
"""Operator -> inputs that are scales."""
MIN_SCALE = 2.0**-126  # of a smaller one the reciprocal is infinite in float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the tensors of a model by name: the constants, and the extent of each."""

    constants: Mapping[str, Tensor]
    extents: Mapping[str, Extent]

    def constant(self, node: Node, i: int) -> Tensor | None:
        """Return input *i* of *node*, which is a constant; None where it is left out."""
        name = node.inputs[i] if i < len(node.inputs) else ""
        if name and name not in self.constants:
            raise ContractError(f"{node.op}: input {i} {name!r} is computed, want a constant")
        return self.constants.get(name)

    def width(self, node: Node) -> int:
        """Return the columns of the first input, which is read by position."""
        dims, _ = self.extents[node.inputs[0]]
        if dims is None or len(dims) != 2:
            raise ContractError(f"{node.op}: input {node.inputs[0]!r} of unknown shape, want [N, a known number]")
        return dims[1]


def _trees(node: Node, known: Known) -> None:
    check_trees(node, known.width(node))


def _scales(node: Node, known: Known) -> None:
    for i in SCALES[node.op]:
        scale = known.constant(node, i)
        if scale is not None and not (scale.reals() and all(MIN_SCALE <= value < inf for value in scale.reals())):
            raise ContractError(f"{node.op}: scale {scale.name!r} has a value outside {MIN_SCALE:.3g}..3.4e38")


def _picks(node: Node, known: Known) -> None:
    picks, limit = known.constant(node, 1), known.width(node)
    indices = picks.integers() if picks is not None else ()
    if not indices or not 0 <= min(indices) <= max(indices) < limit:
        raise ContractError(f"{node.op}: want constant indices in 0..{limit - 1}")


def _reshaped(node: Node, known: Known) -> None:
    shape = known.constant(node, 1)
    n = shape.size if shape is not None else len(node.items("axes"))
    if n > MAX_RANK:
        raise ContractError(f"{node.op}: {n} dimensions, limit is {MAX_RANK}")


def _cast(node: Node, _: Known) -> None:
    to = node.integer("to", 0)
    if to not in TYPES:
        raise ContractError(f"Cast.to: type {to} is not one of {sorted(TYPES)}")


def _linear(node: Node, known: Known) -> None:
    n_labels = max(len(node.items(f"classlabels_{kind}")) for kind in ("ints", "strings"))
    n_rows = n_labels or node.integer("targets", 1)
    width, intercepts = known.width(node), len(node.items("intercepts"))
    if len(node.items("coefficients")) != n_rows * width or intercepts not in ((n_rows,) if n_labels else (0, n_rows)):
        raise ContractError(
            f"{node.op}: {len(node.items('coefficients'))} coefficients and {intercepts} intercepts, "
            f"want {n_rows} x {width} and {n_rows}"
        )


def _columns(node: Node, known: Known) -> None:
    width = known.width(node)
    for name in ("offset", "scale", "imputed_value_floats", "imputed_value_int64s"):
        n = len(node.items(name))
        if n not in (0, 1, width):
            raise ContractError(f"{node.op}.{name}: {n} items, want 1 or {width}")


RULES: dict[str, Callable[[Node, Known], None]] = {
    **dict.fromkeys(SCALES, _scales),
    **dict.fromkeys(("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"), _trees),
    **dict.fromkeys(("LinearClassifier", "LinearRegressor"), _linear),
    **dict.fromkeys(("Imputer", "Scaler"), _columns),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), _reshaped),
    "ArrayFeatureExtractor": _picks,
    "Cast": _cast,
}
"""Operator -> what its attributes and constants must be; an operator without a row needs no more than its growth."""
