"""Copies of a workspace, and whether every byte of one is there. One rule: a copy is a workspace only once it is whole.

A copy may be made while consumers append: of each table it holds all versions up to the last one at its start, because
commits only add files, and their numbers come last. The marker of the workspace is written at the end.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.workspace import MARKER, Workspace
from edge_runtime.errors import ContractError, EdgeloopError, UsageError

if TYPE_CHECKING:
    from cloud_trainer.tables import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One part of a workspace: a table, or a file or folder beside them."""

    name: str
    found: str  # such as "version 7, 3 files, 1200 rows"
    problems: tuple[str, ...]


def check(ws: Workspace) -> list[Checked]:
    """Open everything: tables with the size and rows of each file, bundles to the byte, the runs' database, lineage."""
    parts = [_table(ws.tables, name) for name in ws.tables.names()]
    parts.append(_bundles(ws.bundles))
    parts += [_database(path) for path in (ws.root / "mlflow.db",) if path.exists()]
    parts += [_lineage(path) for path in (ws.lineage,) if path.exists()]
    return parts


def _table(tables: Tables, name: str) -> Checked:
    try:
        table = tables.open(name)
    except ContractError as why:
        return Checked(name=f"table {name}", found="not opened", problems=(str(why),))
    files = table.get_add_actions(flatten=True)
    columns = {field: files.column(field).to_pylist() for field in ("path", "size_bytes", "num_records")}
    problems: list[str] = []
    rows = 0
    for path, size, count in zip(*columns.values(), strict=True):
        file = tables.path(name) / path
        rows += count or 0
        if not file.is_file():
            problems.append(f"{path}: is not there")
        elif file.stat().st_size != size:
            problems.append(f"{path}: {file.stat().st_size} bytes, the table says {size}")
        elif problem := _unread(file, count):
            problems.append(f"{path}: {problem}")
    found = f"version {table.version()}, {len(columns['path'])} files, {rows} rows"
    return Checked(name=f"table {name}", found=found, problems=tuple(problems))


def _unread(file: Path, rows: int) -> str:
    """What is wrong with a Parquet file, every value of it read; nothing: ""."""
    import duckdb

    try:
        [(have, _)] = duckdb.execute("select count(*), bit_xor(hash(t)) from read_parquet(?) t", [str(file)]).fetchall()
    except duckdb.Error as why:
        return str(why).partition("\n")[0]
    return "" if have == rows else f"{have} rows, the table says {rows}"


def _bundles(folder: Path) -> Checked:
    from edge_runtime.contract.bundle import unpack

    problems = []
    files = sorted(folder.rglob("*.elb"))
    for path in files:
        try:
            unpack(path.read_bytes())
        except (EdgeloopError, OSError) as why:
            problems.append(f"{path.name}: {why}")
    return Checked(name="bundles", found=f"{len(files)} files", problems=tuple(problems))


def _database(path: Path) -> Checked:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            answers = [row[0] for row in database.execute("pragma integrity_check")]
    except sqlite3.DatabaseError as why:
        answers = [str(why)]
    problems = tuple(answer for answer in answers if answer != "ok")
    return Checked(name=path.name, found=f"{path.stat().st_size} bytes", problems=problems)


def _lineage(path: Path) -> Checked:
    lines = path.read_bytes().splitlines()
    bad = [number for number, line in enumerate(lines, 1) if not _is_json(line)]
    problems = tuple(f"line {number}: is no JSON" for number in bad)
    return Checked(name=path.name, found=f"{len(lines)} events", problems=problems)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def copy(ws: Workspace, to: Path) -> list[Checked]:
    """Make `to` a workspace with all that `ws` holds, then check it.

    Raises:
        UsageError: `to` is there and not empty, or cannot be written to; `ws` lacks bytes that it names.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"{to}: is there and is not empty", hint="name a new folder")
    for part in check(ws):
        if part.problems:
            raise UsageError(f"{ws.root}: {part.name}: {part.problems[0]}", hint="cloud-trainer store check names all")
    try:
        _copy(ws, to)
    except OSError as why:
        raise UsageError(f"{why.filename or to}: {why.strerror}", hint="the copy is not whole: delete it") from why
    return check(Workspace(to))


def _copy(ws: Workspace, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    versions = {name: ws.tables.version(name) for name in ws.tables.names()}
    for name, version in versions.items():
        source, target = ws.tables.path(name), to / "tables" / name
        for path in _data_then_log(source, version):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / path, target / path)
    for folder in sorted(path for path in ws.root.iterdir() if path.is_dir() and path.name != "tables"):
        shutil.copytree(folder, to / folder.name)
    if (ws.root / "mlflow.db").exists():
        with (
            closing(sqlite3.connect(ws.root / "mlflow.db")) as runs,
            closing(sqlite3.connect(to / "mlflow.db")) as db,
        ):
            runs.backup(db)
    if ws.lineage.exists():
        whole = ws.lineage.read_bytes()
        (to / ws.lineage.name).write_bytes(whole[: whole.rfind(b"\n") + 1])
    shutil.copy2(ws.root / MARKER, to / MARKER)


def _data_then_log(table: Path, version: int) -> Iterator[Path]:
    """The files of a table up to a version, relative to it; those that the log names come first."""
    files = sorted(path.relative_to(table) for path in table.rglob("*") if path.is_file())
    yield from (path for path in files if path.parts[0] != "_delta_log")
    for path in files:
        number = path.name.partition(".")[0]
        if path.parts[0] == "_delta_log" and number.isdecimal() and int(number) <= version:
            yield path
