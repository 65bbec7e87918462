"""Bytes of a live stream to frames or rows, in one of four formats. One rule: what is broken is left out and counted.

A hundred lines in a row that cannot be taken are no noise: then the format is wrong, and the stream says so.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, Protocol
from edge_runtime.sources.cells import BadLine, field_number, number, text, time_field
from edge_runtime.sources.frames import FrameQueue
from edge_runtime.sources.lines import CsvLines, JsonLines, Splitter
from edge_runtime.sources.port import Request, RowField, Value

BROKEN_IN_A_ROW: Final = 100


class Decoder(Protocol):
    """Takes bytes as they come, cut anywhere; frames wait in its queue."""

    @property
    def queue(self) -> FrameQueue:
        """Frames not yet read."""

    @property
    def counts(self) -> dict[str, int]:
        """What was left out, by name."""

    @property
    def channels(self) -> tuple[str, ...] | None:
        """The columns of a frame; None before the first line told them."""

    def feed(self, data: bytes) -> None:
        """Take bytes. ContractError if nothing of this format has come for long."""

    def end(self) -> None:
        """No more bytes come; half a frame or line is counted."""


class LineReader:
    """Lines of NDJSON or CSV to values; broken ones are counted."""

    def __init__(self, request: Request, *, wanted: Sequence[str] | None, default: str, skip_first: bool) -> None:
        options = dict(request.options)
        self.format = options.pop("format", default)
        columns = tuple(options.pop("columns").split(",")) if "columns" in options else None
        time = time_field(options, name=request.name)
        kind = JsonLines if self.format == "ndjson" else CsvLines
        self._lines: JsonLines | CsvLines = kind(wanted, columns=columns, time=time)
        self._split = Splitter(skip_first=skip_first)
        self._name, self._broken = request.name, 0
        self.counts: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the values, None before the first line told them."""
        return self._lines.wanted

    def feed(self, data: bytes) -> Iterator[tuple[list[object], int]]:
        """Values and time of each whole line; the taker calls `broken` for values that it cannot use."""
        for line in self._split.feed(data):
            if not line.strip():
                continue
            try:
                found = self._lines.take(line)
            except BadLine as why:
                self.broken(why)
                continue
            if found is not None:
                yield found
        if self._split.too_long:
            self.counts["too_long"] = self._split.too_long

    def fine(self) -> None:
        """The last line was of use."""
        self._broken = 0

    def broken(self, why: BadLine) -> None:
        """Count one broken line. ContractError where too many came in a row."""
        self.counts["malformed"] = self.counts.get("malformed", 0) + 1
        self._broken += 1
        if self._broken >= BROKEN_IN_A_ROW:
            self._broken = 0
            raise ContractError(
                f"source {self._name}: {BROKEN_IN_A_ROW} lines in a row are no {self.format} of it; last: {why}",
                hint="set format=, or columns= for lines without a header",
            )

    def end(self) -> None:
        """Count a last line without its newline."""
        if self._split.is_truncated:
            self.counts["truncated"] = 1


class LineDecoder:
    """Lines to frames."""

    def __init__(self, request: Request, *, default: str, skip_first: bool) -> None:
        self._reader = LineReader(request, wanted=request.channels, default=default, skip_first=skip_first)
        self.counts = self._reader.counts
        self.queue = FrameQueue(len(request.channels or ()))

    @property
    def channels(self) -> tuple[str, ...] | None:
        """See `Decoder`."""
        return self._reader.names

    def feed(self, data: bytes) -> None:
        """See `Decoder`."""
        for values, time_us in self._reader.feed(data):
            if self.queue.width == 0:
                self.queue.width = len(values)
            try:
                self.queue.put(_frame(values), (time_us,))
            except BadLine as why:
                self._reader.broken(why)
            else:
                self._reader.fine()

    def end(self) -> None:
        """See `Decoder`."""
        self._reader.end()


def _frame(values: list[object]) -> array[float]:
    """The numbers that *values* mean: the quick way where each is a plain number, as JSON or as text."""
    numbers: Any = values
    try:
        if isinstance(values[0], str) and "_" not in "".join(numbers):  # float() takes "1_0" as 10
            numbers = map(float, numbers)
        return array("f", numbers)
    except (TypeError, ValueError, OverflowError):
        return array("f", map(number, values))


class RowDecoder:
    """Lines to rows."""

    def __init__(self, request: Request, fields: Sequence[RowField], *, default: str, skip_first: bool = False) -> None:
        names = [field.name for field in fields]
        self._reader = LineReader(request, wanted=names, default=default, skip_first=skip_first)
        self._kinds: list[Callable[[object], Value]] = [text if f.kind == "text" else field_number for f in fields]
        self.rows: list[tuple[Value, ...]] = []
        self.counts = self._reader.counts

    def feed(self, data: bytes) -> None:
        """Take bytes; whole rows are in `rows`."""
        for values, _ in self._reader.feed(data):
            try:
                self.rows.append(tuple([kind(v) for kind, v in zip(self._kinds, values, strict=True)]))
            except BadLine as why:
                self._reader.broken(why)
            else:
                self._reader.fine()

    def end(self) -> None:
        """No more bytes come."""
        self._reader.end()
