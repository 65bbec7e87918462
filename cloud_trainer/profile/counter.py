"""Instructions of a bundle's own decisions on this machine, counted one by one by valgrind.

One rule: what is counted is what runs: the core of this installation, by its calls from `edge-runtime decide`.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_runtime.errors import ContractError, UsageError

CALLS: Final = ("er_step_at", "er_row_run_joined")
"""Of the core, that a decision is made of; neither calls the other."""
LIMIT_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted.

    Attributes:
        machine: As the system calls it, such as "x86_64".
        decisions: That were made.
        instructions: Of one of them, the mean; frames that led to none are counted too.
    """

    machine: str
    decisions: int
    instructions: float


def count(bundle: Path, source: str) -> Counted:
    """Run the bundle on `source` under valgrind, which takes some fifty times as long.

    Args:
        bundle: Its file; the engine is native.
        source: As of `edge-runtime decide`; it must end.

    Raises:
        UsageError: There is no valgrind here, or the source gave no decision.
        ContractError: The run failed: says its own error.
    """
    if shutil.which("valgrind") is None:
        raise UsageError(
            "--count: valgrind is not installed, and nothing else here counts instructions",
            hint="apt install valgrind; without it they are estimated from what was counted on each target",
        )
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [f"--toggle-collect={name}" for name in CALLS]
    command += [sys.executable, "-m", "edge_runtime.cli", "decide", str(bundle), "--source", source]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise UsageError(f"--count: no end after {LIMIT_S} s", hint="name a short recording") from None
    if done.returncode:
        said = [
            line.removeprefix("error: ") for line in done.stderr.splitlines() if not line.startswith(("==", "hint"))
        ]
        raise ContractError(f"--count: {said[-1] if said else f'exit status {done.returncode}'}")
    total = re.search(r"Collected : (\d+)", done.stderr)
    decisions = done.stdout.count("\n")
    if not decisions or not total or not int(total[1]):
        raise UsageError(f"--count: {source!r} gave no decision", hint="name a recording of a window or more")
    return Counted(machine=platform.machine(), decisions=decisions, instructions=int(total[1]) / decisions)
