"""Every line and branch of csrc is taken by its own C tests; nothing is left out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.csrc.targets import CSRC, need

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def coverage(csrc: Path) -> subprocess.CompletedProcess[str]:
    need("make", "gcc", "gcov")
    return subprocess.run(["make", "-C", str(csrc), "-j2", "coverage"], capture_output=True, text=True, check=False)


def test_every_line_and_branch_is_taken() -> None:
    done = coverage(CSRC)
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if line.startswith("c"))


@pytest.mark.planted
def test_a_line_that_no_test_runs_is_named(tmp_path: Path) -> None:
    core = tmp_path / "csrc"
    shutil.copytree(CSRC, core, ignore=shutil.ignore_patterns("out"))
    path = core / "er_status.c"
    text = path.read_text()
    assert text.count('    default: return "unknown status";') == 1
    line = '    case 77: return "never";\n    default: return "unknown status";'
    path.write_text(text.replace('    default: return "unknown status";', line))
    done = coverage(core)
    assert done.returncode != 0
    assert 'never run: case 77: return "never";' in done.stdout
