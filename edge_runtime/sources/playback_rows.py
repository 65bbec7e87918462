"""Playback as rows, for tabular programs. One rule: number, text and missing stay apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_runtime.errors import ContractError
from edge_runtime.sources.cells import BadLine, field_number, text
from edge_runtime.sources.port import RowField, Value
from edge_runtime.sources.tape import BLOCK_FRAMES, Tape, open_recording


class PlaybackRows:
    """Recordings as rows."""

    def __init__(self, files: Sequence[Path | str], fields: Sequence[RowField]) -> None:
        names = [field.name for field in fields]
        self._tape = Tape([open_recording(path, names) for path in files])
        self._fields = list(fields)

    def read_rows(self, n: int) -> list[tuple[Value, ...]]:
        """1..`n` rows; [] at the end, or when stopped. ContractError names file, row and field of what is broken."""
        tape = self._tape
        while (taken := tape.take(min(n, BLOCK_FRAMES))) is not None:
            file, chunk, _, first = taken
            cells, error = file.cells(chunk, first)
            rows: list[tuple[Value, ...]] = []
            for row in cells:
                try:
                    rows.append(tuple(map(_value, self._fields, row)))
                except BadLine as why:
                    error = ContractError(f"{file.path} row {first + len(rows) + 1}: {why}", hint="mend the row")
                    break
            tape.error = error or tape.error
            if rows:
                tape.next += len(rows)
                return rows
        return []

    def seek(self, row: int) -> None:
        """Continue at `row`, counted over all files from 0."""
        self._tape.seek(row)

    def stop(self) -> None:
        """Make every `read_rows` from now on return []; from any thread."""
        self._tape.is_stopped = True

    def close(self) -> None:
        """Close the file being read."""
        self.stop()
        self._tape.close()


def _value(field: RowField, cell: object) -> Value:
    if field.kind == "text":
        return text(cell)
    try:
        return field_number(cell)
    except BadLine as why:
        raise BadLine(f"field {field.name!r}: {why}") from None
