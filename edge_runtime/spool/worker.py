"""The spool's thread: the one owner of SQLite, so that neither a decision nor the network waits for an fsync.

One rule: bounded on every side. The maker hands over submissions through a ring (`submit`), full means wait
or counted drop; the link asks and gets an answer or a time-out. What is queued is committed together, at the
latest after `commit_interval_s`. A full disk is waited out; any other error ends the thread and is raised
from every later call.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge_runtime.errors import TransportError
from edge_runtime.lean import Any, TypeVar, dataclass, field
from edge_runtime.spool.files import primary_code
from edge_runtime.spool.sqlite import sqlite3
from edge_runtime.spool.store import Ranges, Spool
from edge_runtime.spool.values import Draft, Sealed, Stats

T = TypeVar("T")

ACKS = 256
"""Acknowledgements that may wait; one that finds no place costs a resend."""

_WAIT_OUT = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)  # a full disk shows as either


@dataclass(frozen=True, slots=True)
class _Submission:
    drafts: tuple[Draft, ...]
    checkpoints: Mapping[str, bytes]

    @property
    def rows(self) -> int:
        return sum(draft.rows for draft in self.drafts)


@dataclass(slots=True)
class _Ask:
    """A question to the spool; `answer` is there once `done` is set, unless the thread failed."""

    run: Callable[[Spool], Any]
    done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None


def utc_ms() -> int:
    """Now [UTC ms]."""
    return time.time_ns() // 1_000_000


class SpoolWorker:
    """Life: `start` -> submit, take, acked, flush from any thread -> `stop`.

    Args:
        open_spool: Opens the spool, in the worker's thread.
        ring: Submissions that may wait, 1...
        commit_interval_s: Longest time that a submission waits for its commit [s].
        now_ms: The clock for `sealed_ms` [UTC ms].

    Attributes:
        epoch: Of the spool, after `start`.
        checkpoints: As they were found at `start`: where to go on.
        set_aside: Where a file that could not be trusted went at `start`, else None.
        last_seq: Of the newest committed batch; grows.
        dropped_rows: Rows that found the ring full, or the disk full at `stop`; grows.
        is_disk_full: The last commit found no space; it is tried again.
    """

    def __init__(
        self,
        open_spool: Callable[[], Spool],
        *,
        ring: int = 64,
        commit_interval_s: float = 1.0,
        now_ms: Callable[[], int] = utc_ms,
    ) -> None:
        self._open_spool, self._now_ms = open_spool, now_ms
        self._ring, self._interval_s = ring, commit_interval_s
        self.epoch = 0
        self.checkpoints: Mapping[str, bytes] = {}
        self.set_aside: Path | None = None
        self.last_seq = 0
        self.dropped_rows = 0
        self.is_disk_full = False
        self._changed = threading.Condition()
        self._queue: deque[_Submission] = deque()
        self._acks: deque[tuple[int, tuple[tuple[int, int], ...]]] = deque()
        self._asks: deque[_Ask] = deque()
        self._due_at: float | None = None  # monotonic [s]; None: nothing waits
        self._hurry = False
        self._stopping = False
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="el-spool", daemon=True)

    def start(self, timeout_s: float = 60.0) -> None:
        """Open the spool; `epoch` and `checkpoints` are there at return.

        Raises:
            ContractError, UsageError: As `Spool.open`.
            TransportError: It took longer than the time-out.
        """
        self._thread.start()
        if not self._ready.wait(timeout_s):
            raise TransportError(f"spool: not open after {timeout_s:g} s", hint="look at the disk")
        self._raise_failure()

    def submit(
        self, drafts: Sequence[Draft], checkpoints: Mapping[str, bytes] | None = None, *, wait_s: float = 0.0
    ) -> bool:
        """True if the drafts wait for the next commit now; False if the ring stayed full.

        Args:
            drafts: To seal, in this order.
            checkpoints: What becomes true with them.
            wait_s: How long to wait for room [s]. 0 is for a live source: rows that find no room are dropped
                and counted. More is for playback, which is slowed down and calls again with the same drafts:
                nothing is counted.
        """
        submission = _Submission(tuple(drafts), dict(checkpoints or {}))
        with self._changed:
            self._raise_failure()
            if len(self._queue) >= self._ring:
                self._begin_hurry()
                if wait_s:
                    self._changed.wait_for(self._has_room, wait_s)
                    self._raise_failure()
            if len(self._queue) >= self._ring or self._stopping:
                if not wait_s:
                    self.dropped_rows += submission.rows
                return False
            self._queue.append(submission)
            self._make_due()
            if len(self._queue) * 2 >= self._ring:
                self._begin_hurry()
        return True

    def take(self, limit: int, after_seq: int, *, timeout_s: float = 5.0) -> list[Sealed]:
        """Committed batches after `after_seq`; see `Spool.pending`. TransportError after the time-out."""
        return self._ask(lambda spool: spool.pending(limit, after_seq=after_seq), timeout_s=timeout_s)

    def acked(self, epoch: int, ranges: Ranges) -> None:
        """Remove the batches named exactly, with the next commit. Does not wait."""
        with self._changed:
            self._raise_failure()
            if len(self._acks) < ACKS:
                self._acks.append((epoch, tuple(ranges)))
                self._make_due()

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until all that was submitted before is on disk. TransportError after the time-out."""
        with self._changed:
            if self._due_at is not None:
                self._begin_hurry()
        self._ask(lambda _: None, timeout_s=timeout_s)
        with self._changed:
            if self._queue and self.is_disk_full:
                raise TransportError("spool: no space for what waits", hint="free space on the device")

    def stats(self, timeout_s: float = 5.0) -> Stats:
        """How full the spool is. TransportError after the time-out."""
        return self._ask(lambda spool: spool.stats(), timeout_s=timeout_s)

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        self._raise_failure()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Commit what waits, close the file, end the thread. TransportError after the time-out."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TransportError(f"spool: did not stop in {timeout_s:g} s", hint="look at the disk")
        self._raise_failure()

    # ---- under the lock

    def _has_room(self) -> bool:
        return len(self._queue) < self._ring or self._stopping or self._failure is not None

    def _make_due(self) -> None:
        if self._due_at is None:
            self._due_at = time.monotonic() + self._interval_s
            self._changed.notify_all()

    def _begin_hurry(self) -> None:
        if not self._hurry:
            self._hurry = True
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if isinstance(self._failure, sqlite3.Error):
            raise TransportError(f"spool: {self._failure}", hint="look at the disk") from self._failure
        if self._failure is not None:
            raise self._failure

    def _ask(self, run: Callable[[Spool], T], *, timeout_s: float) -> T:
        ask = _Ask(run)
        with self._changed:
            self._raise_failure()
            if not self._thread.is_alive():
                raise TransportError("spool: not running", hint="start it first")
            self._asks.append(ask)
            self._changed.notify_all()
        if not ask.done.wait(timeout_s):
            raise TransportError(f"spool: no answer in {timeout_s:g} s", hint="look at the disk")
        self._raise_failure()
        answer: T = ask.answer
        return answer

    # ---- in the thread

    def _main(self) -> None:
        try:
            with self._open_spool() as spool:
                self.epoch, self.last_seq = spool.epoch, spool.last_seq
                self.checkpoints, self.set_aside = spool.checkpoints(), spool.set_aside
                self._ready.set()
                while self._turn(spool):
                    pass
        except BaseException as error:  # raised again in the callers' threads
            self._failure = error
        finally:
            self._ready.set()
            with self._changed:
                for ask in self._asks:
                    ask.done.set()
                self._changed.notify_all()

    def _turn(self, spool: Spool) -> bool:
        with self._changed:
            while not self._is_called():
                self._changed.wait(self._wait_s())  # anew each time: a submission sets the time
            is_due = self._is_due()
            stopping, n_asks = self._stopping, len(self._asks)
        if is_due:
            self._commit(spool, last_try=stopping)
        for _ in range(n_asks):
            ask = self._asks.popleft()
            try:
                ask.answer = ask.run(spool)
            finally:
                ask.done.set()
        return not (stopping and not self._queue)

    def _is_called(self) -> bool:
        return bool(self._asks) or self._stopping or self._is_due()

    def _is_due(self) -> bool:
        if self._stopping:
            return True
        if self._due_at is None:
            return False
        return time.monotonic() >= self._due_at or (self._hurry and not self.is_disk_full)

    def _wait_s(self) -> float | None:
        return None if self._due_at is None else max(0.0, self._due_at - time.monotonic())

    def _commit(self, spool: Spool, *, last_try: bool) -> None:
        with self._changed:
            group, acks = list(self._queue), list(self._acks)
            self._hurry, self._due_at = False, None
        drafts = [draft for submission in group for draft in submission.drafts]
        checkpoints = {name: value for submission in group for name, value in submission.checkpoints.items()}
        try:
            for epoch, ranges in acks:
                spool.delete(epoch, ranges)
            if group:
                spool.commit(drafts, checkpoints=checkpoints, now_ms=self._now_ms())
            is_full = False
        except sqlite3.OperationalError as error:
            if primary_code(error) not in _WAIT_OUT:
                raise
            is_full = True
        with self._changed:
            self.is_disk_full = is_full
            if not is_full or last_try:
                self.dropped_rows += sum(submission.rows for submission in group) if is_full else 0
                for _ in group:
                    self._queue.popleft()
                for _ in acks:
                    self._acks.popleft()
            self.last_seq = spool.last_seq
            if self._queue or self._acks:
                self._make_due()
            self._changed.notify_all()
