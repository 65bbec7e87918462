"""Commands answer at once: heavy libraries are loaded by the command that needs them."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

LIMIT_S = {"cloud_trainer.cli": 0.5, "edge_runtime.cli": 0.2}


def help_seconds(module: str) -> float:
    """CPU time, which is the wall time of an idle machine; best of five, as noise only adds [s]."""
    best = 9.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = f"import sys; sys.argv = ['x', '--help']; from {module} import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert "sage:" in done.stdout, done.stderr
    return best


@pytest.mark.parametrize("module", LIMIT_S)
def test_help_comes_in_time(module: str) -> None:
    assert help_seconds(module) < LIMIT_S[module]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("edge_runtime.daemon", ("numpy", "onnxruntime", "sklearn", "cryptography", "cloud_trainer")),
        ("edge_runtime.daemon.service", ("numpy", "onnxruntime", "sklearn", "cryptography", "cloud_trainer")),
        ("edge_runtime.cli", ("numpy", "paho", "sqlite3", "cffi", "edge_runtime.native")),
        ("cloud_trainer.cli", ("numpy", "sklearn", "duckdb", "deltalake", "mlflow", "onnx", "paho")),
    ],
)
def test_importing_does_not_load(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
