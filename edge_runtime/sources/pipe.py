"""Frames or rows out of a file descriptor: the reading half of stdin, exec, serial, ALSA and the IIO buffer.

One rule: it waits for bytes or for `stop`, and for nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources.decode import Decoder, RowDecoder
from edge_runtime.sources.frames import room
from edge_runtime.sources.port import Request, Value
from edge_runtime.sources.wake import Wake

READ_BYTES = 16384
"""A row of one digit and its newline takes 44 times its bytes: a read of them stays below 1 MiB (`Kind.n_bytes`)."""


class Pipe:
    """Chunks of a descriptor until its end or `stop`.

    Args:
        descriptor: To read; stays the caller's.
        on_end: Called once at the end of the bytes; raises TransportError if that is no proper end.
    """

    def __init__(self, descriptor: int, on_end: Callable[[], None] = lambda: None) -> None:
        self._descriptor, self._on_end = descriptor, on_end
        self.wake = Wake()
        self.has_ended = False
        self._error: ContractError | None = None

    def chunk(self) -> bytes:
        """The next bytes, at least one; b"" at the end, or when stopped."""
        while not self.has_ended and not self.wake.is_set and self.wake.wait(self._descriptor):
            try:
                data = os.read(self._descriptor, READ_BYTES)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError:  # as EIO of a terminal whose other side has gone
                data = b""
            if data:
                return data
            self.has_ended = True
        return b""

    def feed(self, decoder: Decoder | RowDecoder) -> bool:
        """Give *decoder*, when all that it made was read, the next bytes; False at the end, or when stopped.

        Raises:
            ContractError: They are of another format; all before was read. Stays so.
            TransportError: It is no proper end.
        """
        if self._error is not None:
            raise self._error
        if data := self.chunk():
            try:
                decoder.feed(data)
            except ContractError as why:
                self._error = why
            return True
        if self.has_ended:
            decoder.end()
            self._on_end()
        return False


class PipeSource:
    """A live `Source` of what a decoder makes of a descriptor's bytes."""

    def __init__(self, request: Request, pipe: Pipe, decoder: Decoder, *, close: Callable[[], None]) -> None:
        """Where no channels were asked for, waits for the first line, which names them."""
        self._pipe, self._decoder, self._close = pipe, decoder, close
        self.times: memoryview | None = None
        self.next_frame = 0
        try:
            self._rate_hz = _rate(request)
            self._channels = self._first_channels(request.name)
        except BaseException:
            pipe.wake.close()
            raise

    def _first_channels(self, name: str) -> tuple[str, ...]:
        while self._decoder.channels is None and (data := self._pipe.chunk()):
            self._decoder.feed(data)
        if self._decoder.channels is None:
            raise ContractError(f"source {name}: ended before its first line", hint="look at what feeds it")
        return self._decoder.channels

    @property
    def channels(self) -> tuple[str, ...]:
        """The column names, in the order of a frame."""
        return self._channels

    @property
    def rate_hz(self) -> float:
        """The rate that was given [Hz]."""
        return self._rate_hz

    @property
    def counts(self) -> Mapping[str, int]:
        """What was left out so far: malformed, too_long, truncated."""
        return self._decoder.counts

    def read(self, out: memoryview) -> int:
        """See `Source.read`: the frames that are there, at least one; 0 at the end, or when stopped."""
        room(out, len(self._channels))
        while not self._pipe.wake.is_set:
            n, self.times = self._decoder.queue.take(out)
            if n:
                self.next_frame += n
                return n
            if not self._pipe.feed(self._decoder):
                break
        self.times = None
        return 0

    def seek(self, frame: int) -> None:
        """Set the number of the next frame; a live source cannot go back."""
        self.next_frame = frame

    def stop(self) -> None:
        """Make `read` return 0, now and from now on; from any thread."""
        self._pipe.wake.set()

    def close(self) -> None:
        """Let go of the descriptor; no `read` may be running."""
        self._pipe.wake.close()
        self._close()


def _rate(request: Request) -> float:
    if request.rate_hz is None:
        raise UsageError(f"source {request.name}: no rate given", hint="give the rate in Hz")
    return float(request.rate_hz)


class PipeRows:
    """A live `RowSource` of the lines of a descriptor."""

    def __init__(self, pipe: Pipe, decoder: RowDecoder, *, close: Callable[[], None]) -> None:
        self._pipe, self._decoder, self._close = pipe, decoder, close

    @property
    def counts(self) -> Mapping[str, int]:
        """What was left out so far: malformed, too_long, truncated."""
        return self._decoder.counts

    def read_rows(self, n: int) -> list[tuple[Value, ...]]:
        """See `RowSource.read_rows`."""
        rows = self._decoder.rows
        while not self._pipe.wake.is_set:
            if rows:
                taken = rows[:n]
                del rows[:n]
                return taken
            if not self._pipe.feed(self._decoder):
                break
        return []

    def stop(self) -> None:
        """Make `read_rows` return [], now and from now on; from any thread."""
        self._pipe.wake.set()

    def close(self) -> None:
        """Let go of the descriptor; no `read_rows` may be running."""
        self._pipe.wake.close()
        self._close()
