from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from deltalake import DeltaTable

from cloud_trainer.ingest import schema, view
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.records import RecordBatch
from tests.ingest import samples
from tests.ingest.samples import DEVICE, EPOCH, SITE, STREAM


def store(ws: Workspace, batches: Iterable[RecordBatch], *, now_ms: int = 7) -> None:
    pending = Pending()
    for batch in batches:
        pending.add(topics.up(SITE, batch.header.device, "rec", STREAM), batch.to_bytes(), now_ms=now_ms)
    append(ws.tables, pending.take().tables)


def stored_rows(ws: Workspace) -> int:
    return int(ws.tables.sql("select count(*) from raw_records").fetchall()[0][0])


def seqs(ws: Workspace) -> list[int]:
    return [row[0] for row in view.sql(ws, "select seq from records order by seq").fetchall()]


def test_every_table_is_readable_before_anything_arrived(ws: Workspace) -> None:
    for name, columns in schema.TABLES.items():
        relation = view.sql(ws, f"select * from {name}")
        assert relation.columns == list(columns)
        assert relation.fetchall() == []
    assert view.compact(ws) == []


def test_a_row_comes_back_as_it_was_sent(ws: Workspace) -> None:
    batch = samples.records(1, 4)
    pending = Pending()
    pending.add(topics.up(SITE, DEVICE, "rec", STREAM), batch.to_bytes(), now_ms=7)
    pending.add(topics.up(SITE, DEVICE, "sum", STREAM), samples.summary(5).to_bytes(), now_ms=7)
    pending.add(topics.up(SITE, DEVICE, "ev"), samples.event(6).to_bytes(), now_ms=7)
    pending.add(topics.up(SITE, DEVICE, "birth"), samples.birth().to_bytes(), now_ms=7)
    pending.add(topics.up(SITE, DEVICE, "state"), samples.state().to_bytes(), now_ms=7)
    pending.add(topics.up(SITE, DEVICE, "state"), b"\xff", now_ms=7)
    append(ws.tables, pending.take().tables)
    found = view.records(ws).order("seq")
    row = dict(zip(found.columns, found.fetchall()[2], strict=True))
    assert (row["device"], row["epoch"], row["seq"], row["window"]) == (DEVICE, str(EPOCH), 3, 30)
    assert (row["features"], row["scores"], row["reason"]) == ([1.5, 1.75, 2.0], [0.75, 0.25], "floor")
    found = view.summaries(ws)
    row = dict(zip(found.columns, found.fetchall()[0], strict=True))
    assert (row["counts"], row["n_counts"]) == ([0, 2, 3, 0, 0, 0, 0], [4, 3])
    assert (row["sum_sq"], row["label_counts"], row["n_nan"]) == ([2**40, 0], [4, 1, 1], [1, 6])
    assert math.isnan(row["min"][1])
    assert view.events(ws).fetchall()[0][6] == "gap"
    assert view.births(ws).fetchall()[0][:2] == (SITE, DEVICE)
    assert view.sql(ws, "select online from states").fetchall() == [(True,)]
    assert view.sql(ws, "select payload from quarantine").fetchall() == [(b"\xff",)]


def test_a_row_that_arrived_twice_is_there_once(ws: Workspace) -> None:
    store(ws, [samples.records(1, 4)])
    store(ws, [samples.records(1, 4), samples.records(5, 2)], now_ms=9)
    store(ws, [samples.records(1, 4, epoch=5), samples.records(1, 4, device="fan-8")])
    assert stored_rows(ws) == 18
    assert seqs(ws) == sorted([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 1, 2, 3, 4])


def test_compaction_drops_duplicates_once_and_changes_nothing_that_is_read(ws: Workspace) -> None:
    for _ in range(3):
        store(ws, [samples.records(1, 4)])
    before = view.records(ws).order("seq").fetchall()
    [done] = view.compact(ws)
    assert (done.rows, done.dropped, done.files_before) == (4, 8, 3)
    assert stored_rows(ws) == 4
    assert view.records(ws).order("seq").fetchall() == before
    version = ws.tables.version("raw_records")
    [again] = view.compact(ws)
    assert (again.rows, again.dropped, again.files_before) == (4, 0, 1)
    assert ws.tables.version("raw_records") == version
    store(ws, [samples.records(3, 4)])
    assert seqs(ws) == [1, 2, 3, 4, 5, 6]


@pytest.fixture(params=["file", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place of its own on object storage; EDGELOOP_S3 names a bucket, deltalake's variables its endpoint and keys."""
    if request.param == "file":
        return f"file://{tmp_path}/lake"
    if "EDGELOOP_S3" not in os.environ:
        pytest.skip("EDGELOOP_S3 names no bucket: see docs/fleet.md")
    return f"{os.environ['EDGELOOP_S3']}/{uuid4().hex}"


def test_tables_at_a_url_are_stored_read_and_compacted(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELOOP_TABLES", lake)
    ws = Workspace(tmp_path / "ws")
    assert seqs(ws) == []
    store(ws, [samples.records(1, 4)])
    store(ws, [samples.records(3, 4)])
    assert (stored_rows(ws), seqs(ws)) == (8, [1, 2, 3, 4, 5, 6])
    [done] = view.compact(ws)
    assert (done.rows, done.dropped, done.files_before) == (6, 2, 2)
    assert (stored_rows(ws), seqs(ws)) == (6, [1, 2, 3, 4, 5, 6])
    assert not (ws.root / "tables").exists()
    assert ws.tables.version("raw_records") == 2


def test_writers_that_meet_at_a_url_lose_nothing(lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_TABLES", lake)
    ws = Workspace(tmp_path / "ws")
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(store, ws, [samples.records(4 * i + 1, 4)]) for i in range(9)]:
            done.result()
    assert (stored_rows(ws), seqs(ws)) == (36, list(range(1, 37)))


def test_an_append_between_reading_and_committing_survives_compaction(ws: Workspace) -> None:
    store(ws, [samples.records(1, 4), samples.records(1, 4)])
    snapshot = DeltaTable(str(ws.tables.path("raw_records")))
    store(ws, [samples.records(5, 2)])
    view._rewrite(snapshot, "records")
    assert stored_rows(ws) == 6
    assert seqs(ws) == [1, 2, 3, 4, 5, 6]


def test_two_compactions_and_an_appender_at_once_lose_nothing(ws: Workspace) -> None:
    store(ws, [samples.records(1, 4)])
    failed: list[BaseException] = []

    def compacting() -> None:
        try:
            for _ in range(4):
                view.compact(ws)
        except BaseException as why:
            failed.append(why)

    threads = [threading.Thread(target=compacting) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(1, 9):
        store(ws, [samples.records(4 * i + 1, 4), samples.records(1, 4)])
    for thread in threads:
        thread.join()
    assert failed == []
    assert seqs(ws) == list(range(1, 37))
    view.compact(ws)
    assert stored_rows(ws) == 36


def test_vacuum_leaves_files_that_a_reader_may_hold(ws: Workspace) -> None:
    store(ws, [samples.records(1, 4)])
    store(ws, [samples.records(1, 4)])
    held = DeltaTable(str(ws.tables.path("raw_records"))).file_uris()
    view.compact(ws)
    table = DeltaTable(str(ws.tables.path("raw_records")))
    assert timedelta(hours=view.VACUUM_HOURS) >= timedelta(days=7)
    import duckdb

    assert duckdb.read_parquet(held).count("*").fetchall() == [(8,)]
    assert not set(held) & set(table.file_uris())
