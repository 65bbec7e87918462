"""Planted bugs in the C core: its own tests must fail with each of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.csrc.targets import CSRC, RECIPE, need

BUGS = [  # (test program, file, right, wrong)
    ("test_ranks", "er_ranks.c", "if (next == end) sort_around(r, next);", "(void)end;"),
    ("test_ranks", "er_ranks.c", "add_up(at, 256);", "add_up(at, 255);"),
    ("test_ranks", "er_ranks.c", "n <= FEW ? sort_few(x, n) : sort_many", "n <= FEW ? (void)0 : sort_many"),
]


@pytest.mark.planted
@pytest.mark.parametrize(("test", "file", "right", "wrong"), BUGS, ids=[f"{b[1]}: {b[3]}" for b in BUGS])
def test_a_planted_bug_fails_its_test(test: str, file: str, right: str, wrong: str, tmp_path: Path) -> None:
    """The same program passes without the bug."""
    need("gcc")
    core = tmp_path / "csrc"
    shutil.copytree(CSRC, core, ignore=shutil.ignore_patterns("out"))
    sources = [core / "tests" / f"{test}.c", *sorted(core.glob("er_*.c"))]

    def passes() -> bool:
        program = tmp_path / test
        subprocess.run(["gcc", *RECIPE, "-O1", f"-I{core}", *map(str, sources), "-o", program], check=True)
        return subprocess.run([program], capture_output=True, check=False).returncode == 0

    assert passes()
    text = (core / file).read_text()
    assert text.count(right) == 1
    (core / file).write_text(text.replace(right, wrong))
    assert not passes()
