"""`edge-runtime selftest` knows a board that computes other bits."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime import native, selftest
from tests.csrc.targets import ROOT, V3, need

COMMAND = "from edge_runtime.cli import main; sys.exit(main(['selftest']))"


def run(root: Path) -> subprocess.CompletedProcess[str]:
    """The command with the package in `root`, on a machine without numpy."""
    code = f"import sys; sys.path.insert(0, {str(root)!r}); sys.modules['numpy'] = None; {COMMAND}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)


def copy(to: Path) -> Path:
    for name in ("edge_runtime", "csrc"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "out"))
    return to


def test_this_build_passes_without_numpy() -> None:
    done = run(ROOT)
    assert done.returncode == 0, done.stderr
    for line in (r"cpu +\S", r"digest +[0-9a-f]{32} ", r"window +p50 [\d.]+ µs, p99 [\d.]+ µs", r"peak RSS +[\d.]+ MB"):
        assert re.search(f"^{line}", done.stdout, re.M), done.stdout


def test_the_list_names_operators_of_this_build_in_order() -> None:
    """A changed rounding moves the list with it: `python -m edge_runtime.selftest > edge_runtime/selftest.txt`."""
    here, listed = selftest.hashes(), selftest.shipped()
    assert [name for name in listed if here.get(name) != listed[name]] == []
    assert len(listed) >= 46
    assert list(here) == [op.name for op in native.operators() if op.kind != "row"]


def test_no_operator_hides_behind_nan_or_zero() -> None:
    """Two operators with one hash would be one that says nothing about its code."""
    here = dict(selftest.hashes())
    assert here.pop("hjorth_activity") == here["var"]  # one number under two names
    assert len(set(here.values())) == len(here)


@pytest.mark.planted
def test_another_bit_is_named_with_a_hint(tmp_path: Path) -> None:
    listed = copy(tmp_path) / "edge_runtime" / "selftest.txt"
    listed.write_text(re.sub(r"^(skewness) .*$", r"\1 0123456789abcdef", listed.read_text(), flags=re.M))
    done = run(tmp_path)
    assert done.returncode == 3
    assert "other bits in: skewness\n" in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.planted
def test_a_build_that_fuses_is_refused(tmp_path: Path) -> None:
    """The whole way: a module that a user built with the wrong flags."""
    need("gcc")
    if V3.can_run():
        pytest.skip(V3.can_run())
    script = copy(tmp_path) / "edge_runtime" / "native" / "build.py"
    text = script.read_text()
    script.write_text(text.replace('"-ffp-contract=off"', '"-ffp-contract=fast", "-march=x86-64-v3"'))
    assert script.read_text() != text
    subprocess.run([sys.executable, script], check=True, capture_output=True)
    done = run(tmp_path)
    assert done.returncode == 3
    assert "other bits in: " in done.stderr
    assert "-ffast-math" in done.stderr
