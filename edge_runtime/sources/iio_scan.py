"""A scan of an IIO buffer: where each channel stands in it, and what its bits mean. One rule: pure.

Source: Documentation/iio/iio_devbuf.rst of the Linux kernel.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence

from edge_runtime.errors import ContractError
from edge_runtime.lean import dataclass
from edge_runtime.sources.frames import NO_TIME, FrameQueue
from edge_runtime.sources.iio import Calibration

_TYPE = re.compile(
    r"(?P<order>[bl]e):(?P<sign>[su])(?P<bits>\d+)/(?P<storage>\d+)(?:X(?P<repeat>\d+))?(?:>>(?P<shift>\d+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Where a channel stands in a scan, and what its bits mean."""

    at: int
    n_bytes: int
    order: str
    is_signed: bool
    bits: int
    shift: int

    def raw(self, scan: memoryview) -> int:
        """The number in *scan*."""
        stored = int.from_bytes(scan[self.at : self.at + self.n_bytes], "little" if self.order == "le" else "big")
        value = stored >> self.shift & (1 << self.bits) - 1
        return value - (1 << self.bits) if self.is_signed and value >> self.bits - 1 else value


def layout(types: Sequence[str]) -> tuple[list[Element], int]:
    """The elements of a scan whose types are *types*, in the order of their index, and its bytes.

    Each stands at a multiple of its own size; the whole is a multiple of the largest.

    Raises:
        ContractError: A type that is none, or repeated.
    """
    elements: list[Element] = []
    end = 0
    for kind in types:
        found = _TYPE.fullmatch(kind)
        bits, storage, shift = (int(found[key] or 0) if found else 0 for key in ("bits", "storage", "shift"))
        is_fine = storage in (8, 16, 32, 64) and 0 < bits <= storage - shift
        if found is None or not is_fine or found["repeat"] not in (None, "1"):
            raise ContractError(f"source iio: type {kind!r}, want one as le:s12/16>>4", hint="poll it: mode=poll")
        n_bytes = storage // 8
        at = -(-end // n_bytes) * n_bytes
        elements.append(
            Element(
                at=at, n_bytes=n_bytes, order=found["order"], is_signed=found["sign"] == "s", bits=bits, shift=shift
            )
        )
        end = at + n_bytes
    largest = max((element.n_bytes for element in elements), default=1)
    return elements, -(-end // largest) * largest


class ScanDecoder:
    """Scans to frames."""

    def __init__(
        self, names: Sequence[str], elements: Sequence[Element], scales: Sequence[Calibration], *,
        scan_bytes: int, stamp: Element | None,
    ) -> None:  # fmt: skip
        self.channels: tuple[str, ...] | None = tuple(names)
        self.queue = FrameQueue(len(names))
        self.counts: dict[str, int] = {}
        self._columns = list(zip(elements, scales, strict=True))
        self._scan_bytes, self._stamp, self._part = scan_bytes, stamp, b""

    def feed(self, data: bytes) -> None:
        """See `Decoder`."""
        data = self._part + data
        whole = len(data) - len(data) % self._scan_bytes
        self._part = data[whole:]
        view, values, times = memoryview(data), array("f"), array("q")
        for at in range(0, whole, self._scan_bytes):
            scan = view[at : at + self._scan_bytes]
            values.extend([(element.raw(scan) + scale.offset) * scale.scale for element, scale in self._columns])
            times.append(NO_TIME if self._stamp is None else self._stamp.raw(scan) // 1000)
        self.queue.put(values, times)

    def end(self) -> None:
        """See `Decoder`."""
        if self._part:
            self.counts["truncated"] = 1
