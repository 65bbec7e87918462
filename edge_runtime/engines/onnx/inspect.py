"""Whether an ONNX model may reach an engine, by its bytes alone. One rule: what is not on the allow-list is refused.

No onnx, no onnxruntime: `wire` and `model` read the bytes, `operators` has the allow-list, `extents` bounds the memory,
`ensembles` the trees. Whether the model is *right* is `update.preflight`'s question.
"""

from __future__ import annotations

from edge_runtime.engines.onnx.extents import check_extents, constants_of
from edge_runtime.engines.onnx.model import Model, Value, read_model
from edge_runtime.engines.onnx.operators import GROWTH, RULES, Known
from edge_runtime.errors import ContractError

MIN_IR, MAX_IR = 3, 10
OPSETS = {"": (9, 22), "ai.onnx.ml": (1, 5), "com.microsoft": (1, 1)}
"""Domain -> oldest and newest version that the engines of this build run."""


def inspect_model(data: bytes, *, n_features: int, n_scores: int) -> Model:
    """Return the ONNX model in *data*: from "features" float [N, n_features] to "scores" [N, n_scores].

    Raises:
        ContractError: anything that is not on the allow-list, or not what it says it is.
        BudgetError: its tensors may grow too large.
    """
    try:
        model = read_model(data)
        _check_versions(model)
        _check_operators(model)
        _check_end("input", model.inputs, "features", n_features, ("float",))
        _check_end("output", model.outputs, "scores", n_scores, ("float", "double"))
        _check_tensors(model, n_scores)
    except ContractError as why:
        why.hint = why.hint or "export the model with cloud-trainer, and fetch the bundle again"
        raise
    return model


def _check_versions(model: Model) -> None:
    if not MIN_IR <= model.ir_version <= MAX_IR:
        raise ContractError(f"model.ir_version: {model.ir_version} is outside {MIN_IR}..{MAX_IR}")
    if not model.opsets:
        raise ContractError("model.opset_import: none, want the version of each domain")
    for domain, version in model.opsets.items():
        low, high = OPSETS.get(domain, (0, -1))
        if not low <= version <= high:
            limit = f"is outside {low}..{high}" if high >= 0 else "is of no known domain"
            raise ContractError(f"model.opset_import: {domain or 'ai.onnx'} {version} {limit}")


def _check_operators(model: Model) -> None:
    for i, node in enumerate(model.nodes):
        if (node.domain, node.op) not in GROWTH:
            raise ContractError(
                f"node {i}: operator {node.domain or 'ai.onnx'}.{node.op} is not allowed",
                hint="see GROWTH in edge_runtime/engines/onnx/operators.py for those that are",
            )
        if node.domain not in model.opsets:
            raise ContractError(f"node {i} {node.op}: its domain {node.domain or 'ai.onnx'} has no opset_import")


def _check_end(what: str, values: tuple[Value, ...], name: str, width: int, types: tuple[str, ...]) -> None:
    if [value.name for value in values] != [name]:
        raise ContractError(f"graph.{what}: want {name!r} alone, got {[value.name for value in values[:3]]}")
    dims, kind = values[0].dims, values[0].type
    if len(dims) != 2 or dims[0] not in (None, 1) or dims[1] != width or kind not in types:
        shown = [dim if dim is not None else "N" for dim in dims]
        raise ContractError(f"model: {what} {name!r}: want [N, {width}] of {' or '.join(types)}, got {shown} of {kind}")


def _check_tensors(model: Model, n_scores: int) -> None:
    found = check_extents(model, GROWTH)
    known = Known(constants=constants_of(model), extents=found)
    for node in model.nodes:
        if node.op in RULES:
            RULES[node.op](node, known)
    dims, size = found["scores"]
    if (dims is not None and dims != (1, n_scores)) or size < n_scores:
        raise ContractError(f"graph.output: {n_scores} scores are declared, the nodes make {dims or size}")
