"""One definition, proved: batch, stream in any cutting, replay from a saved state and threads give identical bits."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime import native
from tests.features.definition import prove, prove_rows
from tests.features.programs import case

ROOT = Path(__file__).resolve().parents[2]
CASES = range(0, 1500)


def test_every_way_gives_identical_bits() -> None:
    """1,500 programs by chance, each in two cuttings, from a saved state, and in threads."""
    assert prove(CASES) > 30_000


def test_every_way_gives_identical_cells_of_records() -> None:
    """400 chains of row operators by chance: as columns, one by one, in a stream, from a saved state, in threads."""
    assert prove_rows(range(400)) == 8000


def test_the_cases_have_every_operator_and_every_policy() -> None:
    """Else the proof would say less than it seems to."""
    programs = [case(seed).program for seed in CASES]
    used = {f.op for p in programs for f in p.features} | {f.op for p in programs for f in p.filters}
    missing = [op.name for op in native.operators() if op.kind != "row" and op.id not in used]
    assert not missing
    assert {p.timing.policy for p in programs} == {"none", "hold", "interpolate", "mark", "reset"}
    assert {f.taper for p in programs for f in p.filters} == {"none", "hann", "hamming"}
    assert sum(any(c.every > 1 for c in p.channels) for p in programs) > 100
    assert sum(len(p.filters) > 2 for p in programs) > 100


BUGS = [
    ("er_windows.c", "    memcpy(bytes, w->filter_state, w->filter_bytes);\n", ""),
    ("er_windows.c", "(every - first % every) % every", "0"),
    ("er_windows.c", "memmove(lane->row, lane->row + lane->at,", "memmove(lane->row, lane->row + w->p->window,"),
]


@pytest.mark.planted
@pytest.mark.parametrize(("file", "right", "wrong"), BUGS, ids=["state not saved", "phase of a push", "wrong move"])
def test_a_core_with_a_planted_bug_is_caught(file: str, right: str, wrong: str, tmp_path: Path) -> None:
    for name in ("csrc", "edge_runtime", "tests/features"):
        ignored = shutil.ignore_patterns("out", "*.so", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    (tmp_path / "tests" / "__init__.py").touch()
    source = tmp_path / "csrc" / file
    text = source.read_text(encoding="ascii")
    assert text.count(right) == 1, f"{file} has changed: plant the bug anew"
    source.write_text(text.replace(right, wrong), encoding="ascii")
    build = tmp_path / "edge_runtime" / "native" / "build.py"
    build.write_text(build.read_text(encoding="utf-8").replace('"-O3"', '"-O1"'), encoding="utf-8")
    subprocess.run([sys.executable, build], cwd=tmp_path, check=True, capture_output=True)
    command = [sys.executable, "-m", "tests.features.definition", "0", "150"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "has other bits than the batch" in done.stderr
