"""A rollout from the workspace to the devices: orders through a real broker, bundles through the real depot."""

from __future__ import annotations

import base64
import json
import queue
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import typer
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from typer.testing import CliRunner

from cloud_trainer.cli import rollout as commands
from cloud_trainer.ingest import schema
from cloud_trainer.ingest.broker import open_broker
from cloud_trainer.rollout import Depot, Plan, create, depot_folder, drive, public_keys, release, store
from cloud_trainer.rollout.keys import Keys
from cloud_trainer.rollout.order import publish
from cloud_trainer.workspace import Workspace
from edge_runtime.contract.order import Order, Signed
from edge_runtime.contract.topics import down
from edge_runtime.errors import ContractError, TransportError, TrustError, UsageError
from edge_runtime.update import child
from edge_runtime.update.request import Request
from tests.update.bundles import members, packed_bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A workspace with keys and one released bundle."""

    ws: Workspace
    keys: Keys
    bundle: Path


@pytest.fixture
def site(tmp_path: Path) -> Site:
    ws, plain = Workspace(tmp_path / "ws"), tmp_path / "tiny.elb"
    plain.write_bytes(packed_bundle(2))
    keys = create(ws.keys)
    return Site(ws=ws, keys=keys, bundle=release(ws, plain, keys))


@pytest.fixture
def broker() -> Iterator[tuple[str, int]]:
    running = open_broker(port=0)
    running.start()
    yield running.host, running.port
    running.stop()


def plan_of(site: Site, url: str = "http://127.0.0.1:9") -> Plan:
    return Plan(
        rollout="r-1",
        stream="main",
        bundle=site.bundle.stem,
        url=f"{url}/{site.bundle.name}",
        length=site.bundle.stat().st_size,
        rings=(("plant/fan",), ("plant/pump", "plant/saw")),
        timeout_ms=60_000,
    )


def add(to: Site, name: str, **row: Any) -> None:
    """Put one row into the telemetry store, as ingest does."""
    columns = schema.columns(name)
    for column, kind in schema.TABLES[name].items():
        columns[column].append(row.get(column, {"text": "", "bool": True}.get(kind, 0)))
    to.ws.tables.append(schema.raw(name), schema.arrow(name, columns))


def say(to: Site, device: str, kind: str, at_ms: int, **fields: Any) -> None:
    add(to, "events", site="plant", device=device, kind=kind, fields=json.dumps(fields), ingested_ms=at_ms, seq=at_ms)


def request_of(site: Site, order: bytes, folder: Path) -> Request:
    """What the daemon of plant/fan asks its child."""
    trust = public_keys(site.keys)
    return Request(
        mode="order",
        folder=str(folder),
        site="plant",
        device="fan",
        stream="main",
        order=base64.b64encode(order).decode(),
        release_keys=tuple(trust["release_keys"]),
        rollout_keys=tuple(trust["rollout_keys"]),
        latency_us=1_000_000,
    )


def retained(host: str, port: int, n: int) -> dict[str, bytes]:
    """The next *n* retained orders of the broker."""
    got: queue.Queue[Any] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, message: got.put(message)
    client.on_connect = lambda client, *_: client.subscribe("el/v1/+/+/desired", qos=1)
    client.connect(host, port)
    client.loop_start()
    try:
        return {message.topic: message.payload for message in (got.get(timeout=20) for _ in range(n))}
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_rollout_goes_ring_by_ring(site: Site, broker: tuple[str, int]) -> None:
    host, port = broker
    plan, decision = drive(site.ws, plan_of(site), site.keys, host=host, port=port, now_ms=1000)
    assert (decision.kind, plan.ring, plan.since_ms) == ("next", 0, 1000)
    assert set(retained(host, port, 1)) == {down("plant", "fan", "desired")}
    plan, decision = drive(site.ws, plan, site.keys, host=host, port=port, now_ms=2000)
    assert decision.kind == "wait"
    say(site, "fan", "confirmed", 2500, rollout="r-1", bundle=plan.bundle)
    plan, decision = drive(site.ws, store.load(site.ws, "r-1"), site.keys, host=host, port=port, now_ms=3000)
    assert (decision.kind, plan.ring) == ("next", 1)
    orders = retained(host, port, 3)
    assert set(orders) == {down("plant", name, "desired") for name in ("fan", "pump", "saw")}
    versions = {topic: Order.from_bytes(Signed.from_bytes(data).payload).version for topic, data in orders.items()}
    assert sorted(versions.values()) == [1, 2, 2]
    say(site, "saw", "fell-back", 3500, rollout="r-1", bundle=plan.bundle)
    plan, decision = drive(site.ws, plan, site.keys, host=host, port=port, now_ms=4000)
    assert decision.kind == "halt"
    assert store.load(site.ws, "r-1").halted == decision.reason


def test_the_order_and_the_depot_satisfy_a_device(site: Site, broker: tuple[str, int], tmp_path: Path) -> None:
    host, port = broker
    with Depot(depot_folder(site.ws)) as depot:
        drive(site.ws, plan_of(site, depot.url), site.keys, host=host, port=port)
        ((_, order),) = retained(host, port, 1).items()
        answer: dict[str, Any] = {}
        child.run(request_of(site, order, tmp_path / "device"), answer)
    assert (answer["kind"], answer["digest"]) == ("staged", site.bundle.stem)


def test_an_altered_copy_in_the_depot_is_refused(site: Site, broker: tuple[str, int], tmp_path: Path) -> None:
    """What the demo shows: the same order, a depot whose file has one byte changed."""
    host, port = broker
    bad = tmp_path / "bad"
    bad.mkdir()
    data = bytearray(site.bundle.read_bytes())
    data[len(data) // 2] ^= 1
    (bad / site.bundle.name).write_bytes(data)
    with Depot(bad) as depot:
        drive(site.ws, plan_of(site, depot.url), site.keys, host=host, port=port)
        ((_, order),) = retained(host, port, 1).items()
        with pytest.raises((TrustError, ContractError)):
            child.run(request_of(site, order, tmp_path / "device"), {})
    assert list((tmp_path / "device" / "bundles").iterdir()) == []


def test_order_versions_never_come_twice(site: Site) -> None:
    assert [store.next_version(site.ws) for _ in range(3)] == [1, 2, 3]
    add(site, "states", site="plant", device="fan", order_version=40, streams="{}", epoch="1")
    assert store.next_version(site.ws) == 41, "a device knows of orders that this workspace forgot"


def test_plan_survives_the_disk(site: Site) -> None:
    plan = replace(plan_of(site), ring=1, since_ms=5, halted="by hand", max_failures=2)
    store.save(site.ws, plan)
    assert store.load(site.ws, "r-1") == plan
    assert store.names(site.ws) == ["r-1"]


def test_unknown_rollouts_and_formats_are_named(site: Site) -> None:
    store.save(site.ws, plan_of(site))
    with pytest.raises(UsageError, match=r"r-2.*known are r-1"):
        store.load(site.ws, "r-2")
    with pytest.raises(ContractError, match=r"id \[a-z0-9-\]"):
        store.load(site.ws, "../r-1")
    path = site.ws.root / "rollouts" / "r-1.json"
    path.write_bytes(path.read_bytes().replace(b'"format":"0.1"', b'"format":"1.0"'))
    with pytest.raises(ContractError, match="format"):
        store.load(site.ws, "r-1")


def test_a_broker_that_is_away_stores_nothing(site: Site) -> None:
    with pytest.raises(TransportError, match="broker 127"):
        drive(site.ws, plan_of(site), site.keys, host="127.0.0.1", port=9)
    assert store.names(site.ws) == []


def test_a_broker_that_does_not_answer_is_a_transport_error() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TransportError, match="no acknowledgement"):
        publish({"el/v1/a/b/desired": b"x"}, host="127.0.0.1", port=silent.getsockname()[1], timeout_s=0.3)


def test_what_devices_would_refuse_is_not_signed(site: Site, tmp_path: Path) -> None:
    files = members()
    files["program.json"] = files["program.json"].replace(b'"op":2', b'"op":99')
    for name, data, why in (
        ("future", packed_bundle(2, files=files), "99"),
        ("cut", packed_bundle(2)[:-2000], "truncated"),
    ):
        path = tmp_path / f"{name}.elb"
        path.write_bytes(data)
        with pytest.raises(ContractError, match=rf"{name}\.elb: .*{why}") as caught:
            release(site.ws, path, site.keys)
        assert caught.value.hint
    assert [path.name for path in store.depot_folder(site.ws).iterdir()] == [site.bundle.name]


def test_the_memory_of_each_device_is_what_it_told_last(site: Site) -> None:
    assert store.memory(site.ws) == []
    say(site, "pump", "memory", 10, peak_bytes=20 << 20, data_bytes=9 << 20, data_limit_bytes=64 << 20)
    say(site, "pump", "memory", 20, peak_bytes=24 << 20, data_bytes=8 << 20, data_limit_bytes=64 << 20)
    say(site, "fan", "memory", 5, peak_bytes=10 << 20)
    say(site, "fan", "confirmed", 30, bundle="b")
    assert store.memory(site.ws) == [
        ("plant/fan", 10 << 20, 0, 0),
        ("plant/pump", 24 << 20, 8 << 20, 64 << 20),
    ]
    app = typer.Typer()
    commands.register(app)
    done = CliRunner().invoke(app, ["rollout", "status", "-w", str(site.ws.root)])
    assert done.exit_code == 0
    assert [" ".join(line.split()) for line in done.output.splitlines()[1:]] == [
        "memory plant/fan peak 10.0 MiB, data 0.0 MiB",
        "memory plant/pump peak 24.0 MiB, data 8.0 of 64.0 MiB",
    ]
