import gzip
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.datasets import (
    ExtraRecording,
    RecordRows,
    freeze,
    load,
    read_frames,
    read_recordings,
    read_records,
    versions,
)
from cloud_trainer.datasets.content import digest_frames, digest_records
from cloud_trainer.project import load as load_project
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import ContractError, UsageError
from tests.datasets.sample import edit, frames, write_project, write_recording


def records(*, n: int = 4, label: str = "busy", program: str = "a" * 64) -> RecordRows:
    return RecordRows(
        program_digest=program,
        features=np.arange(n * 8, dtype=np.float32).reshape(n, 8),
        labels=[label] * n,
        ids=[("dev-1", 2**63 + 5, seq) for seq in range(1, n + 1)],
        groups=[f"g{i % 2}" for i in range(n)],
    )


def test_a_version_holds_the_bits_of_its_recordings(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path))
    ws = Workspace(tmp_path / "ws")
    version = freeze(project, ws)
    assert (version.ref, version.rows, version.recordings) == ("sample@1", 600, 6)
    assert version.labels == ("busy", "idle")
    for stored, read in zip(read_frames(ws, version), read_recordings(project), strict=True):
        assert (stored.name, stored.group, stored.spans) == (read.name, read.group, read.spans)
        assert stored.frames.tobytes() == read.frames.tobytes()


def test_the_digest_does_not_see_files(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path / "a"))
    there = freeze(project, Workspace(tmp_path / "a" / "ws"))
    path = write_project(tmp_path / "b")
    files = sorted((tmp_path / "b" / "rec").iterdir())
    random.Random(1).shuffle(files)
    for i, file in enumerate(files):  # other folders, packed, columns the other way round, other text of a number
        lines = [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]
        text = "\n".join(f"{y},skip,{x if x == 'x' else repr(float(x))}" for x, y in lines)
        moved = tmp_path / "b" / f"deep{i}" / "er" / f"{file.name}.gz"
        moved.parent.mkdir(parents=True)
        moved.write_bytes(gzip.compress(text.encode()))
        file.unlink()
    edit(path, "rec/*.csv", "deep*/**/*.csv.gz")
    here = freeze(load_project(path), Workspace(tmp_path / "b" / "ws"))
    assert here.digest == there.digest


def test_the_digest_does_not_see_the_order(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path))
    recordings = read_recordings(project)
    channels = project.program().channels
    assert digest_frames(recordings[::-1], channels, 10.0) == digest_frames(recordings, channels, 10.0)
    rows = records()
    back = replace(rows, features=rows.features[::-1], ids=rows.ids[::-1], groups=rows.groups[::-1])
    assert digest_records(back, ["a", "b"]) == digest_records(rows, ["b", "a"])
    assert digest_records(replace(back, ids=rows.ids), ["a", "b"]) != digest_records(rows, ["a", "b"])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("rec/idle-0.csv", "\n0.", "\n1."),
        ("takes.csv", "idle-0.csv,idle,0", "idle-0.csv,calm,0"),
        ("takes.csv", "idle-0.csv,idle,0", "idle-0.csv,idle,1"),
        ("edgeloop.toml", "scale = 0.5", "scale = 0.25"),
        ("edgeloop.toml", 'unit = "g"', 'unit = "m/s^2"'),
        ("edgeloop.toml", "rate_hz = 10.0", "rate_hz = 20.0"),
    ],
)
def test_the_digest_sees_every_part_of_the_content(tmp_path: Path, file: str, old: str, new: str) -> None:
    path = write_project(tmp_path)
    ws = Workspace(tmp_path / "ws")
    before = freeze(load_project(path), ws)
    edit(tmp_path / file, old, new)
    after = freeze(load_project(path), ws)
    assert after.version == 2
    assert after.digest != before.digest


def test_freezing_the_same_again_gives_the_same_version(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path))
    ws = Workspace(tmp_path / "ws")
    first = freeze(project, ws)
    write_recording(tmp_path / "new.csv", frames("busy", 9, 50))
    extra = ExtraRecording(file=tmp_path / "new.csv", label="busy", group="9")
    second = freeze(project, ws, extra_recordings=[extra])
    assert (second.ref, second.recordings) == ("sample@2", 7)
    assert freeze(project, ws) == first
    assert freeze(project, ws, extra_recordings=[extra]) == second
    assert versions(ws) == [first, second]
    assert len(ws.lineage.read_text(encoding="utf-8").splitlines()) == 2


def test_a_former_version_is_read_as_it_was(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    ws = Workspace(tmp_path / "ws")
    first = freeze(load_project(path), ws)
    before = [(r.name, r.frames.tobytes(), r.spans) for r in read_frames(ws, first)]
    (tmp_path / "rec" / "idle-2.csv").unlink()
    edit(path, 'name = "y"', 'name = "z"\ncolumn = "y"')
    second = freeze(load_project(path), ws)
    assert [channel.name for channel in second.channels] == ["x", "z"]
    assert len(read_frames(ws, second)) == 5
    assert [(r.name, r.frames.tobytes(), r.spans) for r in read_frames(ws, load(ws, "sample@1"))] == before


def test_stored_content_that_was_changed_is_refused(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    version = freeze(load_project(write_project(tmp_path)), ws)
    changed = ws.tables.sql(f"select * replace (x + 1 as x) from {version.table}")
    ws.tables.replace(version.table, changed)
    planted = replace(version, delta_version=1)
    with pytest.raises(ContractError, match="sample@1: stored content has digest"):
        read_frames(ws, planted)
    assert len(read_frames(ws, version)) == 6


def test_a_version_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    with pytest.raises(UsageError, match="sample@latest"):
        load(ws, "sample")
    freeze(load_project(write_project(tmp_path)), ws)
    assert load(ws, "sample") == load(ws, "sample", 1) == load(ws, "sample@1")
    with pytest.raises(UsageError, match="sample@7") as caught:
        load(ws, "sample@7")
    assert caught.value.hint == "there are: sample@1"


def test_records_and_their_parent_make_a_version(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path))
    ws = Workspace(tmp_path / "ws")
    parent = freeze(project, ws)
    rows = records(label="walk")
    version = freeze(project, ws, records=rows, parents=[parent])
    assert (version.ref, version.rows, version.parents) == ("sample@2", 4, ("sample@1",))
    assert version.labels == ("busy", "idle", "walk")
    stored = read_records(ws, version)
    assert stored is not None
    assert stored.features.tobytes() == rows.features.tobytes()
    assert (list(stored.ids), list(stored.labels), list(stored.groups)) == (rows.ids, rows.labels, rows.groups)
    assert freeze(project, ws, records=rows, parents=[parent]) == version
    event = json.loads(ws.lineage.read_text(encoding="utf-8").splitlines()[-1])
    assert [item["name"] for item in event["inputs"]] == ["sample@1"]


def test_records_that_break_are_refused_whole(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path))
    ws = Workspace(tmp_path / "ws")
    parent = freeze(project, ws)
    good = records()
    bad = {
        "empty label": {"labels": ["busy", "", "busy", "busy"]},
        "stands twice": {"ids": [good.ids[0]] * 4},
        "feature 7 is nan": {"features": np.where(good.features == 7, np.nan, good.features)},
        "3 entries for 4 rows": {"groups": ["a"] * 3},
    }
    for message, change in bad.items():
        with pytest.raises(ContractError, match=message):
            freeze(
                project,
                ws,
                records=replace(good, **change),  # type: ignore[arg-type]
                parents=[parent],
            )
    with pytest.raises(UsageError, match="has parents"):
        freeze(project, ws, records=good)
    child = freeze(project, ws, records=good, parents=[parent])
    with pytest.raises(ContractError, match="are of program bbbbbbbbbbbb"):
        freeze(project, ws, records=records(program="b" * 64), parents=[child])
    assert versions(ws) == [parent, child]
