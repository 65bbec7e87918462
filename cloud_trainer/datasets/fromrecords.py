"""Labelled records: what devices sampled, with the labels it was given since, as rows of a dataset version.

One rule: a label joins a record by its identity, and a record that is not in the store is refused by name.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.datasets.content import RecordRows
from edge_runtime.errors import ContractError, UsageError

if TYPE_CHECKING:
    from cloud_trainer.workspace import Workspace

COLUMNS = ("record", "label")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLabel:
    """The label of one record; `group` says with what it must not be split, by default its device."""

    device: str
    epoch: int
    seq: int
    label: str
    group: str = ""


def write_sheet(path: Path, records: Sequence[tuple[str, int, int]]) -> bool:
    """Write a CSV of records whose labels are to be filled in; False, and nothing done, if the file is there."""
    try:
        with path.open("x", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            rows.writerows((f"{device}:{epoch}:{seq}", "") for device, epoch, seq in records)
    except FileExistsError:
        return False
    return True


def read_labels(path: Path) -> list[RecordLabel]:
    """The labels in a CSV file with the columns record (DEVICE:EPOCH:SEQ), label and, if wanted, group.

    Raises:
        UsageError: The file cannot be read.
        ContractError: A column is missing, a label is empty, or a record is named twice; names the line.
    """
    from cloud_trainer.audit import RecordId

    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows, head = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError) as why:
        raise UsageError(f"labels {path}: {why}", hint="name a CSV file in UTF-8") from why
    for column in COLUMNS:
        if column not in head:
            raise ContractError(f"{path}: no column {column!r}", hint=f"there are: {', '.join(head) or 'none'}")
    if not rows:
        raise ContractError(f"{path}: no line below its head", hint="fill in some labels")
    found: dict[tuple[str, int, int], RecordLabel] = {}
    for line, row in enumerate(rows, 2):
        record = RecordId.parse(row["record"] or "")
        if not row["label"]:
            raise ContractError(f"{path} line {line}: the label of {row['record']} is empty", hint="leave the line out")
        key = (record.device, record.epoch, record.seq)
        if key in found:
            raise ContractError(f"{path} line {line}: {row['record']} stands twice", hint="keep one of its lines")
        found[key] = RecordLabel(
            device=record.device, epoch=record.epoch, seq=record.seq, label=row["label"], group=row.get("group") or ""
        )
    return list(found.values())


def labelled_rows(ws: Workspace, labels: Sequence[RecordLabel]) -> RecordRows:
    """The feature vectors of the labelled records, all of one feature program.

    Raises:
        ContractError: A record is not in the store, or they are of two programs.
    """
    import numpy as np

    from cloud_trainer.ingest import view

    wanted = {(one.device, one.epoch, one.seq): one for one in labels}
    rows = [
        (key, program, features)
        for device, epoch, seq, program, features in view.sql(
            ws, "select device, epoch, seq, program, features from records order by device, epoch, seq"
        ).fetchall()
        if (key := (str(device), int(epoch), int(seq))) in wanted
    ]
    missing = sorted(set(wanted) - {key for key, *_ in rows})
    if missing or not rows:
        named = ":".join(map(str, missing[0])) if missing else "none given"
        raise ContractError(
            f"labels: {len(missing)} of {len(labels)} records are not in the store, first {named}",
            hint="name the workspace that ingest writes to",
        )
    programs = sorted({program for _, program, _ in rows})
    if len(programs) > 1:
        raise ContractError(
            f"labels: the records are of {len(programs)} feature programs ({', '.join(p[:12] for p in programs)})",
            hint="features of two programs cannot be mixed: label those of one bundle",
        )
    chosen = [wanted[key] for key, *_ in rows]
    return RecordRows(
        program_digest=programs[0],
        features=np.array([features for *_, features in rows], dtype=np.float32),
        labels=[one.label for one in chosen],
        ids=[key for key, *_ in rows],
        groups=[one.group or one.device for one in chosen],
    )
