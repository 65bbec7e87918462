"""The device's own spool and courier against the consumer: what was sealed is stored once and leaves the spool."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from cloud_trainer.ingest import view
from cloud_trainer.ingest.broker import Broker
from cloud_trainer.ingest.consumer import Consumer
from cloud_trainer.ingest.pending import Commit
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.spool import Draft, Gap, Spool, SpoolWorker
from edge_runtime.transport import Courier, Endpoint, Letter, LinkThread, MqttLink
from tests.ingest import samples
from tests.ingest.samples import DEVICE, SITE, STREAM

BATCHES, ROWS = 40, 16


def records(epoch: int, first_seq: int) -> bytes:
    return samples.records(first_seq, ROWS, epoch=epoch).to_bytes()


def summary(epoch: int, first_seq: int) -> bytes:
    one = samples.summary(first_seq)
    return replace(one, header=samples.header(epoch=epoch)).to_bytes()


def event(epoch: int, first_seq: int) -> bytes:
    return replace(samples.event(first_seq), epoch=epoch).to_bytes()


def gap(_gap: Gap, epoch: int, seq: int, _now_ms: int) -> bytes:
    return event(epoch, seq)


def submit(spool: SpoolWorker) -> None:
    """Records, and behind every tenth batch a summary and an event."""
    epoch = spool.epoch
    for i in range(BATCHES):
        drafts = [Draft(kind="rec", stream=STREAM, rows=ROWS, encode=lambda first: records(epoch, first))]
        if i % 10 == 0:
            drafts.append(Draft(kind="sum", stream=STREAM, rows=1, encode=lambda first: summary(epoch, first)))
            drafts.append(Draft(kind="ev", stream="", rows=1, encode=lambda first: event(epoch, first)))
        assert spool.submit(drafts, wait_s=10)
    spool.flush()


class Watching(Consumer):
    """Says when the device's last word is stored."""

    gone: threading.Event

    def store(self, commit: Commit) -> None:
        super().store(commit)
        if any("states" in name for name in commit.tables):
            self.gone.set()


def test_a_device_drains_into_the_store(broker: Broker, ws: Workspace, tmp_path: Path) -> None:
    spool = SpoolWorker(lambda: Spool.open(tmp_path / "spool.db", max_bytes=2**24, gap=gap), commit_interval_s=0.05)
    spool.start()
    state = Letter(topic=topics.up(SITE, DEVICE, "state"), payload=samples.state(online=False).to_bytes(), retain=True)
    birth = Letter(topic=topics.up(SITE, DEVICE, "birth"), payload=samples.birth().to_bytes(), retain=True)
    link = MqttLink(
        Endpoint(host=broker.host, port=broker.port),
        client_id="el-lab-fan-7",
        subscriptions=(topics.down(SITE, DEVICE, "ack"), topics.down(SITE, DEVICE, "desired")),
        will=lambda: state,
    )
    courier = Courier(
        link, spool, site=SITE, device=DEVICE, greeting=lambda: [birth], on_desired=lambda _: None, resend_s=1.0
    )
    thread = LinkThread(lambda: (courier, link))
    consumer = Watching(ws.tables, broker.host, broker.port, shared=broker.shares, commit_s=0.05)
    consumer.gone = threading.Event()
    consumer.start()
    thread.start()
    submit(spool)
    assert thread.wait_drained(30)
    thread.stop()
    assert consumer.gone.wait(30)
    consumer.stop()
    spool.flush()  # the acknowledgements too
    left, made = spool.take(1, 0), spool.last_seq
    spool.stop()
    assert left == []
    tables = " union all ".join(f"select seq from {name}" for name in ("records", "summaries", "events"))
    seqs = view.sql(ws, tables).fetchall()
    assert sorted(seq for (seq,) in seqs) == list(range(1, made + 1))
    assert made == BATCHES * ROWS + 2 * (BATCHES // 10)
    assert len(view.births(ws).fetchall()) == 1
    assert view.sql(ws, "select online from states").fetchall() == [(False,)]
    assert view.sql(ws, "select * from quarantine").fetchall() == []
