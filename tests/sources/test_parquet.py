"""Parquet playback: as CSV with types; what cannot be a frame is named; absent duckdb is one pip line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources import RowField, open_rows, open_source
from edge_runtime.sources.playback import PlaybackSource
from tests.sources.common import played, read_all, read_timed, room_for

duckdb: Any = pytest.importorskip("duckdb")


def write(path: Path, select: str) -> Path:
    duckdb.connect(":memory:").execute(f"copy ({select}) to '{path}' (format parquet)")
    return path


def test_columns_of_any_number_type_come_by_name(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", "select i::int as i, i/4::float as x, i::decimal(9,2) as d, i>1 as b from range(4) r(i)"
    )
    source = open_source(f"playback {path}", rate_hz=10, channels=["x", "d", "b", "i"])
    assert read_all(source, (1, 3)) == [[0, 0, 0, 0], [0.25, 1, 0, 1], [0.5, 2, 1, 2], [0.75, 3, 1, 3]]
    source.close()
    assert open_source(f"playback {path}", rate_hz=10).channels == ("i", "x", "d", "b")


def test_it_is_one_stream_with_csv_and_seeks(tmp_path: Path) -> None:
    one = write(tmp_path / "a.parquet", "select i::float as x from range(3000) r(i)")
    two = tmp_path / "b.csv"
    two.write_text("x\n-1\n-2\n")
    source = open_source(f"playback {one} {two}", rate_hz=10)
    frames = [[float(i)] for i in range(3000)] + [[-1.0], [-2.0]]
    assert read_all(source, (7, 1000)) == frames
    for at in (2999, 0, 1500, 3001, 9999):
        source.seek(at)
        assert read_all(source) == frames[at:]
    source.close()


@pytest.mark.parametrize(
    ("cell", "message"), [("null", "None is missing"), ("'nan'::float", "nan is missing"), ("1e39::double", "finite")]
)
def test_a_number_that_is_none_is_named_after_the_rows_before(tmp_path: Path, cell: str, message: str) -> None:
    path = write(tmp_path / "a.parquet", f"select 1.0::double as x union all select {cell} union all select 3.0")
    source = open_source(f"playback {path}", rate_hz=10)
    out = room_for(9, 1)
    assert source.read(out) == 1
    with pytest.raises(ContractError, match=rf"a.parquet row 2: .*{message}"):
        source.read(out)
    source.seek(2)
    assert read_all(source) == [[3.0]]
    if "1e39" not in cell:
        assert len(read_all(PlaybackSource([path], rate_hz=1, allow_nan=True))) == 3


def test_text_is_no_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", "select 'a' as x")
    with pytest.raises(ContractError, match="row 1: 'a' is no number"):
        played(f"playback {path}", rate_hz=10)


@pytest.mark.parametrize(
    "column", ["1700000000.5::double", "make_timestamp(1700000000500000)", "'2023-11-14T22:13:20.5Z'"]
)
def test_a_column_gives_the_times(tmp_path: Path, column: str) -> None:
    path = write(tmp_path / "a.parquet", f"select {column} as t, 2::int as x")
    source = open_source(f"playback time_s=t {path}", rate_hz=10)
    assert source.channels == ("x",)
    assert read_timed(source) == [([2.0], 1_700_000_000_500_000)]
    with pytest.raises(ContractError, match="no column 'when'"):
        open_source(f"playback time_s=when {path}", rate_hz=10)


def test_rows_keep_their_types(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet",
        "select 1.5 as v, 'a' as s, date '2024-05-01' as d union all select null, null, null "
        "union all select 'nan'::double, '', date '2024-05-02'",
    )
    fields = [RowField(name=name, kind="text" if name != "v" else "number") for name in ("s", "v", "d")]
    rows = open_rows(f"playback {path}", fields)
    assert rows.read_rows(9) == [("a", 1.5, "2024-05-01"), (None, None, None), (None, None, "2024-05-02")]
    assert rows.read_rows(9) == []
    rows.close()


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"x,y\n1,2\n"])
def test_what_is_no_parquet_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(data)
    with pytest.raises(ContractError, match=r"x.parquet: cannot be read"):
        open_source(f"playback {path}", rate_hz=1)
    with pytest.raises(ContractError, match="cannot be read"):
        open_source(f"playback {tmp_path / 'none.parquet'}", rate_hz=1)


def test_a_file_cut_after_its_header_was_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", "select i::float as x, hash(i) as h from range(100000) r(i)")
    source = open_source(f"playback {path}", rate_hz=1, channels=["x"])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ContractError, match="cannot be read"):
        read_all(source)


def test_without_duckdb_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(UsageError, match="Parquet needs duckdb, which is not installed") as refused:
        open_source(f"playback {tmp_path / 'a.parquet'}", rate_hz=1)
    assert refused.value.hint == 'python -m pip install "edgeloop[parquet]"'


def test_it_loads_no_numpy(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", "select 1::float as x")
    code = (
        "import sys; from array import array; from edge_runtime.sources import open_source\n"
        f"s = open_source('playback {path}', rate_hz=1); print(s.read(memoryview(array('f', [0]))))\n"
        "print([m for m in ('numpy', 'pyarrow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "1\n[]\n", done.stderr
