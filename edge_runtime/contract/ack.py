"""An acknowledgement: these rows are committed in the store. See FORMAT.md section "ack".

One rule: it names exactly what was committed. It is no watermark: a row outside its ranges is not committed.
"""

from __future__ import annotations

from edge_runtime.contract.cbor import smallest
from edge_runtime.contract.checks import I63, U64, count, integer, take
from edge_runtime.contract.columns import rows, take_ints
from edge_runtime.contract.document import read_cbor, write_cbor
from edge_runtime.lean import Any, Final, dataclass, field

MAX_RANGES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Batches of one device and epoch; the topic names the device.

    Attributes:
        epoch: As in the header of the batches.
        ranges: 1..1024 pairs (first seq, last seq), each exactly one batch as it was sent.
        extra: Fields of a newer minor version.
    """

    epoch: int
    ranges: tuple[tuple[int, int], ...]
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        integer(self.epoch, "ack.epoch", high=U64)
        count(len(self.ranges), "ack.ranges", low=1, high=MAX_RANGES)
        for first, last in self.ranges:
            integer(first, "ack.first", low=1, high=I63)
            integer(last, "ack.last", low=first, high=I63)

    def to_bytes(self) -> bytes:
        """CBOR. Equal acknowledgements give equal bytes."""
        fields = {
            "epoch": self.epoch,
            "first": smallest([first for first, _ in self.ranges]),
            "last": smallest([last for _, last in self.ranges]),
        }
        return write_cbor("ack", fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Ack:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = read_cbor(data, "ack")
        epoch = take(fields, "epoch", int, what="ack")
        first = take_ints(fields, "first", what="ack")
        last = take_ints(fields, "last", what="ack")
        rows(last, len(first), "ack.last")
        return cls(epoch=epoch, ranges=tuple(zip(first, last, strict=True)), extra=fields)
