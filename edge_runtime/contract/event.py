"""An event: something happened to the device or a stream. See FORMAT.md section "event".

One rule: an event is a row of the spool like a record, so it has a seq and is acknowledged.
"""

from __future__ import annotations

from edge_runtime.contract.checks import I63, SAFE, U64, count, ident, integer, take, text, wrong
from edge_runtime.contract.document import read_cbor, write_cbor
from edge_runtime.lean import Any, Final, dataclass, field

KINDS: Final = (
    "start",
    "stop",
    "gap",
    "offered",
    "refused",
    "staged",
    "swapped",
    "confirmed",
    "fell-back",
    "fault",
    "memory",
    "revived",
    "crash",
    "shadow",
)
"""Kinds of this version. A reader keeps one that it does not know."""
MAX_FIELDS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        device: Id.
        epoch: As in the header of a batch.
        seq: From 1.
        stream: Id, or "" for the device as a whole.
        time_ms: UTC [ms].
        kind: Id, see `KINDS`.
        fields: 0..32 details; text up to 1024 characters or an integer of ±(2^63-1).
        extra: Fields of a newer minor version.
    """

    device: str
    epoch: int
    seq: int
    stream: str
    time_ms: int
    kind: str
    fields: dict[str, str | int]
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ident(self.device, "event.device")
        integer(self.epoch, "event.epoch", high=U64)
        integer(self.seq, "event.seq", low=1, high=I63)
        if self.stream != "":
            ident(self.stream, "event.stream")
        integer(self.time_ms, "event.time_ms", high=SAFE)
        ident(self.kind, "event.event")
        count(len(self.fields), "event.fields", high=MAX_FIELDS)
        for name, value in self.fields.items():
            text(name, "event.fields")
            if isinstance(value, str):
                count(len(value), f"event.fields.{name}", high=1024)
            elif type(value) is not int or not -I63 <= value <= I63:
                raise wrong(f"event.fields.{name}", "text or int of 64 bit", value)

    def to_bytes(self) -> bytes:
        """CBOR. Equal events give equal bytes."""
        known = {
            "device": self.device,
            "epoch": self.epoch,
            "seq": self.seq,
            "stream": self.stream,
            "time_ms": self.time_ms,
            "event": self.kind,  # "kind" is the kind of the document
            "fields": self.fields,
        }
        return write_cbor("event", known, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Event:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        known = read_cbor(data, "event")
        return cls(
            device=take(known, "device", str, what="event"),
            epoch=take(known, "epoch", int, what="event"),
            seq=take(known, "seq", int, what="event"),
            stream=take(known, "stream", str, what="event"),
            time_ms=take(known, "time_ms", int, what="event"),
            kind=take(known, "event", str, what="event"),
            fields=take(known, "fields", dict, what="event"),
            extra=known,
        )
