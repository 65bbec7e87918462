"""A workspace is checked to the byte, copied whole while it grows, and brought back."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from cloud_trainer import backup
from cloud_trainer.ingest import view
from cloud_trainer.workspace import MARKER, Workspace
from edge_runtime.errors import ContractError, UsageError
from tests.cli.app import call
from tests.labels.test_late import Field


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Telemetry, a bundle, lineage and a runs' database."""
    import sqlite3

    field = Field(tmp_path_factory.mktemp("store") / "ws")
    field.ws.add_lineage("freeze", inputs=[], outputs=["a@1"], facts={})
    with sqlite3.connect(field.ws.root / "mlflow.db") as database:
        database.execute("create table runs (id text)")
    database.close()
    (field.ws.keys / "release.pem").write_text("secret")
    for folder in ("rollouts", "depot", "programs"):
        (field.ws.root / folder).mkdir()
        (field.ws.root / folder / "one").write_text(folder)
    return field.ws.root


def rows(root: Path) -> list[tuple[object, ...]]:
    query = "select device, epoch, seq, label from records order by all"
    return [tuple(row) for row in view.sql(Workspace(root), query).fetchall()]


def test_a_copy_that_is_brought_back_is_the_workspace(made: Path, tmp_path: Path) -> None:
    told = call("store", "backup", tmp_path / "copy", "-w", made)
    assert "table raw_records" in told
    assert "400 rows, whole" in told
    assert "it holds the signing keys" in told
    call("store", "restore", tmp_path / "copy", "-w", tmp_path / "back")
    assert rows(tmp_path / "back") == rows(made)
    assert (tmp_path / "back" / "keys" / "release.pem").read_text() == "secret"
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == sorted(path.name for path in made.iterdir())
    assert (tmp_path / "back" / "rollouts" / "one").read_text() == "rollouts"
    assert Workspace(tmp_path / "back").tables.version("raw_summaries") == Workspace(made).tables.version(
        "raw_summaries"
    )
    assert call("store", "check", "-w", tmp_path / "back") == call("store", "check", "-w", made)


def test_a_copy_made_while_others_append_is_whole(made: Path, tmp_path: Path) -> None:
    growing = tmp_path / "growing"
    shutil.copytree(made, growing)
    ws, stop, first = Workspace(growing), threading.Event(), threading.Event()

    def append() -> None:
        while not stop.is_set():
            ws.tables.append("raw_late", {"n": list(range(50))})
            first.set()

    writer = threading.Thread(target=append)
    writer.start()
    first.wait()
    try:
        parts = backup.copy(ws, tmp_path / "copy")
    finally:
        stop.set()
        writer.join()
    assert [part.problems for part in parts if part.problems] == []
    [(n,)] = Workspace(tmp_path / "copy").tables.sql("select count(*) from raw_late").fetchall()
    assert n % 50 == 0


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("tables/raw_records/*.parquet", "table raw_records"),
        ("bundles/*.elb", "a.elb"),
        ("lineage.ndjson", "line 1: is no JSON"),
        ("mlflow.db", "mlflow.db"),
    ],
)
def test_one_changed_byte_is_found_and_nothing_broken_is_copied(
    broken: str, said: str, made: Path, tmp_path: Path
) -> None:
    root = tmp_path / "ws"
    shutil.copytree(made, root)
    [path] = root.glob(broken)
    data = bytearray(path.read_bytes())
    at = len(data) // 3 if path.suffix in {".parquet", ".elb"} else 0
    data[at] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(ContractError, match=said):
        call("store", "check", "-w", root)
    with pytest.raises(UsageError, match="store check names all|" + said):
        call("store", "backup", tmp_path / "copy", "-w", root)
    assert not (tmp_path / "copy").exists()


def test_a_file_that_is_gone_is_named(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "ws"
    shutil.copytree(made, root)
    [path] = (root / "tables" / "raw_records").glob("*.parquet")
    path.unlink()
    with pytest.raises(ContractError, match=f"raw_records: {path.name}: is not there"):
        call("store", "check", "-w", root)


def test_nothing_is_written_over(made: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UsageError, match="not empty"):
        call("store", "backup", tmp_path / "full", "-w", made)
    with pytest.raises(UsageError, match="not empty"):
        call("store", "restore", made, "-w", tmp_path / "full")


def test_a_copy_that_was_cut_short_is_no_workspace(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full after three files: the marker, which comes last, is missing."""
    copied, copy2 = [], shutil.copy2

    def full(source: Path, target: Path) -> object:
        copied.append(source)
        if len(copied) > 3:
            raise OSError(28, "No space left on device", str(target))
        return copy2(source, target)

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(UsageError, match="No space left on device"):
        call("store", "backup", tmp_path / "copy", "-w", made)
    assert not (tmp_path / "copy" / MARKER).exists()
    with pytest.raises(UsageError, match="there is none"):
        call("store", "check", "-w", tmp_path / "copy")
