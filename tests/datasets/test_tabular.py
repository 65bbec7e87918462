"""Tables of records: each line a record of numbers and texts, frozen with what is missing, split by group."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import numpy as np
import pytest

from cloud_trainer.datasets import freeze, load, read_frames
from cloud_trainer.export.baseline import bins_of, neighbours
from cloud_trainer.features import materialise
from cloud_trainer.project import Project
from cloud_trainer.project import load as load_project
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import ContractError, UsageError
from tests.datasets.sample import edit, write_project

TOML = """
[project]
name = "pumps"

[data]
files = ["pumps.csv"]

[[field]]
name = "torque"
column = "Torque [Nm]"

[[field]]
name = "type"
kind = "text"

[labels]
column = "state"
names = { 0 = "fine", 1 = "worn" }

[features]
list = ["torque:value"]
"""
LINES = [
    "Torque [Nm],type,state,site",
    '40.5,L,0,north',
    ',"M, large",1,north',
    '1e3,,0,south',
    'nan,Łódź,1,south',
]  # fmt: skip


def write_table(folder: Path, lines: list[str], toml: str = TOML) -> tuple[Project, Workspace]:
    (folder / "pumps.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "edgeloop.toml").write_text(toml, encoding="utf-8")
    project = load_project(folder)
    return project, Workspace(folder / "ws")


def test_numbers_texts_and_what_is_missing_are_frozen_as_they_are(tmp_path: Path) -> None:
    project, ws = write_table(tmp_path, LINES, TOML + '[groups]\ncolumn = "site"\n')
    version = freeze(project, ws)
    assert [(f.name, f.kind) for f in version.fields] == [("torque", "number"), ("type", "text")]
    assert (version.rows, version.recordings, version.channels) == (4, 2, ())
    north, south = read_frames(ws, load(ws, "pumps@1"))
    assert (north.name, north.group, north.frames.shape) == ("north", "north", (2, 0))
    assert north.fields["type"] == ["L", "M, large"]
    assert north.fields["torque"][0] == 40.5
    assert math.isnan(float(north.fields["torque"][1] or 0))
    assert south.fields["type"] == [None, "Łódź"]
    assert [tuple(span) for span in south.spans] == [(0, 1, "fine"), (1, 2, "worn")]
    assert freeze(project, ws).ref == version.ref


def test_a_missing_number_in_words_and_a_time_are_as_on_the_device(tmp_path: Path) -> None:
    project, ws = write_table(tmp_path, [LINES[0], "NA,NA,0,x", "2015-02-04T17:51:00Z,L,1,x"], TOML)
    freeze(project, ws)
    found = {
        word: float(number or 0)
        for recording in read_frames(ws, load(ws, "pumps"))
        for number, word in zip(recording.fields["torque"], recording.fields["type"], strict=True)
    }
    assert found["L"] == 1423072260000.0
    assert math.isnan(found["NA"])


def test_a_changed_cell_is_a_new_version(tmp_path: Path) -> None:
    project, ws = write_table(tmp_path, LINES)
    first = freeze(project, ws)
    changed = [*LINES[:2], LINES[2].replace("M, large", "M"), *LINES[3:]]
    (tmp_path / "pumps.csv").write_text("\n".join(changed) + "\n", encoding="utf-8")
    assert freeze(project, ws).digest != first.digest


def test_a_row_that_stands_twice_is_in_one_group(tmp_path: Path) -> None:
    """Without groups, rows are dealt by their content: a copy never sits on the other side of a split."""
    lines = [LINES[0], *(f"{i % 50},L,{i % 2},x" for i in range(200))]
    project, ws = write_table(tmp_path, lines)
    freeze(project, ws)
    groups: dict[float, set[str]] = {}
    for recording in read_frames(ws, load(ws, "pumps")):
        for value in recording.fields["torque"]:
            groups.setdefault(float(value or 0), set()).add(recording.group)
    assert len(groups) == 50
    assert all(len(found) == 1 for found in groups.values())
    assert len(set.union(*groups.values())) > 10


def write_parquet(path: Path, select: str) -> None:
    duckdb.connect(":memory:").execute(f"copy ({select}) to '{path}' (format parquet)")


@pytest.mark.parametrize("groups", ["", '[groups]\ncolumn = "site"\n'])
def test_a_table_in_parquet_is_the_same_version(tmp_path: Path, groups: str) -> None:
    """Same rows, same digest: what is missing, texts, and a label that is a number."""
    project, ws = write_table(tmp_path, LINES, TOML + groups)
    version = freeze(project, ws)
    write_parquet(tmp_path / "pumps.parquet", f"select * from read_csv('{tmp_path / 'pumps.csv'}', nullstr='')")
    (tmp_path / "pumps.csv").unlink()
    (tmp_path / "edgeloop.toml").write_text((TOML + groups).replace("pumps.csv", "*.parquet"), encoding="utf-8")
    assert freeze(load_project(tmp_path), ws).ref == version.ref
    write_parquet(
        tmp_path / "pumps.parquet",
        """select 40.5::decimal(9,2) as "Torque [Nm]", 'L' as type, 0::int as state, 'north' as site
        union all select null, 'M, large', 1, 'north' union all select 1e3, '', 0, 'south'
        union all select 'nan'::double, 'Łódź', 1, 'south'""",
    )
    assert freeze(load_project(tmp_path), ws).ref == version.ref


@pytest.mark.parametrize(
    ("select", "says"),
    [
        ("'forty' as \"Torque [Nm]\", 'L' as type, 0 as state", "row 1, column 'Torque [Nm]': 'forty' is no number"),
        ("4 as \"Torque [Nm]\", 'L' as type, null as state", "row 1, column 'state': it is empty"),
        ("4 as \"Torque [Nm]\", 'L' as type, [1] as state", "row 1, column 'state': [1] is no text"),
        ("4 as \"Torque [Nm]\", 'L' as typ, 0 as state", "no column 'type', did you mean 'typ'?"),
    ],
)
def test_a_broken_row_of_parquet_is_refused_by_place(tmp_path: Path, select: str, says: str) -> None:
    project, ws = write_table(tmp_path, LINES, TOML.replace("pumps.csv", "pumps.parquet"))
    write_parquet(tmp_path / "pumps.parquet", f"select {select}")
    with pytest.raises(ContractError) as caught:
        freeze(project, ws)
    assert says in str(caught.value)


def test_records_that_are_dealt_keep_their_places(tmp_path: Path) -> None:
    """The order of files and lines is content; no record of one file follows one of another."""
    (tmp_path / "a").mkdir()
    lines = [LINES[0], *(f"{i},L,{i % 2},x" for i in range(60))]
    project, ws = write_table(tmp_path / "a", lines, TOML.replace('["pumps.csv"]', '["*.csv"]'))
    (tmp_path / "a" / "r.csv").write_text("\n".join([LINES[0], *(f"{i},L,1,x" for i in range(61, 71))]))
    version = freeze(project, ws)
    found: dict[int, object] = {}
    for recording in read_frames(ws, load(ws, "pumps")):
        assert recording.places is not None
        found.update(zip(recording.places.tolist(), recording.fields["torque"], strict=True))
    assert found == {i: float(i) for i in (*range(60), *range(61, 71))}
    lines[1:] = lines[:0:-1]
    turned = freeze(*write_table(tmp_path / "a", lines, TOML.replace('["pumps.csv"]', '["*.csv"]')))
    assert turned.digest != version.digest


def test_the_baseline_sees_what_follows_what_in_the_file(tmp_path: Path) -> None:
    """Lag-1 of dealt records is that of the file: else drift takes them for independent."""
    rng, torque = np.random.default_rng(1), 0.0
    lines = [LINES[0]]
    for i in range(3000):
        torque = 0.9 * torque + rng.normal()
        lines.append(f"{torque:.4f},L,{i % 2},x")
    project, ws = write_table(tmp_path, lines)
    table = materialise(ws, freeze(project, ws), project.program())
    code = np.unique(table.recording, return_inverse=True)[1]
    bins = bins_of("torque", table.x[:, 0], neighbours(code, table.window))
    assert bins.lag1 == pytest.approx(0.9, abs=0.03)
    assert len(set(table.groups)) > 10


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("forty,L,0,north", "line 6, column 'Torque [Nm]': 'forty' is no number"),
        ("4,L,,north", "line 6, column 'state': it is empty"),
        ("4,L,2,north", "label '2' is neither in labels.names"),
        ("4,L,0", "line 6: 3 cells, the header has 4"),
    ],
)
def test_a_broken_line_is_refused_by_place(tmp_path: Path, line: str, says: str) -> None:
    project, ws = write_table(tmp_path, [*LINES, line])
    with pytest.raises(ContractError) as caught:
        freeze(project, ws)
    assert says in str(caught.value)
    assert not ws.tables.names()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('kind = "text"', 'kind = "date"', "field[1].kind: want one of number, text"),
        ('name = "type"', 'name = "torque"', "field[1].name: want each field once"),
        ('[labels]\ncolumn = "state"', '[labels]\nindex = {file="a.csv",label_column="b"}', "labels"),
    ],
)
def test_a_wrong_project_is_refused_by_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises((UsageError, ContractError)) as caught:
        freeze(*write_table(tmp_path, LINES, TOML.replace(old, new)))
    assert says in str(caught.value)


def test_fields_stand_beside_the_channels_of_a_recording(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    for file in (tmp_path / "rec").glob("*.csv"):
        head, *rows = file.read_text(encoding="utf-8").splitlines()
        lines = [f"{row},{'a' if i < 50 else ''}" for i, row in enumerate(rows)]
        file.write_text("\n".join([head + ",site", *lines]) + "\n", encoding="utf-8")
    project = load_project(edit(path, "[labels.index]", '[[field]]\nname = "site"\nkind = "text"\n\n[labels.index]'))
    ws = Workspace(tmp_path / "ws")
    freeze(project, ws)
    for recording in read_frames(ws, load(ws, "sample")):
        assert recording.frames.shape == (100, 2)
        assert recording.fields["site"] == ["a"] * 50 + [None] * 50
