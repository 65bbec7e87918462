"""Decisions on the `dec/` topic: opt-in, as they are made."""

from __future__ import annotations

from pathlib import Path

from cloud_trainer.ingest import open_broker
from edge_runtime.contract import cbor
from tests.daemon.rig import Rig, ended, recording
from tests.ingest.mqtt import Client
from tests.spool.common import until


def test_decisions_arrive_on_the_dec_topic(tmp_path: Path) -> None:
    broker = open_broker()
    broker.start()
    client = Client(broker.port, "watcher", topics=("el/v1/lab/dev-1/dec/m",))
    rig = Rig(tmp_path)
    recording(tmp_path / "run.csv", frames=4000)
    rig.write(top=f'[broker]\nhost = "{broker.host}"\nport = {broker.port}\n', decisions=["stdout", "mqtt"], speed=50.0)
    device = rig.start()
    try:
        assert until(lambda: client.arrived.qsize() >= 20, 30), rig.log()
        seen = [cbor.loads(client.arrived.get().payload, what="dec") for _ in range(20)]
    finally:
        ended(device)
        client.close()
        broker.stop()
    by_window = {d["window"]: d for d in rig.decisions()}
    assert all(isinstance(one, dict) and one["label"] == by_window[one["window"]]["label"] for one in seen)
