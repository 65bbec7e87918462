"""Processes as a device has them: their memory, beside that of the bare interpreter.

One rule: modules are compiled beforehand, as an installer does it; compiling leaves 2 MiB behind that no device has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BARE = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.readline()"]
"""An interpreter that has said a line, and waits for one."""


def environment(cache: Path) -> dict[str, str]:
    """Of a process on the tree's own packages, its compiled modules in *cache*."""
    mine = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return mine | {"PYTHONPYCACHEPREFIX": str(cache), "PYTHONPATH": str(ROOT)}


def command(*words: str) -> list[str]:
    """`edge-runtime WORDS`, as its console script runs it."""
    return [sys.executable, "-c", "import sys; from edge_runtime.cli import main; sys.exit(main())", *words]


def memory_kib(pid: int) -> Mapping[str, int]:
    """VmRSS, VmHWM (its highest), Private_Dirty of a process [KiB]."""
    found = {}
    for file, names in (("status", ("VmRSS", "VmHWM")), ("smaps_rollup", ("Private_Dirty",))):
        for line in Path(f"/proc/{pid}/{file}").read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            if name in names:
                found[name] = int(rest.split()[0])
    return found


def cpu_ms(pid: int) -> float:
    """CPU time that all threads of a process have taken [ms]."""
    ran = [int(file.read_text(encoding="ascii").split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(ran) / 1e6


def settled(words: list[str], cache: Path, *, cwd: Path, given: bytes = b"", n_lines: int = 1) -> Mapping[str, int]:
    """Memory [KiB] of a process that took what it was given, said so many lines and waits for more; it then ends well.

    It runs twice: the first time compiles.
    """
    for _ in range(2):
        with subprocess.Popen(
            words, cwd=cwd, env=environment(cache), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdin
            assert process.stdout
            process.stdin.write(given)
            process.stdin.flush()
            for _ in range(n_lines):
                assert process.stdout.readline(), f"{words} ended early"
            found = memory_kib(process.pid)
            process.stdin.close()
        assert process.returncode == 0, words
    return found
