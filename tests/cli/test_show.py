"""`edge-runtime show` of a feature program."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.cli import main
from tests.contract.samples import FULL, PROGRAM


def test_a_program_is_shown_with_state_and_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "program.json"
    path.write_bytes(FULL.to_bytes())
    assert main(["show", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"program {FULL.digest[:12]}: 3 channels at 100 Hz, 2 derived, 4 fields, window 256 frames")
    assert "bytes of state, about" in said
    assert "1007 lowpass(5,0.75)" in said


def test_a_program_that_is_none_ends_with_its_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "program.json"
    path.write_bytes(PROGRAM.to_bytes().replace(b'"op":9', b'"op":777'))
    assert main(["show", str(path)]) == 3
    assert "operator 777 is not in this build" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "none.json")]) == 2
    assert "No such file" in capsys.readouterr().err
