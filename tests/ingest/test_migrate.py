"""Workspaces of every format that has shipped are read, judged and grow; a step to a newer format may be cut anywhere.

golden/workspace-<format>.zip was made by the code of its day: 50 summaries that arrived twice, 6 records, an event, a
birth, a state, a message set aside, verdicts, a request, lineage and a bundle. Its tables lack columns of today.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from cloud_trainer import backup, workspace
from cloud_trainer.drift import DRIFTED, STEADY, judge, retrain_request
from cloud_trainer.ingest import schema, view
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.labels import of_bundles
from cloud_trainer.workspace import MARKER, Step, Workspace
from edge_runtime.contract import topics
from edge_runtime.errors import ContractError
from tests.ingest import samples

GOLDEN = sorted((Path(__file__).parent / "golden").glob("workspace-*.zip"))
COUNTS = {"records": 6, "summaries": 50, "events": 1, "births": 1, "states": 1, "quarantine": 1}


def unpacked(archive: Path, to: Path) -> Path:
    with zipfile.ZipFile(archive) as files:
        files.extractall(to)
    return to


def counts(ws: Workspace) -> dict[str, int]:
    return {name: view.sql(ws, f"select count(*) from {name}").fetchall()[0][0] for name in COUNTS}


def test_the_format_of_today_is_among_those_that_shipped() -> None:
    assert workspace.FORMAT in {path.stem.partition("-")[2] for path in GOLDEN}


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.stem)
def test_a_workspace_of_every_format_that_shipped_is_read_judged_and_grows(archive: Path, tmp_path: Path) -> None:
    ws = Workspace(unpacked(archive, tmp_path))
    assert not [part for part in backup.check(ws) if part.problems]
    assert counts(ws) == COUNTS
    for name, columns in schema.TABLES.items():  # whatever this program asks for is there, or null
        wanted = ", ".join(f'"{column}"' for column in columns)
        view.sql(ws, f"select {wanted} from {name}").fetchall()
    verdicts = judge(ws)
    assert [(v.device, v.verdict, v.onset_period) for v in verdicts] == [
        ("", DRIFTED, 15),
        ("d0", STEADY, -1),
        ("d1", DRIFTED, 15),
    ]
    assert len(retrain_request(ws, verdicts[2]).records) == 4
    assert of_bundles(ws) == []
    [(old, new)] = ws.tables.sql(
        "select count(*) filter (cause is null), count(*) filter (cause != '') from verdicts"
    ).fetchall()
    assert (old, new) == (3, 2)
    pending = Pending()
    pending.add(
        topics.up(samples.SITE, samples.DEVICE, "rec", samples.STREAM), samples.records(500).to_bytes(), now_ms=8
    )
    append(ws.tables, pending.take().tables)
    view.compact(ws)
    assert counts(ws) == COUNTS | {"records": 10}


def test_a_column_of_a_newer_program_outlives_a_compaction(tmp_path: Path) -> None:
    ws = Workspace(unpacked(GOLDEN[-1], tmp_path))
    ws.tables.append("raw_events", {"site": ["lab"], "device": ["d9"], "epoch": ["1"], "seq": [1], "region": ["north"]})
    view.compact(ws)
    assert view.sql(ws, "select region from events order by region nulls first").fetchall() == [(None,), ("north",)]


# ---- a format that may come ----


def planted(monkeypatch: pytest.MonkeyPatch, done: list[str], *, cut: str = "") -> None:
    """Two steps, 0.1 to 0.2 to 0.3; the process ends within the one that starts from `cut`."""

    def step(name: str) -> Step:
        def run(root: Path) -> None:
            (root / f"made-{name}").write_text("half")
            if name == cut:
                raise KeyboardInterrupt
            (root / f"made-{name}").write_text("whole")
            done.append(name)

        return Step(next={"0.1": "0.2", "0.2": "0.3"}[name], run=run)

    monkeypatch.setattr(workspace, "FORMAT", "0.3")
    monkeypatch.setattr(workspace, "MIGRATIONS", {"0.1": step("0.1"), "0.2": step("0.2")})


def test_an_older_workspace_becomes_one_of_this_format_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, done = unpacked(GOLDEN[0], tmp_path), list[str]()
    planted(monkeypatch, done, cut="0.2")
    with pytest.raises(KeyboardInterrupt):
        Workspace(root)
    assert json.loads((root / MARKER).read_text()) == {"format": "0.2"}
    planted(monkeypatch, done)
    assert counts(Workspace(root)) == COUNTS
    assert json.loads((root / MARKER).read_text()) == {"format": "0.3"}
    Workspace(root)
    assert done == ["0.1", "0.2"]
    assert {path.read_text() for path in root.glob("made-*")} == {"whole"}
    assert not list(root.glob("*.part"))


def test_a_newer_workspace_is_refused_to_the_byte(tmp_path: Path) -> None:
    root = unpacked(GOLDEN[0], tmp_path)
    (root / MARKER).write_text('{"format": "1.0"}')
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with pytest.raises(ContractError, match=r"format 1\.0 is newer than this build's 0\.1") as why:
        Workspace(root)
    assert "update edgeloop" in why.value.hint
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
