"""A small project on disk: two labels that anyone can tell apart, a few takes each."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

TOML = """
[project]
name = "sample"

[data]
files = ["rec/*.csv"]
rate_hz = 10.0

[[channel]]
name = "x"
unit = "g"
scale = 0.5

[[channel]]
name = "y"
unit = "1"
offset = 1.0

[labels.index]
file = "takes.csv"
label_column = "label"

[groups.index]
file = "takes.csv"
column = "take"

[features]
window_frames = 16
hop_frames = 8
list = ["mean", "std", "max", "mad_diff"]

[split]
test_fraction = 0.34

[train]
estimators = ["logistic", "forest"]

[train.forest]
n_estimators = 10
n_jobs = 1
"""


def frames(label: str, take: int, n: int) -> list[tuple[float, float]]:
    """Seeded frames: "idle" is quiet, everything else swings."""
    rng = random.Random(f"{label}{take}")
    size = 0.1 if label == "idle" else 2.0
    return [(size * math.sin(i) + rng.gauss(0, 0.1), size * rng.gauss(0, 1)) for i in range(n)]


def write_recording(path: Path, rows: Sequence[Sequence[float]], *, header: str = "x,y") -> None:
    """One CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([header, *(",".join(f"{value:.5f}" for value in row) for row in rows)])
    path.write_text(text + "\n", encoding="utf-8")


def write_project(folder: Path, *, labels: Sequence[str] = ("idle", "busy"), takes: int = 3, n: int = 100) -> Path:
    """The project file, with its recordings and takes.csv beside it."""
    lines = ["file,label,take"]
    for take in range(takes):
        for label in labels:
            write_recording(folder / "rec" / f"{label}-{take}.csv", frames(label, take, n))
            lines.append(f"{label}-{take}.csv,{label},{take}")
    (folder / "takes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / "edgeloop.toml"
    path.write_text(TOML, encoding="utf-8")
    return path


def edit(path: Path, old: str, new: str) -> Path:
    """Replace one piece of a text file, which must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path}: no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path
