"""Labels of recordings. One rule: a frame has one label or none, and a value that nobody named is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.datasets.content import Span, merge_spans
from cloud_trainer.datasets.csvfile import CsvFile, stem
from cloud_trainer.section import did_you_mean
from edge_runtime.errors import ContractError, UsageError

if TYPE_CHECKING:
    from cloud_trainer.project import Intervals, Project


class Labelling:
    """The spans of labels of each file, from the one place that the project names."""

    def __init__(self, project: Project) -> None:
        """Reads the index or the intervals.

        Raises:
            ContractError: They break: an empty label, no such column, a value that `names` lacks.
        """
        self._labels = project.labels
        root = project.data.root
        self._index: dict[str, str] = {}
        self._intervals: dict[str, list[tuple[Span, int]]] = {}
        if index := project.labels.index:
            self._where = root / index.file
            self._index = CsvFile(self._where).mapping(index.file_column, index.column)
        elif intervals := project.labels.intervals:
            self._where = root / intervals.file
            for name, span, line in _intervals(CsvFile(self._where), intervals):
                self._intervals.setdefault(name, []).append((span, line))

    def of(self, path: Path, n_frames: int) -> tuple[Span, ...]:
        """The labelled spans of the recording in `path`.

        Raises:
            ContractError: It has none, or they do not fit its frames.
        """
        if self._labels.values:
            return spans_of_values(CsvFile(path), self._labels.values)
        if self._labels.column:
            spans = spans_of_column(CsvFile(path), self._labels.column, what="label")
        elif self._labels.index:
            if stem(path) not in self._index:
                raise ContractError(f"{path}: no line of {self._where} names it", hint="add the line")
            spans = (Span(0, n_frames, self._index[stem(path)]),)
        elif self._labels.pattern:
            spans = (Span(0, n_frames, found_in_name(self._labels.pattern, path, key="labels.pattern")),)
        else:
            spans = tuple(self._fitting(path, n_frames))
        named = merge_spans((start, end, name) for start, end, value in spans if (name := self.name(value, path)))
        if not named:
            raise ContractError(f"{path}: no frame has a label", hint="label it, or leave it out of data.files")
        return named

    def _fitting(self, path: Path, n_frames: int) -> Iterator[Span]:
        before = Span(0, 0, "")
        for span, line in sorted(self._intervals.get(stem(path), ())):
            if not 0 <= span.start < span.end <= n_frames:
                raise ContractError(
                    f"{self._where} line {line}: frames {span.start}..{span.end - 1} (from 0) are not inside "
                    f"{path.name}, which has {n_frames}",
                    hint="mend start and end, or labels.intervals.first",
                )
            if span.start < before.end:
                raise ContractError(
                    f"{self._where} line {line}: label {span.label!r} from frame {span.start} overlaps "
                    f"{before.label!r} that ends at {before.end - 1} (counted from 0)",
                    hint="a frame has one label: mend start or end",
                )
            before = span
            yield span

    def name(self, value: str, path: Path) -> str:
        """The label's name; "" where the value is to be ignored."""
        if value in self._labels.ignore:
            return ""
        if not self._labels.names:
            return value
        if value not in self._labels.names:
            known = [*self._labels.names, *self._labels.ignore]
            raise ContractError(
                f"{path.name}: label {value!r} is neither in labels.names nor in labels.ignore"
                f"{did_you_mean(value, known)}",
                hint=f"known: {', '.join(known)}",
            )
        return self._labels.names[value]


def found_in_name(pattern: str, path: Path, *, key: str) -> str:
    """What the first group of `pattern` finds in the file's name.

    Raises:
        ContractError: Nothing.
    """
    match = re.search(pattern, path.name)
    if not match or not match[1]:
        raise ContractError(
            f"{path}: {key} {pattern!r} finds nothing in its name",
            hint="mend the pattern, or leave the file out of data.files",
        )
    return match[1]


def spans_of_column(file: CsvFile, column: str, *, what: str) -> tuple[Span, ...]:
    """The spans of equal values in a column of the recording itself.

    Raises:
        ContractError: No such column, or a cell is empty.
    """
    spans = merge_spans((line - 2, line - 1, text) for line, text in file.column(column))
    if not spans:
        raise ContractError(f"{file.path}: no line has a {what}")
    return spans


def spans_of_values(file: CsvFile, columns: Sequence[str]) -> tuple[Span, ...]:
    """The spans of equal values in columns of numbers of the recording itself; a label is its numbers in a row.

    Raises:
        ContractError: No such column, or a cell is no number.
    """
    rows = file.cells(tuple(columns))
    spans = merge_spans(
        (line - 2, line - 1, numbers([row[name] for name in columns], columns, f"{file.path} line {line}"))
        for line, row in rows
    )
    if not spans:
        raise ContractError(f"{file.path}: no line has a value")
    return spans


def numbers(cells: Sequence[str], columns: Sequence[str], where: str) -> str:
    """The cells as one label, its numbers with a space between.

    Raises:
        ContractError: One is no finite number.
    """
    for cell, name in zip(cells, columns, strict=True):
        try:
            is_finite = math.isfinite(float(cell))
        except ValueError:
            is_finite = False
        if not is_finite:
            raise ContractError(
                f"{where}, column {name!r}: {cell!r} is no number", hint="labels.values are numbers: mend the cell"
            )
    return " ".join(cells)


def _intervals(file: CsvFile, spec: Intervals) -> Iterator[tuple[str, Span, int]]:
    for line, row in file.rows((spec.start, spec.end, spec.label)):
        try:
            name = spec.recording.format_map(row)
        except (KeyError, ValueError, IndexError, AttributeError) as why:
            raise UsageError(
                f"labels.intervals.recording: {spec.recording!r} does not fit {file.path}: {why!r}",
                hint=f"columns: {', '.join(file.header)}; a width is written like {{subject:0>2}}",
            ) from why
        ends = []
        for column in (spec.start, spec.end):
            try:
                ends.append(int(row[column]))
            except ValueError:
                raise ContractError(
                    f"{file.path} line {line}, column {column!r}: {row[column]!r} is no whole number",
                    hint="intervals are counted in frames",
                ) from None
        end = ends[1] - spec.first + (1 if spec.end_inclusive else 0)
        yield stem(name), Span(ends[0] - spec.first, end, row[spec.label]), line
