"""Tables of records as recordings. One rule: a record is a frame of fields, and a group's records are a recording.

So a split by group, labels by frame and the digest are the same for tables and for recordings. It reads no frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cloud_trainer.datasets.content import Recording, merge_spans
from cloud_trainer.datasets.csvfile import CsvFile
from cloud_trainer.datasets.labelling import Labelling, numbers
from cloud_trainer.datasets.parquetfile import ParquetTable, open_table, word
from edge_runtime.contract import canonical
from edge_runtime.errors import ContractError, UsageError

if TYPE_CHECKING:
    from cloud_trainer.datasets.content import FieldColumn
    from cloud_trainer.project import FieldSpec, Project

N_HASHED = 32
"""Groups that records are dealt into where the project names none: by their content, so that a row that stands twice
is never in training and in test at once. They keep their places: what follows what is a fact of the files, and drift
needs it."""

Value = float | str | None


class _Record(NamedTuple):
    place: int
    group: str
    label: str
    values: tuple[Value, ...]


def read_table(project: Project, files: Sequence[Path]) -> list[Recording]:
    """One recording a group, by name; its frames have no channel, in the order of files and lines.

    Raises:
        UsageError: Labels or groups come from another place than a column.
        ContractError: No such column, a number that is none, or an empty label; names file, line and column.
    """
    import numpy as np

    if not project.labels.column and not project.labels.values:
        raise UsageError("labels: a table of records has its label in a column", hint='write: [labels] column = "..."')
    if project.groups.pattern or project.groups.index:
        raise UsageError("groups: a table of records has its group in a column", hint='write: [groups] column = "..."')
    labelling = Labelling(project)
    groups: dict[str, list[_Record]] = {}
    place = 0
    for path in files:
        for record in _records(project, path, labelling, first=place):
            groups.setdefault(record.group, []).append(record)
            place = record.place + 2  # of the next file: its first record is no neighbour of this one
    return [
        Recording(
            name=name,
            group=name,
            frames=np.empty((len(records), 0), dtype=np.float32),
            spans=merge_spans((i, i + 1, record.label) for i, record in enumerate(records) if record.label),
            fields={
                spec.name: column_of([record.values[at] for record in records], spec.kind)
                for at, spec in enumerate(project.fields)
            },
            places=None if project.groups.column else np.array([record.place for record in records], dtype=np.int64),
        )
        for name, records in sorted(groups.items())
    ]


def read_fields(fields: Sequence[FieldSpec], path: Path) -> dict[str, FieldColumn]:
    """The fields of a recording, one value a frame.

    Raises:
        ContractError: As `read_table`.
    """
    rows = list(_values(fields, open_table(path)))
    return {spec.name: column_of([row[at] for _, row, _ in rows], spec.kind) for at, spec in enumerate(fields)}


def column_of(values: Sequence[Value], kind: str) -> FieldColumn:
    """As a recording holds it: float64 with NaN for a missing number, or text with None."""
    import numpy as np

    if kind == "text":
        return [None if value is None else str(value) for value in values]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _records(project: Project, path: Path, labelling: Labelling, *, first: int) -> Iterator[_Record]:
    file = open_table(path)
    columns, group = project.labels.values or (project.labels.column,), project.groups.column
    rows = _values(project.fields, file, [*columns, *([group] if group else [])])
    for place, (line, values, cells) in enumerate(rows, first):
        where = f"{path} {file.noun} {line}, column"
        words = [word(cells[label], f"{where} {label!r}") for label in columns]
        for label, name in zip(columns, words, strict=True):
            if not name:
                raise ContractError(f"{where} {label!r}: it is empty", hint=f"label the {file.noun}, or leave it out")
        is_values = bool(project.labels.values)
        said = numbers(words, columns, f"{path} {file.noun} {line}") if is_values else labelling.name(words[0], path)
        own = word(cells[group], f"{where} {group!r}") if group else _dealt(values)
        if not own:
            raise ContractError(f"{where} {group!r}: it is empty", hint="name its group")
        yield _Record(place, own, said, values)


def _dealt(values: tuple[Value, ...]) -> str:
    digest = hashlib.sha256(canonical.dumps(list(values))).digest()
    return f"rows-{int.from_bytes(digest[:4], 'big') % N_HASHED:02}"


def _values(
    fields: Sequence[FieldSpec], file: CsvFile | ParquetTable, more: Sequence[str] = ()
) -> Iterator[tuple[int, tuple[Value, ...], Mapping[str, object]]]:
    for line, row in file.cells((*(spec.column for spec in fields), *more)):
        where = f"{file.path} {file.noun} {line}"
        yield line, tuple(_value(spec, row[spec.column], where) for spec in fields), row


def _value(spec: FieldSpec, cell: object, where: str) -> Value:
    from edge_runtime.sources.cells import BadLine, field_number, text

    try:
        return text(cell) if spec.kind == "text" else field_number(cell)
    except BadLine as why:
        raise ContractError(
            f"{where}, column {spec.column!r}: {why}", hint='mend it, or declare kind = "text"'
        ) from None
