"""Sources: where a device's frames come from. One rule: a source hands out frames in order and never decides anything.

A new source is one class with the methods of `Source` and one row in `SOURCES`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Protocol

from edge_runtime.errors import UsageError
from edge_runtime.sources.capture import capture
from edge_runtime.sources.host import HostSource
from edge_runtime.sources.playback import PlaybackSource

__all__ = ["SOURCES", "HostSource", "PlaybackSource", "Source", "capture", "open_source"]


class Source(Protocol):
    """A stream of frames: opened, read until 0 comes back, closed. One thread reads; any thread may stop."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The column names of a frame, in its order."""

    @property
    def rate_hz(self) -> float:
        """The nominal rate [frames/s]."""

    def read(self, out: memoryview) -> int:
        """The number of frames written to the front of `out`; 0 = end of the stream, or stopped.

        Args:
            out: Writable, contiguous, format 'f'; takes up to `len(out) // len(channels)` frames,
                row-major. Blocks until at least one frame is there.

        Raises:
            ValueError: `out` has another format or no room for one frame.
            ContractError: The next frame is broken. All frames before it have been handed out.
        """

    def seek(self, frame: int) -> None:
        """Continue at `frame`, counted from 0 = the first of the stream.

        A playback goes there, forwards or back; beyond the end, the next `read` gives 0. A live source cannot
        go back: there, `seek` sets only the number of its next frame (its `next_frame`).
        """

    def stop(self) -> None:
        """Make a blocked `read`, and every later one, return 0. Final; from any thread."""

    def close(self) -> None:
        """Let go of files. Call it when no `read` is running; calling it twice is fine."""


Opener = Callable[[Sequence[str], float | None, Sequence[str] | None], Source]
"""From the words after the name, the rate [Hz] and the channels asked for, to an open source."""


def _open_host(words: Sequence[str], rate_hz: float | None, channels: Sequence[str] | None) -> Source:
    if words:
        raise UsageError(f"source host: takes no words, got {' '.join(words)!r}", hint="write just: host")
    return HostSource(rate_hz=20.0 if rate_hz is None else rate_hz, channels=channels)


def _open_playback(words: Sequence[str], rate_hz: float | None, channels: Sequence[str] | None) -> Source:
    if not words:
        raise UsageError("source playback: no file named", hint="write: playback FILE [FILE ...]")
    if rate_hz is None:
        raise UsageError("source playback: files carry no clock, no rate given", hint="give the rate in Hz")
    return PlaybackSource(words, rate_hz=rate_hz, channels=channels)


SOURCES: dict[str, Opener] = {"host": _open_host, "playback": _open_playback}


def open_source(spec: str, *, rate_hz: float | None = None, channels: Sequence[str] | None = None) -> Source:
    """The open source that `spec` names: "host", or "playback FILE [FILE ...]".

    Args:
        spec: A name of `SOURCES` and its words, quoted as in a shell where a file name has a space.
        rate_hz: Frames per second [Hz]; host 1..50 (default 20), playback > 0 (required).
        channels: The columns wanted, in this order; None gives all of the source.

    Raises:
        UsageError: No such source, or words that it cannot take.
        ContractError: A column is missing (names it and those there are), or a file is broken.
    """
    try:
        words = shlex.split(spec)
    except ValueError as why:
        raise UsageError(f"source {spec!r}: {why}", hint="quote file names as in a shell") from None
    if not words or words[0] not in SOURCES:
        raise UsageError(f"source {spec!r}: unknown", hint=f"begin with one of: {', '.join(SOURCES)}")
    return SOURCES[words[0]](words[1:], rate_hz, channels)
