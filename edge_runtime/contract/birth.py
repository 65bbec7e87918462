"""Birth: what a device is and runs, retained. State: whether it is there, retained, also its last will.

See FORMAT.md sections "birth" and "state". One rule: both describe the present; history is in events.
"""

from __future__ import annotations

from edge_runtime.contract.checks import (
    SAFE,
    U64,
    count,
    digest,
    ident,
    integer,
    none_left,
    positive,
    raw_digest,
    take,
    text,
    unique,
    wrong,
)
from edge_runtime.contract.document import read_cbor, write_cbor
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, dataclass, field

MAX_STREAMS: Final = 16
MAX_RAW_WINDOWS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthStream:
    """One stream of a device.

    Attributes:
        name: Id.
        bundle: Digest of the bundle that runs.
        program: Digest of its feature program.
        version: Of the model, from its manifest.
        window_frames: 1..4096; 1 of a table of records.
        hop_frames: 1..window_frames.
        rate_hz: Frames per second, > 0.
        source: What feeds it, e.g. "host", 1..256 characters.
    """

    name: str
    bundle: str
    program: str
    version: int
    window_frames: int
    hop_frames: int
    rate_hz: float
    source: str

    def __post_init__(self) -> None:
        ident(self.name, "birth.streams.name")
        what = f"birth.streams.{self.name}"
        digest(self.bundle, f"{what}.bundle")
        digest(self.program, f"{what}.program")
        integer(self.version, f"{what}.version", low=1)
        integer(self.window_frames, f"{what}.window_frames", low=1, high=4096)
        integer(self.hop_frames, f"{what}.hop_frames", low=1, high=self.window_frames)
        positive(self.rate_hz, f"{what}.rate_hz")
        text(self.source, f"{what}.source", high=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRule:
    """What of a stream may leave the device as frames, by its own file.

    Attributes:
        channels: Names, unique, 1..64.
        reasons: Ids of why a record is kept (see `records.REASONS`) whose window may go with it, unique, 1..16.
        windows: Of a period at most, 1..64.
    """

    channels: tuple[str, ...]
    reasons: tuple[str, ...]
    windows: int

    def __post_init__(self) -> None:
        for name in self.channels:
            text(name, "birth.raw.channels")
        for reason in self.reasons:
            ident(reason, "birth.raw.reasons")
        count(len(self.channels), "birth.raw.channels", low=1, high=64)
        count(len(self.reasons), "birth.raw.reasons", low=1, high=16)
        unique(self.channels, "birth.raw.channels")
        unique(self.reasons, "birth.raw.reasons")
        integer(self.windows, "birth.raw.windows", low=1, high=MAX_RAW_WINDOWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """A device as it started.

    Attributes:
        site: Id.
        device: Id.
        epoch: As in the header of a batch.
        time_ms: UTC [ms].
        utc_offset_min: Local time minus UTC, -1440..1440 [min].
        versions: Name -> version of software, e.g. "edgeloop"; 0..32.
        streams: 0..16, names unique.
        raw: Stream id -> what of its frames may leave the device, 0..16; None: the device does not say.
        raw_bytes_day: What all of them may take in a day [bytes], 0 for no limit; None with `raw`.
        extra: Fields of a newer minor version.
    """

    site: str
    device: str
    epoch: int
    time_ms: int
    utc_offset_min: int
    versions: dict[str, str]
    streams: tuple[BirthStream, ...]
    raw: dict[str, RawRule] | None = None
    raw_bytes_day: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ident(self.site, "birth.site")
        ident(self.device, "birth.device")
        integer(self.epoch, "birth.epoch", high=U64)
        integer(self.time_ms, "birth.time_ms", high=SAFE)
        integer(self.utc_offset_min, "birth.utc_offset_min", low=-1440, high=1440)
        count(len(self.versions), "birth.versions", high=32)
        for name, version in self.versions.items():
            text(name, "birth.versions")
            text(version, f"birth.versions.{name}", low=0, high=256)
        count(len(self.streams), "birth.streams", high=MAX_STREAMS)
        unique([stream.name for stream in self.streams], "birth.streams")
        if (self.raw is None) != (self.raw_bytes_day is None):
            missing = "raw" if self.raw is None else "raw_bytes_day"
            raise ContractError(f"birth.{missing}: want both raw and raw_bytes_day, or none; it is missing")
        if self.raw is not None:
            count(len(self.raw), "birth.raw", high=MAX_STREAMS)
            for name in self.raw:
                ident(name, "birth.raw")
            integer(self.raw_bytes_day, "birth.raw_bytes_day")

    def to_bytes(self) -> bytes:
        """CBOR. Equal births give equal bytes."""
        fields = {
            "site": self.site,
            "device": self.device,
            "epoch": self.epoch,
            "time_ms": self.time_ms,
            "utc_offset_min": self.utc_offset_min,
            "versions": self.versions,
            "streams": [_fields(stream) for stream in self.streams],
        }
        if self.raw is not None:
            fields |= {
                "raw": {name: _raw_fields(rule) for name, rule in self.raw.items()},
                "raw_bytes_day": self.raw_bytes_day,
            }
        return write_cbor("birth", fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Birth:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = read_cbor(data, "birth")
        return cls(
            site=take(fields, "site", str, what="birth"),
            device=take(fields, "device", str, what="birth"),
            epoch=take(fields, "epoch", int, what="birth"),
            time_ms=take(fields, "time_ms", int, what="birth"),
            utc_offset_min=take(fields, "utc_offset_min", int, what="birth"),
            versions=take(fields, "versions", dict, what="birth"),
            streams=tuple(map(_stream, take(fields, "streams", list, what="birth", high=MAX_STREAMS))),
            raw=_raw(fields),
            raw_bytes_day=take(fields, "raw_bytes_day", int, what="birth") if "raw_bytes_day" in fields else None,
            extra=fields,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Whether the device is connected, and what it runs now.

    Attributes:
        online: False in the last will.
        device: Id.
        epoch: As in the header of a batch.
        time_ms: When these bytes were made, UTC [ms]; in a last will that is the connect.
        streams: Stream id -> digest of the bundle that runs; 0..16.
        order_version: Of the newest rollout order that was accepted, 0 for none.
        extra: Fields of a newer minor version.
    """

    online: bool
    device: str
    epoch: int
    time_ms: int
    streams: dict[str, str]
    order_version: int
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.online, bool):
            raise wrong("state.online", "bool", self.online)
        ident(self.device, "state.device")
        integer(self.epoch, "state.epoch", high=U64)
        integer(self.time_ms, "state.time_ms", high=SAFE)
        count(len(self.streams), "state.streams", high=MAX_STREAMS)
        for name, bundle in self.streams.items():
            ident(name, "state.streams")
            digest(bundle, f"state.streams.{name}")
        integer(self.order_version, "state.order_version")

    def to_bytes(self) -> bytes:
        """CBOR. Equal states give equal bytes."""
        fields = {
            "online": self.online,
            "device": self.device,
            "epoch": self.epoch,
            "time_ms": self.time_ms,
            "streams": {name: bytes.fromhex(bundle) for name, bundle in self.streams.items()},
            "order_version": self.order_version,
        }
        return write_cbor("state", fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = read_cbor(data, "state")
        streams = take(fields, "streams", dict, what="state", high=MAX_STREAMS)
        return cls(
            online=take(fields, "online", bool, what="state"),
            device=take(fields, "device", str, what="state"),
            epoch=take(fields, "epoch", int, what="state"),
            time_ms=take(fields, "time_ms", int, what="state"),
            streams={name: raw_digest(streams, name, what="state.streams") for name in list(streams)},
            order_version=take(fields, "order_version", int, what="state"),
            extra=fields,
        )


def _fields(stream: BirthStream) -> dict[str, Any]:
    return {
        "name": stream.name,
        "bundle": bytes.fromhex(stream.bundle),
        "program": bytes.fromhex(stream.program),
        "version": stream.version,
        "window_frames": stream.window_frames,
        "hop_frames": stream.hop_frames,
        "rate_hz": float(stream.rate_hz),
        "source": stream.source,
    }


def _raw_fields(rule: RawRule) -> dict[str, Any]:
    return {"channels": list(rule.channels), "reasons": list(rule.reasons), "windows": rule.windows}


def _raw(fields: dict[str, Any]) -> dict[str, RawRule] | None:
    if "raw" not in fields:
        return None
    found = {}
    for name, value in take(fields, "raw", dict, what="birth", high=MAX_STREAMS).items():
        what = f"birth.raw.{name}"
        if not isinstance(value, dict):
            raise wrong(what, "map", value)
        found[name] = RawRule(
            channels=tuple(take(value, "channels", list, what=what)),
            reasons=tuple(take(value, "reasons", list, what=what)),
            windows=take(value, "windows", int, what=what),
        )
        none_left(value, what)
    return found


def _stream(value: object) -> BirthStream:
    what = "birth.streams"
    if not isinstance(value, dict):
        raise wrong(what, "map", value)
    rate_hz = take(value, "rate_hz", object, what=what)
    if not isinstance(rate_hz, float):  # in CBOR an int is another spelling
        raise wrong(f"{what}.rate_hz", "float64", rate_hz)
    stream = BirthStream(
        name=take(value, "name", str, what=what),
        bundle=raw_digest(value, "bundle", what=what),
        program=raw_digest(value, "program", what=what),
        version=take(value, "version", int, what=what),
        window_frames=take(value, "window_frames", int, what=what),
        hop_frames=take(value, "hop_frames", int, what=what),
        rate_hz=rate_hz,
        source=take(value, "source", str, what=what),
    )
    none_left(value, f"{what}.{stream.name}")
    return stream
