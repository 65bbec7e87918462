"""The frames of one window, as they were decided. See FORMAT.md section "window".

One rule: it has the number of its window, so it stands beside the record of that window and says nothing twice.
"""

from __future__ import annotations

from array import array

from edge_runtime.contract.cbor import smallest
from edge_runtime.contract.checks import I63, SAFE, count, integer, integers, positive, take, text, unique
from edge_runtime.contract.columns import CLOCKS, floats, rows, take_floats, take_ints
from edge_runtime.contract.document import read_cbor, write_cbor
from edge_runtime.contract.header import Header, header_items, take_header
from edge_runtime.contract.records import REASONS
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, dataclass, field

MAX_CHANNELS: Final = 64
MAX_FRAMES: Final = 4096
MAX_VALUES: Final = 65536
"""Of all channels: 256 KiB, what a device has under way at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The frames of one window of one stream.

    Attributes:
        header: Device, stream, epoch, bundle, program.
        seq: Of this row, from 1.
        clock: 0 unknown, 1 synced, 2 virtual.
        window: Its number in the stream.
        time_ms: End of the window, UTC [ms].
        reason: Why it was kept, key of `REASONS`.
        rate_hz: Frames per second, > 0.
        names: Of the channels, unique, 1..64.
        n_values: Of each channel, 1..4096; one of another rate has fewer.
        values: float32, channel after channel, in the channel's unit; 65536 at most.
        extra: Fields of a newer minor version.
    """

    header: Header
    seq: int
    clock: int
    window: int
    time_ms: int
    reason: int
    rate_hz: float
    names: tuple[str, ...]
    n_values: tuple[int, ...]
    values: array[float]
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        integer(self.seq, "window.seq", low=1, high=I63)
        integer(self.clock, "window.clock", high=max(CLOCKS))
        integer(self.window, "window.window", high=I63)
        integer(self.time_ms, "window.time_ms", high=SAFE)
        integer(self.reason, "window.reason", high=max(REASONS))
        positive(self.rate_hz, "window.rate_hz")
        count(len(self.names), "window.names", low=1, high=MAX_CHANNELS)
        for name in self.names:
            text(name, "window.names")
        unique(self.names, "window.names")
        rows(self.n_values, len(self.names), "window.n_values")
        integers(self.n_values, "window.n_values", low=1, high=MAX_FRAMES)
        floats(self.values, "window.values")
        count(len(self.values), "window.values", high=MAX_VALUES)
        rows(self.values, sum(self.n_values), "window.values")

    def by_channel(self) -> dict[str, array[float]]:
        """The values of each channel."""
        found, at = {}, 0
        for name, n in zip(self.names, self.n_values, strict=True):
            found[name] = self.values[at : at + n]
            at += n
        return found

    def to_bytes(self) -> bytes:
        """CBOR, one typed array for all values. Equal windows give equal bytes."""
        fields = {
            **header_items(self.header),
            "seq": self.seq,
            "clock": self.clock,
            "window": self.window,
            "time_ms": self.time_ms,
            "reason": self.reason,
            "rate_hz": float(self.rate_hz),
            "names": list(self.names),
            "n_values": smallest(self.n_values),
            "values": self.values,
        }
        return write_cbor("window", fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Window:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        what = "window"
        fields = read_cbor(data, "window")
        rate_hz: object = fields.pop("rate_hz", None)
        if not isinstance(rate_hz, float):
            raise ContractError(f"{what}.rate_hz: want float64, got {rate_hz!r:.60}")
        return cls(
            header=take_header(fields, what=what),
            seq=take(fields, "seq", int, what=what),
            clock=take(fields, "clock", int, what=what),
            window=take(fields, "window", int, what=what),
            time_ms=take(fields, "time_ms", int, what=what),
            reason=take(fields, "reason", int, what=what),
            rate_hz=rate_hz,
            names=tuple(take(fields, "names", list, what=what)),
            n_values=take_ints(fields, "n_values", what=what),
            values=take_floats(fields, "values", what=what),
            extra=fields,
        )
