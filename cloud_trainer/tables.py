"""Tables: the store of datasets, features and telemetry. One rule: a write is one Delta commit, or nothing.

Each table is a Delta Lake folder below one root; queries are SQL by DuckDB over the files of a version.
Former versions of datasets are read again, so nothing here removes files.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runtime.errors import ContractError, UsageError

_TRIES = 8
_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}")
_WORD = re.compile(r"[a-z][a-z0-9_]*")

Columns = Mapping[str, Any]
"""Column -> a numpy array, or a sequence of str, int, float, bool, bytes or lists of float; None = null."""


class Tables:
    """The Delta tables below one folder."""

    def __init__(self, root: Path) -> None:
        """Names the folder; it is made by the first write."""
        self.root = root

    def path(self, name: str) -> Path:
        """Where the table `name` is.

        Raises:
            UsageError: `name` is not `[a-z][a-z0-9_]*`.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"table {name!r}: want [a-z][a-z0-9_]*, at most 128", hint="choose another name")
        return self.root / name

    def exists(self, name: str) -> bool:
        """Whether anything was ever committed to `name`."""
        return (self.path(name) / "_delta_log").is_dir()

    def names(self) -> list[str]:
        """Every table there is, sorted."""
        return sorted(log.parent.name for log in self.root.glob("*/_delta_log"))

    def version(self, name: str) -> int:
        """The number of the last commit of `name`; -1 if there is none."""
        return int(self.open(name).version()) if self.exists(name) else -1

    def append(self, name: str, columns: Any) -> int:
        """Add rows in one commit; gives the table's version after it.

        Args:
            name: The table; made if it is new. A column that the table lacks is added to it.
            columns: `Columns`, or an object with `__arrow_c_stream__` (a DuckDB relation, an Arrow table).
        """
        from deltalake.exceptions import CommitFailedError

        data = _arrow_table(columns)
        for _ in range(_TRIES - 1):
            # Appenders that meet while the table is made or gets a column: a refused commit left nothing behind.
            with contextlib.suppress(CommitFailedError):
                return self._write(name, data, mode="append", schema_mode="merge")
        return self._write(name, data, mode="append", schema_mode="merge")

    def replace(self, name: str, columns: Any) -> int:
        """Make these rows the whole content in one commit; former versions stay readable."""
        return self._write(name, _arrow_table(columns), mode="overwrite", schema_mode="overwrite")

    def sql(
        self,
        query: str,
        params: Mapping[str, object] | None = None,
        *,
        versions: Mapping[str, int] | None = None,
        views: Mapping[str, str] | None = None,
    ) -> Any:
        """A DuckDB relation: `query` over the tables that it names.

        Args:
            query: SQL; table names are taken as they are.
            params: Values for `$name` in the query.
            versions: Table -> version to read; the last one where it is not named.
            views: Name -> SQL of a view that the query may use; views may use tables and views before them.

        Raises:
            ContractError: DuckDB or Delta refuses: the message is theirs.
        """
        import duckdb

        views = views or {}
        words = set(_WORD.findall(" ".join([query, *views.values()])))
        connection = duckdb.connect()
        try:
            for name in self.names():
                if name in words and name not in views:
                    connection.execute(f'create view "{name}" as {self._scan(name, (versions or {}).get(name))}')
            for name, text in views.items():
                connection.execute(f'create view "{name}" as {text}')
            return connection.sql(query, params=dict(params)) if params else connection.sql(query)
        except duckdb.Error as why:
            hint = f"tables here: {', '.join(self.names()) or 'none'}"
            raise ContractError(f"query: {why}", hint=hint) from why

    def open(self, name: str, version: int | None = None) -> Any:
        """The `DeltaTable` of a version; of the last one by default.

        Raises:
            ContractError: There is none, or its log is damaged.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            return DeltaTable(str(self.path(name)), version=version)
        except (DeltaError, OSError) as why:
            wanted = "" if version is None else f" version {version}"
            raise ContractError(f"table {name}{wanted}: {why}", hint=f"look into {self.path(name)}") from why

    def _scan(self, name: str, version: int | None) -> str:
        table = self.open(name, version)
        files = ", ".join("'" + uri.replace("'", "''") + "'" for uri in table.file_uris())
        fields = table.schema().fields
        if files:
            wanted = ", ".join(f'"{field.name}"' for field in fields)
            return f"select {wanted} from read_parquet([{files}], union_by_name = true)"
        empty = ", ".join(f'null::{_duck_type(field.type)} as "{field.name}"' for field in fields)
        return f"select {empty} where false"

    def _write(self, name: str, data: Any, *, mode: str, schema_mode: str) -> int:
        from deltalake import write_deltalake

        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_deltalake(str(path), data, mode=mode, schema_mode=schema_mode)
        return self.version(name)


_DUCK = {"string": "varchar", "long": "bigint", "short": "smallint", "byte": "tinyint", "binary": "blob"}


def _duck_type(delta_type: Any) -> str:
    if hasattr(delta_type, "element_type"):
        return f"{_duck_type(delta_type.element_type)}[]"
    return _DUCK.get(delta_type.type) or str(delta_type.type)


def _arrow_table(columns: Any) -> Any:
    """A table that can be written again if a commit is refused."""
    from arro3.core import Table

    if hasattr(columns, "__arrow_c_stream__"):
        return Table.from_arrow(columns)
    if not columns:
        raise ValueError("columns: want at least one")
    return Table.from_pydict({name: _arrow(name, values) for name, values in columns.items()})


def _arrow(name: str, values: Any) -> Any:
    """One column as an Arrow array, typed by the numpy array or by the first value that is not None."""
    import numpy as np
    from arro3.core import Array, DataType

    if isinstance(values, np.ndarray) and values.ndim == 2:
        return _arrow_lists([len(row) for row in values], np.ascontiguousarray(values).reshape(-1))
    if isinstance(values, np.ndarray) and values.dtype != object:
        return Array.from_numpy(np.ascontiguousarray(values))
    if hasattr(values, "__arrow_c_array__"):
        return values
    first = next((value for value in values if value is not None), None)
    types = {str: DataType.string, bool: DataType.bool, int: DataType.int64, float: DataType.float64,
             bytes: DataType.binary, type(None): DataType.string}  # fmt: skip
    if type(first) in types:
        return Array(list(values), type=types[type(first)]())
    if isinstance(first, Sequence | np.ndarray) or hasattr(first, "typecode"):
        rows = [np.asarray(row) for row in values]
        return _arrow_lists([len(row) for row in rows], np.concatenate(rows))
    raise TypeError(f"column {name}: cannot store values of type {type(first).__name__}")


def _arrow_lists(lengths: Sequence[int], flat: Any) -> Any:
    import numpy as np
    from arro3.core import Array, list_array

    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return list_array(Array.from_numpy(offsets), Array.from_numpy(flat))
