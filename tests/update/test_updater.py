"""The daemon's side: a real child process, never a blocked poll, and what becomes of its answer."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.contract.bundle import unpack
from edge_runtime.contract.event import KINDS, Event
from edge_runtime.errors import TrustError
from edge_runtime.update import Result, Updater, slots
from edge_runtime.update.slots import Phase
from tests.spool.common import until
from tests.update.bundles import packed_bundle
from tests.update.fleet import Cloud, give_factory, make_cloud, make_updater
from tests.update.served import Server, serving


class Clock:
    """Time that the test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    return make_cloud(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def device(tmp_path: Path, cloud: Cloud, clock: Clock) -> Iterator[Updater]:
    made = make_updater(tmp_path, cloud, clock=clock, latency_us=1_000_000)
    give_factory(made, cloud.bundle(1))
    yield made
    made.stop()


@pytest.fixture
def server(cloud: Cloud) -> Iterator[Server]:
    with serving(cloud.bundle(2)) as running:
        yield running


def settle(device: Updater) -> Result:
    """Poll until an order ends."""
    late_s = time.monotonic() + 60
    while (result := device.poll()) is None:
        assert time.monotonic() < late_s
        time.sleep(0.005)  # between polls, as the daemon's own loop waits for frames
    return result


def check_event(result: Result, kind: str) -> dict[str, Any]:
    """The result's event fits the contract."""
    assert result.event is not None
    found, fields = result.event
    assert found == kind
    assert kind in KINDS
    Event(device="fan", epoch=1, seq=1, stream="main", time_ms=0, kind=kind, fields=fields).to_bytes()
    return fields


def test_order_is_staged_tried_and_confirmed(device: Updater, cloud: Cloud, server: Server) -> None:
    old, new = slots.load(device.disk).confirmed, unpack(server.data).digest
    order = cloud.order(server.data, server.url, version=6)
    assert device.offer(order)[0] == "offered"  # type: ignore[index]
    began = time.monotonic()
    assert device.poll() is None
    assert time.monotonic() - began < 0.5, "poll blocked"
    result = settle(device)
    assert (result.kind, result.digest, result.rollout, result.ok) == ("staged", new, "r-1", True)
    assert check_event(result, "staged") == {"bundle": new, "rollout": "r-1", "order_version": 6}
    started = slots.start(device.disk)
    assert (started.digest, started.is_trial, started.rollout) == (new, True, "r-1")
    slots.confirm(device.disk)
    assert slots.load(device.disk).confirmed == new
    assert device.collect() == []
    assert old
    assert device.offer(order) is None, "the broker repeats it at each connect"


def test_refused_order_leaves_the_running_bundle_and_is_not_tried_again(
    device: Updater, cloud: Cloud, server: Server
) -> None:
    before = slots.load(device.disk)
    altered = bytearray(server.data)
    altered[len(altered) // 2] ^= 1
    order, server.data = cloud.order(server.data, server.url, version=6), bytes(altered)
    device.offer(order)
    result = settle(device)
    assert (result.kind, result.ok, result.error in ("TrustError", "ContractError")) == ("refused", False, True)
    fields = check_event(result, "refused")
    assert (fields["rollout"], fields["order_version"]) == ("r-1", 6)
    assert slots.load(device.disk) == before
    assert device.disk.names("bundles") == [f"{before.confirmed}.elb"]
    assert device.offer(order) is None
    server.data = cloud.bundle(2)
    assert device.offer(cloud.order(server.data, server.url, version=7)) is not None
    assert settle(device).kind == "staged"


def test_link_failure_is_tried_again_with_back_off(device: Updater, cloud: Cloud, server: Server, clock: Clock) -> None:
    device.offer(cloud.order(server.data, server.url, version=6))
    server.cut_after = [700, 0]
    first = settle(device)
    assert (first.kind, first.error) == ("retry", "TransportError")
    check_event(first, "fault")
    assert device.busy
    clock.now_s += 3.0
    assert settle(device).kind == "staged"
    assert [asked.partition("-")[0] for asked in server.asked] == ["bytes=0", "bytes=700", "bytes=700"]


def test_orders_wait_for_the_end_of_a_trial(device: Updater, cloud: Cloud, server: Server) -> None:
    device.offer(cloud.order(server.data, server.url, version=6))
    settle(device)
    slots.start(device.disk)
    server.data = cloud.bundle(3)
    device.offer(cloud.order(server.data, server.url, version=7))
    assert device.poll() is None
    assert device.busy
    assert slots.load(device.disk).phase is Phase.TRIAL
    slots.confirm(device.disk)
    assert settle(device).digest == unpack(server.data).digest
    assert slots.load(device.disk).phase is Phase.STAGED


def test_what_was_fetched_waits_for_a_trial_that_began_meanwhile(device: Updater, cloud: Cloud, server: Server) -> None:
    first = unpack(server.data).digest
    device.offer(cloud.order(server.data, server.url, version=6))
    settle(device)
    server.data = cloud.bundle(3)
    device.offer(cloud.order(server.data, server.url, version=7))
    device.poll()
    slots.start(device.disk)
    assert device._child is not None
    device._child.process.wait(60)
    assert device.poll() is None
    assert slots.load(device.disk).other == first
    slots.confirm(device.disk)
    assert settle(device).order_version == 7


def test_the_newest_order_wins(device: Updater, cloud: Cloud, server: Server) -> None:
    first, second = (cloud.order(server.data, server.url, version=version) for version in (6, 7))
    device.offer(first)
    device.offer(second)
    assert settle(device).order_version == 7
    assert not device.busy
    device.offer(first)
    assert settle(device).error == "TrustError"


def test_order_of_the_running_bundle_answers_confirmed(device: Updater, cloud: Cloud) -> None:
    """A rollout that names what runs already is over for this device; a repeated one is no news."""
    data = cloud.bundle(1)
    device.offer(cloud.order(data, "http://127.0.0.1:9/b.elb", version=6))
    result = settle(device)
    assert (result.kind, result.event and result.event[0]) == ("kept", "confirmed")
    assert slots.load(device.disk).order_version == 6
    device.offer(cloud.order(data, "http://127.0.0.1:9/other.elb", version=6))
    assert settle(device).event is None


def test_a_child_that_is_late_is_killed(tmp_path: Path, cloud: Cloud, clock: Clock, server: Server) -> None:
    device = make_updater(tmp_path, cloud, clock=clock, timeout_s=30.0)
    give_factory(device, cloud.bundle(1))
    device.offer(cloud.order(server.data, server.url, version=6))
    device.poll()
    clock.now_s += 31.0
    result = settle(device)
    assert (result.kind, result.error) == ("refused", "BudgetError")
    assert "signal 9" in result.message


def test_a_child_out_of_memory_is_a_refusal(tmp_path: Path, cloud: Cloud, server: Server) -> None:
    device = make_updater(tmp_path, cloud, memory_bytes=6 << 20)
    give_factory(device, cloud.bundle(1))
    device.offer(cloud.order(server.data, server.url, version=6))
    result = settle(device)
    assert (result.kind, result.error) == ("refused", "BudgetError")
    assert "the check needs more than 6291456 bytes" in result.message
    assert slots.load(device.disk).order_version == 0


def test_factory_bundle_is_checked_and_confirmed(tmp_path: Path, cloud: Cloud) -> None:
    device, path = make_updater(tmp_path / "state", cloud, latency_us=1_000_000), tmp_path / "factory.elb"
    path.write_bytes(cloud.bundle(1))
    result = device.factory(path)
    result.raise_if_refused()
    started = slots.start(device.disk)
    assert (started.digest, started.is_trial) == (result.digest, False)


def test_factory_bundle_of_a_stranger_is_refused(tmp_path: Path, cloud: Cloud) -> None:
    device, path = make_updater(tmp_path / "state", cloud), tmp_path / "factory.elb"
    path.write_bytes(packed_bundle(1, signer=cloud.stranger))
    with pytest.raises(TrustError, match="no valid signature"):
        device.factory(path).raise_if_refused()
    assert slots.load(device.disk).phase is Phase.EMPTY
    assert device.disk.names("bundles") == []


def test_an_order_that_is_too_long_is_refused_without_a_child(device: Updater) -> None:
    event = device.offer(b"x" * 200_000)
    assert event is not None
    assert event[0] == "refused"
    assert not device.busy


def test_stop_ends_the_child_and_keeps_the_part(device: Updater, cloud: Cloud, server: Server) -> None:
    device.offer(cloud.order(server.data, server.url, version=6))
    device.poll()
    device.stop()
    assert slots.load(device.disk).phase is Phase.STEADY


@pytest.mark.parametrize(("mode", "code", "error"), [("order", 3, "ContractError"), ("file", 2, "UsageError")])
def test_exit_code_is_that_of_the_error(tmp_path: Path, mode: str, code: int, error: str) -> None:
    request = {"mode": mode, "folder": str(tmp_path), "path": str(tmp_path / "absent"), "order": "e30="}
    done = subprocess.run(
        [sys.executable, "-m", "edge_runtime.update.child"],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["error"] == error


def test_the_daemon_side_loads_no_cryptography() -> None:
    code = (
        "import sys, edge_runtime.update\n"
        "bad = {'cryptography', 'numpy', 'onnxruntime', 'urllib.request', 'http'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("where", ["install", "spawn"])
def test_full_disk_puts_an_order_off_and_stops_nothing(
    device: Updater, cloud: Cloud, server: Server, clock: Clock, *, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    device.offer(cloud.order(server.data, server.url, version=6))
    with monkeypatch.context() as patch:
        patch.setattr(*((slots, "install") if where == "install" else (subprocess, "Popen")), full)
        result = settle(device)
    assert (result.kind, "No space" in result.message) == ("retry", True)
    check_event(result, "fault")
    clock.now_s += 301
    assert settle(device).kind == "staged"


def test_child_dies_with_its_daemon(tmp_path: Path) -> None:
    """Two children must not write one download."""
    held, asked = os.pipe()  # the child waits for its request for ever
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-m', 'edge_runtime.update.child'], stdin={held})\n"
        "print(child.pid, flush=True)\nchild.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, pass_fds=[held]) as parent:
        assert parent.stdout is not None
        stat = Path(f"/proc/{int(parent.stdout.readline())}")
        until(lambda: b"update.child" in (stat / "cmdline").read_bytes() and _is_quiet(stat))
        parent.kill()
    assert until(lambda: not stat.exists() or " Z " in (stat / "stat").read_text(), 10)
    os.close(held)
    os.close(asked)


def _is_quiet(process: Path) -> bool:
    """It sleeps, and has taken no CPU time for a while: it waits for its request."""
    before = (process / "schedstat").read_text()
    time.sleep(0.3)
    return (process / "schedstat").read_text() == before
