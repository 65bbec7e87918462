"""How fast a class of processor executes instructions. One rule: a rate says whether it was measured or is assumed.

A board's own `edge-runtime selftest --json` takes the place of its class's rate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloud_trainer.profile.counted import TARGETS
from edge_runtime.errors import ContractError, UsageError

MACHINES: Final = {
    ("x86_64", 64): "x86-64",
    ("amd64", 64): "x86-64",
    ("aarch64", 64): "aarch64",
    ("arm64", 64): "aarch64",
    ("aarch64", 32): "armv7",
    ("armv7l", 32): "armv7",
}
"""(machine, bits of a pointer) of a selftest -> target."""
HINT: Final = "on the board: edge-runtime selftest --json > board.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Of a class, or of one board.

    Attributes:
        per_us: Instructions a µs.
        how: What it stands on, for the table.
        is_measured: On a board that ran the selftest.
    """

    per_us: float
    how: str
    is_measured: bool = False


CLASSES: Final[dict[str, Rate]] = {
    "x86-64": Rate(
        per_us=13000.0,
        how="measured on a server (Intel Xeon, 12.97 µs for the standard window); small machines are slower",
    ),
    "aarch64": Rate(
        per_us=1500.0, how="assumed: one instruction a cycle of 1.5 GHz (Raspberry Pi 4); nobody measured it"
    ),
    "armv7": Rate(per_us=900.0, how="assumed: one instruction a cycle of 900 MHz (Raspberry Pi 2); nobody measured it"),
    "cortex-m4f": Rate(per_us=100.0, how="assumed: one instruction a cycle of 100 MHz, its most: at least so long"),
    "cortex-m33": Rate(per_us=100.0, how="assumed: one instruction a cycle of 100 MHz, its most: at least so long"),
}


def rates_with(selftest: Path | None) -> dict[str, Rate]:
    """The rate of each target, that of the board in `selftest` in its place.

    Raises:
        UsageError: The file cannot be read or is of a machine that is no target.
        ContractError: It is no report of a selftest, or of a board with other bits.
    """
    if selftest is None:
        return dict(CLASSES)
    report = _read(selftest)
    machine, bits = report["machine"], report["pointer_bits"]
    target = MACHINES.get((machine, bits))
    if target is None:
        raise UsageError(
            f"{selftest}: machine {machine!r} with pointers of {bits} bits is none of {', '.join(TARGETS)}", hint=HINT
        )
    if report["wrong"]:
        wrong = ", ".join(report["wrong"])
        raise ContractError(
            f"{selftest}: that board computes other bits in: {wrong}",
            hint="decisions there would differ from training; see edge-runtime selftest",
        )
    per_us = TARGETS[target]["standard_window"] / report["p50_us"]
    how = f"measured: {report['p50_us']:.1f} µs for the standard window on {report['cpu']}"
    return CLASSES | {target: Rate(per_us=per_us, how=how, is_measured=True)}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as why:
        raise UsageError(f"--selftest: {path}: {why.strerror}", hint=HINT) from why
    except ValueError as why:
        raise ContractError(f"--selftest: {path}: no JSON: {why}", hint=HINT) from why
    wanted: dict[str, Any] = {"machine": str, "pointer_bits": int, "cpu": str, "p50_us": (int, float), "wrong": list}
    for key, kind in wanted.items():
        if not isinstance(report, dict) or not isinstance(report.get(key), kind):
            have = report.get(key) if isinstance(report, dict) else report
            raise ContractError(f"--selftest: {path}: {key}: got {have!r}, no report of a selftest", hint=HINT)
    if not report["p50_us"] > 0:
        raise ContractError(f"--selftest: {path}: p50_us: want above 0, got {report['p50_us']!r}", hint=HINT)
    return dict(report)
