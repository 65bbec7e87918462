"""Simulated fleets: all that they make arrives once, alarms are those that were planted, losses are counted."""

from __future__ import annotations

import dataclasses
import selectors
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from cloud_trainer.drift import judge
from cloud_trainer.ingest import view
from cloud_trainer.ingest.broker import available
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.simulate import FAULTS, Plan, parse_faults, simulate, world
from cloud_trainer.simulate.device import SITE, STREAM, Device, MemorySpool
from cloud_trainer.simulate.outcome import alarm_lines, compare
from cloud_trainer.simulate.plan import HOUR_MS, STEADY
from cloud_trainer.simulate.watch import Usage
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.errors import UsageError
from edge_runtime.native import Stream
from edge_runtime.spool.values import Draft
from tests.cli.app import call

PLAN = Plan(devices=6, periods=10, windows=50, records=8, faults=(*STEADY, "sick"), seed=3, resend_s=0.5)


def test_a_fleet_with_every_fault_arrives_once_and_the_sick_sensor_is_told(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    outcome = simulate(PLAN, ws)
    assert outcome.is_whole, outcome.lines()
    assert outcome.records == 6 * 10 * 8
    assert outcome.rows == outcome.stored == 6 * 10 * 9
    assert outcome.connected == 6
    assert outcome.storm
    assert outcome.storm.devices >= 4
    told = "\n".join(alarm_lines(outcome, judge(ws, bundle=outcome.bundle)))
    assert "planted: 1 sick sensor; told: drifted (sick sensor)" in told
    assert "1 device named, 0 of them without a fault" in told


@pytest.mark.parametrize(
    ("faults", "wanted"),
    [
        ((), ("planted: nothing; told: steady",)),
        (("shift",), ("planted: the world moves; told: drifted (moved world)", "6 devices named, 0 of them without")),
        (("sick",), ("planted: 1 sick sensor; told: drifted (sick sensor)", "1 device named, 0 of them without")),
    ],
    ids=["steady", "shift", "sick"],
)
def test_what_was_planted_is_what_the_judge_says(
    faults: tuple[str, ...], wanted: tuple[str, ...], tmp_path: Path
) -> None:
    """From the devices' sensors by codec, broker and store to the verdict."""
    ws = Workspace(tmp_path)
    outcome = simulate(dataclasses.replace(PLAN, periods=15, faults=faults), ws)
    assert outcome.is_whole, outcome.lines()
    told = "\n".join(alarm_lines(outcome, judge(ws, bundle=outcome.bundle)))
    for words in wanted:
        assert words in told, told


def test_in_real_time_each_device_ends_its_hours_at_its_own_moment(tmp_path: Path) -> None:
    """Two hours at 3,600 times real time: the third device's second one ends after 2 + 2/3 seconds."""
    now_ms = time.time_ns() // 1_000_000
    plan = dataclasses.replace(PLAN, devices=3, periods=2, faults=(), speed=3600.0, start_ms=now_ms)
    ws = Workspace(tmp_path)
    outcome = simulate(plan, ws)
    assert outcome.is_whole, outcome.lines()
    assert outcome.seconds >= 2 + 2 / 3
    rows = view.sql(ws, "select device, min(start_ms) from summaries group by device order by device").fetchall()
    assert [round((at - now_ms) / HOUR_MS, 2) for _, at in rows] == [0.0, 0.33, 0.67]


def test_a_speed_gives_each_hour_its_seconds() -> None:
    plan = dataclasses.replace(PLAN, devices=4, speed=2.0)
    assert [plan.due_s(device, 0) for device in range(4)] == [1800, 2250, 2700, 3150]
    assert plan.due_s(0, 2) == 5400
    assert dataclasses.replace(plan, speed=0.0).due_s(3, 2) == 0


@pytest.mark.planted
def test_devices_that_forget_what_waits_are_seen_to_lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = MemorySpool.seal

    def seal(spool: MemorySpool, drafts: Iterable[Draft]) -> None:
        real(spool, drafts)
        while len(spool.kept) > 2:  # an hour's
            del spool.kept[min(spool.kept)]

    monkeypatch.setattr(MemorySpool, "seal", seal)
    outcome = simulate(dataclasses.replace(PLAN, periods=8, faults=("outage",)), Workspace(tmp_path))
    assert outcome.lost >= 8
    assert not outcome.is_whole


def test_the_embedded_broker_serves_a_fleet_too(tmp_path: Path) -> None:
    if "iotcore" not in available():
        pytest.skip("SKIP: iotcore is not installed")
    plan = dataclasses.replace(PLAN, periods=3, faults=("outage", "restart"))
    assert simulate(plan, Workspace(tmp_path), prefer="iotcore").is_whole


def made(ws: Workspace, *, devices: int = 3) -> list[Device]:
    """Devices that have made two hours, with nobody to tell."""
    data, bundle = world.bundle(1)
    baseline = bundle.baseline().strata[0]
    template = Stream(
        bundle.program(), bundle.manifest.policy, model=bundle.members["model.erm"],
        bins=(*baseline.features, *baseline.scores),
    )  # fmt: skip
    plan = dataclasses.replace(PLAN, devices=devices, faults=())
    fleet = [
        Device(i, plan, bundle=bundle, template=template, address=("127.0.0.1", 1), selector=selectors.SelectSelector())
        for i in range(devices)
    ]
    for device in fleet:
        for period in range(2):
            device.make(period, world.windows(plan, device.number, period, is_sick=False, is_moved=False))
    assert data
    return fleet


def test_what_the_store_does_not_have_is_lost_and_what_it_has_twice_is_seen(tmp_path: Path) -> None:
    ws, pending = Workspace(tmp_path), Pending()
    fleet = made(ws)
    for device in fleet:
        for first, one in device.spool.kept.items():
            for _ in range(2 if first == 1 else 1):
                if (device.number, first) != (1, 10):
                    pending.add(topics.up(SITE, device.id, one.kind, STREAM), one.payload, now_ms=5)
    pending.add(topics.up(SITE, "sim-00000", "rec", STREAM), b"\x00", now_ms=5)
    append(ws.tables, pending.take().tables)
    found = compare(
        dataclasses.replace(PLAN, devices=3), ws, "", fleet, connected=0, storm=None, usage=Usage(), seconds=1.0
    )
    assert (found.rows, found.stored, found.lost, found.again) == (3 * 18, 3 * 18 - 8, 8, 3 * 8)
    assert (found.twice, found.quarantined, found.is_whole) == (0, 1, False)


def test_a_restart_in_the_middle_of_an_hour_changes_no_row(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    steady, restarted = made(ws, devices=1)[0], made(ws, devices=1)[0]
    rows = world.windows(PLAN, 0, 2, is_sick=False, is_moved=False)
    steady.make(2, rows)
    restarted.make(2, rows, dies_at=25)
    assert [one.payload for one in steady.spool.kept.values()] == [one.payload for one in restarted.spool.kept.values()]


def test_a_plan_is_drawn_from_its_seed() -> None:
    plan = dataclasses.replace(PLAN, devices=100)
    assert plan.met("outage") == plan.met("outage") != dataclasses.replace(plan, seed=4).met("outage")
    assert (len(plan.met("outage")), len(plan.met("sick")), len(plan.met("shift"))) == (20, 2, 0)
    assert set(plan.met("storm").values()) == {5}


def test_faults_are_named() -> None:
    assert parse_faults("all") == tuple(FAULTS)
    assert parse_faults("none") == ()
    assert parse_faults("sick, storm") == ("sick", "storm")
    with pytest.raises(UsageError, match="--faults: 'flood' is unknown") as caught:
        parse_faults("storm,flood")
    assert caught.value.hint == "all, none, or some of outage,clock,restart,storm,sick,shift"


def test_a_workspace_with_telemetry_is_left_alone(tmp_path: Path) -> None:
    Workspace(tmp_path).tables.append("raw_records", {"device": ["x"]})
    with pytest.raises(UsageError, match="it has telemetry already") as caught:
        call("simulate", "--devices", 1, "--workspace", tmp_path)
    assert caught.value.hint == "name a new folder with --workspace"


def test_more_devices_than_files_are_refused_before_anything_starts(tmp_path: Path) -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if not 0 < hard < 99_000:
        pytest.skip(f"SKIP: the limit of open files here is {hard}")
    plan = dataclasses.replace(PLAN, devices=99_000)
    with pytest.raises(UsageError, match="99000 connections need 99100 open files"):
        simulate(plan, Workspace(tmp_path))
