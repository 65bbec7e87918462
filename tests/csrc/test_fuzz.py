"""Any bytes into the core: a short run of every fuzz entry from the kept corpus. `make fuzz` runs longer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.csrc.targets import CSRC, ROOT, need

CORPUS = ROOT / "tests" / "fuzz" / "corpus"
ENTRIES = sorted(path.stem for path in (CSRC / "tests").glob("fuzz_*.c"))
pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def fuzz(csrc: Path, entry: str, seconds: int) -> subprocess.CompletedProcess[str]:
    """`make fuzz` of one entry."""
    need("make", "clang")
    env = os.environ | {"FUZZ_SECONDS": str(seconds)}
    command = ["make", "-C", str(csrc), "fuzz", f"FUZZ={entry}", f"CORPUS={CORPUS}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize("entry", ENTRIES)
def test_ten_seconds_find_nothing(entry: str) -> None:
    assert list((CORPUS / entry).iterdir()), "keep what a long run found: make -C csrc corpus"
    done = fuzz(CSRC, entry, 10)
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{entry}: clean" in done.stdout


BUGS = [  # (entry, file, right, wrong)
    ("fuzz_program", "er_program.c", "p->hop <= p->window && ", ""),
    ("fuzz_state", "er_state.c", "n->fill >= p->window ||", ""),
    ("fuzz_row", "er_row_ops.c", "bucket += x >= edges[e]", "bucket += x > edges[e]"),
    ("fuzz_model", "er_model.c", "s->to <= written && ", ""),
    ("fuzz_model", "er_model_small.c", "c >= f->h.n_columns || ", ""),
    ("fuzz_model", "er_model_paired.c", "at.u.leaf >= f->h.n_leaves || ", ""),
    ("fuzz_forest", "er_model_trees.c", "n.u.leaf >= f->n_leaves || ", ""),
]


@pytest.mark.planted
@pytest.mark.parametrize(("entry", "file", "right", "wrong"), BUGS, ids=[f"{bug[0]}: {bug[1]}" for bug in BUGS])
def test_a_planted_bug_is_found(entry: str, file: str, right: str, wrong: str, tmp_path: Path) -> None:
    """The kept corpus (units that a check refuses today among them) and ten seconds are enough."""
    core = tmp_path / "csrc"
    shutil.copytree(CSRC, core, ignore=shutil.ignore_patterns("out"))
    for built in (CSRC / "out" / "fuzz").glob(
        "*.o"
    ):  # of the entries above: what is not planted need not be built anew
        (core / "out" / "fuzz").mkdir(parents=True, exist_ok=True)
        shutil.copy2(built, core / "out" / "fuzz")
    text = (core / file).read_text()
    assert text.count(right) == 1
    (core / file).write_text(text.replace(right, wrong))
    done = fuzz(core, entry, 10)
    assert done.returncode != 0, done.stdout[-2000:]
    assert "SUMMARY: " in done.stdout
