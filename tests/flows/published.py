"""Outside data as projects, for figures that others have published; files are made in the caller's folder."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from cloud_trainer.project import Project, load

HERE = Path(__file__).parent
SENSORS = (2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 17, 20, 21)
"""Those of C-MAPSS FD001 that change."""
CAP = 125
"""Labels of remaining useful life are capped here [cycles]. Source: Heimes, PHM 2008."""


def folder(name: str) -> Path:
    """A set of EDGELOOP_DATA, which may be missing."""
    return Path(os.environ.get("EDGELOOP_DATA", "none"), name)


def cmapss(out: Path) -> Project:
    """FD001: a recording an engine, its remaining life beside each cycle; test engines are the test groups."""
    data = folder("cmapss")
    left = [int(line) for line in (data / "RUL_FD001.txt").read_text(encoding="utf-8").split()]
    tests = []
    for kind in ("train", "test"):
        for unit, rows in _engines(data / f"{kind}_FD001.csv.gz"):
            name = f"{kind}-{unit:03}"
            tests += [name] if kind == "test" else []
            _write(out / f"{name}.csv", rows, left=left[unit - 1] if kind == "test" else 0)
    names = [f"s_{i}" for i in SENSORS]
    channels = "\n".join(f'[[channel]]\nname = "{name}"\nunit = "1"' for name in ["cycle", *names])
    text = (HERE / "cmapss.toml").read_text(encoding="utf-8").replace("CHANNELS", channels)
    slow = "\n".join(f'slow_{name[2:]} = "{name}:ema(12)"' for name in names)
    path = out / "edgeloop.toml"
    path.write_text(text.replace("DERIVED", slow).replace("TEST", repr(tests)), encoding="utf-8")
    return load(path)


def _engines(path: Path) -> Iterator[tuple[int, list[dict[str, str]]]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for unit, rows in groupby(csv.DictReader(file), key=lambda row: int(row["unit"])):
            yield unit, list(rows)


def _write(path: Path, rows: list[dict[str, str]], *, left: int) -> None:
    names = ["cycle", *(f"s_{i}" for i in SENSORS)]
    lines = [",".join([*names, "rul"])]
    for i, row in enumerate(rows):
        rul = min(CAP, left + len(rows) - 1 - i)
        lines.append(",".join([*(row[name] for name in names), str(rul)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
