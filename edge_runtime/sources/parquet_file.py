"""A Parquet file as a recording, read by DuckDB in one thread. One rule: a missing or infinite number is refused.

DuckDB is the lightest kept reader: 68 MB installed and no numpy, pyarrow is 170 MB and loads it. Extra `[parquet]`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.lean import Any
from edge_runtime.sources.cells import BadLine, TimeField, number
from edge_runtime.sources.frames import NO_TIME, pick
from edge_runtime.sources.recording import Frames

MEMORY = "64MB"


class ParquetRecording:
    """One Parquet file: the columns wanted of it, and the place in it."""

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
        self._duckdb = _duckdb()
        self._connection: Any = None
        self._is_reading = False
        try:
            described = self._connect().execute("describe select * from read_parquet(?)", [str(path)]).fetchall()
        except self._duckdb.Error as why:
            raise self._broken(why) from None
        finally:
            self.close()
        kinds = {str(name): str(kind) for name, kind, *_ in described}
        skip = time.name if time else None
        if skip is not None:
            pick(tuple(kinds), [skip], where=str(path))
        wanted = channels if channels is not None else [name for name in kinds if name != skip]
        at = pick(tuple(kinds), wanted, where=str(path))
        self.columns = tuple(tuple(kinds)[i] for i in at)
        columns = [_plain(name, kinds[name]) for name in self.columns]
        self._is_stamp = skip is not None and kinds[skip].startswith("TIMESTAMP")
        if skip is not None:
            columns.append(f"epoch_us({_quoted(skip)})" if self._is_stamp else _quoted(skip))
        self._query = f"select {', '.join(columns)} from read_parquet(?)"

    def take(self, most: int) -> tuple[list[tuple[Any, ...]], int, ContractError | None]:
        """See `Recording`."""
        try:
            connection = self._connect()
            if not self._is_reading:
                connection.execute(self._query, [str(self.path)])
                self._is_reading = True
            rows: list[tuple[Any, ...]] = connection.fetchmany(most)
        except self._duckdb.Error as why:
            return [], 0, self._broken(why)
        return rows, len(rows), None

    def frames(self, chunk: list[tuple[Any, ...]], first: int) -> Frames:
        """See `Recording`: the quick way if nothing is wrong with the rows, else the careful one."""
        if self._time is None:
            try:
                values = array("f", chain.from_iterable(chunk))
            except TypeError:
                values = array("f")
            total = sum(values)
            if values and total - total == 0:
                return values, None, None
        values, times = array("f"), array("q")
        for i, row in enumerate(chunk):
            try:
                frame = array("f", [self._number(cell) for cell in row[: len(self.columns)]])
                times.append(self._time_us(row))
            except BadLine as why:
                error = ContractError(f"{self.path} row {first + i + 1}: {why}", hint="mend the row, or leave it out")
                return values, times if self._time else None, error
            values.extend(frame)
        return values, times if self._time else None, None

    def cells(self, chunk: list[tuple[Any, ...]], _first: int) -> tuple[Sequence[Sequence[object]], None]:
        """See `Recording`."""
        return [row[: len(self.columns)] for row in chunk], None

    def close(self) -> None:
        """Close it; the next `take` begins anew."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._is_reading = None, False

    def _connect(self) -> Any:
        if self._connection is None:
            self._connection = self._duckdb.connect(
                ":memory:",
                config={"threads": 1, "memory_limit": MEMORY, "autoinstall_known_extensions": "false"},
            )
        return self._connection

    def _number(self, cell: object) -> float:
        value = array("f", [number(cell)])[0]
        if value - value == 0 or (value != value and self._allow_nan):  # noqa: PLR0124 - NaN
            return value
        raise BadLine(f"{cell!r} is missing, or not a finite float32 number")

    def _time_us(self, row: Sequence[object]) -> int:
        if self._time is None:
            return NO_TIME
        us = TimeField(self._time.name, 1.0 if self._is_stamp else self._time.to_us).us(row[-1])
        if us == NO_TIME:
            raise BadLine(f"no time in {self._time.name!r}")
        return us

    def _broken(self, why: Exception) -> ContractError:
        line = (str(why).splitlines() or [type(why).__name__])[0]
        return ContractError(f"{self.path}: cannot be read: {line}", hint="is it whole Parquet?")


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise UsageError(
            "source playback: Parquet needs duckdb, which is not installed",
            hint='python -m pip install "edgeloop[parquet]"',
        ) from None
    return duckdb


def _plain(name: str, kind: str) -> str:
    """The column as a number or a text: decimals, dates and the like have neither form."""
    if kind.startswith("DECIMAL"):
        return f"{_quoted(name)}::double"
    is_plain = kind in ("FLOAT", "DOUBLE", "VARCHAR", "BOOLEAN") or "INT" in kind
    return _quoted(name) if is_plain else f"{_quoted(name)}::varchar"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
