"""Whether an ONNX model may reach an engine, by its bytes alone. One rule: what is not on the allow-list is refused.

No onnx, no onnxruntime: `wire` and `model` read the bytes, `extents` bounds the memory, `ensembles` the trees.
Whether the model is *right* is `update.preflight`'s question.
"""

from __future__ import annotations

from edge_runtime.engines.onnx import extents
from edge_runtime.engines.onnx.ensembles import check_trees
from edge_runtime.engines.onnx.extents import Extent, Growth
from edge_runtime.engines.onnx.model import Model, read_model
from edge_runtime.errors import ContractError

MAX_IR = 10
OPSETS = {"": (9, 22), "ai.onnx": (9, 22), "ai.onnx.ml": (1, 5), "com.microsoft": (1, 1)}
"""Domain -> oldest and newest version that the engines of this build run."""

_STANDARD: dict[Growth, str] = {
    extents.same: "Abs BatchNormalization Cast Ceil Clip Constant CumSum DequantizeLinear DynamicQuantizeLinear Elu "
    "Erf Exp Floor HardSigmoid Identity IsNaN LeakyRelu Log LogSoftmax Neg Not QuantizeLinear Reciprocal Relu Round "
    "Selu Sigmoid Sign Softmax Softplus Softsign Sqrt Tanh",
    extents.broadcast: "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mul Or Pow PRelu Sub "
    "Sum Where Xor",
    extents.product: "Gemm MatMul MatMulInteger QLinearMatMul",
    extents.joined: "Concat",
    extents.picked: "Gather",
    extents.shrunk: "ArgMax ArgMin Flatten ReduceMax ReduceMean ReduceMin ReduceSum Reshape Slice Squeeze TopK "
    "Transpose Unsqueeze",
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
    for domain, table in (("", _STANDARD), ("ai.onnx", _STANDARD), ("ai.onnx.ml", _ML), ("com.microsoft", _MICROSOFT))
    for growth, ops in table.items()
    for op in ops.split()
}
"""(domain, operator) -> how its output grows; the allow-list. Not on it: Loop, If, Scan (sub-graphs), ConstantOfShape,
Expand, Tile, Range, Pad, Resize, OneHot (a few bytes of *values* make any size), anything random, anything custom."""


def inspect_model(data: bytes, *, n_features: int) -> Model:
    """Return the ONNX model in *data*, which takes one row of *n_features*.

    Raises:
        ContractError: anything that is not on the allow-list, or not what it says it is.
        BudgetError: its tensors may grow too large.
    """
    model = read_model(data)
    if not 3 <= model.ir_version <= MAX_IR:
        raise ContractError(f"model.ir_version: {model.ir_version} is outside 3..{MAX_IR}")
    for domain, version in model.opsets.items():
        low, high = OPSETS.get(domain, (0, -1))
        if not low <= version <= high:
            limit = f"is outside {low}..{high}" if high >= 0 else "is of no known domain"
            raise ContractError(f"model.opset_import: {domain or 'ai.onnx'} {version} {limit}")
    for i, node in enumerate(model.nodes):
        if (node.domain, node.op) not in GROWTH:
            raise ContractError(
                f"node {i}: operator {node.domain or 'ai.onnx'}.{node.op} is not allowed",
                hint="see GROWTH in edge_runtime/engines/onnx/inspect.py for those that are",
            )
    if len(model.inputs) != 1 or model.inputs[0].type != "float" or model.inputs[0].dims[-1:] != (n_features,):
        shown = [(value.name, value.type, value.dims) for value in model.inputs]
        raise ContractError(f"graph.input: want one float row of {n_features}, got {shown[:3]}")
    found = extents.check_extents(model, GROWTH)
    _check_nodes(model, found)
    return model


def _check_nodes(model: Model, found: dict[str, Extent]) -> None:
    for node in model.nodes:
        dims, size = found[node.inputs[0]] if node.inputs and node.inputs[0] else (None, 0)
        if node.op.startswith("TreeEnsemble"):
            check_trees(node, dims[-1] if dims else size)
        if node.op == "ArrayFeatureExtractor":
            picks = model.constants.get(node.inputs[1])
            limit = dims[-1] if dims else size
            if picks is None or any(not 0 <= i < limit for i in picks.integers()):
                raise ContractError(f"{node.op}: want constant indices in 0..{limit - 1}")
