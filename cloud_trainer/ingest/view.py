"""The one reading view of the telemetry, and the compaction that makes it cheap.

Its one rule: a row is there once, however often it arrived. Everything downstream reads through `sql()` or one
of the named functions; the stored tables (`raw_*`) may hold a row twice until `compact()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_trainer.ingest import schema
from cloud_trainer.tables import fetched
from edge_runtime.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cloud_trainer.tables import Tables
    from cloud_trainer.workspace import Workspace

VACUUM_HOURS = 7 * 24  # readers hold lists of files
ATTEMPTS = 8


def sql(ws: Workspace, query: str, params: Mapping[str, object] | None = None) -> Any:
    """A DuckDB relation: `query` over records, summaries, windows, events, births, states, quarantine, each row once.

    A table nothing has arrived for yet is empty; the workspace's other tables can be named as well.
    """
    views = {name: _view(ws.tables, name) for name in schema.TABLES if name in query}
    return ws.tables.sql(query, params, views=views)


def records(ws: Workspace) -> Any:
    """Every sampled inference of the fleet."""
    return sql(ws, "select * from records")


def summaries(ws: Workspace) -> Any:
    """Every period's counts, one row per device, stream and period part."""
    return sql(ws, "select * from summaries")


def windows(ws: Workspace) -> Any:
    """The frames of windows that devices let go, each beside its record (`device`, `epoch`, `stream`, `window`)."""
    return sql(ws, "select * from windows")


def events(ws: Workspace) -> Any:
    """Every event of the fleet: starts, swaps, faults, gaps."""
    return sql(ws, "select * from events")


def births(ws: Workspace) -> Any:
    """Every birth: which device ran which bundles from when on."""
    return sql(ws, "select * from births")


def _view(tables: Tables, name: str) -> str:
    raw = schema.raw(name)
    if not tables.exists(raw):
        typed = (f'null::{schema.SQL_TYPES[kind]} as "{c}"' for c, kind in schema.TABLES[name].items())
        return f"select {', '.join(typed)} where false"
    stored = {column.name for column in tables.open(raw).schema().fields}
    return _once(name, f"select *{_missing(name, stored)} from {raw}")


def _missing(name: str, stored: Collection[str]) -> str:
    """Columns that a table of an older program lacks, as nulls: what is read is always whole."""
    kinds = schema.TABLES[name].items()
    return "".join(f', null::{schema.SQL_TYPES[kind]} as "{c}"' for c, kind in kinds if c not in stored)


def _once(name: str, source: str) -> str:
    keys = ", ".join(schema.KEYS[name])
    return f"select distinct on ({keys}) * from ({source})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What a compaction of one table did."""

    table: str
    rows: int
    dropped: int
    files_before: int


def compact(ws: Workspace) -> list[Compacted]:
    """Rewrite each telemetry table that has more than one file or a row twice; delete files unused for a week.

    Safe while consumers append: the commit removes exactly the files it read. Of two rewriters of a machine one
    waits for the other; of two machines one wins, the other reads again.

    Raises:
        TransportError: Others won the table `ATTEMPTS` times in a row.
    """
    done = []
    for name in schema.TABLES:
        if ws.tables.exists(schema.raw(name)):
            with ws.tables.alone(schema.raw(name), wait=True):
                done.append(_compact(ws.tables, name))
    return done


def _compact(tables: Tables, name: str) -> Compacted:
    from deltalake.exceptions import CommitFailedError

    for _ in range(ATTEMPTS):
        table = tables.open(schema.raw(name))
        try:
            done = _rewrite(table, name, is_near=isinstance(tables.root, Path))
        except CommitFailedError:
            continue
        table.update_incremental()
        table.vacuum(retention_hours=VACUUM_HOURS, dry_run=False)
        return done
    raise TransportError(f"compact {name}: lost to another writer {ATTEMPTS} times", hint="compact later")


def _rewrite(table: Any, name: str, *, is_near: bool = True) -> Compacted:
    """One attempt on the snapshot that `table` holds."""
    import duckdb
    from deltalake import write_deltalake

    files = table.file_uris()
    if not files:
        return Compacted(table=schema.raw(name), rows=0, dropped=0, files_before=0)
    connection = duckdb.connect()
    columns = ", ".join(f'"{field.name}"' for field in table.schema().fields)  # those of a newer program, too
    near = connection.read_parquet(files, union_by_name=True) if is_near else connection.from_arrow(fetched(table))
    stored = near.select(columns)
    connection.register("stored", stored)
    before = int(connection.sql("select count(*) from stored").fetchall()[0][0])
    keys = ", ".join(schema.KEYS[name])
    connection.execute(f"create table once as {_once(name, 'select * from stored')} order by {keys}")
    rows = int(connection.sql("select count(*) from once").fetchall()[0][0])
    if len(files) > 1 or rows < before:
        write_deltalake(table, connection.sql("select * from once"), mode="overwrite")
    return Compacted(table=schema.raw(name), rows=rows, dropped=before - rows, files_before=len(files))
