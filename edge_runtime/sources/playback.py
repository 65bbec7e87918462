"""Playback: recordings as a stream, as fast as it is read. One rule: several files are one stream, one after another.

CSV and Parquet carry no clock: their rate is given; WAV files name theirs. It is no `replay`, which recomputes a
decision of the past.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_runtime.errors import UsageError
from edge_runtime.lean import TYPE_CHECKING
from edge_runtime.sources.cells import TimeField, time_field
from edge_runtime.sources.frames import room
from edge_runtime.sources.port import Request, RowField, RowSource
from edge_runtime.sources.recording import Recording
from edge_runtime.sources.tape import BLOCK_FRAMES, Tape, common_rate, open_recording

if TYPE_CHECKING:
    from pathlib import Path


def open_source(request: Request) -> PlaybackSource:
    """`playback [time_s=COLUMN] FILE [FILE ...]`."""
    time = _words(request)
    if request.rate_hz is None and any(not str(word).lower().endswith(".wav") for word in request.words):
        raise UsageError("source playback: files carry no clock, no rate given", hint="give the rate in Hz")
    return PlaybackSource(request.words, rate_hz=request.rate_hz, channels=request.channels, time=time)


def open_rows(request: Request, fields: Sequence[RowField]) -> RowSource:
    """`playback FILE [FILE ...]` as rows."""
    from edge_runtime.sources.playback_rows import PlaybackRows

    _words(request)
    return PlaybackRows(request.words, fields)


def _words(request: Request) -> TimeField | None:
    if not request.words:
        raise UsageError("source playback: no file named", hint="write: playback FILE [FILE ...]")
    return time_field(dict(request.options), name="playback")


class PlaybackSource:
    """Recordings as frames; only those being read are in memory."""

    def __init__(
        self,
        files: Sequence[Path | str],
        *,
        rate_hz: float | None,
        channels: Sequence[str] | None = None,
        allow_nan: bool = False,
        time: TimeField | None = None,
    ) -> None:
        """Reads every header.

        Args:
            files: In the order of the stream, at least one: CSV, CSV.gz, Parquet or WAV.
            rate_hz: The rate at which they were captured [Hz], > 0; None where all are WAV files, which name it.
            channels: Columns wanted, in this order; None gives those of the first file. Other columns are ignored.
            allow_nan: Take an empty cell or "nan" as NaN, rather than refuse it. Infinite is always refused.
            time: The column that says when a frame was taken.

        Raises:
            UsageError: No file, or a rate that is no rate.
            ContractError: A file cannot be read, a column is missing, or a file names another rate.
        """
        if not files:
            raise UsageError("playback: no file named", hint="name at least one CSV file")
        if rate_hz is not None and not (rate_hz > 0 and math.isfinite(rate_hz)):
            raise UsageError(f"playback: rate {rate_hz:g} Hz is not above 0", hint="give the rate of the capture")
        opened: list[Recording] = []
        for path in files:
            opened.append(open_recording(path, channels, time=time, allow_nan=allow_nan))
            channels = channels if channels is not None else opened[0].columns
        self._rate_hz = common_rate(opened, rate_hz)
        self._channels = opened[0].columns
        self._tape = Tape(opened)
        self.times: memoryview | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The column names, in the order of a frame."""
        return self._channels

    @property
    def rate_hz(self) -> float:
        """The rate that was given, or that the files name [Hz]."""
        return self._rate_hz

    @property
    def next_frame(self) -> int:
        """The number of the frame that the next `read` begins with."""
        return self._tape.next

    def read(self, out: memoryview) -> int:
        """The number of frames written to `out`, up to `BLOCK_FRAMES`; 0 at the end, or when stopped.

        Raises:
            ValueError: `out` has another format or no room for one frame.
            ContractError: The next line is broken: names file, line, column and value. Stays so until a seek.
        """
        width = len(self._channels)
        wanted, tape = min(room(out, width), BLOCK_FRAMES), self._tape
        while (taken := tape.take(wanted)) is not None:
            file, chunk, _, first = taken
            values, times, error = file.frames(chunk, first)
            tape.error = error or tape.error
            if values:
                n = len(values) // width
                out[: len(values)] = memoryview(values)
                tape.next += n
                self.times = memoryview(times) if times else None
                return n
        self.times = None
        return 0

    def seek(self, frame: int) -> None:
        """Continue at `frame`, counted over all files from 0; lines passed over are not checked.

        Raises:
            ValueError: `frame` is negative.
            ContractError: A file on the way cannot be read.
        """
        self._tape.seek(frame)

    def stop(self) -> None:
        """Make every `read` from now on return 0; from any thread."""
        self._tape.is_stopped = True

    def close(self) -> None:
        """Close the file being read."""
        self.stop()
        self._tape.close()
