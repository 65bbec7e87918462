"""One device cannot fill the store: what is over its quota is set aside, counted and acknowledged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.ingest import quota as quotas
from cloud_trainer.ingest import view
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.quota import BURST_HOURS, HOUR_MS, Quota
from cloud_trainer.ingest.store import append
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from tests.ingest import samples
from tests.ingest.samples import DEVICE, EPOCH, SITE, STREAM


def topic(leaf: str, device: str = DEVICE) -> str:
    return topics.up(SITE, device, leaf, STREAM if leaf in ("rec", "sum") else "")


def test_a_days_worth_at_once_and_then_so_many_an_hour() -> None:
    quota = Quota(100)
    assert all(quota.admits("d", 100, 0) for _ in range(BURST_HOURS))
    assert not quota.admits("d", 1, 0)
    assert not quota.admits("d", 51, HOUR_MS // 2)
    assert quota.admits("d", 50, HOUR_MS // 2)
    assert quota.admits("other", 2400, 0), "each device has its own"
    assert quota.over_rows == 52
    assert all(Quota(0).admits("d", 10**9, 0) for _ in range(3))


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(-HOUR_MS, 3 * HOUR_MS)), max_size=60))
def test_no_device_gets_more_than_its_day_and_its_hours(sent: list[tuple[int, int]]) -> None:
    """Whatever the clock does: what it is set back gives nothing twice."""
    quota, now_ms, forward_ms, stored, refused = Quota(50), 0, 0, 0, 0
    for rows, step_ms in sent:
        now_ms += step_ms
        forward_ms += max(0, step_ms)
        if quota.admits("d", rows, now_ms):
            stored += rows
        else:
            refused += rows
    assert stored <= 50 * BURST_HOURS + 50 * forward_ms / HOUR_MS + 1e-6
    assert quota.over_rows == refused


def test_devices_with_nothing_used_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "REMEMBERED", 10)
    quota = Quota(100)
    for n in range(200):
        assert quota.admits(f"d{n}", 2400, n * HOUR_MS * BURST_HOURS)
        assert len(quota._left) <= 11


def test_a_flood_is_set_aside_whole_and_acknowledged_and_others_are_stored(ws: Workspace) -> None:
    pending = Pending(Quota(1))
    for first in range(1, 41, 4):
        pending.add(topic("rec"), samples.records(first, 4).to_bytes(), now_ms=7)
    pending.add(topic("sum"), samples.summary(41).to_bytes(), now_ms=7)
    pending.add(topic("ev"), samples.event(42).to_bytes(), now_ms=7)
    pending.add(topic("rec", "fan-8"), samples.records(1, 4, device="fan-8").to_bytes(), now_ms=7)
    commit = pending.take()
    named = commit.ranges[SITE, DEVICE, EPOCH]
    assert len(named) == 12
    assert named[0] == (1, 4), "all are acknowledged: what is over would come again and again"
    append(ws.tables, commit.tables)
    counts = dict(view.sql(ws, "select device, count(*) from records group by 1").fetchall())
    assert counts == {DEVICE: 24, "fan-8": 4}
    assert view.summaries(ws).fetchall() == []
    aside = view.sql(ws, "select payload, reason from quarantine where topic like '%/rec/%'").fetchall()
    assert samples.records(37, 4).to_bytes() in [bytes(payload) for payload, _ in aside]
    assert {reason for _, reason in aside} == {"quota: 4 rows over 1 an hour and device"}


@pytest.mark.planted
def test_a_quota_that_is_not_asked_is_caught(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quota, "admits", lambda *_: True)
    with pytest.raises(AssertionError):
        test_a_flood_is_set_aside_whole_and_acknowledged_and_others_are_stored(ws)
