"""Records of a stream: rows of its source, facts of its device. One rule: what `[context]` states comes from there.

A program with fields that the context does not state reads rows: a row is a frame, with its record beside it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

from edge_runtime.contract.program import Program
from edge_runtime.errors import UsageError
from edge_runtime.lean import Final, Literal
from edge_runtime.sources import RowField, counts_of, open_rows, times_of
from edge_runtime.sources.port import RowSource, Value

BLOCK_ROWS: Final = 256
Context = Mapping[str, float | str]


def fixed_record(program: Program, context: Context, *, stream: str) -> tuple[Value, ...] | None:
    """The record that the context alone makes; None where the program has none, or the source has a part of it.

    Raises:
        UsageError: A fact is of another kind than its field.
    """
    for field in program.record:
        fact = context.get(field.name)
        if fact is not None and isinstance(fact, str) != (field.kind == "text"):
            raise UsageError(
                f"context.{field.name}: {fact!r}, the program of stream {stream} wants a {field.kind}",
                hint="quote a text, and leave a number without quotes",
            )
    if not program.channels or not program.record or any(field.name not in context for field in program.record):
        return None
    return tuple(context[field.name] for field in program.record)


def unread_facts(programs: Sequence[Program], context: Context) -> list[str]:
    """The facts of the context that no program has a field for."""
    return [name for name in context if all(name != field.name for program in programs for field in program.record)]


def refuse_misspelt(programs: Sequence[Program], context: Context) -> None:
    """A fact that no program reads, beside a field of nearly its name that nothing states, is a slip of the pen.

    Raises:
        UsageError: Names the fact, the field that was meant, and all fields.
    """
    fields = list(dict.fromkeys(field.name for program in programs for field in program.record))
    unstated = [name for name in fields if name not in context]
    for name in unread_facts(programs, context):
        import difflib

        near = difflib.get_close_matches(name, unstated, n=1)
        if near:
            raise UsageError(
                f"context.{name}: no program reads it, did you mean {near[0]!r}?", hint=f"fields: {', '.join(fields)}"
            )


def has_rows(program: Program, context: Context) -> bool:
    """Whether the source must have rows: a field of the program is not in the context."""
    return not program.channels or any(field.name not in context for field in program.record)


class RecordSource:
    """Rows of a source as frames with records beside them: the life of a `Source`.

    Attributes:
        records: One a frame of the last `read`, in the order of `Program.record`.
    """

    def __init__(self, spec: str, program: Program, context: Context) -> None:
        """Open the rows that `spec` names.

        Raises:
            UsageError, ContractError, TransportError: As `open_rows`.
        """
        self.channels = tuple(channel.name for channel in program.channels)
        self.rate_hz = program.rate_hz
        self.records: Sequence[tuple[Value, ...]] = ()
        from_rows = [field for field in program.record if field.name not in context]
        wanted = [RowField(name=field.name, kind=_kind(field.kind)) for field in from_rows]
        self._rows: RowSource = open_rows(spec, [*wanted, *(RowField(name=name) for name in self.channels)])
        places = {field.name: at for at, field in enumerate(wanted)}
        self._facts = [context.get(field.name) for field in program.record]
        self._places = [places.get(field.name, -1) for field in program.record]

    def read(self, out: memoryview) -> int:
        """As `Source`; a channel that is missing in a row is NaN."""
        width = len(self.channels)
        rows = self._rows.read_rows(min(BLOCK_ROWS, len(out) // width if width else BLOCK_ROWS))
        self.records = [
            tuple(row[at] if at >= 0 else fact for at, fact in zip(self._places, self._facts, strict=True))
            for row in rows
        ]
        if width:
            cells = (value for row in rows for value in row[-width:])
            values = array("f", (value if isinstance(value, float) else math.nan for value in cells))
            out[: len(values)] = memoryview(values)
        return len(rows)

    @property
    def times(self) -> memoryview | None:
        """As `Source`."""
        return times_of(self._rows)

    @property
    def counts(self) -> Mapping[str, int]:
        """As `Source`."""
        return counts_of(self._rows)

    def seek(self, frame: int) -> None:
        """As `Source`; live rows only go on."""
        seek = getattr(self._rows, "seek", None)
        if seek is not None:
            seek(frame)

    def stop(self) -> None:
        """As `Source`."""
        self._rows.stop()

    def close(self) -> None:
        """As `Source`."""
        self._rows.close()


def _kind(kind: str) -> Literal["number", "text"]:
    return "text" if kind == "text" else "number"
