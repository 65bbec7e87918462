"""The lives of a spool: its epochs one after another, each with the first number that it gives.

One rule: a number is never given twice under one epoch, whatever was done to the disk. A machine that starts cannot
tell its disk from a copy that was made earlier and put back; so a file that is opened in another *place* (another
start of the machine, or other files than those that were written) goes on under a new epoch. So does one that stands
behind its mark, or has none. What waits in it keeps the epoch that it was sealed under.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from edge_runtime.lean import TYPE_CHECKING, TypeAlias
from edge_runtime.spool.sqlite import sqlite3

if TYPE_CHECKING:
    from edge_runtime.spool.files import Mark

Life: TypeAlias = "tuple[int, int]"
"""(first number, epoch)."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LIFE = struct.Struct("<QQ")


def new_epoch() -> int:
    """A random one, 1..2^64-1."""
    return int.from_bytes(os.urandom(8)) or 1


def place_of(mark: Mark) -> str:
    """Where a spool is: this start of the machine, and the very files."""
    return f"{boot_id()} {mark.place}"


def boot_id() -> str:
    """Of this start of the machine; "" where it is no Linux."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def lives_of(db: sqlite3.Connection, mark: Mark, *, epoch: int, next_seq: int) -> tuple[list[Life], bool]:
    """The lives that may still have something waiting, the present one last, and whether that one is new.

    Args:
        db: The spool's; nothing is written to it.
        mark: Beside it.
        epoch: The last that the database names.
        next_seq: The next number, by the database.
    """
    meta = dict(db.execute("SELECT name, value FROM meta WHERE name IN ('lives', 'place')"))
    lives = [(first, life) for first, life in _LIFE.iter_unpack(meta.get("lives", b""))] or [(1, epoch)]
    marked_epoch, marked_next = mark.read()
    is_behind = marked_epoch != epoch or marked_next > next_seq
    if meta.get("place") == place_of(mark) and not is_behind:
        return lives, False
    return [*lives, (next_seq, new_epoch())], True


def epoch_of(lives: list[Life], seq: int) -> int:
    """The epoch that this number was given under; 0 if it was in none."""
    return next((epoch for first, epoch in reversed(lives) if first <= seq), 0)


def write(db: sqlite3.Connection, mark: Mark, lives: list[Life]) -> None:
    """Within the transaction that gives the first number of a life; lives with nothing waiting are forgotten."""
    (oldest,) = db.execute("SELECT min(first_seq) FROM batch").fetchone()
    ended = sum(first <= (oldest or lives[-1][0]) for first, _ in lives[1:])
    packed = b"".join(_LIFE.pack(*life) for life in lives[ended:])
    rows = {"epoch": lives[-1][1].to_bytes(8, "big"), "lives": packed, "place": place_of(mark)}
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows.items())
