"""A Parquet file as a table of cells, beside `CsvFile`. One rule: its cells are those that the device's playback has.

So a record is the same whether it is trained on from CSV or Parquet, or decided on the device. Extra `[parquet]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cloud_trainer.datasets.csvfile import CsvFile, check_columns
from edge_runtime.errors import ContractError
from edge_runtime.sources.cells import BadLine, text
from edge_runtime.sources.parquet_file import ParquetRecording

_CHUNK = 4096


class ParquetTable:
    """One Parquet file; each pass reads it anew."""

    noun = "row"

    def __init__(self, path: Path) -> None:
        """Reads the names of its columns.

        Raises:
            UsageError: duckdb is not installed.
            ContractError: The file cannot be read.
        """
        self.path = path
        self.header = ParquetRecording(path, None).columns

    def cells(self, names: tuple[str, ...]) -> Iterator[tuple[int, dict[str, object]]]:
        """(number from 1, column -> value) of every row; the columns in `names` must be there.

        Raises:
            ContractError: There is no such column, or the file is cut.
        """
        check_columns(self.path, names, self.header)
        file = ParquetRecording(self.path, list(dict.fromkeys(names)))
        done = 0
        try:
            while True:
                chunk, n, why = file.take(_CHUNK)
                rows, _ = file.cells(chunk, done)
                for at, row in enumerate(rows, done + 1):
                    yield at, dict(zip(file.columns, row, strict=True))
                if why:
                    raise why
                if not n:
                    return
                done += n
        finally:
            file.close()


def open_table(path: Path) -> CsvFile | ParquetTable:
    """The file of records, by its ending."""
    return ParquetTable(path) if path.suffix.lower() == ".parquet" else CsvFile(path)


def word(cell: object, where: str) -> str:
    """A label or a group as text; "" of one that is missing.

    Raises:
        ContractError: It is a list or a structure; names `where`.
    """
    try:
        return text(cell) or ""
    except BadLine as why:
        raise ContractError(f"{where}: {why}", hint="name a column of texts or whole numbers") from None
