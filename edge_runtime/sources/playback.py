"""Playback: CSV files as a stream, as fast as it is read. One rule: what is not a clean number is refused by place.

Several files are one stream, one after another. Files carry no clock: the rate is given. It is no `replay`, which
recomputes a decision of the past.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources.frames import pick, room

BLOCK_FRAMES = 1024  # bounds the memory of one read: about 100 bytes a cell while it is text
_MEND = "mend the line, or leave it out"


class PlaybackSource:
    """CSV or CSV.gz files with one header line each, one frame a line; only the lines being read are in memory."""

    def __init__(
        self,
        files: Sequence[Path | str],
        *,
        rate_hz: float,
        channels: Sequence[str] | None = None,
        allow_nan: bool = False,
    ) -> None:
        """Reads every header.

        Args:
            files: In the order of the stream, at least one.
            rate_hz: The rate at which they were captured [Hz], > 0.
            channels: Columns wanted, in this order; None gives those of the first file. Other columns are ignored.
            allow_nan: Take an empty cell or "nan" as NaN, rather than refuse it. Infinite is always refused.

        Raises:
            UsageError: No file, or a rate that is no rate.
            ContractError: A file cannot be read, or a column is missing.
        """
        if not files:
            raise UsageError("playback: no file named", hint="name at least one CSV file")
        if not (rate_hz > 0 and math.isfinite(rate_hz)):
            raise UsageError(f"playback: rate {rate_hz:g} Hz is not above 0", hint="give the rate of the capture")
        self._rate_hz = float(rate_hz)
        self._allow_nan = allow_nan
        self._files: list[_CsvFile] = []
        for path in files:
            self._files.append(_CsvFile(path, channels))
            channels = channels if channels is not None else self._files[0].header
        self._channels = self._files[0].columns
        self._lengths: dict[int, int] = {}  # frames of each file that was read to its end
        self._is_stopped = False
        self._rewind()

    @property
    def channels(self) -> tuple[str, ...]:
        """The column names, in the order of a frame."""
        return self._channels

    @property
    def rate_hz(self) -> float:
        """The rate that was given [Hz]."""
        return self._rate_hz

    @property
    def next_frame(self) -> int:
        """The number of the frame that the next `read` begins with."""
        return self._next

    def read(self, out: memoryview) -> int:
        """The number of frames written to `out`, up to `BLOCK_FRAMES`; 0 at the end, or when stopped.

        Raises:
            ValueError: `out` has another format or no room for one frame.
            ContractError: The next line is broken: names file, line, column and value. Stays so until a seek.
        """
        width = len(self._channels)
        wanted = min(room(out, width), BLOCK_FRAMES)
        while not self._is_stopped and self._current < len(self._files):
            if self._error is not None:
                raise self._error
            rows = self._take(wanted)
            if rows:
                values = self._numbers(rows)
                out[: len(values)] = memoryview(values)
                self._next += len(values) // width
                if values:
                    return len(values) // width
        return 0

    def seek(self, frame: int) -> None:
        """Continue at `frame`, counted over all files from 0; lines passed over are not checked.

        Raises:
            ValueError: `frame` is negative.
            ContractError: A file on the way cannot be read.
        """
        if frame < 0:
            raise ValueError(f"frame: {frame} is negative")
        if frame < self._next or self._error is not None:
            self._rewind()
        while self._next < frame and self._current < len(self._files):
            length = self._lengths.get(self._current)
            if self._in_file == 0 and length is not None and self._next + length <= frame:
                self._next += length
                self._current += 1
                continue
            self._next += len(self._take(min(frame - self._next, BLOCK_FRAMES)))
            if self._error is not None:
                raise self._error

    def stop(self) -> None:
        """Make every `read` from now on return 0; from any thread."""
        self._is_stopped = True

    def close(self) -> None:
        """Close the file being read."""
        self.stop()
        self._close_current()

    def _rewind(self) -> None:
        self._close_current()
        self._current = self._in_file = self._next = 0
        self._error: ContractError | None = None

    def _close_current(self) -> None:
        for file in self._files:
            file.close()

    def _take(self, most: int) -> list[list[str]]:
        """The next lines of the current file; none = it is over and the next one is current."""
        file = self._files[self._current]
        rows: list[list[str]] = []
        try:
            file.take(rows, most)
        except _UNREADABLE as why:
            self._error = file.unreadable(why)
        self._in_file += len(rows)
        if not rows and self._error is None:
            file.close()
            self._lengths[self._current] = self._in_file
            self._current += 1
            self._in_file = 0
        return rows

    def _numbers(self, rows: list[list[str]]) -> array[float]:
        """The frames of `rows`, up to the first broken one, which becomes the error of the next read."""
        file = self._files[self._current]
        if values := file.clean(rows):
            return values
        values = array("f")
        first = 2 + self._in_file - len(rows)
        for i, row in enumerate(rows):
            try:
                values.extend(file.frame(row, first + i, allow_nan=self._allow_nan))
            except ContractError as why:
                self._error = why
                break
        return values


_UNREADABLE = (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error)


class _CsvFile:
    """One file: its header, the columns wanted of it, and the place in it."""

    def __init__(self, path: Path | str, channels: Sequence[str] | None) -> None:
        self.path = path
        self._stream: io.TextIOWrapper | None = None
        self._raw: io.BufferedReader | None = None
        self._rows: Iterator[list[str]] = iter(())
        self._line = 0
        self.header = self._read_header()
        at = pick(self.header, channels, where=str(path))
        self.columns = tuple(self.header[i] for i in at)
        self._at = at
        self._is_all = at == tuple(range(len(self.header)))
        self._picked = itemgetter(*at) if len(at) > 1 else itemgetter(slice(at[0], at[0] + 1))

    def _read_header(self) -> tuple[str, ...]:
        try:
            header = tuple(name.strip() for name in next(self._open(), []))
        except _UNREADABLE as why:
            raise self.unreadable(why) from None
        finally:
            self.close()
        if not header or "" in header or len(set(header)) != len(header):
            raise ContractError(
                f"{self.path} line 1: want one distinct name for each column, got {', '.join(header)!r}",
                hint="the first line names the columns",
            )
        return header

    def _open(self) -> Iterator[list[str]]:
        self._raw = raw = Path(self.path).open("rb")  # noqa: SIM115 - `close` does
        is_packed = raw.peek(2)[:2] == b"\x1f\x8b"
        binary = io.BufferedReader(gzip.GzipFile(fileobj=raw), 65536) if is_packed else raw
        self._stream = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        return csv.reader(self._stream, strict=True)

    def take(self, rows: list[list[str]], most: int) -> None:
        """Add the next lines to `rows`, as cells, up to `most`; opens the file if it is not.

        Raises:
            OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error: What follows is no CSV. The lines
                before are in `rows`: they are good, and are handed out first.
        """
        if self._stream is None:
            self._rows = self._open()
            next(self._rows, None)
            self._line = 1
        before = len(rows)
        try:
            rows.extend(islice(self._rows, most))
        finally:
            self._line += len(rows) - before

    def close(self) -> None:
        """Close it; the next `take` begins anew."""
        for file in (self._stream, self._raw):
            if file is not None:
                file.close()
        self._stream = self._raw = None

    def unreadable(self, why: BaseException) -> ContractError:
        """What to tell when the file cannot be opened, unpacked or split."""
        text = (why.strerror or str(why)) if isinstance(why, OSError) else str(why)
        return ContractError(f"{self.path} after line {self._line}: cannot be read: {text}", hint="is it whole CSV?")

    def clean(self, rows: list[list[str]]) -> array[float]:
        """The frames of `rows` if nothing at all is wrong with them, else nothing: the quick way."""
        if set(map(len, rows)) != {len(self.header)}:
            return array("f")
        cells = list(chain.from_iterable(rows if self._is_all else map(self._picked, rows)))
        try:
            values = array("f", map(float, cells))
        except ValueError:
            return array("f")
        total = sum(values)
        # NaN and infinity make the difference NaN; float() takes "1_0" as 10, which no file means.
        return values if total - total == 0 and "_" not in "".join(cells) else array("f")

    def frame(self, row: list[str], line: int, *, allow_nan: bool) -> array[float]:
        """The frame of one line, or what is wrong with it: the careful way.

        Raises:
            ContractError: Names file, line, column and value.
        """
        if len(row) != len(self.header):
            raise ContractError(
                f"{self.path} line {line}: {len(row)} cells, the header has {len(self.header)}", hint=_MEND
            )
        return array("f", [self._number(row[i], line, self.header[i], allow_nan) for i in self._at])

    def _number(self, cell: str, line: int, column: str, allow_nan: bool) -> float:
        where = f"{self.path} line {line}, column {column!r}"
        try:
            value = array("f", [float(cell) if cell.strip() else math.nan])[0]
        except ValueError:
            value = math.inf
        if "_" in cell or math.isinf(value):
            raise ContractError(f"{where}: {cell!r} is not a finite float32 number", hint=_MEND)
        if math.isnan(value) and not allow_nan:
            raise ContractError(f"{where}: {cell!r} is missing or NaN", hint=_MEND)
        return value
