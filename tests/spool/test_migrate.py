"""Spools of every schema that has shipped are opened; a newer one is left alone; a cut leaves the one or the other.

golden/N holds files of schema N made by the code of its day: one that was closed, one whose process was killed (its
last commits are in the log alone), and what they hold.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import ContractError
from edge_runtime.spool import Spool, files
from tests.spool.common import draft, open_spool

GOLDEN = Path(__file__).parent / "golden"
SHIPPED = [(schema, way) for schema in range(1, files.SCHEMA + 1) for way in ("closed", "killed")]
# A schema that may come: a table, every batch rewritten, a column. The small cache makes pages reach the file early.
PLANTED = (
    "PRAGMA cache_size=1",
    "CREATE TABLE later (name TEXT PRIMARY KEY) WITHOUT ROWID",
    "UPDATE batch SET payload = CAST(payload || 'z' AS BLOB)",
    "ALTER TABLE checkpoint RENAME COLUMN name TO stream",
    "ALTER TABLE checkpoint RENAME COLUMN stream TO name",
)


def golden(to: Path, schema: int = 1, way: str = "closed") -> Path:
    """A copy of the file, its log and its mark."""
    to.mkdir(exist_ok=True)
    for part in (GOLDEN / str(schema)).glob(f"{way}.db*"):
        shutil.copyfile(part, to / part.name.replace(way, "spool"))
    return to / "spool.db"


def facts(schema: int = 1, way: str = "closed") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / str(schema) / "facts.json").read_text(encoding="utf-8"))[way]
    return found


def held(spool: Spool, *, cut: int = 0) -> dict[str, Any]:
    """What it holds, as in facts.json; `cut` bytes less of each payload. As a copy it goes on under another epoch."""
    [epoch] = {b.epoch for b in spool.pending(999)}
    assert spool.epoch != epoch
    return {
        "epoch": epoch, "last_seq": spool.last_seq,
        "pending": [
            [b.first_seq, b.last_seq, b.kind, b.stream, b.sealed_ms,
             sha256(b.payload[: len(b.payload) - cut]).hexdigest()]
            for b in spool.pending(999)
        ],
        "checkpoints": {name: sha256(value).hexdigest() for name, value in spool.checkpoints().items()},
    }  # fmt: skip


def everything(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(("schema", "way"), SHIPPED)
def test_a_spool_of_every_schema_that_shipped_goes_on(schema: int, way: str, tmp_path: Path) -> None:
    with open_spool(golden(tmp_path, schema, way)) as spool:
        assert spool.set_aside is None
        assert held(spool) == facts(schema, way)
        spool.commit([draft(3)], now_ms=9)
        assert spool.last_seq == facts(schema, way)["last_seq"] + 3


def test_every_schema_that_shipped_has_its_golden_files_and_its_way_on() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == [str(n) for n in range(1, files.SCHEMA + 1)]
    assert sorted(files.MIGRATIONS) == list(range(1, files.SCHEMA))


# ---- a schema that may come ----


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Be the program of that schema: of 2, or of 1, the one before."""

    def be(schema: int) -> None:
        monkeypatch.setattr(files, "SCHEMA", schema)
        monkeypatch.setattr(files, "MIGRATIONS", {1: PLANTED} if schema > 1 else {})

    return be


@pytest.mark.parametrize("way", ["closed", "killed"])
def test_an_older_spool_becomes_one_of_this_schema_with_all_that_it_held(
    newer: Callable[[int], None], way: str, tmp_path: Path
) -> None:
    path = golden(tmp_path, way=way)
    newer(2)
    for _ in range(2):
        with open_spool(path) as spool:
            assert held(spool, cut=1) == facts(way=way)
            assert spool.set_aside is None
    assert files._header_version(path) == 2
    before = everything(tmp_path)
    newer(1)
    with pytest.raises(ContractError, match="schema 2, this program knows up to 1") as why:
        open_spool(path)
    assert "run the newer edge-runtime again" in why.value.hint
    assert everything(tmp_path) == before


def test_a_newer_spool_is_refused_before_a_file_is_made_beside_it(newer: Callable[[int], None], tmp_path: Path) -> None:
    path = golden(tmp_path)
    newer(2)
    open_spool(path).close()
    newer(1)
    for beside in set(tmp_path.iterdir()) - {path}:
        beside.unlink()
    with pytest.raises(ContractError):
        open_spool(path)
    assert [file.name for file in tmp_path.iterdir()] == ["spool.db"]


def cuts(path: Path, to: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder as it is before each statement of a migration and after the last: what a killed process leaves."""
    folders: list[Path] = []
    migrate = files._migrate

    def snap(_: str = "") -> None:
        folders.append(to / f"cut-{len(folders)}")
        shutil.copytree(path.parent, folders[-1])

    def watched(db: sqlite3.Connection, version: int) -> None:
        db.set_trace_callback(snap)
        migrate(db, version)
        db.set_trace_callback(None)
        snap()

    monkeypatch.setattr(files, "_migrate", watched)
    open_spool(path).close()
    monkeypatch.setattr(files, "_migrate", migrate)
    yield from folders


def check_cuts(newer: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Each cut is whole for the newer program; the older one finds its own, or leaves it alone. The schemas it was."""
    path = golden(tmp_path / "device", way="killed")
    newer(2)
    schemas = set()
    for folder in cuts(path, tmp_path, monkeypatch):
        older = shutil.copytree(folder, folder.with_name(f"{folder.name}-older"))
        newer(2)
        with open_spool(folder / "spool.db") as spool:
            assert spool.set_aside is None
            assert held(spool, cut=1) == facts(way="killed")
        newer(1)
        before = everything(older)
        try:
            with open_spool(older / "spool.db") as spool:
                assert spool.set_aside is None
                assert held(spool) == facts(way="killed")
            schemas.add(1)
        except ContractError:
            assert everything(older) == before
            schemas.add(2)
    return schemas


def test_a_migration_cut_anywhere_leaves_the_old_spool_or_the_new(
    newer: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_cuts(newer, tmp_path, monkeypatch) == {1, 2}


def _through_the_log(db: sqlite3.Connection, version: int) -> None:
    """The planted bug: the header names the new schema only once the log is emptied."""
    db.execute("BEGIN EXCLUSIVE")
    for statement in files.MIGRATIONS[version]:
        db.execute(statement)
    db.execute(f"PRAGMA user_version={files.SCHEMA}")
    db.execute("COMMIT")


def _step_by_step(db: sqlite3.Connection, version: int) -> None:
    """The planted bug: each statement holds by itself."""
    db.execute("PRAGMA journal_mode=DELETE")
    for statement in files.MIGRATIONS[version]:
        db.execute(statement)
    db.execute(f"PRAGMA user_version={files.SCHEMA}")
    db.execute("PRAGMA journal_mode=WAL")


@pytest.mark.planted
@pytest.mark.parametrize("bug", [_through_the_log, _step_by_step])
def test_a_planted_migration_is_seen(
    bug: Callable[[sqlite3.Connection, int], None],
    newer: Callable[[int], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "_migrate", bug)
    with pytest.raises((AssertionError, sqlite3.Error)):
        check_cuts(newer, tmp_path, monkeypatch)
