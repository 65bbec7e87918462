"""What the tests of every source share."""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Sequence
from contextlib import closing

from edge_runtime.sources import Source, open_source, times_of


def read_all(source: Source, cuts: Sequence[int] = (64,)) -> list[list[float]]:
    """Every frame to the end of the stream, read in blocks of `cuts` frames, over and over."""
    return [frame for frame, _ in read_timed(source, cuts)]


def played(spec: str, *, rate_hz: float | None = None, channels: Sequence[str] | None = None) -> list[list[float]]:
    """Every frame of a source that is opened for it and closed, whatever happens."""
    with closing(open_source(spec, rate_hz=rate_hz, channels=channels)) as source:
        return read_all(source)


def read_timed(source: Source, cuts: Sequence[int] = (64,)) -> list[tuple[list[float], int | None]]:
    """Every frame to the end of the stream with its time."""
    width, turn = len(source.channels), 0
    found: list[tuple[list[float], int | None]] = []
    while True:
        out = memoryview(array("f", bytes(4 * width * cuts[turn % len(cuts)])))
        got = source.read(out)
        if got == 0:
            return found
        times = times_of(source)
        assert times is None or (times.format, len(times)) == ("q", got)
        stamps: list[int | None] = [None] * got if times is None else list(times)
        values: list[float] = list(out[: got * width])
        found += [(values[i * width : (i + 1) * width], stamps[i]) for i in range(got)]
        turn += 1


class Fed:
    """A pipe that a thread fills with chunks, as a program on the other side does; then it closes it."""

    def __init__(self, *chunks: bytes, is_open: bool = False) -> None:
        self.descriptor, self._end = os.pipe()
        self._thread = threading.Thread(target=self._fill, args=(chunks, is_open))
        self._thread.start()

    def _fill(self, chunks: Sequence[bytes], is_open: bool) -> None:
        for chunk in chunks:
            os.write(self._end, chunk)
        if not is_open:
            os.close(self._end)

    def close(self) -> None:
        self._thread.join(10)
        os.close(self.descriptor)


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """`data` in pieces of `sizes`, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        pieces.append(data[at : at + sizes[turn % len(sizes)]])
        at += len(pieces[-1])
        turn += 1
    return pieces


def room_for(frames: int, width: int) -> memoryview:
    """A block to read into."""
    return memoryview(array("f", bytes(4 * frames * width)))
