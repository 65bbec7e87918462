"""The main loop's judgement of updates, on real slots and without threads."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from cloud_trainer.rollout.keys import signer
from edge_runtime.contract.bundle import unpack
from edge_runtime.daemon import load_config
from edge_runtime.daemon.decide import Runner, load
from edge_runtime.daemon.opening import Slot
from edge_runtime.daemon.service import Daemon
from edge_runtime.update import Result, Updater, slots
from edge_runtime.update.disk import Disk, PosixDisk
from tests.daemon.rig import KEYS, Rig, recording
from tests.update.bundles import make_bundle, packed_bundle


@dataclass
class Child:
    """Stands in for an updater: what `poll` answers, how often it was asked."""

    disk: Disk
    is_checking: bool = False
    answers: list[Result] = field(default_factory=list)
    asked: int = 0
    busy: bool = False

    def poll(self) -> Result | None:
        self.asked += 1
        return self.answers.pop() if self.answers else None

    def collect(self) -> list[str]:
        return []


@dataclass
class Decider:
    """Stands in for a runner."""

    alive: bool = True
    failure: Exception | None = None
    digest: str = make_bundle(1).digest
    windows: int = 10
    swapped: int = 0
    started: int = 0
    checkpoint: None = None

    def join(self) -> None:
        self.alive = False

    def start(self) -> None:
        self.started += 1

    def is_alive(self) -> bool:
        return self.alive

    def swap(self, _loaded: object) -> None:
        self.swapped += 1


@dataclass
class Desk:
    """A daemon that was never started, with one slot a name."""

    daemon: Daemon
    slots: list[Slot]
    children: list[Child]
    runners: list[Decider]
    events: list[str] = field(default_factory=list)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    recording(tmp_path / "run.csv", frames=20)
    # The whole test process is what is measured here; a full run of the suite is larger than a device.
    config = load_config(Rig(tmp_path).write(top="[budget]\nmemory_bytes = 1000000000000\n"))
    daemon, made = Daemon(config), Desk(cast("Daemon", None), [], [], [])
    for name in ("m", "n"):
        disk = PosixDisk(tmp_path / name)
        for version in (1, 2):
            data = packed_bundle(version, signer=signer(KEYS.release))
            disk.write(slots.bundle_name(unpack(data).digest), data)
        slots.install(disk, make_bundle(1).digest, order_version=0)
        made.children.append(Child(disk))
        made.runners.append(Decider())
        slot = Slot(config=config.streams[0], updater=cast("Updater", made.children[-1]), loaded=load(make_bundle(1)))
        slot.runner = cast("Runner", made.runners[-1])
        made.slots.append(slot)
        daemon._slots[name] = slot
    monkeypatch.setattr(daemon, "_event", lambda _stream, kind, _fields: made.events.append(kind))
    made.daemon = daemon
    return made


def staged(desk: Desk, index: int = 0) -> Disk:
    """The child of one slot says that version 2 is on trial."""
    digest = make_bundle(2).digest
    disk = desk.children[index].disk
    slots.install(disk, digest, order_version=1)
    desk.children[index].answers.append(Result(kind="staged", digest=digest, order_version=1, rollout="r"))
    return disk


def test_one_child_at_a_time_as_the_budget_counts_one(desk: Desk) -> None:
    desk.children[0].is_checking = True
    for slot in desk.slots:
        desk.daemon._attend(slot)
    assert [child.asked for child in desk.children] == [1, 0]
    desk.children[0].is_checking = False
    desk.daemon._attend(desk.slots[1])
    assert desk.children[1].asked == 1


def test_staged_bundle_is_tried(desk: Desk) -> None:
    disk = staged(desk)
    desk.daemon._attend(desk.slots[0])
    assert slots.load(disk).phase is slots.Phase.TRIAL
    assert desk.runners[0].swapped == 1


def test_trial_of_a_stream_that_has_ended_waits_for_the_next_start(desk: Desk) -> None:
    """Spent on no window at all it would be reported as a failure of the bundle."""
    disk = staged(desk)
    desk.runners[0].alive = False
    desk.daemon._attend(desk.slots[0])
    assert slots.load(disk).phase is slots.Phase.STAGED
    assert desk.events == ["staged"]


def test_bundle_that_rots_before_its_trial_is_given_up(desk: Desk) -> None:
    disk = staged(desk)
    disk.write(slots.bundle_name(make_bundle(2).digest), b"rot")
    desk.daemon._attend(desk.slots[0])
    assert desk.events == ["staged", "fell-back"]
    assert desk.slots[0].trial_digest == ""
    assert slots.load(disk).phase is slots.Phase.STEADY


def test_bundle_that_needs_too_much_memory_to_load_falls_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(_bundle: object) -> Any:
        raise MemoryError

    disk = staged(desk)
    monkeypatch.setattr("edge_runtime.daemon.service.load", too_much)
    desk.daemon._attend(desk.slots[0])
    assert desk.events == ["staged", "fell-back"]
    assert slots.load(disk).phase is slots.Phase.STEADY


def test_full_disk_at_the_confirmation_is_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_disk: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    disk = staged(desk)
    desk.daemon._attend(desk.slots[0])
    desk.runners[0].digest, desk.runners[0].windows = make_bundle(2).digest, 10
    desk.daemon._attend(desk.slots[0])
    desk.runners[0].windows = 1000
    with monkeypatch.context() as patch:
        patch.setattr(slots, "confirm", full)
        for _ in range(3):
            desk.daemon._attend(desk.slots[0])
    assert capsys.readouterr().err.count("No space left") == 1, "told once"
    desk.daemon._attend(desk.slots[0])
    assert desk.events[-1] == "confirmed"
    assert slots.load(disk).confirmed == make_bundle(2).digest


def test_a_depot_that_is_away_for_days_is_told_once(desk: Desk) -> None:
    for _ in range(3):
        desk.children[0].answers.append(Result(kind="retry", error="TransportError", message="depot is away"))
        desk.daemon._attend(desk.slots[0])
    assert desk.events == ["fault"]


def test_trial_that_fails_is_followed_by_the_old_bundle_though_its_thread_still_closes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread tells its failure before it has ended: waiting for it is what restarts the stream."""
    staged(desk)
    desk.daemon._attend(desk.slots[0])
    again = Decider()
    monkeypatch.setattr(desk.daemon, "_runner", lambda _slot, _checkpoint: again)
    desk.runners[0].failure = RuntimeError("broken model")
    desk.daemon._attend(desk.slots[0])
    assert desk.events[-1] == "fell-back"
    assert again.started == 1
    assert not desk.runners[0].alive, "two threads had one stream"
