"""What the tests of the spool share: gap events as plain text, drafts whose payload names its numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from edge_runtime.spool import Draft, Gap, Sealed, Spool

ROOM = 1024 * 1024


def gap_bytes(gap: Gap, epoch: int, seq: int, now_ms: int) -> bytes:
    return f"gap {gap.kind} {gap.first_seq} {gap.last_seq} {gap.rows} {seq} {epoch}".encode()


def gap_of(sealed: Sealed) -> Gap | None:
    word, *rest = sealed.payload.decode().split(" ", 6)
    if word != "gap":
        return None
    return Gap(kind=rest[0], first_seq=int(rest[1]), last_seq=int(rest[2]), rows=int(rest[3]))


def draft(rows: int = 4, *, kind: str = "rec", size: int = 200) -> Draft:
    def encode(first_seq: int) -> bytes:
        return f"{kind} {first_seq} {rows} ".encode().ljust(size, b".")

    return Draft(kind=kind, stream="" if kind == "ev" else "s", rows=rows, encode=encode)


def open_spool(path: Path, *, max_bytes: int = ROOM, bytes_day: Mapping[str, int] | None = None) -> Spool:
    return Spool.open(path, max_bytes=max_bytes, gap=gap_bytes, bytes_day=bytes_day)


def until(claim: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Wait for what another thread makes true."""
    end = time.monotonic() + timeout_s
    waiter = threading.Event()
    while not claim() and time.monotonic() < end:
        waiter.wait(0.002)
    return claim()
