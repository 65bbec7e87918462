"""The consumer: messages from the broker into the store, acknowledged by the application after the commit.

Its one rule: the order is commit, then `ack` to the device, then PUBACK. Whatever dies in between, the device or the
broker sends the batch again; the reading view drops the second copy. Consumers are stateless: any number share the
work (`$share/ingest`), each under its own stable name, which is its persistent session at the broker.
Memory is bounded: the broker may send `WINDOW` messages before the first PUBACK (MQTT 5 receive maximum), of the size
that the broker lets through; docs/fleet.md has the figures.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections import Counter
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud_trainer.ingest.latencies import Latencies
from cloud_trainer.ingest.pending import Commit, Pending
from cloud_trainer.ingest.quota import Quota
from cloud_trainer.ingest.store import append
from cloud_trainer.ingest.tidy import Tidy
from cloud_trainer.tables import Tables
from edge_runtime.contract import topics
from edge_runtime.errors import TransportError, UsageError
from edge_runtime.transport import Tls
from edge_runtime.transport.link import tls_context

log = logging.getLogger(__name__)

WINDOW = 1000  # messages in memory, some 8 KiB each, raw windows up to 256 KiB
VALUES = 4 << 20  # of raw windows in a commit: 16 MiB
QUIET_S, QUIET_MESSAGES = 0.05, 64  # a broker that stops after so many waits for us: rumqttd has a window of 100
SESSION_S = 7 * 24 * 3600
DEVICE_ROWS_HOUR = 100_000  # 28 a second: far above what any budget of a device gives
GROUP = "ingest"
SEALED = ("rec", "raw", "sum", "ev")
RETRY_S = 1.0
_HINT = "is it running? `cloud-trainer broker` starts one and prints what to say here"

Arrived = tuple[int, int, str, bytes]  # connection number, mid, topic, payload


class Consumer:
    """One consumer. Life: `start()` and `stop()`, or `run()` until another thread calls `stop()`."""

    def __init__(
        self,
        tables: Tables,
        host: str,
        port: int,
        *,
        name: str = "ingest-0",
        shared: bool = True,
        commit_s: float = 2.0,
        commit_rows: int = 20_000,
        tidy_commits: int = 100,
        device_rows_hour: int = DEVICE_ROWS_HOUR,
        tls: Tls | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        """Connects nothing yet.

        Args:
            tables: Where the rows go.
            host: The broker.
            port: Its TCP port.
            name: Stable, and its own for each consumer of the fleet.
            shared: Whether consumers share the work; where the broker cannot (`Broker.shares`) each stores all.
            commit_s: A message waits at most this long for its commit [s].
            commit_rows: A commit is made when this many rows wait.
            tidy_commits: Commits to a table after which its small files become one; 0: never.
            device_rows_hour: Rows of one device that this consumer stores an hour, a day's worth at once; what is
                over is set aside in `quarantine` and acknowledged. 0: no limit.
            tls: Authority, certificate and key; None speaks in the clear.
            login: Name and password at the broker.

        Raises:
            UsageError: A file of `tls` cannot be read.
        """
        self.tables = tables
        self.tidy = Tidy(tables, every=tidy_commits)
        self.rows_of: Counter[str] = Counter()  # stored, by table
        self.latencies = Latencies()
        self.commits = self.failed = 0
        self.commit_s_total = 0.0
        self._host, self._port = host, port
        self._filters = filters(shared=shared)
        self._commit_s, self._commit_rows = commit_s, commit_rows
        self._arrived: queue.Queue[Arrived] = queue.Queue(maxsize=2 * WINDOW)
        self.quota = Quota(device_rows_hour)
        self._pending = Pending(self.quota)
        self._mids: list[tuple[int, int]] = []  # (connection, mid) of the messages in `_pending`, in order
        self._connection = 0
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._refused = self._trouble = ""
        self._client = self._make_client(name)
        if tls is not None:
            self._client.tls_set_context(_context(tls))
        if login is not None:
            self._client.username_pw_set(*login)

    @property
    def rows(self) -> int:
        """Stored, of all tables."""
        return self.rows_of.total()

    @property
    def waiting(self) -> int:
        """Messages that have arrived and are not committed."""
        return self._arrived.qsize() + len(self._mids)

    def start(self, *, timeout_s: float = 10.0) -> None:
        """Run in a thread of its own; return when the broker has taken the subscriptions.

        Raises:
            TransportError: It did not within `timeout_s`.
        """
        self._thread = threading.Thread(target=self.run, name="ingest", daemon=True)
        self._thread.start()
        if not self._ready.wait(timeout_s):
            self.stop()
            why = self._refused or self._trouble or f"no subscription within {timeout_s:g} s"
            raise TransportError(f"broker {self._host}:{self._port}: {why}", hint=_HINT)

    def stop(self) -> None:
        """Commit and acknowledge what has arrived, then disconnect."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def run(self) -> None:
        """Consume until `stop()`.

        Raises:
            TransportError: The broker refused the subscription.
        """
        self._client.connect_async(self._host, self._port, keepalive=30, clean_start=False,
                                   properties=_connect_properties())  # fmt: skip
        self._client.loop_start()
        try:
            while not self._stopping.is_set() and not self._refused:
                self._gather()
                self._flush()
            self._drain()
        finally:
            self._client.disconnect()
            self._client.loop_stop()
        if self._refused:
            raise TransportError(f"broker {self._host}:{self._port}: {self._refused}", hint=_HINT)

    def store(self, commit: Commit) -> None:
        """Append the commit's rows, one Delta commit a table."""
        append(self.tables, commit.tables)

    def acknowledge(self, commit: Commit) -> None:
        """Tell each device which of its batches are stored."""
        for topic, payload in commit.acks():
            self._client.publish(topic, payload, qos=1)

    def _gather(self) -> None:
        """Wait for messages until it is time to commit."""
        deadline: float | None = None
        pending = self._pending
        while pending.rows < self._commit_rows and pending.messages < WINDOW // 2 and pending.values < VALUES:
            wait_s = QUIET_S if deadline is None else min(QUIET_S, deadline - time.monotonic())
            if wait_s <= 0 or self._stopping.is_set() or self._refused:
                return
            try:
                self._take(self._arrived.get(timeout=wait_s))
            except queue.Empty:
                if pending.messages >= QUIET_MESSAGES:
                    return
                continue
            deadline = deadline or time.monotonic() + self._commit_s

    def _drain(self) -> None:
        while True:
            try:
                self._take(self._arrived.get_nowait())
            except queue.Empty:
                break
        self._flush()

    def _take(self, message: Arrived) -> None:
        connection, mid, topic, payload = message
        self._pending.add(topic, payload, now_ms=time.time_ns() // 1_000_000)
        self._mids.append((connection, mid))

    def _flush(self) -> None:
        """Commit what is pending, then acknowledge it; a commit that fails is tried until `stop()`."""
        if not self._mids:
            return
        commit, mids = self._pending.take(), self._mids
        self._mids = []
        if self._stored(commit):
            self.acknowledge(commit)
            for connection, mid in mids:  # in order of arrival: MQTT 5 asks for it, rumqttd insists
                if connection == self._connection:
                    self._client.ack(mid, 1)
            self.tidy.after(commit.tables)  # last: no device waits for it

    def _stored(self, commit: Commit) -> bool:
        while True:
            began = time.monotonic()
            try:
                self.store(commit)
            except Exception:
                self.failed += 1
                log.exception("event=commit-failed rows=%d retry_s=%g", commit.rows, RETRY_S)
                if self._stopping.wait(RETRY_S):
                    return False
            else:
                self.rows_of.update({name: len(table["ingested_ms"]) for name, table in commit.tables.items()})
                if summaries := commit.tables.get("summaries"):
                    self.latencies.add(summaries)
                self.commits += 1
                self.commit_s_total += time.monotonic() - began
                log.info("event=commit rows=%d tables=%s", commit.rows, ",".join(commit.tables))
                return True

    def _make_client(self, name: str) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"el-{GROUP}-{name}",
                             protocol=mqtt.MQTTv5, manual_ack=True)  # fmt: skip
        client.reconnect_delay_set(min_delay=1, max_delay=30)
        client.max_queued_messages_set(10_000)
        client.on_socket_open = _no_delay
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(self, client: mqtt.Client, _user: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("event=refused reason=%s", reason)
            self._trouble = str(reason)
            return
        self._connection += 1  # a mid of the connection before means nothing to this one
        client.subscribe([(name, 1) for name in self._filters])

    def _on_subscribe(self, _client: Any, _user: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        failed = [str(reason) for reason in reasons if reason.is_failure]
        if failed:
            self._refused = f"subscription refused: {failed[0]}"
        else:
            self._ready.set()

    def _on_message(self, _client: Any, _user: Any, message: mqtt.MQTTMessage) -> None:
        self._arrived.put((self._connection, message.mid, message.topic, bytes(message.payload)))


def _context(tls: Tls) -> Any:
    try:
        return tls_context(tls)
    except OSError as why:
        files = ", ".join(name for name in (tls.ca, tls.cert, tls.key) if name)
        raise UsageError(
            f"TLS of {files}: {why}", hint="PEM files that this user can read; the key without a password"
        ) from why


def filters(*, shared: bool) -> tuple[str, ...]:
    """What a consumer subscribes to: sealed batches shared between consumers, retained documents by each of them.

    A broker sends no retained message for a shared subscription, and a birth may be older than the consumer.
    """
    plain = [name.removeprefix(f"$share/{GROUP}/") for name in topics.INGEST]
    if not shared:
        return tuple(plain)
    return tuple(f"$share/{GROUP}/{name}" if name.split("/")[4] in SEALED else name for name in plain)


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_S
    properties.ReceiveMaximum = WINDOW
    return properties


def _no_delay(_client: Any, _user: Any, sock: Any) -> None:
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
