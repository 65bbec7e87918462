"""Whatever the moment the power goes, the next start runs a whole bundle, and no order version comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from edge_runtime.contract.bundle import Bundle
from edge_runtime.errors import ContractError, EdgeloopError, TrustError, UsageError
from edge_runtime.update import slots
from edge_runtime.update.disk import PosixDisk
from edge_runtime.update.slots import NEXT, REFUSED, Event, Phase, State
from tests.sim.disk import SimDisk, every_power_cut
from tests.update import mutants
from tests.update.bundles import make_bundle, packed

OLD, NEW, NEWER = (make_bundle(version) for version in (1, 2, 3))
Action = Callable[[SimDisk], object]


def after(*actions: Action) -> dict[str, bytes]:
    """Files of a device that runs OLD by order 5 and then did *actions*."""
    disk = SimDisk()
    stage(OLD)(disk)
    slots.install(disk, OLD.digest, order_version=5)
    for action in actions:
        action(disk)
    return disk.files


def stage(bundle: Bundle) -> Action:
    def action(disk: SimDisk) -> None:
        part = f"bundles/{bundle.digest}.part"
        disk.write(part, packed(bundle))
        slots.stage(disk, part, bundle.digest)

    return action


def install(bundle: Bundle, version: int = 6) -> Action:
    def action(disk: SimDisk) -> None:
        stage(bundle)(disk)
        slots.install(disk, bundle.digest, order_version=version)

    return action


ACTIONS: dict[str, tuple[Action, dict[str, bytes]]] = {
    "stage": (stage(NEW), after()),
    "install": (install(NEW), after()),
    "install over what waits": (install(NEWER, 7), after(install(NEW))),
    "install the confirmed": (install(OLD, 7), after(install(NEW))),
    "keep": (lambda disk: slots.keep(disk, order_version=6), after()),
    "start": (slots.start, after(install(NEW))),
    "start after a trial": (slots.start, after(install(NEW), slots.start)),
    "confirm": (slots.confirm, after(install(NEW), slots.start)),
    "fall back": (slots.fall_back, after(install(NEW), slots.start)),
    "fall back of the waiting": (slots.fall_back, after(install(NEW))),
    "fall back by command": (slots.fall_back, after(install(NEW), slots.start, slots.confirm)),
    "collect": (slots.collect, after(install(NEW), slots.start, slots.fall_back)),
    "collect after confirm": (slots.collect, after(install(NEW), slots.start, slots.confirm, install(NEWER, 7))),
}


def check_whole(name: str, kind: type[SimDisk] = SimDisk) -> None:
    """Cut the power at every operation, then at every one of the start that follows; a whole bundle must start."""
    action, files = ACTIONS[name]
    digests = {OLD.digest, NEW.digest, NEWER.digest}
    for rebooted in every_power_cut(action, files, kind=kind):
        for again in every_power_cut(slots.start, rebooted.files, kind=kind):
            assert slots.start(again).digest in digests


def check_kept(name: str, kind: type[SimDisk] = SimDisk) -> None:
    """What an action returned holds, whatever the cache forgets afterwards."""
    action, files = ACTIONS[name]
    disk = kind(files)
    action(disk)
    for rebooted in disk.after_power_cut():
        assert slots.load(rebooted) == slots.load(disk)
        for digest in filter(None, (slots.load(disk).a, slots.load(disk).b)):
            assert rebooted.read(slots.bundle_name(digest)) is not None


@pytest.mark.parametrize("name", ACTIONS)
def test_power_cut_leaves_a_whole_bundle(name: str) -> None:
    check_whole(name)


@pytest.mark.parametrize("name", ACTIONS)
def test_what_was_returned_survives_a_power_cut(name: str) -> None:
    """A trial that began is spent, a confirmation holds, an installed bundle is there."""
    if not name.startswith("collect"):  # a deletion that comes undone is harmless
        check_kept(name)


@pytest.mark.planted
@pytest.mark.parametrize(
    ("bug", "check", "name"),
    [
        (mutants.NoRecordSync, check_kept, "start"),
        (mutants.NoRecordSync, check_kept, "confirm"),
        (mutants.NoPartSync, check_whole, "install the confirmed"),
        (mutants.NoFolderSync, check_kept, "install"),
        (mutants.RecordInPlace, check_whole, "install"),
    ],
)
def test_planted_bug_is_seen(bug: type[SimDisk], check: Callable[[str, type[SimDisk]], None], name: str) -> None:
    with pytest.raises((AssertionError, EdgeloopError)):
        check(name, bug)


@pytest.mark.parametrize("name", ACTIONS)
def test_power_cut_never_lowers_the_order_version(name: str) -> None:
    action, files = ACTIONS[name]
    before = slots.load(SimDisk(files)).order_version
    whole = SimDisk(files)
    action(whole)
    for rebooted in every_power_cut(action, files):
        assert before <= slots.load(rebooted).order_version <= slots.load(whole).order_version


@pytest.mark.parametrize("name", [name for name in ACTIONS if "confirm" not in name and "command" not in name])
def test_power_cut_never_makes_an_unconfirmed_bundle_permanent(name: str) -> None:
    """With no confirm(), the device settles on the old bundle."""
    action, files = ACTIONS[name]
    for rebooted in every_power_cut(action, files):
        slots.start(rebooted)
        settled = slots.start(rebooted)
        assert (settled.digest, settled.is_trial) == (OLD.digest, False)


def test_power_cut_at_the_first_install_leaves_an_empty_or_a_running_device() -> None:
    for rebooted in every_power_cut(install(OLD, 0), {}):
        if slots.load(rebooted).phase is not Phase.EMPTY:
            assert slots.start(rebooted).digest == OLD.digest
        install(OLD, 0)(rebooted)
        assert slots.start(rebooted).digest == OLD.digest


def test_unconfirmed_trial_falls_back_on_the_next_start() -> None:
    disk = SimDisk(after(install(NEW)))
    first, second = slots.start(disk), slots.start(disk)
    assert (first.digest, first.is_trial, first.fell_back) == (NEW.digest, True, "")
    assert (second.digest, second.is_trial, second.fell_back) == (OLD.digest, False, NEW.digest)
    assert slots.start(disk).fell_back == ""


def test_confirmed_trial_stays() -> None:
    disk = SimDisk(after(install(NEW), slots.start, slots.confirm))
    assert slots.start(disk) == slots.start(disk)
    assert (slots.start(disk).digest, slots.start(disk).is_trial) == (NEW.digest, False)


def test_fall_back_by_command_runs_the_bundle_confirmed_before() -> None:
    disk = SimDisk(after(install(NEW), slots.start, slots.confirm))
    slots.fall_back(disk)
    assert slots.start(disk).digest == OLD.digest
    with pytest.raises(UsageError, match="no earlier bundle"):
        slots.fall_back(disk)


def test_order_of_the_confirmed_bundle_drops_what_waits() -> None:
    state = slots.load(SimDisk(after(install(NEW), install(OLD, 7))))
    assert (state.phase, state.confirmed, state.other, state.order_version) == (Phase.STEADY, OLD.digest, None, 7)


def test_a_damaged_bundle_is_given_up_for_the_other_slot() -> None:
    disk = SimDisk(after(install(NEW), slots.start, slots.confirm))
    name = slots.bundle_name(NEW.digest)
    disk.files[name] = disk.files[name][:-2000] + b"x" + disk.files[name][-1999:]
    started = slots.start(disk)
    assert (started.digest, started.fell_back) == (OLD.digest, NEW.digest)
    assert slots.load(disk).confirmed == OLD.digest


def test_a_trial_whose_file_is_gone_falls_back_at_once() -> None:
    disk = SimDisk(after(install(NEW)))
    del disk.files[slots.bundle_name(NEW.digest)]
    assert (slots.start(disk).digest, slots.load(disk).phase) == (OLD.digest, Phase.STEADY)


def test_no_whole_bundle_is_an_error_that_names_it() -> None:
    disk = SimDisk(after())
    del disk.files[slots.bundle_name(OLD.digest)]
    with pytest.raises(TrustError, match=OLD.digest):
        slots.start(disk)


def test_older_order_version_is_refused() -> None:
    disk = SimDisk(after())
    with pytest.raises(TrustError, match="order version 4 is older than 5"):
        install(NEW, 4)(disk)
    assert slots.load(disk) == slots.load(SimDisk(after()))


def test_install_of_a_bundle_that_is_not_staged_is_refused() -> None:
    with pytest.raises(TrustError, match="not on this device"):
        slots.install(SimDisk(after()), NEW.digest, order_version=6)


def test_record_of_a_newer_format_is_refused_and_kept() -> None:
    disk = SimDisk(after())
    name, record = next((name, data) for name, data in disk.files.items() if name.startswith("state."))
    body = record.partition(b"\n")[2].replace(b'"format":"0.1"', b'"format":"1.0"')
    disk.files[name] = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    before = dict(disk.files)
    with pytest.raises(ContractError, match="format"):
        slots.start(disk)
    assert disk.files == before


def test_collect_deletes_exactly_what_no_slot_names() -> None:
    disk = SimDisk(after(install(NEW), slots.start, slots.confirm, stage(NEWER)))
    disk.write("bundles/half.part", b"x")
    assert slots.collect(disk) == sorted([f"{NEWER.digest}.elb", "half.part"])
    assert disk.names("bundles") == sorted(f"{bundle.digest}.elb" for bundle in (OLD, NEW))


def test_real_disk_behaves_as_the_simulated_one(tmp_path: Path) -> None:
    sim, real = SimDisk(), PosixDisk(tmp_path)
    for disk in (sim, real):
        install(OLD, 0)(disk)  # type: ignore[arg-type]
        install(NEW)(disk)  # type: ignore[arg-type]
        assert slots.start(disk).digest == NEW.digest
        disk.remove("bundles/absent")
        assert disk.read("bundles/absent") is None
    assert {name: real.read(name) for name in sim.files} == sim.files
    assert real.names("bundles") == sim.names("bundles")


def states() -> dict[Phase, State]:
    """One state of each phase."""
    return {
        Phase.EMPTY: State(),
        Phase.STEADY: State(a="1" * 64, b="2" * 64),
        Phase.STAGED: State(a="1" * 64, b="2" * 64, trial=True),
        Phase.TRIAL: State(a="1" * 64, b="2" * 64, trial=True, attempts=1),
    }


@pytest.mark.parametrize(("phase", "event"), list(product(Phase, Event)))
def test_every_phase_and_event_is_decided(phase: Phase, event: Event) -> None:
    """Each pair is in NEXT or in REFUSED, and `step` does what the table says."""
    assert ((phase, event) in NEXT) != ((phase, event) in REFUSED)
    state = states()[phase]
    assert state.phase is phase
    if (phase, event) in REFUSED:
        with pytest.raises(UsageError, match=f"{event} in phase {phase}"):
            slots.step(state, event, "3" * 64)
    else:
        assert slots.step(state, event, "3" * 64).phase is NEXT[phase, event]


def test_every_phase_is_reached_and_left() -> None:
    assert set(NEXT.values()) | {Phase.EMPTY} == set(Phase)
    assert {phase for (phase, _), then in NEXT.items() if then is not phase} == set(Phase)
