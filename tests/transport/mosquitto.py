"""A real mosquitto on a free port of this machine, and a consumer that acknowledges as the store does."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from tests.spool.common import until

EXECUTABLE = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")

needs_mosquitto = pytest.mark.skipif(EXECUTABLE is None, reason="mosquitto is not installed (make test SYSTEM=1)")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Mosquitto:
    """Started by `start`; `kill` is kill -9, after which it has forgotten everything."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n"
            f"user root\n{extra}"  # read by root alone: else it changes to a user that cannot read our folder
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert EXECUTABLE is not None
        self._process = subprocess.Popen([EXECUTABLE, "-c", str(self._config)])
        assert until(self._listens), "mosquitto does not listen"

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Consumer:
    """Sees every message; acknowledges batches of "epoch first last" payloads unless told not to."""

    def __init__(self, port: int, *, acks: bool = True) -> None:
        self.seen: list[tuple[str, bytes, bool]] = []
        self.committed: set[tuple[int, ...]] = set()
        self._acks, self._subscribed = acks, threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("el/#", qos=1)
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._subscribed.wait(10)

    def _on_message(self, client: mqtt.Client, _: object, message: Any) -> None:
        self.seen.append((message.topic, message.payload, message.retain))
        topic = topics.parse(message.topic)
        if topic.leaf == "rec" and self._acks:
            epoch, first, last = (int(word) for word in message.payload.split())
            self.committed.add((epoch, first, last))
            ack = Ack(epoch=epoch, ranges=((first, last),)).to_bytes()
            client.publish(topics.down(topic.site, topic.device, "ack"), ack, qos=1)

    def payloads(self, leaf: str) -> list[bytes]:
        return [payload for topic, payload, _ in self.seen if topic.split("/")[4] == leaf]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
