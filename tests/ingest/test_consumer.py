from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_trainer.ingest import consumer as consumers
from cloud_trainer.ingest import schema, view
from cloud_trainer.ingest.broker import Broker
from cloud_trainer.ingest.consumer import Consumer
from cloud_trainer.ingest.metrics import served
from cloud_trainer.ingest.pending import Commit
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from edge_runtime.errors import TransportError, UsageError
from tests.ingest import samples
from tests.ingest.device import Device
from tests.ingest.mqtt import Client
from tests.ingest.samples import DEVICE, EPOCH, SITE, STREAM

ROOT = Path(__file__).parents[2]
ACK = topics.down(SITE, DEVICE, "ack")


def test_what_a_device_sends_is_stored_and_then_acknowledged_by_name(broker: Broker, ws: Workspace) -> None:
    with Client(broker.port, "d", topics=(ACK,)) as d:
        d.publish(topics.up(SITE, DEVICE, "birth"), samples.birth().to_bytes(), retain=True)
        consumer = Consumer(ws.tables, broker.host, broker.port, shared=broker.shares, commit_s=0.05)
        consumer.start()
        d.publish(topics.up(SITE, DEVICE, "rec", STREAM), samples.records(1, 4).to_bytes())
        d.publish(topics.up(SITE, DEVICE, "sum", STREAM), samples.summary(5).to_bytes())
        d.publish(topics.up(SITE, DEVICE, "ev"), samples.event(6).to_bytes())
        d.publish(topics.up(SITE, DEVICE, "rec", STREAM), b"not CBOR")
        named: list[tuple[int, int]] = []
        while len(named) < 3:
            ack = Ack.from_bytes(d.next().payload)
            assert ack.epoch == EPOCH
            named += ack.ranges
            stored = {row[0] for row in view.sql(ws, "select seq from records").fetchall()}
            assert (1, 4) not in ack.ranges or stored == {1, 2, 3, 4}
        consumer.stop()
    assert sorted(named) == [(1, 4), (5, 5), (6, 6)]
    counts = {name: len(view.sql(ws, f"select * from {name}").fetchall()) for name in schema.TABLES}
    assert counts == {
        "records": 4,
        "summaries": 1,
        "windows": 0,
        "events": 1,
        "births": 1,
        "states": 0,
        "quarantine": 1,
    }


def test_two_consumers_share_the_work(broker: Broker, ws: Workspace) -> None:
    both = [
        Consumer(ws.tables, broker.host, broker.port, name=n, shared=broker.shares, commit_s=0.05) for n in ("a", "b")
    ]
    for consumer in both:
        consumer.start()
    one = Device(DEVICE, EPOCH, [samples.records(1 + 4 * i, 4) for i in range(30)])
    one.connect(broker.port)
    one.send()
    while not one.is_done(2.0):
        one.send()
    one.disconnect()
    for consumer in both:
        consumer.stop()
    assert all(consumer.rows > 0 for consumer in both)
    assert len(view.records(ws).fetchall()) == 120


class Stumbles(Consumer):
    """Its store fails the first two times."""

    failures = 2
    attempted = 0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.tried = threading.Event()

    def store(self, commit: Commit) -> None:
        self.attempted += 1
        self.tried.set()
        if self.attempted <= self.failures:
            raise OSError("disk full")
        super().store(commit)


def test_nothing_is_acknowledged_while_the_store_fails(
    any_broker: Broker, ws: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(consumers, "RETRY_S", 0.01)
    with Client(any_broker.port, "d", topics=(ACK,)) as d:
        consumer = Stumbles(ws.tables, any_broker.host, any_broker.port, shared=any_broker.shares, commit_s=0.05)
        consumer.start()
        d.publish(topics.up(SITE, DEVICE, "rec", STREAM), samples.records(1, 4).to_bytes())
        assert Ack.from_bytes(d.next().payload).ranges == ((1, 4),)
        consumer.stop()
    assert consumer.attempted == 3
    assert "event=commit-failed rows=4" in caplog.text
    assert len(view.records(ws).fetchall()) == 4


def test_a_consumer_that_stops_while_the_store_fails_acknowledges_nothing(broker: Broker, ws: Workspace) -> None:
    with Client(broker.port, "d", topics=(ACK,)) as d:
        failing = Stumbles(ws.tables, broker.host, broker.port, shared=broker.shares, commit_s=0.05)
        failing.failures = 1000
        failing.start()
        d.publish(topics.up(SITE, DEVICE, "rec", STREAM), samples.records(1, 4).to_bytes())
        assert failing.tried.wait(10)
        failing.stop()
        assert d.arrived.empty()
        next_one = Consumer(ws.tables, broker.host, broker.port, shared=broker.shares, commit_s=0.05)
        next_one.start()
        assert Ack.from_bytes(d.next().payload).ranges == ((1, 4),)  # the broker kept it for this name
        next_one.stop()
    assert len(view.records(ws).fetchall()) == 4


class Stuck(Consumer):
    """Its store hangs until it is let go."""

    def __init__(self, ws: Workspace, broker: Broker) -> None:
        super().__init__(ws.tables, broker.host, broker.port, shared=broker.shares, commit_s=0.01)
        self.entered, self.go = threading.Event(), threading.Event()

    def store(self, commit: Commit) -> None:
        self.entered.set()
        self.go.wait(30)
        super().store(commit)


def test_memory_is_bounded_while_the_store_hangs(
    broker: Broker, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "WINDOW", 50)
    consumer = Stuck(ws, broker)
    consumer.start()
    total = 200
    one = Device(DEVICE, EPOCH, [samples.records(i + 1, 1) for i in range(total)])
    one.connect(broker.port)
    one.send()
    assert consumer.entered.wait(10)
    with Client(broker.port, "probe", topics=("probe",)) as probe:  # what was to be delivered before, was
        probe.publish("probe", b"1")
        probe.next()
    assert consumer._arrived.qsize() <= 2 * 50
    consumer.go.set()
    while not one.is_done(2.0):
        one.send()
    one.disconnect()
    consumer.stop()
    assert len(view.records(ws).fetchall()) == total


class Tells(Consumer):
    """Says when it has taken a message."""

    def __init__(self, ws: Workspace, broker: Broker) -> None:
        super().__init__(ws.tables, broker.host, broker.port, shared=broker.shares, commit_s=60)
        self.took = threading.Event()

    def _take(self, message: consumers.Arrived) -> None:
        super()._take(message)
        self.took.set()


def test_stop_commits_and_acknowledges_what_has_arrived(broker: Broker, ws: Workspace) -> None:
    consumer = Tells(ws, broker)
    consumer.start()
    with Client(broker.port, "d", topics=(ACK,)) as d:
        d.publish(topics.up(SITE, DEVICE, "rec", STREAM), samples.records(1, 4).to_bytes())
        assert consumer.took.wait(10)
        assert d.arrived.empty()
        consumer.stop()
        assert Ack.from_bytes(d.next().payload).ranges == ((1, 4),)
    assert len(view.records(ws).fetchall()) == 4


def test_the_command_ends_on_sigterm(any_broker: Broker, ws: Workspace) -> None:
    text = "import typer; from cloud_trainer.cli import telemetry; a = typer.Typer(); telemetry.register(a); a()"
    command = [sys.executable, "-c", text, "ingest", "--workspace", str(ws.root), "--port", str(any_broker.port),
               "--commit-s", "0.05", "--shared" if any_broker.shares else "--no-shared"]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert "storing what arrives" in process.stdout.readline()
    with Client(any_broker.port, "d", topics=(ACK,)) as d:
        d.publish(topics.up(SITE, DEVICE, "rec", STREAM), samples.records(1, 4).to_bytes())
        assert Ack.from_bytes(d.next().payload).ranges == ((1, 4),)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(20) == 0
    assert "4 rows in 1 commits" in process.stdout.read()
    process.stdout.close()


def test_a_broker_that_is_away_is_named(ws: Workspace) -> None:
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:1: no subscription within 0\.1 s") as caught:
        Consumer(ws.tables, "127.0.0.1", 1).start(timeout_s=0.1)
    assert "cloud-trainer broker" in caught.value.hint


def test_prometheus_reads_what_was_stored(broker: Broker, ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first commit fails once, as a full disk makes it."""
    consumer = Consumer(ws.tables, broker.host, broker.port, shared=broker.shares, commit_s=0.05, tidy_commits=1)
    store, calls = consumer.store, []

    def fails_once(commit: Commit) -> None:
        calls.append(commit)
        if len(calls) == 1:
            raise OSError("no space left")
        store(commit)

    monkeypatch.setattr(consumer, "store", fails_once)
    monkeypatch.setattr(consumers, "RETRY_S", 0.0)
    with served(consumer, 0) as port, Client(broker.port, "d", topics=(ACK,)) as d:
        consumer.start()
        d.publish(topics.up(SITE, DEVICE, "rec", STREAM), samples.records(1, 4).to_bytes())
        d.publish(topics.up(SITE, DEVICE, "rec", STREAM), b"not CBOR")
        timed = replace(samples.summary(5), latency_bins=(243,), latency_counts=(6,))
        d.publish(topics.up(SITE, DEVICE, "sum", STREAM), timed.to_bytes())
        named: set[tuple[int, int]] = set()
        while named != {(1, 4), (5, 5)}:
            named |= set(Ack.from_bytes(d.next()[1]).ranges)
        consumer.stop()
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        with pytest.raises(UsageError, match=f"--metrics-port {port}: Address already in use"), served(consumer, port):
            pass
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values['edgeloop_ingest_rows_total{table="records"}'] == "4.0"
    assert values['edgeloop_ingest_rows_total{table="quarantine"}'] == "1.0"
    assert values[f'edgeloop_decision_seconds_count{{bundle="{samples.BUNDLE}"}}'] == "6.0"
    assert values["edgeloop_ingest_failed_commits_total"] == "1.0"
    assert float(values["edgeloop_ingest_commits_total"]) == consumer.commits
    assert float(values["edgeloop_ingest_commit_seconds_total"]) > 0
    assert values["edgeloop_ingest_waiting_messages"] == "0.0"
    assert float(values["edgeloop_ingest_rewrites_total"]) == consumer.tidy.rewrites > 0
    assert values["edgeloop_ingest_refused_rewrites_total"] == "0.0"
    assert values["edgeloop_ingest_over_quota_rows_total"] == "0.0"
    assert float(values["edgeloop_ingest_rewrite_seconds_total"]) > 0
