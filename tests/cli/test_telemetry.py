"""The commands about a running fleet look into the workspace that the user means, or say that there is none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.errors import UsageError
from tests.cli.app import call
from tests.drift.test_judge import SITE, STREAM, Fleet
from tests.drift.world import PERIOD_MS, START_MS
from tests.ingest import samples


@pytest.mark.parametrize(
    "words", [("drift",), ("compact",), ("lineage", "d:1:1"), ("tail", "--from-store", "records")], ids=lambda w: w[0]
)
def test_a_mistyped_workspace_is_refused_and_not_made(words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere: there is none"):
        call(*words, "-w", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_an_empty_workspace_is_told(tmp_path: Path) -> None:
    Workspace(tmp_path)
    assert call("drift", "-w", tmp_path) == "no summaries yet\n"
    assert call("drift", "--bundle", "ab12", "-w", tmp_path) == "no summaries of bundle ab12 yet\n"
    assert call("compact", "-w", tmp_path) == "no telemetry yet\n"


@pytest.mark.parametrize("years", ["0", "-1", "nan", "inf"])
def test_a_rate_of_false_alarms_that_is_none_is_refused(years: str, tmp_path: Path) -> None:
    Workspace(tmp_path)
    with pytest.raises(UsageError, match="is not above 0 and finite"):
        call("drift", "--years", years, "-w", tmp_path)


def test_a_port_that_is_none_is_refused() -> None:
    assert "65535" in call("tail", "--port", "99999")


def test_labels_are_asked_for_only_where_accuracy_is_at_stake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No score says what it costs: not asked. Scores as sure as before: not asked, unless told to."""
    monkeypatch.chdir(tmp_path)
    ws = Workspace(tmp_path / "ws")
    fleet = Fleet(ws)
    (ws.bundles / "a.elb").write_bytes(fleet.file)
    asked = call("drift", "--request", "-w", ws.root)
    assert "d1/main: drifted" in asked
    assert "d0/main" not in asked
    assert re.search(r"\n  1 stream steady, log M -?\d+\.\d at most \(--all lists them\)\n", asked)
    every = call("drift", "--all", "-w", ws.root)
    assert "\nd0/main: steady, 25 periods" in every
    assert "--all" not in every
    assert "no need to retrain: no score says what it costs and input drift alone is not enough" in asked
    pending = Pending()
    batch = samples.records(100, 6, device="d1")
    times = tuple(START_MS + PERIOD_MS * hour for hour in (3, 4, 5, 16, 17, 18))
    sure = replace(
        batch, header=replace(batch.header, bundle=fleet.digest), times_ms=times, labels=(0,) * 6,
        scores=type(batch.scores)("f", [0.875, 0.125] * 6),
    )  # fmt: skip
    pending.add(topics.up(SITE, "d1", "rec", STREAM), sure.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    told = call("drift", "--request", "-w", ws.root)
    assert "expected accuracy 87.5% -> 87.5%" in told
    assert "no need to retrain: expected loss 0.0%, if the scores are calibrated and only inputs moved, is not" in told
    assert not ws.tables.exists("retrain_requests")
    assert "asked for labels of 3 records" in call("drift", "--request", "--least-loss", "0", "-w", ws.root)


def test_streams_that_drift_together_share_one_request_of_their_own_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ws = Workspace(tmp_path / "ws")
    fleet = Fleet(ws, sick=("d0", "d1"))
    (ws.bundles / "a.elb").write_bytes(fleet.file)
    pending = Pending()
    for device in ("d0", "d1", "d2"):  # no summary speaks of d2
        batch = samples.records(100, 6, device=device)
        times = tuple(START_MS + PERIOD_MS * hour for hour in (3, 4, 5, 16, 17, 18))
        one = replace(batch, header=replace(batch.header, bundle=fleet.digest), times_ms=times)
        pending.add(topics.up(SITE, device, "rec", STREAM), one.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    told = call("drift", "--request", "--least-loss", "0", "-w", ws.root)
    assert told.count("asked for labels of 6 records") == 1
    [(device, why, records)] = ws.tables.sql("select device, why, records from retrain_requests").fetchall()
    assert (device, why[:10]) == ("", "2 streams,")
    assert sorted(json.loads(records)) == [f"{d}:{samples.EPOCH}:{n}" for d in ("d0", "d1") for n in (103, 104, 105)]
    [sheet] = tmp_path.glob("labels-*.csv")
    assert f"cloud-trainer labels import {sheet.name}" in told
