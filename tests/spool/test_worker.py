"""The promises of the spool's thread: bounded, grouped, patient with a full disk, honest about its own death."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime.errors import ContractError, TransportError
from edge_runtime.spool import Draft, Spool, SpoolWorker
from tests.spool.common import draft, open_spool, until

LONG = 3600.0


@contextmanager
def running(
    path: Path,
    *,
    ring: int = 64,
    commit_interval_s: float = LONG,
    prepare: Callable[[Spool], None] = lambda _: None,
) -> Iterator[SpoolWorker]:
    def open_it() -> Spool:
        spool = open_spool(path / "spool")
        prepare(spool)
        return spool

    worker = SpoolWorker(open_it, ring=ring, commit_interval_s=commit_interval_s, now_ms=lambda: 5)
    worker.start()
    yield worker
    worker.stop()


def limit_pages(spool: Spool, pages: int) -> None:
    """As a disk with that much room; SQLite raises it to the present size."""
    spool._db.execute(f"PRAGMA max_page_count={pages}")


def blocking_draft(entered: threading.Event, go_on: threading.Event) -> Draft:
    def encode(_: int) -> bytes:
        entered.set()
        go_on.wait(10)
        return b"x"

    return Draft(kind="rec", stream="s", rows=1, encode=encode)


def test_what_was_submitted_is_there_after_flush_and_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as worker:
        assert worker.submit([draft(3), draft(2)], {"at": b"5"})
        assert worker.submit([], {"at": b"6"})
        worker.flush()
        assert worker.last_seq == 5
        assert [(b.first_seq, b.last_seq, b.sealed_ms) for b in worker.take(9, 0)] == [(1, 3, 5), (4, 5, 5)]
        worker.submit([draft(1)], {"at": b"7"})  # not flushed: stop commits it
        epoch = worker.epoch
    with running(tmp_path) as worker:
        assert (worker.epoch, worker.last_seq) == (epoch, 6)
        assert worker.checkpoints == {"at": b"7"}


def test_submissions_are_committed_together(tmp_path: Path) -> None:
    commits: list[int] = []

    def count(spool: Spool) -> None:
        inner = spool.commit

        def commit(*args: object, **named: object) -> None:
            commits.append(len(args[0]))  # type: ignore[arg-type]
            inner(*args, **named)  # type: ignore[arg-type]

        spool.commit = commit  # type: ignore[method-assign]

    with running(tmp_path, prepare=count) as worker:
        for _ in range(20):
            worker.submit([draft(1)])
        worker.flush()
    assert commits == [20]


def test_a_lone_submission_is_committed_after_the_interval(tmp_path: Path) -> None:
    with running(tmp_path, commit_interval_s=0.05) as worker:
        worker.submit([draft(1)])
        assert until(lambda: worker.last_seq == 1)


def test_a_live_source_never_waits_and_its_drops_are_counted(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()
    with running(tmp_path, ring=4, commit_interval_s=0.0) as worker:
        worker.submit([blocking_draft(entered, go_on)])
        assert entered.wait(10)  # the disk hangs now
        begin = time.monotonic()
        taken = [worker.submit([draft(3)]) for _ in range(10)]
        assert time.monotonic() - begin < 1.0
        assert (taken.count(True), worker.dropped_rows) == (3, 7 * 3)
        go_on.set()
        worker.flush()
        assert worker.last_seq == 1 + 3 * 3


def test_playback_is_slowed_down_and_loses_nothing(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()
    with running(tmp_path, ring=2) as worker:
        worker.submit([blocking_draft(entered, go_on)])
        worker.submit([draft(1)])
        assert entered.wait(10)
        assert not worker.submit([draft(1)], wait_s=0.02)
        threading.Timer(0.05, go_on.set).start()
        for _ in range(100):
            assert worker.submit([draft(1)], wait_s=10)
        worker.flush()
        assert (worker.last_seq, worker.dropped_rows) == (102, 0)


def test_acknowledged_batches_leave_and_others_stay(tmp_path: Path) -> None:
    with running(tmp_path) as worker:
        worker.submit([draft(4), draft(4)])
        worker.flush()
        worker.acked(worker.epoch, [(1, 4), (5, 7)])
        worker.acked(worker.epoch ^ 1, [(5, 8)])
        worker.flush()
        assert [b.first_seq for b in worker.take(9, 0)] == [5]
        assert worker.stats().batches == 1


def test_a_full_disk_is_waited_out(tmp_path: Path) -> None:
    with running(tmp_path, ring=8, commit_interval_s=0.01) as worker:
        worker.submit([draft(1)], {"at": b"1"})
        worker.flush()
        worker._ask(lambda spool: limit_pages(spool, 1), timeout_s=5)
        for _ in range(8):
            worker.submit([draft(4, size=9000)], {"at": b"2"})
        assert until(lambda: worker.is_disk_full)
        assert until(lambda: not worker.submit([draft(4, size=9000)], {"at": b"3"}))
        dropped = worker.dropped_rows
        assert dropped >= 4
        with pytest.raises(TransportError, match="no space"):
            worker.flush()
        assert [b.first_seq for b in worker.take(9, 0)] == [1]  # the link is served all the while
        worker._ask(lambda spool: limit_pages(spool, 100_000), timeout_s=5)
        assert until(lambda: not worker.is_disk_full)
        worker.flush()
        assert worker.last_seq == 1 + 8 * 4
        assert worker.dropped_rows == dropped
    with running(tmp_path) as worker:
        assert worker.checkpoints == {"at": b"2"}


def test_a_full_disk_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with running(tmp_path, prepare=lambda spool: limit_pages(spool, 1)) as worker:
        worker.submit([draft(4, size=9000)])
    assert worker.dropped_rows == 4
    assert worker.is_disk_full


def test_an_error_of_the_thread_reaches_every_caller(tmp_path: Path) -> None:
    def fail(_: int) -> bytes:
        raise ContractError("rows: no such label")

    worker = SpoolWorker(lambda: open_spool(tmp_path / "spool"), commit_interval_s=LONG)
    worker.start()
    worker.submit([Draft(kind="rec", stream="s", rows=1, encode=fail)])
    calls: list[Callable[[], object]] = [
        worker.flush, worker.check, lambda: worker.take(1, 0), lambda: worker.submit([]),
        lambda: worker.acked(1, []), worker.stats, worker.stop,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ContractError, match="no such label"):
            call()


def test_a_refused_file_is_raised_by_start(tmp_path: Path) -> None:
    def refuse() -> Spool:
        raise ContractError("schema 9")

    with pytest.raises(ContractError, match="schema 9"):
        SpoolWorker(refuse).start()


def test_every_wait_has_an_end(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()
    with running(tmp_path, commit_interval_s=0.0) as worker:
        worker.submit([blocking_draft(entered, go_on)])
        assert entered.wait(10)
        with pytest.raises(TransportError, match="no answer in"):
            worker.take(1, 0, timeout_s=0.02)
        with pytest.raises(TransportError, match="no answer in"):
            worker.flush(timeout_s=0.02)
        go_on.set()
    with pytest.raises(TransportError, match="not running"):
        worker.take(1, 0)


def test_a_flood_of_acknowledgements_is_bounded(tmp_path: Path) -> None:
    with running(tmp_path) as worker:
        for _ in range(5000):
            worker.acked(worker.epoch, [(1, 1)])
        worker.submit([draft(1)])
        worker.flush()
        assert worker.stats().rows == 1  # it was not there yet when it was named
