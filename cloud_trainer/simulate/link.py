"""A device's link by a plain socket that never waits: the port that the courier is given, for fleets in one thread.

One rule: it promises what `edge_runtime.transport.port` promises, nothing more; what was under way when a connection
ends is forgotten, and the courier sends it again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
from collections.abc import Sequence
from random import Random

from cloud_trainer.simulate import mqtt
from edge_runtime.transport import Letter, Message

KEEPALIVE_S, SESSION_S = 1200, 3600
RECEIVE_MAXIMUM = 64
MOST_UNSENT = 256 * 1024
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
HANDSHAKE_S = 60.0


class SocketLink:
    """One connection; `tick` now and then, and call `step` of its courier when the selector says so.

    Args:
        selector: Where the socket is registered, with `key`.
        key: Data of the registration.
        address: Host and port of the broker.
        client: Its client id.
        filters: What it subscribes to.
        will: Topic and payload that the broker keeps when the link vanishes.
        rng: For the jitter.

    Attributes:
        wanted: Whether it shall be connected.
        connections: How many were taken by the broker.
        trouble: As the port.
    """

    def __init__(
        self, selector: selectors.BaseSelector, key: object, address: tuple[str, int], *, client: str,
        filters: Sequence[str], will: tuple[str, bytes], rng: Random,
    ) -> None:  # fmt: skip
        self._selector, self._key, self._address = selector, key, address
        self._hello = mqtt.connect(
            client, keepalive_s=KEEPALIVE_S, session_s=SESSION_S, receive_maximum=RECEIVE_MAXIMUM, will=will
        )
        self._filters, self._rng = tuple(filters), rng
        self.wanted = True
        self.connections, self.trouble = 0, ""
        self._sock: socket.socket | None = None
        self._is_up = False
        self._failures = 0
        self._due_at = self._since = 0.0
        self._now = 0.0
        self._forget()

    def _forget(self) -> None:
        self._reader, self._unsent = mqtt.Reader(), bytearray()
        self._mid, self._unacked, self._most = 0, set[int](), 0
        self._watched = 0

    # ---- the port

    def receive(self, _timeout_s: float) -> list[Message]:
        """What has come; never waits."""
        found: list[Message] = []
        if self._sock is None:
            return found
        self._write()
        for packet in self._reader.feed(self._read()):
            if packet.kind == mqtt.PUBLISH:
                one = mqtt.arrived(packet)
                if one.mid:
                    self._unsent += mqtt.puback(one.mid)
                found.append(Message(topic=one.topic, payload=one.payload, retain=one.retain))
            else:
                self._control(packet)
        self._write()
        return found

    def send(self, letter: Letter) -> bool:
        """As the port."""
        if not self._is_up or len(self._unsent) >= MOST_UNSENT or len(self._unacked) >= self._most:
            return False
        mid = self._next_mid() if letter.qos else 0
        if mid:
            self._unacked.add(mid)
        self._unsent += mqtt.publish(letter.topic, letter.payload, mid=mid, retain=letter.retain)
        self._write()
        return True

    def session(self) -> int:
        """As the port."""
        return self.connections if self._is_up else 0

    def backlog(self) -> int:
        """As the port."""
        return len(self._unacked)

    def close(self, _timeout_s: float) -> None:
        """Say goodbye and stay away."""
        self.wanted = False
        if self._sock is not None:
            self._unsent += mqtt.GOODBYE
            self._write()
        self._end()

    # ---- the fleet's side

    def tick(self, now: float) -> None:
        """Connect if it is time, give up a handshake that hangs, keep a quiet connection alive."""
        self._now = now
        if self._sock is None:
            if self.wanted and now >= self._due_at:
                self._open()
        elif not self._is_up and now - self._since > HANDSHAKE_S:
            self.cut()
        elif self._is_up and now - self._since > KEEPALIVE_S / 2:
            self._since = now
            self._unsent += mqtt.PING
            self._write()

    def cut(self) -> None:
        """Lose the connection as a network does; with `wanted` it comes back after a random wait (full jitter)."""
        self._end()
        self._due_at = self._now + self._rng.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._failures))
        self._failures = min(self._failures + 1, 10)

    def _open(self) -> None:
        self._forget()
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._since = self._now
        failed = sock.connect_ex(self._address)
        if failed not in (0, errno.EINPROGRESS):
            sock.close()
            self.cut()
            self.trouble = os.strerror(failed)
            return
        self._sock = sock
        self._unsent += self._hello
        self._watch()

    def _control(self, packet: mqtt.Packet) -> None:
        if packet.kind == mqtt.PUBACK:
            self._unacked.discard(int.from_bytes(packet.body[:2], "big"))
        elif packet.kind == mqtt.CONNACK:
            reason, self._most = mqtt.accepted(packet)
            if reason:
                self.cut()
                self.trouble = f"refused with reason {reason:#04x}"
            else:
                self._unsent += mqtt.subscribe(self._next_mid(), self._filters)
        elif packet.kind == mqtt.SUBACK:
            self._is_up, self._failures, self.trouble = True, 0, ""
            self.connections += 1
        elif packet.kind == mqtt.DISCONNECT:
            self.cut()

    def _next_mid(self) -> int:
        self._mid = self._mid % 65535 + 1
        return self._mid

    def _read(self) -> bytes:
        parts = []
        while self._sock is not None:
            try:
                part = self._sock.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            if not part:
                self.cut()
                break
            parts.append(part)
            if len(part) < 65536:
                break
        return b"".join(parts)

    def _write(self) -> None:
        while self._unsent and self._sock is not None:
            try:
                sent = self._sock.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as why:
                if why.errno == errno.ENOTCONN:  # the handshake of TCP is under way
                    break
                self.cut()
                return
            del self._unsent[:sent]
        if self._sock is not None:
            self._watch()

    def _watch(self) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        if self._sock is None or wanted == self._watched:
            return
        if self._watched:
            self._selector.modify(self._sock, wanted, self._key)
        else:
            self._selector.register(self._sock, wanted, self._key)
        self._watched = wanted

    def _end(self) -> None:
        self._is_up = False
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(sock)
            sock.close()
        self._watched = 0
