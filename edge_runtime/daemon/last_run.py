"""How the last run of a state folder ended, by what it left in the folder's lock file.

One rule: a run that ends in good order leaves nothing. So whatever kills it (a signal, no memory, a fault in native
code, no power) need not be asked: what stands there says that nobody ended it. Which of them it was is told as far as
it can be known: a machine that started anew since then was without power, or was restarted.
"""

from __future__ import annotations

import contextlib
import os
import time

from edge_runtime.contract import cbor
from edge_runtime.errors import ContractError
from edge_runtime.lean import Final, dataclass
from edge_runtime.spool import boot_id

MOST: Final = 8192
_MESSAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """A run that did not end in good order.

    Attributes:
        how: `killed`: its process ended without a word; `power`: so did its machine; `error`: it gave up.
        started_ms: When it had started [UTC ms].
        message: What it gave up for, "" where it could not say.
    """

    how: str
    started_ms: int
    message: str


def crash_of(lock: int) -> Crash | None:
    """What the last run left in the file behind this descriptor; None where it ended in good order or was the first."""
    left = os.pread(lock, MOST, 0)
    if not left:
        return None
    try:
        match cbor.loads(left, what="lock"):
            case {"boot": str(boot), "started_ms": int(started_ms), "message": str(message)}:
                how = "error" if message else "killed" if boot == boot_id() else "power"
                return Crash(how=how, started_ms=started_ms, message=message)
    except ContractError:
        pass
    return Crash(how="power", started_ms=0, message="")  # torn: nothing but a machine that stops does that


def place_of(checkpoint: bytes | None) -> dict[str, str | int]:
    """Where a stream stood at its checkpoint: the window next to decide, its bundle, and when; {} where none says."""
    fields = cbor.loads(checkpoint, what="checkpoint") if checkpoint else None
    match fields:
        case {"bundle": str(bundle), "at": [_, int(window), _], **rest}:
            told_ms, place = rest.get("told_ms"), dict[str, str | int](window=window, bundle=bundle)
            return place | {"at_ms": told_ms} if isinstance(told_ms, int) else place
    return {}


def begin(lock: int) -> None:
    """From now on an end without a word is seen at the next start."""
    _write(lock, started_ms=time.time_ns() // 1_000_000, message="")


def end(lock: int, *, message: str = "") -> None:
    """The run ends in good order; with a `message` it gives up, and could not tell it otherwise."""
    if message:
        crash = crash_of(lock)
        _write(lock, started_ms=crash.started_ms if crash else 0, message=message[:_MESSAGE])
    else:
        _put(lock, b"")


def _write(lock: int, *, started_ms: int, message: str) -> None:
    _put(lock, cbor.dumps({"boot": boot_id(), "started_ms": started_ms, "message": message}))


def _put(lock: int, data: bytes) -> None:
    with contextlib.suppress(OSError):  # a full disk stops no device; then its end is not told
        os.ftruncate(lock, 0)
        os.pwrite(lock, data, 0)
        os.fsync(lock)
