"""mqtt: every payload format over a real broker; messages are whole or left out; a broken connection is told."""

from __future__ import annotations

import struct
import threading
from array import array
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.ingest.broker import Broker, available, open_broker
from edge_runtime.errors import ContractError, TransportError, UsageError
from edge_runtime.sources import RowField, Source, counts_of, located, open_rows, open_source, times_of
from edge_runtime.sources.block import BlockDecoder, block_of
from edge_runtime.sources.cells import BadLine
from edge_runtime.sources.decode import BROKEN_IN_A_ROW
from tests.ingest.mqtt import Client
from tests.sources.common import room_for
from tests.spool.common import until

TOPIC = "plant/pump-7/accel"


@pytest.fixture(params=["mosquitto", "iotcore"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    if request.param not in available():
        pytest.skip(f"SKIP: {request.param} is not installed")
    running = open_broker(prefer=request.param)
    running.start()
    yield running
    running.stop()


def spec(broker: Broker, options: str = "", topic: str = TOPIC) -> str:
    return f"mqtt broker=127.0.0.1:{broker.port} {options} {topic}"


class Reading:
    """A source and the thread that reads it; `publish` begins when it is subscribed."""

    def __init__(self, broker: Broker, source: Source) -> None:
        self.frames: list[list[float]] = []
        self.times: list[int | None] = []
        self.failure: Exception | None = None
        self.source, self._wanted = source, 0
        self._got = threading.Condition()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        self.client = Client(broker.port, "publisher")
        self._greet()

    def _greet(self) -> None:
        """Send a frame of 0 until one comes: then the subscription stands."""
        for _ in range(500):
            self.client.publish(TOPIC, self.hello)
            with self._got:
                if self._got.wait_for(lambda: self.frames or self.failure, 0.02):
                    return
        raise AssertionError("no subscription")

    hello = b"[0,0]"

    def _read(self) -> None:
        width = len(self.source.channels)
        out = room_for(64, width)
        try:
            while got := self.source.read(out):
                times = times_of(self.source)
                with self._got:
                    for i in range(got):
                        frame: list[float] = list(out[i * width : (i + 1) * width])
                        if not self.frames or any(frame):  # of the hellos, one
                            self.frames.append(frame)
                            self.times.append(times[i] if times else None)
                    self._got.notify_all()
        except Exception as error:
            with self._got:
                self.failure = error
                self._got.notify_all()

    def wait(self, frames: int) -> list[list[float]]:
        """The frames after the hello, once there are as many."""
        with self._got:
            assert self._got.wait_for(lambda: len(self.frames) > frames or self.failure, 10), self.frames
        return self.frames[1:]

    def close(self) -> None:
        self.source.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.client.close()
        self.source.close()


class RawReading(Reading):
    hello = bytes(8)


class BlockReading(Reading):
    hello = block_of(array("f", [0, 0]))


def opened(broker: Broker, options: str = "", kind: type[Reading] = Reading) -> Reading:
    return kind(broker, open_source(spec(broker, options), rate_hz=10, channels=["x", "y"]))


def test_objects_arrays_and_several_lines_are_frames(broker: Broker) -> None:
    with closing(opened(broker)) as reading:
        for payload in (b"[1,2]", b'{"y":4,"x":3,"t":1.5}', b"[5,6]\n[7,8]\n"):
            reading.client.publish(TOPIC, payload)
        assert reading.wait(4) == [[1, 2], [3, 4], [5, 6], [7, 8]]
        assert reading.times[1:] == [None, 1_500_000, None, None]


def test_raw_frames_of_a_message_are_whole_or_left_out(broker: Broker) -> None:
    with closing(opened(broker, "format=f32", RawReading)) as reading:
        for payload in (
            struct.pack("<4f", 1, 2, 3, 4),
            bytes(7),
            struct.pack("<3f", 9, 9, 9),
            struct.pack("<2f", 5, 6),
        ):
            reading.client.publish(TOPIC, payload)
        assert reading.wait(3) == [[1, 2], [3, 4], [5, 6]]
        assert counts_of(reading.source) == {"malformed": 2}


def test_blocks_of_another_writer_of_cbor_are_read(broker: Broker) -> None:
    """Made by cbor2, which knows nothing of ours."""
    block = {
        "names": ["y", "z", "x"],
        "values": cbor2.CBORTag(85, struct.pack("<6f", 2, 0, 1, 4, 0, 3)),
        "times_us": cbor2.CBORTag(79, struct.pack("<2q", 10, 20)),
    }
    with closing(opened(broker, "format=cbor", BlockReading)) as reading:
        reading.client.publish(TOPIC, cbor2.dumps(block, canonical=True))
        assert reading.wait(2) == [[1, 2], [3, 4]]
        assert reading.times[1:] == [10, 20]


def test_what_is_broken_is_left_out_and_counted(broker: Broker) -> None:
    with closing(opened(broker)) as reading:
        for payload in (b"", b"oops", b"[1,2", b"[1]", b"\xff" * 100, b"[3,4]"):
            reading.client.publish(TOPIC, payload)
        assert reading.wait(1) == [[3, 4]]
        assert counts_of(reading.source) == {"malformed": 4}


def test_messages_of_another_format_are_a_fault(broker: Broker) -> None:
    with closing(opened(broker, "format=f32", RawReading)) as reading:
        for _ in range(BROKEN_IN_A_ROW):
            reading.client.publish(TOPIC, b"[1,2]")
        reading.thread.join(10)
        assert isinstance(reading.failure, ContractError)
        assert "5 bytes are no whole frames of 8" in str(reading.failure)


def test_what_the_broker_retained_is_old(broker: Broker) -> None:
    with Client(broker.port, "before") as client:
        client.publish(TOPIC, b"[9,9]", retain=True)
    with closing(opened(broker)) as reading:
        reading.client.publish(TOPIC, b"[1,2]")
        assert reading.wait(1) == [[1, 2]]


def test_messages_that_find_no_room_are_counted(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(opened(broker)) as reading:
        monkeypatch.setattr("edge_runtime.transport.link.INBOX", 0)
        reading.client.publish(TOPIC, b"[1,2]")
        assert until(lambda: counts_of(reading.source).get("dropped", 0) > 0)  # it, or a late hello
        monkeypatch.undo()
        reading.client.publish(TOPIC, b"[3,4]")
        assert until(lambda: [3.0, 4.0] in reading.frames), "it goes on"


def test_a_broker_that_goes_is_told_and_a_new_source_reads_on(tmp_path: Path) -> None:
    running = open_broker(prefer="mosquitto") if "mosquitto" in available() else open_broker()
    running.start()
    reading = opened(running)
    running.stop()
    reading.thread.join(15)
    assert isinstance(reading.failure, TransportError)
    assert f"127.0.0.1:{running.port}" in str(reading.failure)
    reading.close()
    with (
        closing(open_source(spec(running), rate_hz=10, channels=["x"])) as away,
        pytest.raises(TransportError, match="mqtt"),
    ):
        away.read(room_for(1, 1))


def test_rows_of_a_topic(broker: Broker) -> None:
    fields = [RowField(name="kind", kind="text"), RowField(name="v")]
    rows = open_rows(spec(broker), fields)
    found: list[object] = []
    there = threading.Event()

    def read() -> None:
        while got := rows.read_rows(1):
            found.extend(row for row in got if row != ("hello", None))
            there.set()

    thread = threading.Thread(target=read)
    thread.start()
    with Client(broker.port, "publisher") as client:
        for _ in range(500):
            client.publish(TOPIC, b'{"kind":"hello"}')
            if there.wait(0.02):
                break
        client.publish(TOPIC, b'{"kind":"a","v":1.5}\n{"v":2}')
        client.publish(TOPIC, b'{"kind":"end"}')
        for _ in range(500):
            if ("end", None) in found:
                break
            thread.join(0.02)
    rows.stop()
    thread.join(10)
    rows.close()
    assert found == [("a", 1.5), (None, 2.0), ("end", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mqtt a/b", "no broker"),
        ("mqtt broker=host a", "not HOST:PORT"),
        ("mqtt broker=h:1", "want one topic"),
        ("mqtt broker=h:1 a b", "want one topic"),
        ("mqtt broker=h:1 a/#/b", "want one topic"),
        ("mqtt broker=h:1 a+", "want one topic"),
        ("mqtt broker=h:1 format=csv a", "format 'csv' is unknown"),
    ],
)
def test_wrong_words_are_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        open_source(text, rate_hz=1, channels=["x"])
    assert refused.value.hint


def test_the_broker_is_that_of_the_config() -> None:
    options = {"broker": "10.0.0.2:8883", "client": "el-lab-d-m", "ca": "/etc/ca.pem"}
    found = located("mqtt format=f32 a/b", folder=Path("/d"), broker=options)
    assert found == "mqtt broker=10.0.0.2:8883 client=el-lab-d-m ca=/etc/ca.pem format=f32 a/b"
    assert located("mqtt broker=x:1 a", folder=Path("/d"), broker=options).startswith("mqtt broker=x:1 client")


# ---- blocks, without a broker


def test_columns_name_the_places_of_a_block_that_does_not() -> None:
    made = BlockDecoder(["x", "y"], ["y", "t", "x"])
    made.feed(block_of(array("f", [1, 2, 3])))
    made.feed(block_of(array("f", [4, 5]), names=["x", "y"]))
    out = room_for(2, 2)
    assert made.queue.take(out)[0] == 2
    assert out.tolist() == [3, 1, 4, 5]


@given(
    st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), max_size=20),
    st.booleans(),
    st.permutations(["x", "y", "z"]),
)
def test_a_block_gives_back_its_frames(rows: list[tuple[float, float]], is_timed: bool, names: list[str]) -> None:
    made = BlockDecoder(["x", "y"])
    by_name = [{"x": x, "y": y, "z": 7.0} for x, y in rows]
    values = array("f", [row[name] for row in by_name for name in names])
    times = [10**15 + i for i in range(len(rows))] if is_timed else []
    made.feed(block_of(values, names=names, times_us=times))
    out = room_for(30, 2)
    n, found = made.queue.take(out)
    assert repr(out[: 2 * n].tolist()) == repr([float(v) for row in rows for v in row])
    assert (found.tolist() if found else []) == times


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ([1], "want a map"),
        ({"values": [1]}, "values"),
        ({}, "values"),
        ({"values": cbor2.CBORTag(85, bytes(12))}, "3 are no whole frames of 2"),
        ({"values": cbor2.CBORTag(85, bytes(8)), "names": ["x", "z"]}, "no column 'y'"),
        ({"values": cbor2.CBORTag(85, bytes(8)), "names": [1, 2]}, "list of texts"),
        ({"values": cbor2.CBORTag(85, bytes(8)), "times_us": [1, 2]}, "want a column of 1 integers"),
        (
            {"values": cbor2.CBORTag(85, bytes(8)), "times_us": cbor2.CBORTag(85, bytes(4))},
            "want a column of 1 integers",
        ),
        ({"values": cbor2.CBORTag(85, bytes(8)), "times_us": cbor2.CBORTag(71, b"\xff" * 8)}, "beyond int64"),
        ({"values": cbor2.CBORTag(85, bytes(8)), "times_us": ["x"]}, "column of 1 integers"),
        ({"values": cbor2.CBORTag(85, bytes(8)), "names": ["x", "x"]}, "each once"),
        ({"values": cbor2.CBORTag(85, bytes(8)), "more": 1}, "want a map"),
    ],
)
def test_a_broken_block_is_named(block: object, message: str) -> None:
    with pytest.raises(BadLine, match=message):
        BlockDecoder(["x", "y"]).feed(cbor2.dumps(block, canonical=True))


@given(st.binary(max_size=80))
def test_any_bytes_are_a_block_or_a_bad_one(data: bytes) -> None:
    with suppress(BadLine):
        BlockDecoder(["x"]).feed(data)
