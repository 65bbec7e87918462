"""Raw windows as files that a person can look at: a CSV each, and a table to write the labels into.

Its one rule: a file is as a recording of the project is: raw units, one column a channel, one line a frame. So it can
be played back, and frozen with a label beside it. What does not fit its bundle is left out and counted: what one device
sent keeps nobody from the windows of the others.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import EdgeloopError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from cloud_trainer.workspace import Workspace
    from edge_runtime.contract.program import Program

HEAD = ("record", "label", "file", "decided", "reason", "time_ms")
_FROM = """from windows w join records r using (device, epoch, stream, "window", bundle)
    where $device in ('', w.device)"""
_BUNDLES = f"select distinct w.bundle {_FROM} order by all"
_WINDOWS = f"""select w.device, w.epoch, r.seq, w.stream, w."window", w.time_ms, w.reason, w.bundle, w.channels,
    w.n_values, w."values", r.label {_FROM} order by w.device, w.epoch, r.seq"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One window that was written.

    Attributes:
        record: DEVICE:EPOCH:SEQ of its record, as `labels import` wants it.
        stream: Of the device.
        window: Its number.
        reason: Why it was kept.
        decided: The label that the device decided, "" where it abstained.
        file: Its name in the folder.
    """

    record: str
    stream: str
    window: int
    reason: str
    decided: str
    file: str


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a window of a bundle looks like."""

    program: Program
    labels: Sequence[str]


def write_windows(ws: Workspace, folder: Path, *, device: str = "") -> tuple[list[Written], Counter[str]]:
    """Write each raw window that has its record, and labels.csv with an empty label for each.

    Args:
        ws: The workspace.
        folder: New or empty; it is not made for no window.
        device: Only of this one.

    Returns:
        What was written, and how many windows were left out by why: the workspace lacks their bundle, or they do not
        fit it.

    Raises:
        UsageError: The folder has files.
    """
    from cloud_trainer.ingest import view
    from cloud_trainer.tables import rows

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: it has files already", hint="name a new folder")
    params = {"device": device}
    shapes = {digest: _shape(ws, digest) for (digest,) in view.sql(ws, _BUNDLES, params).fetchall()}
    found, sheet, left_out = [], [], Counter[str]()
    for row in rows(view.sql(ws, _WINDOWS, params)):
        shape = shapes.get(row["bundle"], "it arrived just now, try again")
        why = shape if isinstance(shape, str) else _misfit(row, shape)
        if isinstance(shape, str) or why:
            left_out[why] += 1
            continue
        stem = (row["device"], row["epoch"], str(row["seq"]))
        one = Written(
            record=":".join(stem), stream=row["stream"], window=row["window"], reason=row["reason"],
            decided=shape.labels[row["label"]] if row["label"] >= 0 else "", file=f"{'-'.join(stem)}.csv",
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / one.file, row, shape.program)
        sheet.append([one.record, "", one.file, one.decided, one.reason, row["time_ms"]])
        found.append(one)
    if found:
        _table(folder / "labels.csv", [HEAD, *sheet])
    return found, left_out


def _shape(ws: Workspace, digest: str) -> _Shape | str:
    """Of a bundle; or why there is none."""
    from cloud_trainer.audit import find_bundle

    try:
        bundle = find_bundle(ws, digest)[1]
        return _Shape(program=bundle.program(), labels=bundle.manifest.labels)
    except EdgeloopError as why:
        return f"{why}; {why.hint}"


def _misfit(row: Mapping[str, Any], shape: _Shape) -> str:
    """Why a window cannot be one of its bundle, "" where it can: devices say what they like."""
    wanted = {channel.name: shape.program.window_frames // channel.every for channel in shape.program.channels}
    whose = f"device {row['device']}, bundle {row['bundle'][:12]}"
    for name, n in zip(json.loads(row["channels"]), row["n_values"], strict=True):
        if name not in wanted:
            return f"{whose}: it has no channel {name!r}"
        if n != wanted[name]:
            return f"{whose}: channel {name} has {n} values, want {wanted[name]}"
    if row["label"] >= len(shape.labels):
        return f"{whose}: label {row['label']}, it has {len(shape.labels)}"
    return ""


def _write(path: Path, row: Mapping[str, Any], program: Program) -> None:
    """In raw units; a channel of another rate keeps its value until the next one."""
    names = json.loads(row["channels"])
    known = {channel.name: channel for channel in program.channels}
    columns, at = [], 0
    for name, n in zip(names, row["n_values"], strict=True):
        channel = known[name]
        raw = [(value - channel.offset) / channel.scale for value in row["values"][at : at + n].tolist()]
        columns.append([raw[frame // channel.every] for frame in range(program.window_frames)])
        at += n
    lines = ([f"{value:.9g}" for value in line] for line in zip(*columns, strict=True))
    _table(path, chain([names], lines))


def _table(path: Path, lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
