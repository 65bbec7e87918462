"""What a bundle may hold, decided without running any of it. One rule: members are what the manifest says, and fit.

What an ONNX member may hold is `engines.onnx`'s matter; whether the model is *right* is `preflight`'s.
"""

from __future__ import annotations

from edge_runtime.contract.baseline import Baseline
from edge_runtime.contract.bundle import Bundle
from edge_runtime.contract.golden import Golden
from edge_runtime.contract.manifest import NATIVE
from edge_runtime.contract.program import Program
from edge_runtime.engines.onnx import inspect_model
from edge_runtime.errors import ContractError
from edge_runtime.native import Model, check_program


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
    shape = {"n_features": n_features, "n_scores": n_scores}
    report = {"features": n_features, "labels": n_scores}
    for name in ("model.onnx", "model.int8.onnx"):
        if name in members:
            report[f"{name} nodes"] = len(inspect_model(members[name], **shape).nodes)
    for name in NATIVE:
        if name not in members:
            continue
        model = Model(members[name])
        if (model.n_features, model.n_outputs) != (n_features, n_scores):
            raise ContractError(
                f"{name}: {model.n_features} features and {model.n_outputs} scores, "
                f"the bundle has {n_features} and {n_scores}"
            )
        report[f"{name} trees"] = model.n_trees
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
