"""Tables: the store of datasets, features and telemetry. One rule: a write is one Delta commit, or nothing.

Each table is a Delta Lake folder below one root; queries are SQL by DuckDB over the files of a version.
Former versions of datasets are read again, so nothing here removes files. The root may be a URL that deltalake knows
(`s3://`, `gs://`, `az://`); its keys and endpoint are environment variables, as deltalake has them. What is there is
read through deltalake: DuckDB would download an extension for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from edge_runtime.errors import ContractError, UsageError

_TRIES = 8
_AT_ONCE = 1000  # rows
_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_READ = re.compile(r"\b(?:from|join)\s+([a-z][a-z0-9_]*)")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://.+")

Columns = Mapping[str, Any]
"""Column -> a numpy array, or a sequence of str, int, float, bool, bytes or lists of float; None = null."""


class Tables:
    """The Delta tables below one folder, or below a URL."""

    def __init__(self, root: Path | str) -> None:
        """Names the place; a folder is made by the first write.

        Raises:
            UsageError: `root` is text and no URL.
        """
        if isinstance(root, str) and not _URL.fullmatch(root):
            raise UsageError(f"tables at {root!r}: want a URL such as s3://bucket/fleet", hint="a folder is a Path")
        self.root = root if isinstance(root, Path) else root.rstrip("/")

    def location(self, name: str) -> str:
        """Where the table `name` is, as deltalake takes it.

        Raises:
            UsageError: `name` is not `[a-z][a-z0-9_]*`.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"table {name!r}: want [a-z][a-z0-9_]*, at most 128", hint="choose another name")
        return f"{self.root}/{name}"

    def path(self, name: str) -> Path:
        """The folder of the table `name`.

        Raises:
            UsageError: As `location`, or the tables are at a URL.
        """
        return self._folder() / Path(self.location(name)).name

    def exists(self, name: str) -> bool:
        """Whether anything was ever committed to `name`."""
        if isinstance(self.root, Path):
            return (self.path(name) / "_delta_log").is_dir()
        from deltalake import DeltaTable

        return bool(DeltaTable.is_deltatable(self.location(name)))

    def names(self) -> list[str]:
        """Every table there is, sorted; only of a folder.

        Raises:
            UsageError: The tables are at a URL.
        """
        return sorted(log.parent.name for log in self._folder().glob("*/_delta_log"))

    def _folder(self) -> Path:
        if isinstance(self.root, Path):
            return self.root
        raise UsageError(
            f"tables at {self.root}: this needs them in a folder",
            hint="backups and listings of object storage are its own: versions of the bucket, a copy of the prefix",
        )

    def version(self, name: str) -> int:
        """The number of the last commit of `name`; -1 if there is none."""
        return int(self.open(name).version()) if self.exists(name) else -1

    @contextlib.contextmanager
    def alone(self, name: str, *, wait: bool) -> Iterator[bool]:
        """Hold the table against other rewriters of this machine; False where one has it and `wait` is not asked for.

        delta-rs lets two rewrites of the same files both commit, and every row is there twice. Appending needs no hold.
        A process that is killed lets go. Of tables at a URL a file in the folder for temporary files is held, so let
        one machine rewrite there.
        """
        folder = os.open(*self._held(name))
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(folder)

    def _held(self, name: str) -> tuple[Path, int]:
        if isinstance(self.root, Path):
            return self.path(name), os.O_RDONLY
        digest = sha256(self.location(name).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"edgeloop-{digest}.lock", os.O_RDONLY | os.O_CREAT

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
        text = " ".join([query, *views.values()])
        connection = duckdb.connect()
        try:
            for name in self._read_by(text):
                if name not in views:
                    self._bind(connection, name, (versions or {}).get(name))
            for name, view in views.items():
                connection.execute(f'create view "{name}" as {view}')
            return connection.sql(query, params=dict(params)) if params else connection.sql(query)
        except duckdb.Error as why:
            here = self.names() if isinstance(self.root, Path) else self._read_by(text)
            hint = f"tables here: {', '.join(here) or 'none'}"
            raise ContractError(f"query: {why}", hint=hint) from why

    def open(self, name: str, version: int | None = None) -> Any:
        """The `DeltaTable` of a version; of the last one by default.

        Raises:
            ContractError: There is none, or its log is damaged.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            return DeltaTable(self.location(name), version=version)
        except (DeltaError, OSError) as why:
            wanted = "" if version is None else f" version {version}"
            raise ContractError(f"table {name}{wanted}: {why}", hint=f"look into {self.location(name)}") from why

    def _read_by(self, text: str) -> list[str]:
        """The tables that a query names; at a URL only those behind FROM and JOIN are asked for."""
        if isinstance(self.root, Path):
            words = set(_WORD.findall(text))
            return [name for name in self.names() if name in words]
        return [name for name in sorted(set(_READ.findall(text))) if self.exists(name)]

    def _bind(self, connection: Any, name: str, version: int | None) -> None:
        """Make the table a view of the connection."""
        table = self.open(name, version)
        if isinstance(self.root, Path):
            connection.execute(f'create view "{name}" as {_scan(table)}')
        else:
            connection.register(name, fetched(table))

    def _write(self, name: str, data: Any, *, mode: str, schema_mode: str) -> int:
        from deltalake import write_deltalake

        if isinstance(self.root, Path):
            self.root.mkdir(parents=True, exist_ok=True)
        write_deltalake(self.location(name), data, mode=mode, schema_mode=schema_mode)
        return self.version(name)


def fetched(table: Any) -> Any:
    """The rows of a `DeltaTable`, wherever it is, as an Arrow table in memory."""
    from arro3.core import Table
    from deltalake import QueryBuilder

    return Table.from_arrow(QueryBuilder().register("t", table).execute("select * from t"))


def rows(relation: Any) -> Iterator[dict[str, Any]]:
    """Rows of a DuckDB relation by column name, lists as numpy arrays, for what is too much as Python's numbers.

    A list that is null is an empty one.
    """
    from arro3.core import RecordBatchReader

    for batch in RecordBatchReader.from_arrow(relation):
        for at in range(0, batch.num_rows, _AT_ONCE):
            some = batch.slice(at, min(_AT_ONCE, batch.num_rows - at))
            names = some.column_names
            for values in zip(*(_values(some.column(name)) for name in names), strict=True):
                yield dict(zip(names, values, strict=True))


def _values(column: Any) -> Sequence[Any]:
    import numpy as np
    from arro3.core import DataType, list_flatten, list_offsets

    if not DataType.is_list(column.type):
        return list(column.to_pylist())
    offsets = list_offsets(column).to_numpy()
    return np.split(list_flatten(column).to_numpy(), offsets[1:-1] - offsets[0])


def _scan(table: Any) -> str:
    """SQL over the files of a table in a folder."""
    files = ", ".join("'" + uri.replace("'", "''") + "'" for uri in table.file_uris())
    fields = table.schema().fields
    if files:
        wanted = ", ".join(f'"{field.name}"' for field in fields)
        return f"select {wanted} from read_parquet([{files}], union_by_name = true)"
    empty = ", ".join(f'null::{_duck_type(field.type)} as "{field.name}"' for field in fields)
    return f"select {empty} where false"


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
