"""MQTT 5 packets as one device needs them: pure bytes. One rule: no state but that of a packet half read.

A client library's client costs three files and 20 KiB; a fleet on one machine has ten thousand of them.
Source: OASIS, "MQTT Version 5.0", 2019.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK, DISCONNECT = 2, 3, 4, 9, 14
PING: Final = b"\xc0\x00"
GOODBYE: Final = b"\xe0\x00"
RECEIVE_MAXIMUM: Final = 0x21
_FIXED: Final = {
    0x11: 4, 0x13: 2, 0x17: 1, 0x19: 1, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
"""Bytes of each property that a CONNACK may have as a number; all others are texts."""


class Packet(NamedTuple):
    """One that came: its type, the four flags, and what follows the length."""

    kind: int
    flags: int
    body: bytes


class Arrived(NamedTuple):
    """A PUBLISH; `mid` is 0 with QoS 0."""

    topic: str
    payload: bytes
    mid: int
    retain: bool


def connect(client: str, *, keepalive_s: int, session_s: int, receive_maximum: int, will: tuple[str, bytes]) -> bytes:
    """CONNECT to the session of before, with a retained last will."""
    properties = struct.pack(">BIBH", 0x11, session_s, RECEIVE_MAXIMUM, receive_maximum)
    flags = 0x04 | 0x08 | 0x20  # a will, its QoS 1, retained
    head = _text("MQTT") + struct.pack(">BBH", 5, flags, keepalive_s) + _length(len(properties)) + properties
    topic, payload = will
    return _packet(0x10, head + _text(client) + b"\0" + _text(topic) + struct.pack(">H", len(payload)) + payload)


def subscribe(mid: int, filters: Sequence[str]) -> bytes:
    """SUBSCRIBE with QoS 1."""
    return _packet(0x82, struct.pack(">HB", mid, 0) + b"".join(_text(name) + b"\x01" for name in filters))


def publish(topic: str, payload: bytes, *, mid: int = 0, retain: bool = False) -> bytes:
    """PUBLISH, with QoS 1 where it has a `mid`."""
    number = struct.pack(">H", mid) if mid else b""
    return _packet(0x30 | (2 if mid else 0) | retain, _text(topic) + number + b"\0" + payload)


def puback(mid: int) -> bytes:
    """PUBACK."""
    return struct.pack(">BBH", 0x40, 2, mid)


def arrived(packet: Packet) -> Arrived:
    """What a PUBLISH brings."""
    (size,) = struct.unpack_from(">H", packet.body)
    at = 2 + size
    topic, mid = packet.body[2:at].decode(), 0
    if packet.flags & 6:
        (mid,) = struct.unpack_from(">H", packet.body, at)
        at += 2
    skipped, at = _number(packet.body, at)
    return Arrived(topic=topic, payload=packet.body[at + skipped :], mid=mid, retain=bool(packet.flags & 1))


def accepted(packet: Packet) -> tuple[int, int]:
    """(reason, messages that the broker takes before it has acknowledged one) of a CONNACK; reason 0 is yes."""
    reason, most = packet.body[1], 65535
    size, at = _number(packet.body, 2)
    end = at + size
    while at < end:
        name, at = packet.body[at], at + 1
        if name == RECEIVE_MAXIMUM:
            (most,) = struct.unpack_from(">H", packet.body, at)
        for _ in range(2 if name == 0x26 else 1):  # a user's property is two texts
            at += _FIXED[name] if name in _FIXED else 2 + struct.unpack_from(">H", packet.body, at)[0]
    return reason, most


class Reader:
    """Bytes to packets."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Every packet that is whole now."""
        data, at = self._rest + data, 0
        while True:
            try:
                size, start = _number(data, at + 1)
            except IndexError:
                break
            if len(data) < start + size:
                break
            yield Packet(kind=data[at] >> 4, flags=data[at] & 15, body=data[start : start + size])
            at = start + size
        self._rest = data[at:]


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + _length(len(body)) + body


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def _length(n: int) -> bytes:
    out = bytearray()
    while True:
        n, low = n >> 7, n & 127
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """(the number of `_length` at `at`, position after it); IndexError where it is cut."""
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at
