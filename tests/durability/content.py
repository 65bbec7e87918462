"""What the devices of the rig say: batches of numbered records, gaps, a birth and a state."""

from __future__ import annotations

from collections.abc import Mapping

from edge_runtime.contract import topics
from edge_runtime.contract.event import Event
from edge_runtime.lean import replace
from edge_runtime.spool import Draft, Gap
from edge_runtime.transport import Letter
from tests.ingest import samples
from tests.ingest.samples import DEVICE, SITE, STREAM

__all__ = ["DEVICE", "ROWS", "SITE", "STREAM", "draft_of", "gap_event", "greeting", "made_of", "says_offline"]

ROWS = 8
"""Records of a batch."""


def draft_of(epoch: int, first_window: int, *, rows: int = ROWS, time_ms: int | None = None) -> Draft:
    """The next batch: windows first_window, first_window + 1, ..."""

    def encode(first_seq: int) -> bytes:
        batch = samples.records(first_seq, rows, epoch=epoch)
        windows = tuple(range(first_window, first_window + rows))
        times = batch.times_ms if time_ms is None else (time_ms,) * rows
        return replace(batch, windows=windows, times_ms=times).to_bytes()

    return Draft(kind="rec", stream=STREAM, rows=rows, encode=encode)


def gap_event(gap: Gap, epoch: int, seq: int, now_ms: int) -> bytes:
    """As the daemon's."""
    fields: dict[str, str | int] = {
        "kind": gap.kind, "first_seq": gap.first_seq, "last_seq": gap.last_seq, "rows": gap.rows,
    }  # fmt: skip
    return Event(device=DEVICE, epoch=epoch, seq=seq, stream="", time_ms=now_ms, kind="gap", fields=fields).to_bytes()


def made_of(checkpoints: Mapping[str, bytes]) -> int:
    """How many records were made, by what was committed with them."""
    return int(checkpoints.get("made", b"0"))


def greeting() -> list[Letter]:
    """Birth and state."""
    birth = Letter(topic=topics.up(SITE, DEVICE, "birth"), payload=samples.birth().to_bytes(), retain=True)
    state = Letter(topic=topics.up(SITE, DEVICE, "state"), payload=samples.state().to_bytes(), retain=True)
    return [birth, state]


def says_offline() -> Letter:
    """The last will."""
    payload = samples.state(online=False).to_bytes()
    return Letter(topic=topics.up(SITE, DEVICE, "state"), payload=payload, retain=True)
