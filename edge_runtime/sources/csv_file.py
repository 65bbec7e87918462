"""A CSV file as a recording. One rule: what is not a clean number is refused by file, line, column and value."""

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

from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING
from edge_runtime.sources.cells import BadLine, TimeField
from edge_runtime.sources.frames import NO_TIME, pick
from edge_runtime.sources.recording import Frames

if TYPE_CHECKING:
    from pathlib import Path

_MEND = "mend the line, or leave it out"
_UNREADABLE = (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error)
_Rows = list[list[str]]


class CsvRecording:
    """One CSV or CSV.gz file with one header line: the columns wanted of it, and the place in it.

    Only the lines being read are in memory.
    """

    rate_hz = None

    def __init__(
        self,
        path: Path | str,
        channels: Sequence[str] | None,
        *,
        time: TimeField | None = None,
        allow_nan: bool = False,
    ) -> None:
        self.path = path
        self._time, self._allow_nan = time, allow_nan
        self._stream: io.TextIOWrapper | None = None
        self._raw: io.BufferedReader | None = None
        self._rows: Iterator[list[str]] = iter(())
        self._line = 0
        self.header = self._read_header()
        skip = time.name if time else None
        if skip is not None:
            pick(self.header, [skip], where=str(path))
        wanted = channels if channels is not None else [name for name in self.header if name != skip]
        at = pick(self.header, wanted, where=str(path))
        self.columns = tuple(self.header[i] for i in at)
        self._at = at
        self._is_all = at == tuple(range(len(self.header)))
        self._picked = itemgetter(*at) if len(at) > 1 else itemgetter(slice(at[0], at[0] + 1))

    def take(self, most: int) -> tuple[_Rows, int, ContractError | None]:
        """See `Recording`."""
        rows: _Rows = []
        try:
            self._next(rows, most)
        except _UNREADABLE as why:
            return rows, len(rows), self._unreadable(why)
        return rows, len(rows), None

    def frames(self, chunk: _Rows, first: int) -> Frames:
        """See `Recording`: the quick way if nothing at all is wrong with the lines, else the careful one."""
        if self._time is None and (values := self._clean(chunk)):
            return values, None, None
        values, times = array("f"), array("q")
        for i, row in enumerate(chunk):
            try:
                frame = self._frame(row, first + i + 2)
                times.append(self._time_us(row, first + i + 2))
                values.extend(frame)
            except ContractError as why:
                return values, times if self._time else None, why
        return values, times if self._time else None, None

    def cells(self, chunk: _Rows, first: int) -> tuple[list[list[object]], ContractError | None]:
        """See `Recording`."""
        found: list[list[object]] = []
        for i, row in enumerate(chunk):
            if len(row) != len(self.header):
                return found, self._wrong_length(row, first + i + 2)
            found.append([row[at].strip() or None for at in self._at])
        return found, None

    def _read_header(self) -> tuple[str, ...]:
        try:
            header = tuple(name.strip() for name in next(self._open(), []))
        except _UNREADABLE as why:
            raise self._unreadable(why) from None
        finally:
            self.close()
        if not header or "" in header or len(set(header)) != len(header):
            raise ContractError(
                f"{self.path} line 1: want one distinct name for each column, got {', '.join(header)!r}",
                hint="the first line names the columns",
            )
        return header

    def _open(self) -> Iterator[list[str]]:
        self._raw = raw = open(self.path, "rb")  # noqa: SIM115, PTH123 - `close` closes it; pathlib is not loaded for it
        is_packed = raw.peek(2)[:2] == b"\x1f\x8b"
        binary = io.BufferedReader(gzip.GzipFile(fileobj=raw), 65536) if is_packed else raw
        self._stream = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        return csv.reader(self._stream, strict=True)

    def _next(self, rows: _Rows, most: int) -> None:
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

    def _unreadable(self, why: BaseException) -> ContractError:
        """What to tell when the file cannot be opened, unpacked or split."""
        text = (why.strerror or str(why)) if isinstance(why, OSError) else str(why)
        return ContractError(f"{self.path} after line {self._line}: cannot be read: {text}", hint="is it whole CSV?")

    def _clean(self, rows: _Rows) -> array[float]:
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

    def _frame(self, row: list[str], line: int) -> array[float]:
        """The frame of one line, or what is wrong with it: the careful way."""
        if len(row) != len(self.header):
            raise self._wrong_length(row, line)
        return array("f", [self._number(row[i], line, self.header[i]) for i in self._at])

    def _wrong_length(self, row: list[str], line: int) -> ContractError:
        return ContractError(
            f"{self.path} line {line}: {len(row)} cells, the header has {len(self.header)}", hint=_MEND
        )

    def _time_us(self, row: list[str], line: int) -> int:
        if self._time is None:
            return NO_TIME
        try:
            us = self._time.us(row[self.header.index(self._time.name)].strip())
        except BadLine as why:
            raise ContractError(f"{self.path} line {line}: {why}", hint=_MEND) from None
        if us == NO_TIME:
            raise ContractError(f"{self.path} line {line}: no time in {self._time.name!r}", hint=_MEND)
        return us

    def _number(self, cell: str, line: int, column: str) -> float:
        where = f"{self.path} line {line}, column {column!r}"
        try:
            value = array("f", [float(cell) if cell.strip() else math.nan])[0]
        except ValueError:
            value = math.inf
        if "_" in cell or math.isinf(value):
            raise ContractError(f"{where}: {cell!r} is not a finite float32 number", hint=_MEND)
        if math.isnan(value) and not self._allow_nan:
            raise ContractError(f"{where}: {cell!r} is missing or NaN", hint=_MEND)
        return value
