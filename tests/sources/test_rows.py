"""Rows of recordings: numbers, texts and what is missing stay apart, and what is broken is named by row."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.errors import ContractError
from edge_runtime.sources import RowField, open_rows
from edge_runtime.sources.cells import BadLine, field_number
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


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("NA", None),
        ("n/a", None),
        ("null", None),
        ("?", None),
        ("nan", None),
        ("1970-01-02T00:00:00+01:00", 82800000.0),
        ("1970-01-01 00:00:01.5Z", 1500.0),
    ],
)
def test_a_number_may_be_missing_in_words_or_a_time(tmp_path: Path, cell: str, value: float | None) -> None:
    (tmp_path / "a.csv").write_text(f"v,kind\n{cell},{cell}\n")
    with closing(open_rows(f"playback {tmp_path}/a.csv", FIELDS)) as rows:
        assert rows.read_rows(9) == [(cell, value)]
    (tmp_path / "a.ndjson").write_text(f'{{"v":"{cell}","kind":"{cell}"}}\n')
    with closing(open_rows(f"exec format=ndjson cat {tmp_path}/a.ndjson", FIELDS)) as rows:
        assert rows.read_rows(9) == [(cell, value)]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("2015-02-04 17:51:00", "'2015-02-04 17:51:00' has no zone"),
        ("2015-13-04T00:00:00Z", "'2015-13-04T00:00:00Z' is no number, and no time"),
        ("nano", "'nano' is no number"),
    ],
)
def test_a_number_that_is_none_is_told(cell: str, says: str) -> None:
    with pytest.raises(BadLine) as caught:
        field_number(cell)
    assert says in str(caught.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("v\n1\n")
    with pytest.raises(ContractError, match="no column 'kind'"):
        open_rows(f"playback {tmp_path}/a.csv", FIELDS)


def test_frames_of_audio_are_rows_too(tmp_path: Path) -> None:
    pcm(tmp_path / "a.wav", [64, -64], bits=8)
    with closing(open_rows(f"playback {tmp_path}/a.wav", [RowField(name="v")])) as rows:
        assert rows.read_rows(9) == [(0.5,), (-0.5,)]
