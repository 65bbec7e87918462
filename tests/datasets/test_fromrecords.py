"""Labels join records of the fleet by identity; the rows become a dataset version on top of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.datasets import freeze, labelled_rows, load, read_labels, write_sheet
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.project import load as load_project
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.errors import ContractError, EdgeloopError, UsageError
from tests.contract import samples
from tests.datasets.sample import write_project

FIRST = samples.RECORDS.first_seq
IDS = [(samples.HEADER.device, samples.HEADER.epoch, FIRST + i) for i in range(len(samples.RECORDS))]


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """A workspace whose store holds the sample batch."""
    ws = Workspace(tmp_path / "ws")
    pending = Pending()
    pending.add(topics.up("plant-2", "pump-7", "rec", "motor"), samples.RECORDS.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    return ws


def sheet(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def name(seq: int) -> str:
    return f"{samples.HEADER.device}:{samples.HEADER.epoch}:{seq}"


def test_labelled_records_are_frozen_on_top_of_a_version(ws: Workspace, tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path / "project"))
    parent = freeze(project, ws)
    path = sheet(tmp_path, f"record,label,group\n{name(FIRST + 1)},busy,late\n{name(FIRST)},new,\n")
    rows = labelled_rows(ws, read_labels(path))
    assert (list(rows.labels), list(rows.groups)) == (["new", "busy"], [samples.HEADER.device, "late"])
    wanted = np.array(samples.RECORDS.features, np.float32).reshape(len(samples.RECORDS), -1)[:2]
    assert rows.features.tobytes() == wanted.tobytes()
    version = freeze(project, ws, records=rows, parents=[parent])
    assert (version.ref, version.parents, "new" in version.labels) == ("sample@2", ("sample@1",), True)
    assert load(ws, "sample@1").digest == parent.digest


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("record,label\n", ContractError, "no line below its head"),
        ("record,other\nx:1:1,a\n", ContractError, "no column 'label'"),
        (f"record,label\n{name(FIRST)},\n", ContractError, "line 2: the label of .* is empty"),
        (f"record,label\n{name(FIRST)},a\n{name(FIRST)},b\n", ContractError, "line 3: .* stands twice"),
        ("record,label\nnonsense,a\n", UsageError, "want DEVICE:EPOCH:SEQ"),
        (f"record,label\n{name(FIRST)},a\n{name(9999)},a\n", ContractError, "1 of 2 records are not in the store"),
    ],
)
def test_a_wrong_sheet_is_one_error_and_freezes_nothing(
    ws: Workspace, tmp_path: Path, text: str, kind: type[EdgeloopError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        labelled_rows(ws, read_labels(sheet(tmp_path, text)))


def test_a_sheet_that_is_being_filled_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    assert write_sheet(path, IDS)
    path.write_text(
        path.read_text(encoding="utf-8").replace(f"{name(FIRST)},", f"{name(FIRST)},busy"), encoding="utf-8"
    )
    assert not write_sheet(path, IDS)
    assert "busy" in path.read_text(encoding="utf-8")
