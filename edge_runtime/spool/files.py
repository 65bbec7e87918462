"""Opening the spool's file. One rule: a torn, corrupt or set-back file never stops a start.

A file that is not whole is set aside as `<name>.corrupt-N` (the newest `KEEP` stay) and a new epoch begins; one that
is whole and was set back goes on under a new epoch (`lives`). A file of an older schema is made one of this, of a newer
one is refused untouched.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.spool import lives
from edge_runtime.spool.sqlite import sqlite3

SCHEMA = 1
KEEP = 2
PAGE_BYTES = 4096

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE batch (
    first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, kind TEXT NOT NULL, stream TEXT NOT NULL,
    sealed_ms INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX batch_kind ON batch (kind, first_seq);
CREATE TABLE checkpoint (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""

MIGRATIONS: Mapping[int, tuple[str, ...]] = {}
"""Schema -> the statements that make a file of it one of the next. Every schema that has shipped stays here, and files
of it, made by the code of its day, stay in tests/spool/golden."""

_SAVED_VERSION_AT = 60  # user_version in the header, https://www.sqlite.org/fileformat.html
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NOT_THE_FILE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM,
                 sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM)  # fmt: skip


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error, 0 where the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


class Mark:
    """A file that remembers the next sequence number beside the database; written per commit, not synced.

    A database behind its mark was set back (a lying disk, a copied-back file). Going on with it would give
    numbers that the store has already seen, and the store would take new rows for duplicates.

    Attributes:
        place: Inode and time of change of an empty file beside it that nobody writes: no tool that copies files can
            give that time to a copy.
    """

    _FORM = struct.Struct("<QQ")

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        place = os.open(path.with_suffix(".place"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        made = os.fstat(place)
        os.close(place)
        self.place = f"{made.st_ino} {made.st_ctime_ns}"

    def read(self) -> tuple[int, int]:
        """(epoch, next_seq), or zeros where the file says nothing whole."""
        data = os.pread(self._fd, 20, 0)
        if len(data) != 20 or zlib.crc32(data[:16]) != int.from_bytes(data[16:], "little"):
            return 0, 0
        epoch, next_seq = self._FORM.unpack(data[:16])
        return epoch, next_seq

    def write(self, epoch: int, next_seq: int) -> None:
        """Remember; a full disk loses no more than this safeguard."""
        data = self._FORM.pack(epoch, next_seq)
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, data + zlib.crc32(data).to_bytes(4, "little"), 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def open_database(path: Path, mark: Mark) -> tuple[sqlite3.Connection, Path | None]:
    """The connection, checked and of this schema, and where an untrusted file was set aside, if one was.

    Raises:
        ContractError: The file's schema is newer than this program.
        UsageError: Another process has it open, or the folder cannot be written.
    """
    try:
        return _connect(path, mark), None
    except sqlite3.DatabaseError as error:
        if primary_code(error) in _BUSY:
            raise UsageError(f"spool {path}: another process has it open", hint="stop that one") from error
        if primary_code(error) in _NOT_THE_FILE:
            raise unusable(path, error) from error
    aside = _set_aside(path)
    return _connect(path, mark), aside


def unusable(path: Path, error: Exception) -> UsageError:
    """The error for a place where no file can be kept."""
    return UsageError(f"spool {path}: {error}", hint="check the space and the rights of its folder")


def _header_version(path: Path) -> int:
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unusable(path, error) from error
    return int.from_bytes(header[_SAVED_VERSION_AT : _SAVED_VERSION_AT + 4]) if header[:6] == b"SQLite" else 0


def refuse_newer(path: Path) -> None:
    """Leave a file of a newer schema as it is: to be asked before anything is opened or made.

    Raises:
        ContractError: It is one.
        UsageError: The file cannot be read.
    """
    _refuse_newer(_header_version(path), path)


def _refuse_newer(version: int, path: Path) -> None:
    # A corrupt header can claim any number; ours will stay small.
    if SCHEMA < version < 1000:
        raise ContractError(
            f"spool {path}: schema {version}, this program knows up to {SCHEMA}",
            hint="run the newer edge-runtime again, or move the file away to begin a new epoch",
        )


def _connect(path: Path, mark: Mark) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        _prepare(db, path, mark)
        _check(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path, mark: Mark) -> None:
    # Exclusive: one owner, and the index of the log is plain memory instead of a shared file.
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute(f"PRAGMA page_size={PAGE_BYTES}")
    db.execute("PRAGMA cache_size=-512")  # [KiB]: the device's memory is small, the spool is written once
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    _refuse_newer(version, path)
    if version == 0 and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        _create(db, mark)
    elif version < SCHEMA and version in MIGRATIONS:
        _migrate(db, version)
    elif version != SCHEMA:
        raise sqlite3.DatabaseError(f"schema {version}")


def _create(db: sqlite3.Connection, mark: Mark) -> None:
    db.execute("BEGIN EXCLUSIVE")
    for statement in filter(str.strip, _TABLES.split(";")):
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES ('next_seq', 1)")
    epoch = lives.new_epoch()
    lives.write(db, mark, [(1, epoch)])
    db.execute(f"PRAGMA user_version={SCHEMA}")
    db.execute("COMMIT")
    mark.write(epoch, 1)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the header names the schema from the start


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """Make an older file one of this schema, in one transaction: after a power cut it is the one or the other.

    Not through the log: an older program looks at the header alone, which must name the new schema as soon as it holds.
    """
    db.execute("PRAGMA journal_mode=DELETE")
    db.execute("BEGIN EXCLUSIVE")
    for schema in range(version, SCHEMA):
        for statement in MIGRATIONS[schema]:
            db.execute(statement)
    db.execute(f"PRAGMA user_version={SCHEMA}")
    db.execute("COMMIT")
    db.execute("PRAGMA journal_mode=WAL")


def _check(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    _, next_seq = read_meta(db)
    (last,) = db.execute("SELECT coalesce(max(last_seq), 0) FROM batch").fetchone()
    if last >= next_seq:
        raise sqlite3.DatabaseError(f"next_seq {next_seq} is not after {last}")


def read_meta(db: sqlite3.Connection) -> tuple[int, int]:
    """(epoch, next_seq)."""
    meta = dict(db.execute("SELECT name, value FROM meta"))
    try:
        return int.from_bytes(meta["epoch"], "big"), int(meta["next_seq"])
    except (KeyError, TypeError, ValueError) as error:
        raise sqlite3.DatabaseError("no epoch") from error


def _set_aside(path: Path) -> Path:
    numbers = (file.suffix.removeprefix(".corrupt-") for file in path.parent.glob(f"{path.name}.corrupt-*"))
    taken = sorted(int(number) for number in numbers if number.isdigit())
    number = taken[-1] + 1 if taken else 1
    for tail in ("", "-wal", "-journal", "-shm"):
        part = path.with_name(path.name + tail)
        if part.exists():
            part.rename(path.with_name(f"{path.name}{tail}.corrupt-{number}"))
        for old in taken[: max(0, len(taken) - KEEP + 1)]:
            path.with_name(f"{path.name}{tail}.corrupt-{old}").unlink(missing_ok=True)
    return path.with_name(f"{path.name}.corrupt-{number}")
