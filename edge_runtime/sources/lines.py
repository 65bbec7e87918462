"""Lines of NDJSON or CSV taken apart, for every source that speaks in lines. One rule: pure, bounded, no guessing.

A line is whole when its newline is there; what stands after the last one is not taken. A value that is missing (null,
an empty cell, a key that is not there) is None; NaN and infinity, in any spelling of Python's `float`, are numbers:
the core makes the features of such a channel NaN.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from edge_runtime.errors import UsageError
from edge_runtime.lean import Any, Final
from edge_runtime.sources.cells import BadLine, TimeField, short
from edge_runtime.sources.frames import NO_TIME

MAX_LINE_BYTES: Final = 65536
MAX_BRACKETS: Final = 256  # of one JSON line: bounds its depth, and so the C stack of a thread


_JSON: Final = json.JSONDecoder().decode


class Splitter:
    """Bytes in, whole lines out; a line longer than the limit is left out to its end and counted."""

    def __init__(self, *, max_bytes: int = MAX_LINE_BYTES, skip_first: bool = False) -> None:
        """`skip_first`: what comes before the first newline may be half a line, as of a serial port joined late."""
        self._max, self._part, self._is_skipping = max_bytes, b"", skip_first
        self.too_long = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that *data* completes, without their ends."""
        lines = (self._part + data).split(b"\n")
        self._part = lines.pop()
        if lines and self._is_skipping:
            del lines[0]
            self._is_skipping = False
        if len(self._part) > self._max:
            self.too_long += not self._is_skipping
            self._part, self._is_skipping = b"", True
        whole = [line for line in lines if len(line) <= self._max]
        self.too_long += len(lines) - len(whole)
        return whole

    @property
    def is_truncated(self) -> bool:
        """Whether the stream ended inside a line."""
        return bool(self._part.strip())


Take = Callable[[bytes], tuple[list[object], int] | None]
"""From a line to its values in the order wanted and its time; None for a header. Raises BadLine."""


class JsonLines:
    """Objects by name, or arrays by position. A name that an object lacks is missing; one that has none is broken."""

    def __init__(
        self, wanted: Sequence[str] | None, *, columns: Sequence[str] | None = None, time: TimeField | None = None
    ) -> None:
        self.wanted = tuple(wanted) if wanted is not None else None
        self._columns = tuple(columns) if columns is not None else None
        default = (
            TimeField("t", 1e6, is_guess=True) if "t" not in (wanted or ()) and "t" not in (columns or ()) else None
        )
        self._time = time or default

    def take(self, line: bytes) -> tuple[list[object], int] | None:
        """See `Take`."""
        if line.count(b"[") + line.count(b"{") > MAX_BRACKETS:
            raise BadLine(f"more than {MAX_BRACKETS} brackets")
        try:
            found: Any = _JSON(line.decode())
        except (ValueError, RecursionError) as why:
            raise BadLine(f"not JSON ({why}): {short(line)}") from None
        if isinstance(found, list):
            found = self._named(found)
        if not isinstance(found, dict):
            raise BadLine(f"want an object or an array, got {short(line)}")
        wanted = self.wanted
        if wanted is None:
            skip = self._time.name if self._time else None
            wanted = self.wanted = _some([key for key in found if key != skip], line)
        values = [found.get(name) for name in wanted]
        if not any(name in found for name in wanted):
            raise BadLine(f"none of {', '.join(wanted[:8])} in {short(line)}")
        return values, self._time.us(found.get(self._time.name)) if self._time else NO_TIME

    def _named(self, values: list[object]) -> dict[str, object]:
        columns = self._columns or self.wanted or tuple(f"ch{i + 1}" for i in range(len(values)))
        if len(values) != len(columns):
            raise BadLine(f"{len(values)} values, want {len(columns)}: {', '.join(columns[:8])}")
        return dict(zip(columns, values, strict=True))


class CsvLines:
    """Cells by the header line, wherever it comes; `columns` stand for a header that was missed."""

    def __init__(
        self, wanted: Sequence[str] | None, *, columns: Sequence[str] | None = None, time: TimeField | None = None
    ) -> None:
        self.wanted = tuple(wanted) if wanted is not None else None
        self._time = time
        self._at: tuple[int, ...] = ()
        self._time_at, self._n = -1, 0
        if columns is not None:
            self._head(list(columns))
            if self._n == 0:
                raise UsageError(f"columns {','.join(columns)}: {', '.join(wanted or ())} not all in it",
                                 hint="name the columns as the lines have them")  # fmt: skip

    def take(self, line: bytes) -> tuple[list[object], int] | None:
        """See `Take`."""
        try:
            text = line.decode("utf-8-sig").rstrip("\r")
        except UnicodeDecodeError as why:
            raise BadLine(f"not CSV ({why}): {short(line)}") from None
        cells = _quoted(text) if '"' in text else text.split(",")
        if self._is_head(cells, text):
            self._head([cell.strip() for cell in cells])
            return None
        if self._n == 0:
            raise BadLine(f"no header line that names {', '.join(self.wanted or ())} yet, got {short(line)}")
        if len(cells) != self._n:
            raise BadLine(f"{len(cells)} cells, want {self._n}: {short(line)}")
        time_us = self._time.us(cells[self._time_at].strip()) if self._time and self._time_at >= 0 else NO_TIME
        return [cells[i] for i in self._at], time_us

    def _is_head(self, cells: list[str], text: str) -> bool:
        if self.wanted is None:
            return True
        if self.wanted[0] not in text:
            return False
        return {cell.strip() for cell in cells}.issuperset(self.wanted)

    def _head(self, names: list[str]) -> None:
        skip = self._time.name if self._time else None
        if "" in names or len(set(names)) != len(names):
            raise BadLine(f"header: want one distinct name for each column, got {', '.join(names)[:80]!r}")
        if self.wanted is None:
            self.wanted = _some([name for name in names if name != skip], ",".join(names))
        if set(names).issuperset(self.wanted):
            self._at, self._n = tuple(names.index(name) for name in self.wanted), len(names)
            self._time_at = names.index(skip) if skip in names else -1


def _quoted(text: str) -> list[str]:
    import csv

    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as why:
        raise BadLine(f"not CSV ({why}): {short(text)}") from None


def _some(names: list[str], line: object) -> tuple[str, ...]:
    """The names that the first line gives to the channels; a stream of none would have no frames."""
    if not names:
        raise BadLine(f"no channel is named by {short(line)}")
    return tuple(names)
