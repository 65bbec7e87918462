"""From summaries on the wire to verdict rows, and to a request for labels."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloud_trainer.drift import DRIFTED, STEADY, Rule, judge, retrain_request
from cloud_trainer.drift.judge import read_periods
from cloud_trainer.drift.show import show
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.baseline import Baseline, Bins
from edge_runtime.contract.bundle import members_of, pack
from edge_runtime.contract.header import Header
from edge_runtime.contract.summary import SummaryBatch, SummaryRow
from edge_runtime.errors import UsageError
from tests.contract import samples as contract
from tests.drift.world import PERIOD_MS, START_MS, Array, baseline, bins, tally
from tests.ingest import samples

SITE, STREAM = "lab", "main"


def bundle(base: Baseline, extra: dict[str, Any] | None = None) -> tuple[str, bytes]:
    """Digest and file of a bundle with this baseline, and more in its manifest."""
    members = {**contract.MEMBERS, "baseline.json": base.to_bytes()}
    manifest = replace(contract.MANIFEST, members=members_of(members), extra=extra or {})
    return manifest.digest, pack(manifest, members)


def row(x: Array, b: Bins) -> SummaryRow:
    t = tally(x, b.edges, centre=b.centre, scale=b.scale)
    good = x[~np.isnan(x)]
    return SummaryRow(n=t.n, n_nan=t.n_nan, min=float(good.min()), max=float(good.max()), first=t.first, last=t.last,
                      sum=t.sum, sum_sq=t.sum_sq, sum_lag=t.sum_lag, counts=t.counts)  # fmt: skip


class Fleet:
    """Two devices whose summaries arrive twice; feature "b" of the sick moves at period 15."""

    def __init__(
        self,
        ws: Workspace,
        *,
        rows: slice = slice(None),
        extra: dict[str, Any] | None = None,
        sick: Sequence[str] = ("d1",),
    ) -> None:
        rng = np.random.default_rng(8)
        parts = [bins(x, name) for x, name in zip(rng.normal(size=(3, 1500)), ("a", "b", "idle"), strict=True)]
        self.baseline = baseline(parts[:2], parts[2:])
        self.digest, self.file = bundle(self.baseline, extra)
        pending = Pending()
        for device in ("d0", "d1"):
            for number in range(25):
                x = rng.normal(size=(3, 60))
                x[1] += 2.0 if device in sick and number >= 15 else 0.0
                for _ in range(2):
                    pending.add(topics.up(SITE, device, "sum", STREAM),
                                self.summary(device, number, x, parts[rows]).to_bytes(), now_ms=7)  # fmt: skip
        append(ws.tables, pending.take().tables)

    def summary(self, device: str, number: int, x: Array, parts: list[Bins]) -> SummaryBatch:
        head = Header(device=device, stream=STREAM, epoch=5, bundle=self.digest, program=samples.PROGRAM)
        return SummaryBatch(
            header=head, seq=number + 1, period=number, start_ms=START_MS + PERIOD_MS * number,
            end_ms=START_MS + PERIOD_MS * (number + 1), clock=1, first_window=60 * number,
            last_window=60 * number + 59, n_windows=60, label_counts=(60, 0), drops=0,
            rows=tuple(row(values, b) for values, b in zip(x, parts, strict=False)),
        )  # fmt: skip


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


def test_verdicts_are_read_through_the_view_and_stored_with_their_evidence(ws: Workspace) -> None:
    fleet = Fleet(ws)
    (ws.bundles / "any-name.elb").write_bytes(fleet.file)
    verdicts = judge(ws)
    assert [(v.device, v.verdict) for v in verdicts] == [("", DRIFTED), ("d0", STEADY), ("d1", DRIFTED)]
    assert {v.periods for v in verdicts} == {25}
    assert verdicts[1].n_windows == 1500  # each summary arrived twice
    sick = verdicts[2]
    assert (sick.bundle, sick.onset_period, sick.evidence[0]["feature"]) == (fleet.digest, 15, "b")
    assert sick.from_ms == START_MS + 15 * PERIOD_MS
    stored = ws.tables.sql("select device, verdict, evidence from verdicts order by device").fetchall()
    assert [(device, verdict) for device, verdict, _ in stored] == [("", DRIFTED), ("d0", STEADY), ("d1", DRIFTED)]
    assert json.loads(stored[2][2])[0]["feature"] == "b"
    assert judge(ws, bundle=fleet.digest) == verdicts
    assert judge(ws, bundle="00" * 32) == []


def test_a_retrain_request_names_the_least_certain_records_of_the_range_first(ws: Workspace) -> None:
    fleet = Fleet(ws)
    sick = judge(ws, baseline_of=lambda _: fleet.baseline)[2]
    pending = Pending()
    for device in ("d0", "d1"):
        batch = samples.records(100, 6, device=device)
        head = replace(batch.header, bundle=fleet.digest)
        times = tuple(START_MS + PERIOD_MS * hour for hour in (3, 14, 15, 16, 20, 24))
        scores = type(batch.scores)("f", [0.5, 0.5, 0.5, 0.5, 0.9, 0.1, 0.6, 0.4, 1.0, 0.0, 0.75, 0.25])
        one = replace(batch, header=head, times_ms=times, scores=scores)
        pending.add(topics.up(SITE, device, "rec", STREAM), one.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    request = retrain_request(ws, sick, limit=3)
    assert request.records == (("d1", samples.EPOCH, 103), ("d1", samples.EPOCH, 105), ("d1", samples.EPOCH, 102))
    [(stored,)] = ws.tables.sql("select records from retrain_requests").fetchall()
    assert json.loads(stored)[0] == f"d1:{samples.EPOCH}:103"
    model, steady, sick = judge(ws, baseline_of=lambda _: fleet.baseline)
    assert sick.before
    assert sick.since
    assert (sick.before.records, sick.since.records) == (2, 2)  # two of six abstain
    assert math.isclose(sick.loss, 0.5 - 0.3, abs_tol=1e-6)
    assert "expected accuracy" in show(sick)
    assert (steady.before, steady.since) == (None, None)
    assert {device for device, _, _ in retrain_request(ws, model).records} == {"d0", "d1"}


def test_a_steady_verdict_asks_for_nothing(ws: Workspace) -> None:
    fleet = Fleet(ws)
    steady = judge(ws, baseline_of=lambda _: fleet.baseline, rule=Rule(alarm_periods=1e300))[1]
    assert steady.verdict == STEADY
    with pytest.raises(UsageError, match="steady"):
        retrain_request(ws, steady)


def test_a_bundle_that_is_not_there_is_named(ws: Workspace) -> None:
    fleet = Fleet(ws)
    (ws.bundles / "broken.elb").write_bytes(fleet.file[:-700])
    with pytest.raises(UsageError, match=f"bundle {fleet.digest}: not among the 1 files") as why:
        judge(ws)
    assert "broken.elb" in why.value.hint


def test_nothing_to_judge_is_no_verdict(ws: Workspace) -> None:
    assert judge(ws) == []
    assert not ws.tables.exists("verdicts")


def test_periods_know_the_local_hour_by_the_last_birth_before_them(ws: Workspace) -> None:
    """Summaries before the first birth belong to no hour; the device moved 2 h to the east between two births."""
    fleet = Fleet(ws)
    pending = Pending()
    for hours, offset_min in ((1, 0), (3, 120)):
        birth = replace(samples.birth(), device="d0", time_ms=START_MS + hours * PERIOD_MS, utc_offset_min=offset_min)
        pending.add(topics.up(SITE, "d0", "birth"), birth.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    found = [p for p in read_periods(ws, bundle=fleet.digest) if p.device == "d0"]
    assert [p.strata for p in found[:4]] == [(), *(
        ((f"hour {hour} weekday", 1.0), ("month 11", 1.0)) for hour in ("23", "00", "03")
    )]  # fmt: skip
    assert all(p.strata == () for p in read_periods(ws) if p.device == "d1")
