"""A CSV file of words: labels, groups, indexes. One rule: an error names file, line and column.

Frames are no words: playback reads those.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cloud_trainer.section import did_you_mean
from edge_runtime.errors import ContractError


def stem(path: Path | str) -> str:
    """The file's name without `.csv`, `.csv.gz`, `.wav` or `.parquet`."""
    name = Path(path).name.removesuffix(".gz")
    ending = next((end for end in (".csv", ".wav", ".parquet") if name.lower().endswith(end)), "")
    return name[: len(name) - len(ending)]


class CsvFile:
    """One CSV or CSV.gz file with a header line; each pass reads it anew."""

    noun = "line"

    def __init__(self, path: Path) -> None:
        """Reads the header.

        Raises:
            ContractError: The file cannot be read, or has no line.
        """
        self.path = path
        self.header = next((tuple(name.strip() for name in row) for _, row in self._lines()), ())
        if not self.header:
            raise ContractError(f"{path} line 1: it is empty", hint="the first line names the columns")

    def column(self, name: str) -> Iterator[tuple[int, str]]:
        """(line, text) of every line in the column `name`.

        Raises:
            ContractError: There is no such column, or the text is empty, or the line is cut.
        """
        for line, row in self.rows((name,)):
            yield line, row[name]

    def rows(self, names: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, str]]]:
        """(line, column -> text) of every line; the columns in `names` must be there and not empty."""
        for line, row in self.cells(names):
            for name in names:
                if not row[name]:
                    raise ContractError(
                        f"{self.path} line {line}, column {name!r}: it is empty",
                        hint="fill it in, or leave the line out",
                    )
            yield line, row

    def cells(self, names: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
        """(line, column -> text) of every line; the columns in `names` must be there, and may be empty."""
        check_columns(self.path, names, self.header)
        lines = self._lines()
        next(lines, None)
        for line, cells in lines:
            if len(cells) != len(self.header):
                raise ContractError(
                    f"{self.path} line {line}: {len(cells)} cells, the header has {len(self.header)}",
                    hint="mend the line, or leave it out",
                )
            yield line, {name: cell.strip() for name, cell in zip(self.header, cells, strict=True)}

    def mapping(self, key: str, value: str) -> dict[str, str]:
        """File stem in column `key` -> text in column `value`.

        Raises:
            ContractError: As in `column`, or two lines name one file.
        """
        found: dict[str, str] = {}
        for line, row in self.rows((key, value)):
            if stem(row[key]) in found:
                raise ContractError(
                    f"{self.path} line {line}, column {key!r}: {row[key]!r} stands there twice",
                    hint="leave one out",
                )
            found[stem(row[key])] = row[value]
        return found

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        line = 0
        try:
            with self.path.open("rb") as raw:
                is_packed = raw.peek(2)[:2] == b"\x1f\x8b"
                binary = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if is_packed else raw
                text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
                for row in csv.reader(text, strict=True):
                    line += 1
                    yield line, row
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as why:
            raise _unreadable(self.path, line, why) from why


def check_columns(path: Path, names: Sequence[str], header: Sequence[str]) -> None:
    """Refuse a name that is none of the columns.

    Raises:
        ContractError: Names it, and those there are.
    """
    for name in names:
        if name not in header:
            raise ContractError(
                f"{path}: no column {name!r}{did_you_mean(name, header)}", hint=f"there are: {', '.join(header)}"
            )


def _unreadable(path: Path, line: int, why: Exception) -> ContractError:
    if path.suffix.lower() in {".wav", ".parquet"}:
        return ContractError(
            f"{path}: its columns cannot be read as words: it is no CSV file",
            hint="take labels and groups from a pattern or an index, and fields from CSV or Parquet recordings",
        )
    reason = (why.strerror or str(why)) if isinstance(why, OSError) else str(why)
    if isinstance(why, FileNotFoundError):
        return ContractError(f"{path}: {reason}", hint="the project file names it: mend the name, or add the file")
    hint = "save it as UTF-8" if isinstance(why, UnicodeDecodeError) else "is it whole CSV?"
    return ContractError(f"{path}{f' after line {line}' if line else ''}: cannot be read: {reason}", hint=hint)
