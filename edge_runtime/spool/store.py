"""The spool: sealed batches in one SQLite file, with the checkpoints that say where their making stood.

One rule: a batch and the checkpoint that goes with it are one transaction, so a device that was killed goes
on exactly where its committed data ends. Nothing is removed but what `delete` names exactly and what a full
spool gives up. One thread owns an open spool (`SpoolWorker`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from edge_runtime.errors import UsageError
from edge_runtime.spool.allowance import full
from edge_runtime.spool.files import PAGE_BYTES, Mark, open_database, read_meta, refuse_newer, unusable
from edge_runtime.spool.lives import epoch_of, lives_of
from edge_runtime.spool.lives import write as write_lives
from edge_runtime.spool.sqlite import sqlite3
from edge_runtime.spool.values import KINDS, Draft, Gap, Sealed, Stats

LEAST_BYTES = 256 * 1024

EncodeGap = Callable[[Gap, int, int, int], bytes]
"""(gap, epoch, seq, now_ms) -> the payload of its `ev` batch; so the spool knows no format."""

Ranges = Iterable[tuple[int, int]]


class Spool:
    """Made by `open`; a context manager that closes.

    Attributes:
        epoch: Random 64 bit, of all that is sealed from now on; new when the state was lost or may be a copy (`lives`).
        set_aside: Where `open` put a file that it could not trust, else None.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path,
        *,
        mark: Mark,
        max_bytes: int,
        gap: EncodeGap,
        bytes_day: Mapping[str, int],
    ) -> None:
        self._db, self._path, self._mark, self._encode_gap = db, path, mark, gap
        epoch, self._next_seq = read_meta(db)
        self._lives, self._is_new_life = lives_of(db, mark, epoch=epoch, next_seq=self._next_seq)
        self.epoch = self._lives[-1][1]
        self.set_aside: Path | None = None
        # A quarter is the log's: it is emptied at half of that, the rest takes the commit under way.
        log_bytes = max_bytes // 4
        self._room_bytes = max_bytes - log_bytes
        db.execute(f"PRAGMA wal_autocheckpoint={min(1000, log_bytes // 2 // PAGE_BYTES)}")
        db.execute(f"PRAGMA journal_size_limit={log_bytes}")
        self._allowance = full(bytes_day)
        self._dropped_rows = 0
        self._withdrawn: tuple[str, dict[str, bytes]] | None = None
        # Gap batches that nobody has read yet, by kind: these may grow in place. Not known after a start.
        self._unread_gaps: dict[str, tuple[int, Gap]] = {}

    @classmethod
    def open(cls, path: Path, *, max_bytes: int, gap: EncodeGap, bytes_day: Mapping[str, int] | None = None) -> Spool:
        """The spool at `path`, made where there is none; a file that cannot be trusted is set aside.

        Args:
            path: The database file; its log and mark stand beside it.
            max_bytes: Limit of database and log together [bytes], 256 KiB or more; a commit may pass it by
                its own size until the log is emptied.
            gap: Encodes the event that names what a full spool gave up.
            bytes_day: What each kind may take in a day; a batch over it is given up, and named as any other. 0 and a
                kind that is missing have no limit.

        Raises:
            ContractError: The file's schema is newer; it was not touched.
            UsageError: `max_bytes` is too small, another process has the file, or its folder is not writable.
        """
        if max_bytes < LEAST_BYTES:
            raise UsageError(f"spool max_bytes: {max_bytes} is less than {LEAST_BYTES}", hint="give it more")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            refuse_newer(path)
            mark = Mark(path.with_name(path.name + ".mark"))
        except OSError as error:
            raise unusable(path, error) from error
        try:
            db, aside = open_database(path, mark)
        except BaseException:
            mark.close()
            raise
        spool = cls(db, path, mark=mark, max_bytes=max_bytes, gap=gap, bytes_day=bytes_day or {})
        spool.set_aside = aside
        return spool

    def close(self) -> None:
        """Empty the log into the database and let go of both."""
        self._db.close()
        self._mark.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last_seq(self) -> int:
        """The last sequence number given in this epoch, 0 if none."""
        return self._next_seq - 1

    def commit(self, drafts: Sequence[Draft], *, checkpoints: Mapping[str, bytes] | None = None, now_ms: int) -> None:
        """Seal the drafts in order and keep them with the checkpoints: at return all is on disk, or none."""
        gaps: dict[str, Gap] = {}
        allowance = self._allowance.at(now_ms)
        with self._transaction():
            seq = self._next_seq
            withdrawn = self._give_up_withdrawn(gaps)
            for draft in drafts:
                payload = draft.encode(seq)
                last = seq + draft.rows - 1
                less = allowance.less(draft.kind, len(payload))
                if less is not None and self._make_room(len(payload), gaps):
                    allowance = less
                    self._insert((seq, last, draft.kind, draft.stream, now_ms, payload))
                else:
                    _note(gaps, Gap(kind=draft.kind, first_seq=seq, last_seq=last, rows=draft.rows))
                seq = last + 1
            unread, seq = self._leave_gaps(gaps, seq, now_ms=now_ms)
            whole = {**(checkpoints or {}), **withdrawn}
            self._db.executemany("INSERT OR REPLACE INTO checkpoint VALUES (?, ?)", whole.items())
            self._db.execute("UPDATE meta SET value = ? WHERE name = 'next_seq'", (seq,))
            if self._is_new_life:
                write_lives(self._db, self._mark, self._lives)
        self._next_seq, self._unread_gaps, self._is_new_life = seq, unread, False
        self._allowance, self._withdrawn = allowance, None
        self._dropped_rows += sum(gap.rows for gap in gaps.values())
        self._mark.write(self.epoch, seq)

    def withdraw(self, kind: str, *, checkpoint: tuple[str, bytes]) -> None:
        """Hand out nothing of this kind that waits; the next commit gives it up, named, and keeps the checkpoint."""
        self._withdrawn = (kind, dict([checkpoint]))

    def pending(self, limit: int, *, after_seq: int = 0) -> list[Sealed]:
        """At most `limit` batches in order of their numbers, those after `after_seq`."""
        rows = self._db.execute(
            "SELECT first_seq, last_seq, kind, stream, sealed_ms, payload FROM batch WHERE first_seq > ? AND kind != ?"
            " ORDER BY first_seq LIMIT ?",
            (after_seq, self._withdrawn[0] if self._withdrawn else "", limit),
        ).fetchall()
        read = {row[0] for row in rows}
        self._unread_gaps = {k: gap for k, gap in self._unread_gaps.items() if gap[0] not in read}
        return [
            Sealed(
                epoch=epoch_of(self._lives, first), first_seq=first, last_seq=last, kind=kind, stream=stream,
                sealed_ms=ms, payload=payload,
            )
            for first, last, kind, stream, ms, payload in rows
        ]  # fmt: skip

    def delete(self, epoch: int, ranges: Ranges) -> int:
        """How many batches were removed: those sealed under this epoch whose first..last is named exactly."""
        named = [
            (first, last)
            for first, last in ranges
            if 0 < first <= last < self._next_seq and epoch_of(self._lives, first) == epoch
        ]
        if not named:
            return 0
        with self._transaction():
            before = self._db.total_changes
            self._db.executemany("DELETE FROM batch WHERE first_seq = ? AND last_seq = ?", named)
            return self._db.total_changes - before

    def checkpoint(self, name: str) -> bytes | None:
        """The bytes last committed under `name`."""
        return self.checkpoints().get(name)

    def checkpoints(self) -> dict[str, bytes]:
        """All of them."""
        return dict(self._db.execute("SELECT name, value FROM checkpoint"))

    def stats(self) -> Stats:
        """How full the spool is now."""
        batches, rows, payload_bytes = self._db.execute(
            "SELECT count(*), total(last_seq - first_seq + 1), total(length(payload)) FROM batch"
        ).fetchone()
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return Stats(
            batches=batches,
            rows=int(rows),
            payload_bytes=int(payload_bytes),
            file_bytes=sum(file.stat().st_size for file in files if file.exists()),
            dropped_rows=self._dropped_rows,
            last_seq=self.last_seq,
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _insert(self, row: tuple[int, int, str, str, int, bytes]) -> None:
        """first_seq, last_seq, kind, stream, sealed_ms, payload."""
        self._db.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)", row)

    def _used_bytes(self) -> int:
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * PAGE_BYTES

    def _make_room(self, payload_bytes: int, gaps: dict[str, Gap]) -> bool:
        """Give up the oldest batches until the payload fits; False if it never will."""
        # Overflow pages, and one each for their beginning, a leaf, the index and two gap events.
        need = (payload_bytes // (PAGE_BYTES - 4) + 5) * PAGE_BYTES
        if need > self._room_bytes // 4:
            return False
        while self._used_bytes() + need > self._room_bytes:
            oldest = self._oldest()
            if oldest is None:
                return False
            self._db.execute("DELETE FROM batch WHERE first_seq = ?", (oldest.first_seq,))
            _note(gaps, oldest)
        return True

    def _give_up_withdrawn(self, gaps: dict[str, Gap]) -> dict[str, bytes]:
        """Within a transaction; the checkpoint to keep with it."""
        if self._withdrawn is None:
            return {}
        kind, checkpoint = self._withdrawn
        for first, last in self._db.execute("SELECT first_seq, last_seq FROM batch WHERE kind = ?", (kind,)).fetchall():
            _note(gaps, Gap(kind=kind, first_seq=first, last_seq=last, rows=last - first + 1))
        self._db.execute("DELETE FROM batch WHERE kind = ?", (kind,))
        return checkpoint

    def _oldest(self) -> Gap | None:
        kept = [seq for seq, _ in self._unread_gaps.values()]
        places = ", ".join("?" * len(kept))
        for kind in KINDS:
            row = self._db.execute(
                f"SELECT first_seq, last_seq FROM batch WHERE kind = ? AND first_seq NOT IN ({places})"
                " ORDER BY first_seq LIMIT 1",
                (kind, *kept),
            ).fetchone()
            if row:
                return Gap(kind=kind, first_seq=row[0], last_seq=row[1], rows=row[1] - row[0] + 1)
        return None

    def _leave_gaps(self, gaps: Mapping[str, Gap], seq: int, *, now_ms: int) -> tuple[dict[str, tuple[int, Gap]], int]:
        """Name what was given up; the gaps still unread, and the next number.

        A gap event that nobody has read grows in place, so that a month offline leaves one.
        """
        unread = dict(self._unread_gaps)
        for kind, gap in gaps.items():
            if kind in unread:
                at, earlier = unread[kind]
                unread[kind] = (at, earlier.merge(gap))
                payload = self._encode_gap(unread[kind][1], self.epoch, at, now_ms)
                self._db.execute(
                    "UPDATE batch SET payload = ?, sealed_ms = ? WHERE first_seq = ?", (payload, now_ms, at)
                )
            else:
                unread[kind] = (seq, gap)
                payload = self._encode_gap(gap, self.epoch, seq, now_ms)
                self._insert((seq, seq, "ev", "", now_ms, payload))
                seq += 1
        return unread, seq


def _note(gaps: dict[str, Gap], gap: Gap) -> None:
    gaps[gap.kind] = gaps[gap.kind].merge(gap) if gap.kind in gaps else gap
