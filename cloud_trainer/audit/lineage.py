"""Lineage: from one record in the store to the data its model was trained on.

Its one rule: every step is a join on a digest. Record (device, epoch, seq) -> bundle (digest in the record's header)
-> run and dataset version (manifest) -> parents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloud_trainer.audit.shelf import find_bundle
from cloud_trainer.ingest import view
from edge_runtime.errors import ContractError, UsageError

if TYPE_CHECKING:
    from cloud_trainer.datasets import DatasetVersion
    from cloud_trainer.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordId:
    """Identity of a record; written `device:epoch:seq`."""

    device: str
    epoch: int
    seq: int

    @classmethod
    def parse(cls, text: str) -> RecordId:
        """The identity that `text` names.

        Raises:
            UsageError: It is not `device:epoch:seq`.
        """
        parts = text.split(":")
        if len(parts) != 3 or not parts[0] or not parts[1].isdecimal() or not parts[2].isdecimal():
            raise UsageError(f"record {text!r}: want DEVICE:EPOCH:SEQ", hint="such as fan-7:12345:1")
        return cls(device=parts[0], epoch=int(parts[1]), seq=int(parts[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Everything between a record and its data; each value holds plain JSON values."""

    record: dict[str, Any]
    bundle: dict[str, Any]
    run: dict[str, Any]
    dataset: dict[str, Any]
    parents: tuple[dict[str, Any], ...]  # nearest first


def lineage(ws: Workspace, record: RecordId) -> Chain:
    """The chain of a record.

    Raises:
        UsageError: No such record, or the workspace lacks its bundle or dataset version.
        ContractError: A step names another digest than the one it points to.
    """
    row = _record(ws, record)
    path, found = find_bundle(ws, row["bundle"])
    manifest = found.manifest
    if manifest.program_digest != row["program"]:
        raise ContractError(
            f"record {record.device}:{record.epoch}:{record.seq}: names program {row['program'][:12]}, "
            f"its bundle {row['bundle'][:12]} has {manifest.program_digest[:12]}"
        )
    origin = manifest.lineage
    dataset = _dataset(ws, f"{origin.dataset}@{origin.dataset_version}")
    if dataset.digest != origin.dataset_digest:
        raise ContractError(
            f"bundle {manifest.name}@{manifest.version}: trained on {origin.dataset_digest[:12]}, "
            f"{dataset.ref} here is {dataset.digest[:12]}",
            hint="this workspace is not the one that made the bundle",
        )
    return Chain(
        record=row,
        bundle={"name": manifest.name, "version": manifest.version, "digest": found.digest, "file": path.name,
                "program": manifest.program_digest, "engine": manifest.engine,
                "label": _label(manifest.labels, row["label"])},
        run={"id": origin.run_id, "tracking": ws.mlflow_uri},
        dataset=_facts(dataset),
        parents=tuple(_facts(parent) for parent in _ancestors(ws, dataset)),
    )  # fmt: skip


def _record(ws: Workspace, record: RecordId) -> dict[str, Any]:
    found = view.sql(
        ws,
        "select * from records where device = $device and epoch = $epoch and seq = $seq",
        {"device": record.device, "epoch": str(record.epoch), "seq": record.seq},
    )
    rows = found.fetchall()
    if not rows:
        raise UsageError(
            f"record {record.device}:{record.epoch}:{record.seq}: not in the store",
            hint="`cloud-trainer tail --from-store records` shows what is",
        )
    return dict(zip(found.columns, rows[0], strict=True))


def _label(labels: tuple[str, ...], index: int) -> str:
    return labels[index] if 0 <= index < len(labels) else "(abstain)"


def _dataset(ws: Workspace, ref: str) -> DatasetVersion:
    from cloud_trainer.datasets import load

    return load(ws, ref)


def _ancestors(ws: Workspace, dataset: DatasetVersion) -> list[DatasetVersion]:
    """Every version that `dataset` was made from, nearest first."""
    out: dict[str, DatasetVersion] = {}
    waiting = list(dataset.parents)
    while waiting:
        ref = waiting.pop(0)
        if ref not in out:
            out[ref] = _dataset(ws, ref)
            waiting += out[ref].parents
    return list(out.values())


def _facts(dataset: DatasetVersion) -> dict[str, Any]:
    return {
        "name": dataset.name, "version": dataset.version, "digest": dataset.digest, "rows": dataset.rows,
        "parents": list(dataset.parents),
    }  # fmt: skip
