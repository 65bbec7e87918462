"""`cloud-trainer profile --count`: the bundle's own instructions on this machine, one by one."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from cloud_trainer.profile import profile_file, text
from cloud_trainer.profile.counter import count
from cloud_trainer.profile.instructions import WITHIN
from edge_runtime.errors import ContractError, UsageError
from tests.csrc.targets import need
from tests.profile.bundles import ESTIMATORS, PROGRAMS, frames, made


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(PROGRAMS["small"](), ESTIMATORS["forest"](), tmp_path_factory.mktemp("counted"))


def recording(path: Path, n: int) -> str:
    """A source of n frames."""
    lines = [",".join(map(repr, row)) for row in frames()[:n].tolist()]
    path.write_text("\n".join(["c0,c1,c2", *lines]) + "\n")
    return f"playback {path}"


@pytest.mark.system
def test_what_runs_here_is_counted_and_is_near_the_estimate(bundle: Path, tmp_path: Path) -> None:
    """One decision of Python's alone would be more than all of it."""
    need("valgrind")
    found = profile_file(bundle, source=recording(tmp_path / "run.csv", 32 + 16 * 59))
    assert found.counted is not None
    assert found.counted.decisions == 60
    assert f"here ({platform.machine()}), of 60 decisions (exact" in text(found)
    assert found.as_dict()["counted"]["decisions"] == 60
    if platform.machine() == "x86_64":
        total = next(need.instructions.total for need in found.needs if need.target == "x86-64")
        assert found.counted.instructions == pytest.approx(total, rel=WITHIN)


def test_without_valgrind_it_says_so(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="valgrind is not installed, and nothing else here counts") as refused:
        count(bundle, "playback run.csv")
    assert "they are estimated" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("script", "status", "says"),
    [
        (
            "echo '==1== no' >&2; echo 'error: run.csv: No such file' >&2; echo 'hint: x' >&2; exit 3",
            3,
            "--count: run.csv: No",
        ),
        ("echo '==1== Collected : 0' >&2", 2, "'playback run.csv' gave no decision"),
        ("echo '{}'; echo '==1== Collected : 0' >&2", 2, "'playback run.csv' gave no decision"),
    ],
)
def test_a_run_that_fails_or_decides_nothing_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, script: str, status: int, says: str
) -> None:
    (tmp_path / "valgrind").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "valgrind").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises((ContractError, UsageError), match=re.escape(says)) as refused:
        count(bundle, "playback run.csv")
    assert refused.value.exit_code == status
