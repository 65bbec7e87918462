"""The link over MQTT 5, else 3.1.1 (paho), in the caller's thread. One rule: a connection is a new client.

So nothing of a dead connection lives on in paho's queues, the last will and the keys are the present ones,
and there is no network thread of paho's that could die unnoticed. Attempts are apart by a full-jitter
back-off. Source: M. Brooker, "Exponential Backoff And Jitter", 2015.
A broker that refuses MQTT 5 is asked in 3.1.1 from then on; one that hangs up without an answer, in the other version
the next time. Nothing here needs 5: what an absent device's session may keep and how
large a message may be, a 3.1.1 broker says in its own configuration.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from edge_runtime.lean import TYPE_CHECKING, Any, dataclass, uniform
from edge_runtime.transport.port import Letter, Message

if TYPE_CHECKING:
    import ssl

    from paho.mqtt.client import Client

BACKOFF_S = 1.0
BACKOFF_CAP_S = 60.0
INBOX = 256
PACKET_BYTES = 256 * 1024
UNSUPPORTED = "Unsupported protocol version"  # what paho calls it in either version


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Paths of PEM files: the broker's authority (None: the system's), our certificate and key."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the broker is and how to speak to it.

    Attributes:
        host: Name or address.
        port: 1..65535.
        tls: None: in the clear.
        username: None: no login.
        password: With it.
        keepalive_s: Silence after which either side gives the connection up [s].
        session_expiry_s: How long the broker keeps what it has for an absent device [s].
        connect_timeout_s: For each of TCP and the broker's answer [s].
        max_inflight: Letters handed to the network before the broker took them.
        max_queue: Letters held for sending, those included.
        max_packet_bytes: The largest message that a broker may send us [bytes].
    """

    host: str
    port: int = 1883
    tls: Tls | None = None
    username: str | None = None
    password: str | None = None
    keepalive_s: int = 30
    session_expiry_s: int = 7 * 86400
    connect_timeout_s: float = 10.0
    max_inflight: int = 16
    max_queue: int = 64
    max_packet_bytes: int = PACKET_BYTES


def _paho() -> Any:
    """The client of paho, without urllib.request where it needs none.

    It imports that, and so http and email, for the proxies of PySocks: 3 MiB. Without PySocks it looks for no proxy.
    """
    name, is_needed = "urllib.request", "urllib.request" in sys.modules
    with suppress(ImportError):
        import_module("socks")
        is_needed = True
    if not is_needed:
        sys.modules[name] = ModuleType(name)
    try:
        import paho.mqtt.client as mqtt
    finally:
        if not is_needed:
            del sys.modules[name]
    return mqtt


def client_id(site: str, device: str) -> str:
    """The MQTT client id of a device."""
    return f"el-{site}-{device}"


class MqttLink:
    """A `Link` to one broker; a broker that is away is no error, `trouble` says why.

    Args:
        endpoint: The broker.
        client_id: See `client_id`; a broker serves one connection of an id.
        subscriptions: Topics to subscribe with QoS 1 on each connection.
        will: Gives the last will: what the broker publishes when we are gone, and we on `close`; None has none.
        clock: Monotonic [s].
        uniform: A random number in [a, b], for the back-off.

    Attributes:
        trouble: Why there is no connection, "" while there is one or one is being made.
        dropped_messages: Messages down that found the inbox full; grows.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        client_id: str,
        subscriptions: Sequence[str],
        will: Callable[[], Letter] | None,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = uniform,
    ) -> None:
        self._endpoint, self._client_id = endpoint, client_id
        self._subscriptions, self._will = subscriptions, will
        self._clock, self._uniform = clock, uniform
        self._client: Client | None = None
        self._is_connected = False
        self._sessions = 0
        self._failures = 0
        self._retry_at = clock()
        self._answer_by = 0.0
        self._speaks_5, self._is_5_refused, self._was_answered = True, False, False
        self._untaken: set[int] = set()
        self._inbox: deque[Message] = deque()
        self.trouble = ""
        self.dropped_messages = 0

    # ---- Link

    def receive(self, timeout_s: float) -> list[Message]:
        """See `Link`. Whatever paho raises ends this connection, not us."""
        if self._client is None:
            wait_s = self._retry_at - self._clock()
            if wait_s > 0:
                time.sleep(min(timeout_s, wait_s))
                return []
            self._connect()
        if self._client is not None:
            self._move(timeout_s)
        messages = list(self._inbox)
        self._inbox.clear()
        return messages

    def send(self, letter: Letter) -> bool:
        """See `Link`."""
        if self._client is None or not self._is_connected:
            return False
        if letter.qos == 0 and self._client.want_write():  # paho bounds only QoS 1
            return False
        info = self._client.publish(letter.topic, letter.payload, qos=letter.qos, retain=letter.retain)
        if info.rc != 0:
            return False
        if letter.qos:
            self._untaken.add(info.mid)
        return True

    def session(self) -> int:
        """See `Link`."""
        return self._sessions if self._is_connected else 0

    def backlog(self) -> int:
        """See `Link`."""
        return len(self._untaken)

    def close(self, timeout_s: float) -> None:
        """See `Link`."""
        give_up_at = self._clock() + timeout_s
        if self._will is not None and self.send(self._will()):
            while self._untaken and self._is_connected and self._clock() < give_up_at:
                self._move(0.05)
        if self._client is not None and self._is_connected:
            self._client.disconnect()
            while self._client is not None and self._clock() < give_up_at:
                self._move(0.05)
        self._drop("closed")

    # ---- one connection

    def _connect(self) -> None:
        mqtt = _paho()
        from paho.mqtt.enums import CallbackAPIVersion

        endpoint, self.trouble = self._endpoint, ""
        try:
            client = mqtt.Client(
                CallbackAPIVersion.VERSION2, client_id=self._client_id, reconnect_on_failure=False,
                protocol=mqtt.MQTTv5 if self._speaks_5 else mqtt.MQTTv311,
                clean_session=None if self._speaks_5 else False,
            )  # fmt: skip
            client.connect_timeout = endpoint.connect_timeout_s
            client.max_inflight_messages_set(endpoint.max_inflight)
            client.max_queued_messages_set(endpoint.max_queue)
            if endpoint.tls:
                client.tls_set_context(tls_context(endpoint.tls))
            if endpoint.username is not None:
                client.username_pw_set(endpoint.username, endpoint.password)
            if self._will is not None:
                will = self._will()
                client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
            self._listen(client)
            more: Any = {"clean_start": False, "properties": self._properties()} if self._speaks_5 else {}
            self._client, self._was_answered = client, False
            self._answer_by = self._clock() + 2 * endpoint.connect_timeout_s
            client.connect(endpoint.host, endpoint.port, endpoint.keepalive_s, **more)
        except (OSError, ValueError) as error:
            self._drop(f"{type(error).__name__}: {error}")

    def _properties(self) -> Any:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._endpoint.session_expiry_s
        properties.MaximumPacketSize = self._endpoint.max_packet_bytes
        return properties

    def _listen(self, client: Client) -> None:
        """Callbacks run inside `_move`, in our own thread."""

        def on_connect(_c: Client, _u: object, _flags: object, reason: Any, _p: object) -> None:
            self._was_answered = True
            if reason.is_failure:
                self.trouble = f"refused: {reason}"
                self._is_5_refused |= str(reason) == UNSUPPORTED
                return
            self._is_connected, self._failures, self.trouble = True, 0, ""
            self._sessions += 1
            if self._subscriptions:
                how = _at_least_once() if self._speaks_5 else 1
                client.subscribe([(topic, how) for topic in self._subscriptions])

        def on_message(_c: Client, _u: object, message: Any) -> None:
            if len(self._inbox) < INBOX:
                kept = bool(message.retain)
                self._inbox.append(Message(topic=message.topic, payload=bytes(message.payload), retain=kept))
            else:
                self.dropped_messages += 1

        def on_publish(_c: Client, _u: object, mid: int, _reason: object, _p: object) -> None:
            self._untaken.discard(mid)

        def on_disconnect(_c: Client, _u: object, _flags: object, reason: object, _p: object) -> None:
            self.trouble = self.trouble or f"disconnected: {reason}"

        def on_socket_open(_c: Client, _u: object, sock: Any) -> None:
            import socket

            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        client.on_connect, client.on_message, client.on_publish = on_connect, on_message, on_publish
        client.on_disconnect, client.on_socket_open = on_disconnect, on_socket_open

    def _move(self, timeout_s: float) -> None:
        if self._client is None:
            return
        try:
            status = self._client.loop(timeout_s)
        except Exception as error:  # a broker's bytes can raise anything inside paho
            self._drop(f"{type(error).__name__}: {error}")
            return
        if status != 0:
            self._speaks_5 = not (self._is_5_refused if self._was_answered else self._speaks_5)
            self._drop(self.trouble or f"lost: {status!s}")
        elif not self._is_connected and self._clock() > self._answer_by:
            self._drop(f"no answer from {self._endpoint.host}:{self._endpoint.port}")

    def _drop(self, why: str) -> None:
        client, self._client = self._client, None
        self._is_connected, self.trouble = False, why
        self._untaken.clear()
        limit_s = min(BACKOFF_CAP_S, BACKOFF_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._retry_at = self._clock() + self._uniform(0.0, limit_s)
        if client is not None:
            sock = client.socket()
            if sock is not None:
                sock.close()


def _at_least_once() -> Any:
    from paho.mqtt.subscribeoptions import SubscribeOptions

    return SubscribeOptions(qos=1)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Checks the broker's name and certificate, and shows ours; TLS 1.2 at least."""
    import ssl

    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key)
    return context
