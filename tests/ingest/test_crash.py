"""Consumers are killed while devices send: every record ends in the store, once. The wrong ways fail."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cloud_trainer.ingest import view
from cloud_trainer.ingest.broker import Broker
from cloud_trainer.workspace import Workspace
from edge_runtime.contract.records import RecordBatch
from tests.ingest import samples
from tests.ingest.child import STEPS
from tests.ingest.device import RESEND_S, Device
from tests.ingest.mutants import DeletesOnPuback, ObeysWatermarks, reads_past_the_view

ROOT = Path(__file__).parents[2]
DEVICE, EPOCH, ROWS = "fan-7", 11, 16
KILLS = 5
ROUNDS = 60
Row = tuple[str, str, int]


def batch(number: int) -> RecordBatch:
    return samples.records(1 + ROWS * number, ROWS, device=DEVICE, epoch=EPOCH)


def device(kind: type[Device] = Device, *, batches: int = 12) -> Device:
    return kind(DEVICE, EPOCH, [batch(i) for i in range(batches)])


@contextmanager
def consumer(
    ws: Workspace, broker: Broker, *, variant: str = "right", name: str = "a", step: str = "never", count: int = 1
) -> Iterator[subprocess.Popen[str]]:
    """A consumer process that is subscribed."""
    shared = "shared" if broker.shares else "alone"
    where = [str(ws.root), str(broker.port), shared]
    command = [sys.executable, "-m", "tests.ingest.child", variant, *where, name, step, str(count)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # "ready", or the end of a process that was killed before
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def is_dead(process: subprocess.Popen[str], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def send_until(one: Device, until: Callable[[], bool], *, more: bool = False) -> None:
    """Send again and again, as a device does, until something else happened; with one batch more each time or not."""
    for _ in range(ROUNDS):
        if more:
            one.add(batch(len(one.made) // ROWS))
        one.send()
        if until():
            return
    pytest.fail("what the test waits for did not happen")


def through_the_view(ws: Workspace) -> list[Row]:
    rows = view.sql(ws, "select device, epoch, seq from records").fetchall()
    return [(str(d), str(e), int(s)) for d, e, s in rows]


def everything_once(made: list[Row], read: list[Row]) -> bool:
    """The check that the planted bugs must fail."""
    return sorted(read) == sorted(made)


def test_five_kills_of_the_consumer_lose_nothing(broker: Broker, ws: Workspace) -> None:
    random_ = random.Random(20)
    one = device(batches=4)
    one.connect(broker.port)
    for _ in range(KILLS):
        with consumer(ws, broker, step=random_.choice(STEPS), count=random_.randint(1, 3)) as process:
            send_until(one, lambda: is_dead(process, RESEND_S), more=True)
    with consumer(ws, broker):
        send_until(one, lambda: one.is_done(RESEND_S))
    one.disconnect()
    assert len(one.made) > KILLS * ROWS
    assert everything_once(one.made, through_the_view(ws))
    view.compact(ws)
    assert everything_once(one.made, reads_past_the_view(ws))


def finish(one: Device, ws: Workspace, broker: Broker, *, variant: str = "right") -> None:
    """The broker forgets everything and comes back; another consumer; the device sends what it still has."""
    one.disconnect()
    broker.stop()
    broker.start()
    one.connect(broker.port)
    with consumer(ws, broker, variant=variant, name="b"):
        send_until(one, lambda: one.is_done(RESEND_S))
    one.disconnect()


@pytest.mark.planted
@pytest.mark.parametrize(("variant", "is_right"), [("right", True), ("ack-before-commit", False)])
def test_ack_before_commit_loses_records(any_broker: Broker, ws: Workspace, variant: str, *, is_right: bool) -> None:
    one = device()
    one.connect(any_broker.port)
    with consumer(ws, any_broker, variant=variant, step="acknowledged") as process:
        send_until(one, lambda: is_dead(process, RESEND_S))
    finish(one, ws, any_broker, variant=variant)
    assert everything_once(one.made, through_the_view(ws)) is is_right


@pytest.mark.planted
@pytest.mark.parametrize(("variant", "is_right"), [("right", True), ("watermark", False)])
def test_a_watermark_with_two_consumers_loses_records(
    any_broker: Broker, ws: Workspace, variant: str, *, is_right: bool
) -> None:
    if not any_broker.shares:
        pytest.skip("SKIP: two consumers share the work on mosquitto alone, and it is not installed")
    one = device(Device if is_right else ObeysWatermarks)
    one.connect(any_broker.port)
    with (
        consumer(ws, any_broker, variant=variant, name="dies", step="taken") as dying,
        consumer(ws, any_broker, variant=variant, name="lives"),
    ):
        send_until(one, lambda: is_dead(dying, RESEND_S))
        send_until(one, lambda: one.is_done(RESEND_S))
    one.disconnect()
    assert everything_once(one.made, through_the_view(ws)) is is_right


@pytest.mark.planted
@pytest.mark.parametrize(("kind", "is_right"), [(Device, True), (DeletesOnPuback, False)])
def test_delete_on_puback_loses_records(
    any_broker: Broker, ws: Workspace, kind: type[Device], *, is_right: bool
) -> None:
    one = device(kind)
    one.connect(any_broker.port)
    with consumer(ws, any_broker, step="taken") as process:
        send_until(one, lambda: is_dead(process, RESEND_S))
    finish(one, ws, any_broker)  # what the broker had acknowledged goes with it
    assert everything_once(one.made, through_the_view(ws)) is is_right


@pytest.mark.planted
@pytest.mark.parametrize(("read", "is_right"), [(through_the_view, True), (reads_past_the_view, False)])
def test_reading_past_the_view_sees_a_record_twice(
    any_broker: Broker, ws: Workspace, read: Callable[[Workspace], list[Row]], *, is_right: bool
) -> None:
    one = device()
    one.connect(any_broker.port)
    with consumer(ws, any_broker, step="stored") as process:
        send_until(one, lambda: is_dead(process, RESEND_S))
    with consumer(ws, any_broker):
        send_until(one, lambda: one.is_done(RESEND_S))
    one.disconnect()
    assert everything_once(one.made, read(ws)) is is_right
