"""The values of the spool. One rule: a batch gets its sequence numbers in the transaction that keeps it."""

from __future__ import annotations

from collections.abc import Callable

from edge_runtime.lean import dataclass

KINDS = ("raw", "rec", "sum", "ev")
"""Kinds of batch, topic leafs too, in the order in which a full spool gives them up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A batch before its sequence numbers.

    Attributes:
        kind: One of `KINDS`.
        stream: Stream id; "" for kind "ev", whose payload names its stream.
        rows: Sequence numbers it takes, 1...
        encode: Gives the payload for the first sequence number. Called in the spool's thread, again if the
            transaction failed; must own its data.
    """

    kind: str
    stream: str
    rows: int
    encode: Callable[[int], bytes]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: {self.kind!r} is not one of {', '.join(KINDS)}")
        if (self.kind == "ev") != (self.stream == ""):
            raise ValueError(f"stream: {self.stream!r} does not fit kind {self.kind!r}")
        if self.rows < 1:
            raise ValueError(f"rows: {self.rows} is less than 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A batch that is on disk; it never changes. Its identity is (device, epoch, first_seq..last_seq)."""

    epoch: int
    first_seq: int
    last_seq: int
    kind: str
    stream: str
    payload: bytes
    sealed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What was given up: `rows` of `kind`, all inside first_seq..last_seq.

    For want of room, over its bytes a day, or because it may not leave the device any more.
    """

    kind: str
    first_seq: int
    last_seq: int
    rows: int

    def merge(self, other: Gap) -> Gap:
        """The gap that names both."""
        return Gap(
            kind=self.kind,
            first_seq=min(self.first_seq, other.first_seq),
            last_seq=max(self.last_seq, other.last_seq),
            rows=self.rows + other.rows,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How full the spool is.

    Attributes:
        batches: Waiting for the store.
        rows: In those batches.
        payload_bytes: Of those batches.
        file_bytes: Database and write-ahead log on disk.
        dropped_rows: Given up for want of room, or over their bytes a day, since the start.
        last_seq: Of the newest batch ever sealed in this epoch, 0 if none.
    """

    batches: int
    rows: int
    payload_bytes: int
    file_bytes: int
    dropped_rows: int
    last_seq: int
