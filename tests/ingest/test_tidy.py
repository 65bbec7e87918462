"""Small files become one while rows keep coming; nothing is lost to it, and a consumer never stumbles over it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from cloud_trainer.ingest import tidy as tidying
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.ingest.tidy import Tidy
from cloud_trainer.tables import Tables
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from tests.ingest import samples
from tests.ingest.samples import DEVICE, SITE, STREAM
from tests.ingest.test_view import seqs, store, stored_rows


def files(ws: Workspace) -> list[str]:
    return list(DeltaTable(str(ws.tables.path("raw_records"))).file_uris())


def test_a_table_keeps_few_files_however_many_commits_it_gets(ws: Workspace) -> None:
    tidy, most = Tidy(ws.tables, every=5), 0
    for n in range(32):
        store(ws, [samples.records(1 + 4 * n, 4)])
        tidy.after(["records"])
        most = max(most, len(files(ws)))
    assert most <= 6
    assert (tidy.rewrites, tidy.refused) == (6, 0)
    assert tidy.seconds > 0
    assert seqs(ws) == list(range(1, 129))


def test_a_large_file_is_not_read_again(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the work of a rewrite does not grow with the table."""
    tidy = Tidy(ws.tables, every=4)
    for n in range(4):
        store(ws, [samples.records(1 + 4 * n, 4)])
        tidy.after(["records"])
    [large] = files(ws)
    monkeypatch.setattr(tidying, "TARGET_BYTES", 1000)
    for n in range(4, 8):
        store(ws, [samples.records(1 + 4 * n, 4)])
        tidy.after(["records"])
    assert large in files(ws)
    assert seqs(ws) == list(range(1, 33))


def test_tables_at_a_url_are_tidied_too(tmp_path: Path) -> None:
    tables = Tables((tmp_path / "lake").as_uri())
    tidy = Tidy(tables, every=3)
    for n in range(3):
        pending = Pending()
        pending.add(topics.up(SITE, DEVICE, "rec", STREAM), samples.records(1 + 4 * n, 4).to_bytes(), now_ms=7)
        append(tables, pending.take().tables)
        tidy.after(["records"])
    assert len(tables.open("raw_records").file_uris()) == 1
    with tables.alone("raw_records", wait=False) as first, tables.alone("raw_records", wait=False) as second:
        assert (first, second) == (True, False)


def test_none_is_rewritten_where_nobody_asks(ws: Workspace) -> None:
    tidy = Tidy(ws.tables, every=0)
    for n in range(5):
        store(ws, [samples.records(1 + 4 * n, 4)])
        tidy.after(["records"])
    assert (len(files(ws)), tidy.rewrites) == (5, 0)


def copies_after_three_consumers(ws: Workspace) -> int:
    """Rows too many in the files after three consumers appended and tidied at once; none may be missing."""
    each, failed = 12, list[BaseException]()

    def consume(number: int) -> None:
        tidy = Tidy(ws.tables, every=2)
        try:
            for n in range(each):
                store(ws, [samples.records(1 + 4 * (each * number + n), 4)])
                tidy.after(["records"])
        except BaseException as why:
            failed.append(why)

    threads = [threading.Thread(target=consume, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert seqs(ws) == list(range(1, 1 + 4 * 3 * each))
    return stored_rows(ws) - 4 * 3 * each


def test_consumers_that_append_and_tidy_at_once_lose_and_copy_nothing(ws: Workspace) -> None:
    assert copies_after_three_consumers(ws) == 0


@pytest.mark.planted
def test_two_rewriters_at_once_are_caught(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def everybody(_self: Tables, _name: str, *, wait: bool) -> Iterator[bool]:
        yield True

    monkeypatch.setattr(Tables, "alone", everybody)
    assert copies_after_three_consumers(ws) > 0


def test_a_refused_rewrite_is_counted_and_tried_at_the_next_turn(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refuses:
        optimize = property(lambda self: self)

        def compact(self, **_: object) -> None:
            raise CommitFailedError("others were first")

    tidy = Tidy(ws.tables, every=1)
    for n in range(2):
        store(ws, [samples.records(1 + 4 * n, 4)])
        with monkeypatch.context() as patch:
            if n == 0:
                patch.setattr(ws.tables, "open", lambda _name: Refuses())
            tidy.after(["records"])
    assert (tidy.rewrites, tidy.refused) == (1, 1)
    assert len(files(ws)) == 1


def test_old_files_leave_the_disk_once_a_day(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    vacuumed: list[float] = []

    def vacuum(_self: DeltaTable, **_: object) -> None:
        vacuumed.append(now[0])

    monkeypatch.setattr(DeltaTable, "vacuum", vacuum)
    tidy = Tidy(ws.tables, every=1, clock=lambda: now[0])
    for hours in (0, 1, 23.9, 24.1, 30, 48.2):
        now[0] = 3600.0 * hours
        store(ws, [samples.records(1, 4)])
        tidy.after(["records"])
    assert [at / 3600 for at in vacuumed] == [0, 24.1, 48.2]
