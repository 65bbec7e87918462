"""Rows of recordings: numbers, texts and what is missing stay apart, and what is broken is named by row."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.errors import ContractError
from edge_runtime.sources import RowField, open_rows
from tests.sources.test_wav import pcm

FIELDS = [RowField(name="kind", kind="text"), RowField(name="v")]


def test_fields_come_by_name_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('v,more,kind\n1,x,"a, b"\n,y,\nnan,z,c\n')
    (tmp_path / "b.csv").write_text("kind,v\nd,2e3\n")
    rows = open_rows(f"playback {tmp_path}/a.csv {tmp_path}/b.csv", FIELDS)
    assert rows.read_rows(2) == [("a, b", 1.0), (None, None)]
    assert rows.read_rows(9) == [("c", None)]
    assert rows.read_rows(9) == [("d", 2000.0)]
    assert rows.read_rows(9) == []
    rows.close()


@pytest.mark.parametrize(("line", "message"), [("x,a", "row 2: field 'v': 'x' is no number"), ("1", "line 3: 1 cells")])
def test_a_broken_row_is_named_after_those_before(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(f"v,kind\n1,a\n{line}\n3,c\n")
    rows = open_rows(f"playback {tmp_path}/a.csv", FIELDS)
    assert rows.read_rows(9) == [("a", 1.0)]
    for _ in range(2):
        with pytest.raises(ContractError, match=message):
            rows.read_rows(9)
    rows.seek(2)  # type: ignore[attr-defined]
    assert rows.read_rows(9) == [("c", 3.0)]
    rows.stop()
    assert rows.read_rows(9) == []
    rows.close()


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("v\n1\n")
    with pytest.raises(ContractError, match="no column 'kind'"):
        open_rows(f"playback {tmp_path}/a.csv", FIELDS)


def test_frames_of_audio_are_rows_too(tmp_path: Path) -> None:
    pcm(tmp_path / "a.wav", [64, -64], bits=8)
    with closing(open_rows(f"playback {tmp_path}/a.wav", [RowField(name="v")])) as rows:
        assert rows.read_rows(9) == [(0.5,), (-0.5,)]
