"""What a bundle may hold, decided without running any of it. One rule: an allow-list; what is not on it is refused.

No onnx, no onnxruntime: `wire` and `onnx_model` read the bytes, `extents` bounds the memory, `ensembles` the trees.
Whether the model is *right* is `preflight`'s question.
"""

from __future__ import annotations

from edge_runtime.contract.baseline import Baseline
from edge_runtime.contract.bundle import Bundle
from edge_runtime.contract.golden import Golden
from edge_runtime.contract.program import Program
from edge_runtime.errors import ContractError
from edge_runtime.native import Forest, check_program
from edge_runtime.update import extents
from edge_runtime.update.ensembles import check_trees
from edge_runtime.update.extents import Extent, Growth
from edge_runtime.update.onnx_model import Model, read_model

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
                hint="see GROWTH in edge_runtime/update/inspect.py for those that are",
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


def inspect(bundle: Bundle) -> dict[str, int]:
    """Return what was counted in *bundle* (nodes, trees, bytes), once every member is what the manifest says.

    Raises:
        ContractError: a member breaks its format, or two members do not fit each other.
        BudgetError: the model is larger than the manifest says.
    """
    manifest, members = bundle.manifest, bundle.members
    program = Program.from_bytes(members["program.json"])
    check_program(program)
    n_features, n_scores = len(program.features), len(manifest.labels)
    Baseline.from_bytes(members["baseline.json"])
    _check_golden(Golden.from_bytes(members["golden.json"]), n_features, n_scores)
    report = {"features": n_features, "labels": n_scores}
    for name in ("model.onnx", "model.int8.onnx"):
        if name in members:
            report[f"{name} nodes"] = len(inspect_model(members[name], n_features=n_features).nodes)
    if "model.erf" in members:
        forest = Forest(members["model.erf"])
        if (forest.n_features, forest.n_outputs) != (n_features, n_scores):
            raise ContractError(
                f"model.erf: {forest.n_features} features and {forest.n_outputs} scores, "
                f"the bundle has {n_features} and {n_scores}"
            )
        report["model.erf trees"] = forest.n_trees
    return report


def _check_golden(golden: Golden, n_features: int, n_scores: int) -> None:
    if not golden.features:
        raise ContractError("golden.json: no vectors", hint="export the bundle again")
    for row in golden.features:
        if len(row) != n_features:
            raise ContractError(f"golden.json: a vector of {len(row)} features, the program has {n_features}")
    for scores in golden.scores:
        if len(scores) != n_scores:
            raise ContractError(f"golden.json: {len(scores)} scores, the bundle has {n_scores} labels")
