from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cloud_trainer.audit import RecordId, lineage
from cloud_trainer.cli.telemetry import register
from cloud_trainer.datasets import DatasetVersion
from cloud_trainer.datasets import store as datasets
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.program import Channel
from edge_runtime.errors import ContractError, UsageError
from tests.contract import samples as contract

RECORD = RecordId(device=contract.HEADER.device, epoch=contract.HEADER.epoch, seq=42)
LINEAGE = contract.MANIFEST.lineage


def dataset(name: str, version: int, digest: str, *, parents: tuple[str, ...] = ()) -> DatasetVersion:
    return DatasetVersion(
        name=name, version=version, digest=digest, rows=100, recordings=2, labels=("idle", "walking"),
        channels=(Channel(name="acc_x", unit="g"),), rate_hz=50.0, parents=parents, record_program="",
        delta_version=0, made_ms=0,
    )  # fmt: skip


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """A workspace with one record, its bundle, and three dataset versions."""
    ws = Workspace(tmp_path / "ws")
    pending = Pending()
    pending.add(topics.up("plant-2", "pump-7", "rec", "motor"), contract.RECORDS.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    (ws.bundles / "fan-7.elb").write_bytes(contract.BUNDLE)
    for one in (
        dataset("base", 1, contract.sha("base")),
        dataset("extra", 1, contract.sha("extra"), parents=("base@1",)),
        dataset(LINEAGE.dataset, 3, LINEAGE.dataset_digest, parents=("base@1", "extra@1")),
    ):
        datasets._commit(ws, one, {"x": [1.0]})
    return ws


def test_a_record_leads_to_its_data(ws: Workspace) -> None:
    chain = lineage(ws, RECORD)
    assert (chain.record["window"], chain.record["seq"]) == (1001, 42)
    assert chain.bundle["digest"] == contract.MANIFEST.digest
    assert (chain.bundle["name"], chain.bundle["version"], chain.bundle["label"]) == ("fan", 7, "walking")
    assert chain.run["id"] == "4f2a"
    assert (chain.dataset["name"], chain.dataset["version"]) == ("fan-lab", 3)
    assert chain.dataset["digest"] == LINEAGE.dataset_digest
    assert [parent["name"] for parent in chain.parents] == ["base", "extra"]


def test_one_command_prints_the_chain(ws: Workspace) -> None:
    app = typer.Typer()
    register(app)
    record = f"{RECORD.device}:{RECORD.epoch}:{RECORD.seq}"
    result = CliRunner().invoke(app, ["lineage", record, "--workspace", str(ws.root)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["dataset"]["version"] == 3


def test_what_is_missing_is_named(ws: Workspace) -> None:
    with pytest.raises(UsageError, match=f"record pump-7:{RECORD.epoch}:7: not in the store"):
        lineage(ws, replace(RECORD, seq=7))
    (ws.bundles / "fan-7.elb").unlink()
    with pytest.raises(UsageError, match="not among the 0 files"):
        lineage(ws, RECORD)


def test_a_dataset_with_another_digest_breaks_the_chain(tmp_path: Path, ws: Workspace) -> None:
    other = Workspace(tmp_path / "other")
    other.tables.append("raw_records", ws.tables.sql("select * from raw_records"))
    (other.bundles / "fan-7.elb").write_bytes(contract.BUNDLE)
    datasets._commit(other, dataset(LINEAGE.dataset, 3, contract.sha("something else")), {"x": [1.0]})
    with pytest.raises(ContractError, match="fan-lab@3 here is"):
        lineage(other, RECORD)


@pytest.mark.parametrize("text", ["", "a", "a:b:c", "a:1", ":1:2", "a:1:-2", "a:1:2:3"])
def test_a_record_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="want DEVICE:EPOCH:SEQ"):
        RecordId.parse(text)
