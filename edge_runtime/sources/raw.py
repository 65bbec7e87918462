"""Raw frames: little-endian numbers, one frame after another, to float32. One rule: pure; half a frame waits."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from edge_runtime.sources.frames import NO_TIME, FrameQueue, pick


class RawDecoder:
    """Little-endian float32 or int16, frame after frame; `scale` times each value."""

    def __init__(
        self, typecode: str, columns: Sequence[str], wanted: Sequence[str] | None, *, where: str, scale: float = 1.0
    ) -> None:
        at = pick(columns, wanted, where=where)
        self.channels: tuple[str, ...] | None = tuple(columns[i] for i in at)
        self.queue = FrameQueue(len(at))
        self.counts: dict[str, int] = {}
        self._code, self._n, self._at, self._scale = typecode, len(columns), at, scale
        self.frame_bytes = len(columns) * array(typecode).itemsize
        self._part = b""

    def feed(self, data: bytes) -> None:
        """See `Decoder`."""
        data = self._part + data
        whole = len(data) - len(data) % self.frame_bytes
        self._part = data[whole:]
        values = little(self._code, data[:whole])
        if self._at != tuple(range(self._n)):
            values = picked(values, self._n, self._at)
        frames = array("f", values if self._scale == 1.0 else [v * self._scale for v in values])
        self.queue.put(frames, [NO_TIME] * (whole // self.frame_bytes))

    def end(self) -> None:
        """See `Decoder`."""
        if self._part:
            self.counts["truncated"] = 1


def little(typecode: str, data: bytes) -> array[float]:
    """The little-endian values in `data`."""
    values: array[float] = array(typecode)
    values.frombytes(data)
    if array("H", [1]).tobytes() != b"\x01\x00":
        values.byteswap()
    return values


def picked(values: array[float], n: int, at: Sequence[int]) -> array[float]:
    """Of frames of `n` columns, the columns `at`."""
    out: array[float] = array(values.typecode, bytes(values.itemsize * len(values) // n * len(at)))
    for place, column in enumerate(at):
        out[place :: len(at)] = values[column::n]
    return out
