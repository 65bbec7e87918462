"""Late labels in the store, and what they say of each bundle: its accuracy in the field, and whether its concept moved.

Its one rule: a label is kept by the identity of its record, whether that record has arrived or not, and the last one
that was given counts. A file with one bad line changes nothing.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from cloud_trainer.drift.judge import LABELS, REQUESTS
from cloud_trainer.drift.loss import Accuracy, are_probabilities, weighted
from cloud_trainer.labels.concept import has_moved, log_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloud_trainer.workspace import Workspace
    from edge_runtime.contract.manifest import Manifest

Key: TypeAlias = tuple[str, str, int]  # device, epoch, seq
_LAST = f"select device, epoch, seq, arg_max(label, imported_ms) as label from {LABELS} group by device, epoch, seq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What the labels of a bundle's records say.

    Attributes:
        bundle: Its digest.
        accuracy: Share of right decisions of all that it made, by the labelled ones; None where it decided none.
        random: Of the labelled records, those that were drawn at random: only with some of them is `accuracy` of all.
        abstained: Labelled records that the bundle abstained on.
        unknown: Labels that the bundle does not know; its decision counts as wrong.
        log_evidence: That it errs more often than its scores say; None where they are no probabilities.
        has_moved: The concept has: the evidence is beyond doubt (one false one in 100 models).
        reference: The accuracy to measure a loss by; None where nothing says.
        reference_of: Where that is from: "on its test groups", or, where no labelled record was drawn at random or the
            bundle does not say, "by the scores of the same records".
    """

    bundle: str
    accuracy: Accuracy | None
    random: int
    abstained: int
    unknown: tuple[str, ...]
    log_evidence: float | None
    has_moved: bool
    reference: float | None = None
    reference_of: str = ""

    @property
    def loss(self) -> float:
        """By how much accuracy fell, by labels; NaN where there is nothing to measure it by."""
        if self.accuracy is None or self.reference is None:
            return float("nan")
        return self.reference - self.accuracy.value


def import_labels(ws: Workspace, path: Path) -> tuple[int, int]:
    """Store the labels of a CSV file (record, label); returns how many, and how many of records that are not there yet.

    Raises:
        UsageError, ContractError: See `datasets.read_labels`; nothing is stored.
    """
    from cloud_trainer.datasets import read_labels
    from cloud_trainer.ingest import view

    labels = read_labels(path)
    ws.tables.append(LABELS, {
        "device": [one.device for one in labels], "epoch": [str(one.epoch) for one in labels],
        "seq": [one.seq for one in labels], "label": [one.label for one in labels],
        "imported_ms": [time.time_ns() // 1_000_000] * len(labels), "source": [path.name] * len(labels),
    })  # fmt: skip
    keys = {(one.device, one.epoch, one.seq) for one in labels}
    rows = view.sql(ws, "select distinct r.device, r.epoch, r.seq from records r semi join late_labels using "
                        "(device, epoch, seq)").fetchall()  # fmt: skip
    there = {(str(device), int(epoch), int(seq)) for device, epoch, seq in rows}
    return len(labels), len(keys - there)


def of_bundles(ws: Workspace, bundle: str = "") -> list[Labelled]:
    """What the labels say of each bundle that has some, the latest decision last.

    Args:
        ws: The workspace.
        bundle: Only this digest.

    Raises:
        UsageError: The workspace does not have a bundle that was labelled.
    """
    from itertools import groupby

    from cloud_trainer.audit import find_bundle
    from cloud_trainer.ingest import view

    if not ws.tables.exists(LABELS):
        return []
    query = f"""select r.bundle, r.device, r.epoch, r.seq, r.label, r.scores, r.probability, l.label
        from records r join ({_LAST}) l using (device, epoch, seq) where $bundle in ('', r.bundle)
        order by r.bundle, r.time_ms, r.device, r.epoch, r.seq"""
    rows = [_Row(*row) for row in view.sql(ws, query, {"bundle": bundle}).fetchall()]
    chances = _chances(ws)
    found = []
    for digest, group in groupby(rows, key=lambda row: row.bundle):
        found.append(_labelled(find_bundle(ws, digest)[1].manifest, list(group), chances))
    return found


class _Row(NamedTuple):
    bundle: str
    device: str
    epoch: str
    seq: int
    label: int
    scores: list[float]
    probability: float
    truth: str


def _labelled(manifest: Manifest, rows: list[_Row], chances: Mapping[Key, float]) -> Labelled:
    names = manifest.labels
    decided = [row for row in rows if row.label >= 0]
    right = [names[row.label] == row.truth for row in decided]
    asked = [chances.get((row.device, row.epoch, row.seq), 1.0) for row in decided]
    kept = [row.probability * chance for row, chance in zip(decided, asked, strict=True)]
    sure, devices = [row.scores[row.label] for row in decided], [row.device for row in decided]
    says = bool(decided) and all(are_probabilities(row.scores) for row in decided)
    evidence = log_evidence(zip(sure, right, strict=True)) if says else None
    random = sum(chance < 1 for chance in asked)
    tested = (manifest.extra.get("tested") or {}).get("accuracy") if random else None
    reference = tested[0] if tested else weighted(sure, kept, devices).value if says else None
    return Labelled(
        bundle=rows[0].bundle, accuracy=weighted(right, kept, devices) if decided else None, random=random,
        abstained=len(rows) - len(decided), unknown=tuple(sorted({row.truth for row in rows} - set(names))),
        log_evidence=evidence, has_moved=evidence is not None and has_moved(evidence), reference=reference,
        reference_of="on its test groups" if tested else "by the scores of the same records" if says else "",
    )  # fmt: skip


def _chances(ws: Workspace) -> dict[Key, float]:
    """With which chance each record was asked for; those that no request names are not in it."""
    chances: dict[Key, float] = {}
    if not ws.tables.exists(REQUESTS):
        return chances
    relation = ws.tables.sql(f"select * from {REQUESTS}")
    for row in relation.fetchall():
        request = dict(zip(relation.columns, row, strict=True))
        records = json.loads(request["records"])
        asked = json.loads(request["chances"]) if request.get("chances") else [1.0] * len(records)  # of older requests
        for name, chance in zip(records, asked, strict=True):
            device, epoch, seq = name.split(":")
            key = (device, epoch, int(seq))
            chances[key] = max(chance, chances.get(key, 0.0))
    return chances
