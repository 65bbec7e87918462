"""What a device says of itself: birth and state (retained letters), events (rows of the spool).

One rule: bytes out of values, no IO but the machine's clock.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

import edge_runtime
from edge_runtime.contract import topics
from edge_runtime.contract.birth import Birth, BirthStream, RawRule, State
from edge_runtime.contract.event import Event
from edge_runtime.daemon.config import DeviceConfig
from edge_runtime.daemon.decide import Loaded
from edge_runtime.spool import Draft, Gap
from edge_runtime.transport import Letter

Fields = Mapping[str, str | int]


def versions() -> dict[str, str]:
    """Return the versions that a birth names."""
    return {
        "edgeloop": edge_runtime.__version__,
        "python": sys.version.partition(" ")[0],  # as of `platform`, which is not loaded for two words
        "machine": os.uname().machine,
    }


def birth(
    device: DeviceConfig,
    epoch: int,
    running: Mapping[str, tuple[Loaded, str]],
    *,
    raw: Mapping[str, RawRule],
    raw_bytes_day: int,
) -> Letter:
    """Return the birth of *device*, whose streams run each a bundle on a source; `raw` is what frames it lets go."""
    streams = tuple(
        BirthStream(
            name=name,
            bundle=loaded.digest,
            program=loaded.bundle.manifest.program_digest,
            version=loaded.bundle.manifest.version,
            window_frames=loaded.program.window_frames,
            hop_frames=loaded.program.hop_frames,
            rate_hz=loaded.program.rate_hz,
            source=source,
        )
        for name, (loaded, source) in running.items()
    )
    made = Birth(
        site=device.site,
        device=device.id,
        epoch=epoch,
        time_ms=now_ms(),
        utc_offset_min=device.utc_offset_min,
        versions=versions(),
        streams=streams,
        raw=dict(raw),
        raw_bytes_day=raw_bytes_day,
    )
    return Letter(topic=topics.up(device.site, device.id, "birth"), payload=made.to_bytes(), retain=True)


def state(device: DeviceConfig, epoch: int, running: Mapping[str, str], *, order_version: int, online: bool) -> Letter:
    """Return the state of *device*: the digest of the bundle of each stream."""
    made = State(
        online=online,
        device=device.id,
        epoch=epoch,
        time_ms=now_ms(),
        streams=dict(running),
        order_version=order_version,
    )
    return Letter(topic=topics.up(device.site, device.id, "state"), payload=made.to_bytes(), retain=True)


def event(device: str, epoch: int, stream: str, *, kind: str, fields: Fields) -> Draft:
    """Return the draft of an event of now."""
    time_ms, known = now_ms(), dict(fields)

    def encode(seq: int) -> bytes:
        return Event(
            device=device, epoch=epoch, seq=seq, stream=stream, time_ms=time_ms, kind=kind, fields=known
        ).to_bytes()

    return Draft(kind="ev", stream="", rows=1, encode=encode)


def gap(device: str, lost: Gap, epoch: int, *, seq: int, time_ms: int) -> bytes:
    """Return the event that names what a full spool gave up."""
    fields: dict[str, str | int] = {
        "dropped": lost.kind, "first_seq": lost.first_seq, "last_seq": lost.last_seq, "rows": lost.rows,
    }  # fmt: skip
    return Event(device=device, epoch=epoch, seq=seq, stream="", time_ms=time_ms, kind="gap", fields=fields).to_bytes()


def clean(fields: Fields) -> dict[str, str | int]:
    """Return *fields* as an event may carry them: 1000 characters, no lone surrogates (of a file name, say)."""
    return {
        name: value[:1000].encode(errors="replace").decode() if isinstance(value, str) else value
        for name, value in fields.items()
    }


def now_ms() -> int:
    """Return the time [UTC ms]."""
    return time.time_ns() // 1_000_000
