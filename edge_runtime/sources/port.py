"""The ports of this package. One rule: a source hands out frames (or rows) in order and never decides anything.

What a source may also have, and need not:

- `times`: a memoryview of format 'q', UTC [µs], one for each frame of the last `read`; None where those had none.
- `counts`: what it lost so far, by name (`malformed` lines, `dropped` messages ...); grows.
- `is_live` (class attribute of a source in a file of the user's own): False for one that can go back, as a recording.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_runtime.lean import Literal, Protocol, dataclass

Value = float | str | None
"""One field of a row; None is missing."""


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
            TransportError: A live source is gone for now (unplugged, its process ended): open it anew, with back-off.
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


class RowSource(Protocol):
    """A stream of rows of mixed fields, for tabular programs: the life of a `Source`."""

    def read_rows(self, n: int) -> list[tuple[Value, ...]]:
        """1..`n` rows, the fields in the order asked for; [] = end of the stream, or stopped.

        A number is a float, a text a str, and what is missing (null, an empty cell, NaN in a number) is None.
        Blocks until at least one row is there. Raises as `Source.read`.
        """

    def stop(self) -> None:
        """Make a blocked `read_rows`, and every later one, return []. Final; from any thread."""

    def close(self) -> None:
        """Let go of files. Call it when no `read_rows` is running; calling it twice is fine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowField:
    """One field of a row: its name in the source, and whether it is a number or a text."""

    name: str
    kind: Literal["number", "text"] = "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an opener gets: the words of the spec taken apart, and what the program wants.

    Attributes:
        name: Of the source, for messages.
        options: The leading `key=value` words.
        words: The others.
        rate_hz: Frames per second [Hz]; None where nobody said.
        channels: Columns wanted, in this order; None wants all.
    """

    name: str
    options: Mapping[str, str]
    words: tuple[str, ...]
    rate_hz: float | None = None
    channels: tuple[str, ...] | None = None


def times_of(source: object) -> memoryview | None:
    """The times [µs UTC] of the frames of the last `read` of `source`; None where it has none."""
    times: memoryview | None = getattr(source, "times", None)
    return times


def counts_of(source: object) -> Mapping[str, int]:
    """What `source` lost so far, by name."""
    counts: Mapping[str, int] = getattr(source, "counts", {})
    return counts
