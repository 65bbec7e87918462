"""Raw windows as files that a person can look at: a CSV each, and a table to write the labels into.

Its one rule: a file is as a recording of the project is: raw units, one column a channel, one line a frame. So it can
be played back, and frozen with a label beside it.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cloud_trainer.workspace import Workspace
    from edge_runtime.contract.bundle import Bundle

HEAD = ("record", "label", "file", "decided", "reason", "time_ms")
_QUERY = """select w.device, w.epoch, r.seq, w.stream, w."window", w.time_ms, w.reason, w.bundle, w.channels,
    w.n_values, w."values", r.label
    from windows w join records r using (device, epoch, stream, "window", bundle)
    where $device in ('', w.device) order by w.device, w.epoch, r.seq"""


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


def write_windows(ws: Workspace, folder: Path, *, device: str = "") -> list[Written]:
    """Write each raw window that has its record, and labels.csv with an empty label for each.

    Args:
        ws: The workspace.
        folder: New or empty.
        device: Only of this one.

    Raises:
        UsageError: The folder has files, or the workspace lacks a bundle whose windows these are.
    """
    from cloud_trainer.audit import find_bundle
    from cloud_trainer.ingest import view

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: it has files already", hint="name a new folder")
    rows = view.sql(ws, _QUERY, {"device": device}).fetchall()
    if not rows:
        return []
    bundle = cache(lambda digest: find_bundle(ws, digest)[1])
    for digest in {row[7] for row in rows}:
        bundle(digest)  # all of them are here, or nothing is written
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEAD)
        for who, epoch, seq, stream, window, time_ms, reason, digest, names, n_values, values, label in rows:
            labels = bundle(digest).manifest.labels
            one = Written(
                record=f"{who}:{epoch}:{seq}", stream=stream, window=window, reason=reason,
                decided=labels[label] if label >= 0 else "", file=f"{who}-{epoch}-{seq}.csv",
            )  # fmt: skip
            _write(folder / one.file, json.loads(names), n_values, values, bundle(digest))
            table.writerow([one.record, "", one.file, one.decided, reason, time_ms])
            found.append(one)
    return found


def _write(path: Path, names: Sequence[str], n_values: Sequence[int], values: Sequence[float], bundle: Bundle) -> None:
    """In raw units; a channel of another rate keeps its value until the next one."""
    program = bundle.program()
    known = {channel.name: channel for channel in program.channels}
    columns, at = [], 0
    for name, n in zip(names, n_values, strict=True):
        channel = known[name]
        raw = [(value - channel.offset) / channel.scale for value in values[at : at + n]]
        columns.append([raw[frame // channel.every] for frame in range(program.window_frames)])
        at += n
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(names)
        table.writerows([f"{value:.9g}" for value in line] for line in zip(*columns, strict=True))
