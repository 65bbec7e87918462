"""The packets of simulated devices: as the specification spells them, read whole however they are cut."""

from __future__ import annotations

import struct

import pytest

from cloud_trainer.simulate import mqtt


def test_packets_are_spelled_as_the_specification_says() -> None:
    hello = mqtt.connect("dev", keepalive_s=60, session_s=3600, receive_maximum=64, will=("w", b"x"))
    properties = b"\x11\x00\x00\x0e\x10\x21\x00\x40"
    assert hello == b"\x10\x1f\x00\x04MQTT\x05\x2c\x00\x3c\x08" + properties + b"\x00\x03dev\x00\x00\x01w\x00\x01x"
    assert mqtt.subscribe(7, ["a/b"]) == b"\x82\x09\x00\x07\x00\x00\x03a/b\x01"
    assert mqtt.publish("t", b"xy", mid=258) == b"\x32\x08\x00\x01t\x01\x02\x00xy"
    assert mqtt.publish("t", b"", retain=True) == b"\x31\x04\x00\x01t\x00"
    assert mqtt.puback(9) == b"\x40\x02\x00\x09"


@pytest.mark.parametrize("size", [0, 100, 119, 120, 16_380, 20_000, 2_097_152])
def test_a_message_is_read_back_at_every_length_of_its_length(size: int) -> None:
    (packet,) = mqtt.Reader().feed(mqtt.publish("a/b", b"z" * size, mid=3, retain=True))
    assert packet.kind == mqtt.PUBLISH
    assert mqtt.arrived(packet) == mqtt.Arrived(topic="a/b", payload=b"z" * size, mid=3, retain=True)


def test_packets_cut_anywhere_are_the_same_packets() -> None:
    stream = mqtt.publish("a", b"1" * 200, mid=1) + mqtt.puback(5) + mqtt.PING + mqtt.publish("b", b"2")
    whole = list(mqtt.Reader().feed(stream))
    assert [packet.kind for packet in whole] == [mqtt.PUBLISH, mqtt.PUBACK, 12, mqtt.PUBLISH]
    for cut in range(len(stream)):
        reader = mqtt.Reader()
        assert [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])] == whole
    reader = mqtt.Reader()
    assert [packet for i in range(len(stream)) for packet in reader.feed(stream[i : i + 1])] == whole


def test_what_a_broker_says_when_it_takes_a_connection() -> None:
    text = struct.pack(">BH", 0x12, 3) + b"abc"
    pair = struct.pack(">BH", 0x26, 1) + b"k" + struct.pack(">H", 1) + b"v"
    numbers = b"\x27\x00\x10\x00\x00\x2a\x01\x21\x00\x64"
    properties = text + pair + numbers
    (packet,) = mqtt.Reader().feed(bytes([0x20, 3 + len(properties), 1, 0, len(properties)]) + properties)
    assert mqtt.accepted(packet) == (0, 100)
    (bare,) = mqtt.Reader().feed(b"\x20\x03\x00\x87\x00")
    assert mqtt.accepted(bare) == (0x87, 65535)
