"""The same suite on every broker: what the loop asks of one."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from cloud_trainer.ingest import broker as brokers
from cloud_trainer.ingest.broker import Broker, ProcessBroker, open_broker
from edge_runtime.errors import TransportError, UsageError
from tests.ingest.mqtt import Client


def test_qos_1_reaches_a_subscriber(broker: Broker) -> None:
    with Client(broker.port, "a") as a, Client(broker.port, "b", topics=("x/+/y",)) as b:
        a.publish("x/1/y", b"hello")
        message = b.next()
    assert (message.topic, message.payload, message.qos) == ("x/1/y", b"hello", 1)


def test_a_shared_subscription_gives_each_message_to_one_member(broker: Broker) -> None:
    if not broker.shares:
        pytest.skip(f"SKIP: {broker.name} has no shared subscriptions that can be used")
    with (
        Client(broker.port, "a") as a,
        Client(broker.port, "m1", topics=("$share/g/x/+",)) as one,
        Client(broker.port, "m2", topics=("$share/g/x/+",)) as two,
        Client(broker.port, "all", topics=("x/+",)) as everything,
    ):
        for i in range(20):
            a.publish("x/1", b"%d" % i)
        for _ in range(20):
            everything.next()
        a.publish("x/end", b"end-1")  # after this arrived somewhere, nothing before it is on its way
        a.publish("x/end", b"end-2")
        got: list[bytes] = []
        ends: list[bytes] = []
        while len(ends) < 2 or len(got) < 20:
            for member in (one, two):
                while not member.arrived.empty():
                    payload = member.arrived.get().payload
                    (ends if payload.startswith(b"end") else got).append(payload)
            threading.Event().wait(0.01)
    assert sorted(got, key=int) == [b"%d" % i for i in range(20)]


def test_a_retained_message_meets_a_later_subscriber_and_can_be_replaced(broker: Broker) -> None:
    with Client(broker.port, "a") as a:
        a.publish("desired", b"1", retain=True)
        a.publish("desired", b"2", retain=True)
        with Client(broker.port, "late", topics=("desired",)) as late:
            message = late.next()
            assert (message.payload, message.retain) == (b"2", True)


def test_the_will_of_a_device_that_vanishes_is_published_and_retained(broker: Broker) -> None:
    with Client(broker.port, "watch", topics=("state/#",)) as watch:
        dying = Client(broker.port, "d", will=("state/d", b"offline"))
        dying.vanish()
        assert watch.next().payload == b"offline"
        dying.close()
    with Client(broker.port, "late", topics=("state/#",)) as late:
        assert late.next().payload == b"offline"


def test_a_session_keeps_what_arrives_while_its_client_is_away(broker: Broker) -> None:
    Client(broker.port, "sleepy", topics=("$share/g/x" if broker.shares else "x", "y")).close()
    with Client(broker.port, "a") as a:
        a.publish("y", b"while you were out")
    with Client(broker.port, "sleepy") as sleepy:
        assert sleepy.session_present
        assert sleepy.next().payload == b"while you were out"


def test_what_was_not_acknowledged_comes_again(broker: Broker) -> None:
    with Client(broker.port, "a") as a:
        topic = "$share/g/x" if broker.shares else "x"
        careful = Client(broker.port, "careful", topics=(topic,), manual_ack=True)
        a.publish("x", b"1")
        assert careful.next().payload == b"1"
        careful.close()
        with Client(broker.port, "careful", manual_ack=True) as again:
            message = again.next()
            assert message.payload == b"1"
            again.paho.ack(message.mid, 1)


def test_a_fixed_port_that_is_taken_is_named(broker: Broker) -> None:
    with pytest.raises(TransportError, match=f"port {broker.port} is taken"):
        ProcessBroker(broker.name, port=broker.port).start()


def test_stop_ends_the_broker_and_may_be_called_twice(broker: Broker) -> None:
    broker.stop()
    broker.stop()
    with pytest.raises(OSError):  # noqa: PT011 - the platform's own words
        Client(broker.port, "late")
    broker.start()
    with Client(broker.port, "a", topics=("x",)) as a:
        a.publish("x", b"1")
        assert a.next().payload == b"1"


def test_the_broker_ends_when_its_parent_is_killed(broker: Broker) -> None:
    text = (
        "import sys, os, signal; from cloud_trainer.ingest.broker import open_broker; "
        f"b = open_broker(prefer={broker.name!r}); b.start(); print(b.port, b._process.pid, flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=30)
    port = int(parent.stdout.split()[0])
    for _ in range(500):
        if not brokers._takes_connections("127.0.0.1", port):
            break
        threading.Event().wait(0.01)
    assert not brokers._takes_connections("127.0.0.1", port)


def test_the_broker_listens_on_loopback_alone(broker: Broker) -> None:
    with open("/proc/net/tcp") as table:  # noqa: PTH123
        listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    assert [address for address in listening if int(address.split(":")[1], 16) == broker.port] == [
        f"0100007F:{broker.port:04X}"
    ]


def test_an_unknown_broker_is_refused() -> None:
    with pytest.raises(UsageError, match="'amqtt' is unknown"):
        open_broker(prefer="amqtt")


def test_a_broker_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "available", tuple)
    with pytest.raises(UsageError, match="is not installed"):
        open_broker()
