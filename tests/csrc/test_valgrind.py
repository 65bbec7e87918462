"""The core through cffi reads and writes no byte that is not its own, and decides on none that was never written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.csrc.targets import CSRC, HOST, ROOT, need

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def valgrind(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Memory errors only: CPython gives its last memory back to nobody. Each object is a block of malloc's."""
    need("valgrind")
    call = ["valgrind", "--quiet", "--error-exitcode=9", f"--suppressions={Path(__file__).parent / 'cpython.supp'}"]
    env = os.environ | {"PYTHONMALLOC": "malloc"}
    return subprocess.run([*call, *command], capture_output=True, text=True, check=False, env=env, cwd=ROOT)


def test_streams_through_cffi_are_clean() -> None:
    done = valgrind(sys.executable, "-m", "tests.csrc.streams_under_valgrind")
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr[-4000:]


PLANTED = """
from array import array
from edge_runtime.native._er import ffi, lib
memory = ffi.new("uint64_t[]", 2)
out = ffi.new("er_model *")
lib.er_model_open(out, memory, 40)  # 24 bytes more than there are
"""


@pytest.mark.planted
def test_a_planted_read_past_a_buffer_is_seen() -> None:
    done = valgrind(sys.executable, "-c", PLANTED)
    assert done.returncode == 9
    assert "Invalid read" in done.stderr
    assert "er_model" in done.stderr


def test_the_suppressions_name_python_alone() -> None:
    text = (Path(__file__).parent / "cpython.supp").read_text()
    assert set(re.findall(r"^   ((?:obj|fun):.*)$", text, re.M)) == {"obj:*/*python3*"}
    assert set(re.findall(r"^   Memcheck:(.*)$", text, re.M)) == {"Cond", "Value1", "Value2", "Value4", "Value8"}


@pytest.mark.parametrize("name", ["test_stream", "test_filters", "test_row", "test_clock"])
def test_the_c_tests_are_clean(name: str, tmp_path: Path) -> None:
    """What ASan cannot see: a value that was never written."""
    done = valgrind(HOST.build(CSRC / "tests" / f"{name}.c", tmp_path))
    assert done.returncode == 0, done.stderr[-4000:]
