"""A plain MQTT 5 client for tests: every wait is on an event, with a limit."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WAIT_S = 10.0


class Message(NamedTuple):
    """One that arrived."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    mid: int


class Client:
    """Connected from the start; messages wait in `arrived`."""

    def __init__(
        self, port: int, name: str, *, topics: tuple[str, ...] = (), will: tuple[str, bytes] | None = None,
        manual_ack: bool = False,
    ) -> None:  # fmt: skip
        self.arrived: queue.Queue[Message] = queue.Queue()
        self.session_present = False
        self._connected, self._subscribed = threading.Event(), threading.Event()
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5, manual_ack=manual_ack
        )
        self.paho.on_connect = self._on_connect
        self.paho.on_subscribe = lambda *_: self._subscribed.set()
        self.paho.on_message = self._on_message
        if will is not None:
            self.paho.will_set(*will, qos=1, retain=True)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        self.paho.connect("127.0.0.1", port, clean_start=False, properties=properties)
        self.paho.loop_start()
        assert self._connected.wait(WAIT_S)
        if topics:
            self.paho.subscribe([(topic, 1) for topic in topics])
            assert self._subscribed.wait(WAIT_S)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Return when the broker has it (PUBACK)."""
        self.paho.publish(topic, payload, qos=1, retain=retain).wait_for_publish(WAIT_S)

    def next(self) -> Message:
        """The next message; fails when none comes."""
        return self.arrived.get(timeout=WAIT_S)

    def close(self) -> None:
        """Disconnect in good order."""
        self.paho.disconnect()
        self.paho.loop_stop()

    def vanish(self) -> None:
        """Drop the connection without DISCONNECT, as a dead device does."""
        sock: Any = self.paho.socket()
        self.paho.on_connect = None
        self.paho.reconnect_delay_set(60, 60)
        sock.shutdown(2)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _on_message(self, _c: Any, _u: Any, m: paho.MQTTMessage) -> None:
        self.arrived.put(Message(m.topic, bytes(m.payload), m.qos, m.retain, m.mid))

    def _on_connect(self, _c: Any, _u: Any, flags: Any, reason: Any, _p: Any) -> None:
        assert not reason.is_failure
        self.session_present = flags.session_present
        self._connected.set()
