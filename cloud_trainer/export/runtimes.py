"""What each onnxruntime reads. One rule: a model declares no newer opset or IR than the oldest runtime of its target.

Measured: the newest that a session of the wheels 1.16.3, 1.17.3, 1.18.1, 1.19.2, 1.20.1 and 1.22.1 takes. Models for
1.16 (trees, networks, linear ones, k-means, calibration, votes) give the trainer's labels on the first five of them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import onnx

from edge_runtime.errors import ContractError, UsageError


class Versions(NamedTuple):
    """The newest of each that a runtime reads."""

    opset: int  # of ai.onnx
    ml: int  # of ai.onnx.ml
    ir: int


RUNTIMES: Final[dict[str, Versions]] = {
    "1.16": Versions(19, 3, 9),
    "1.17": Versions(20, 4, 9),
    "1.18": Versions(21, 5, 10),
    "1.22": Versions(22, 5, 10),
}
OLDEST: Final = "1.20"
"""Of the extra [onnx]: what a target has that says nothing."""


def versions_of(runtime: str) -> Versions:
    """What onnxruntime `runtime` ("1.20", "1.18.1") and all later ones read: that of the newest row not after it.

    Raises:
        UsageError: No version, or older than the table.
    """
    try:
        wanted = _number(runtime)
    except ValueError:
        raise UsageError(f"target.onnxruntime: {runtime!r} is no version", hint='such as "1.20"') from None
    known = [name for name in RUNTIMES if _number(name) <= wanted]
    if not known:
        raise UsageError(
            f"target.onnxruntime: {runtime!r} is older than {min(RUNTIMES, key=_number)}, the oldest that models are "
            "made for",
            hint="a bundle with a native form runs without onnxruntime",
        )
    return RUNTIMES[max(known, key=_number)]


def stamped(model: Any, runtime: str) -> Any:
    """The ModelProto as `runtime` reads it: no newer opset or IR, the same nodes.

    Raises:
        ContractError: A node needs a newer opset: names it.
    """
    newest = versions_of(runtime)
    limits = {"": newest.opset, "ai.onnx.ml": newest.ml}
    out = onnx.ModelProto()
    out.CopyFrom(model)
    out.ir_version = min(out.ir_version, newest.ir)
    for one in out.opset_import:
        one.version = min(one.version, limits.get(one.domain, one.version))
    imports = {one.domain: one.version for one in out.opset_import}
    for node in out.graph.node:
        _check(node, imports, runtime)
    return out


def _check(node: Any, imports: dict[str, int], runtime: str) -> None:
    if node.domain not in ("", "ai.onnx.ml"):
        return  # onnxruntime's own operators have no opsets that matter
    context = onnx.checker.C.CheckerContext()
    context.ir_version, context.opset_imports = onnx.IR_VERSION, imports
    try:
        onnx.checker.check_node(node, context)
    except onnx.checker.ValidationError as why:
        domain = node.domain or "ai.onnx"
        raise ContractError(
            f"model.onnx: operator {node.op_type} needs a newer opset of {domain} than {imports[node.domain]}, "
            f"the newest that onnxruntime {runtime} reads",
            hint="raise target.onnxruntime, or choose another estimator",
        ) from why


def _number(runtime: str) -> tuple[int, ...]:
    return tuple(int(part) for part in runtime.split("."))
