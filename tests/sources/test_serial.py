"""serial: lines over a pseudo-terminal, joined late, unplugged, at usual speeds and, with pyserial, at others."""

from __future__ import annotations

import errno
import os
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.errors import TransportError, UsageError
from edge_runtime.sources import RowField, Source, counts_of, open_rows, open_source
from edge_runtime.sources.lines import Splitter
from tests.sources.common import room_for


class Device:
    """The other side of a pseudo-terminal."""

    def __init__(self) -> None:
        self.side, other = os.openpty()
        self.name = os.ttyname(other)
        self._other = other  # held, else the port hangs up before it is opened

    def say(self, data: bytes) -> None:
        os.write(self.side, data)

    def unplug(self) -> None:
        os.close(self._other)
        os.close(self.side)
        self.side = -1

    def close(self) -> None:
        if self.side >= 0:
            self.unplug()


@pytest.fixture
def device() -> Iterator[Device]:
    made = Device()
    yield made
    made.close()


def opened(device: Device, options: str = "columns=x,y", baud: str = "") -> Source:
    return open_source(f"serial {options} {device.name} {baud}", rate_hz=10, channels=["x", "y"])


def frames(source: Source, n: int) -> list[list[float]]:
    out, found = room_for(64, 2), list[list[float]]()
    while len(found) < n:
        got = source.read(out)
        values: list[float] = list(out[: 2 * got])
        found += [values[2 * i : 2 * i + 2] for i in range(got)]
    return found


def test_lines_come_as_frames_and_half_a_line_at_the_start_is_none(device: Device) -> None:
    source = opened(device)
    device.say(b"5,7\r\n1,2\r\n3,4\r\n")  # the first may be the end of 15,7
    assert frames(source, 2) == [[1, 2], [3, 4]]
    assert not counts_of(source)
    source.close()
    source.close()


def test_a_device_that_is_reset_sends_its_header_again(device: Device) -> None:
    source = opened(device, "")
    device.say(b"junk\ny,x,z\n1,2,9\nboot v1.2\ny,x,z\n3,4,9\n")
    assert frames(source, 2) == [[2, 1], [4, 3]]
    assert counts_of(source) == {"malformed": 1}
    source.close()


def test_ndjson_and_noise(device: Device) -> None:
    source = opened(device, "format=ndjson")
    device.say(b'\n{"x":1,"y":2}\n\x00\xff\x80{"x":\n{"x":3,"y":4}\n')
    assert frames(source, 2) == [[1, 2], [3, 4]]
    assert counts_of(source) == {"malformed": 1}
    source.close()


def test_the_port_is_raw_and_at_its_speed(device: Device) -> None:
    source = opened(device, baud="9600")
    iflag, oflag, cflag, lflag, ispeed, ospeed, _ = termios.tcgetattr(device._other)
    assert (ispeed, ospeed) == (termios.B9600, termios.B9600)
    assert (iflag, oflag, lflag) == (0, 0, 0)
    assert cflag & termios.CSIZE == termios.CS8
    source.close()


def test_a_port_that_is_unplugged_is_told_after_its_last_frame(device: Device) -> None:
    source = opened(device)
    device.say(b"\n1,2\n3,")
    assert frames(source, 1) == [[1, 2]]
    device.unplug()
    with pytest.raises(TransportError, match=rf"{device.name}: hung up"):
        source.read(room_for(1, 2))
    source.close()


def test_stop_unblocks_a_reader(device: Device) -> None:
    source = opened(device)
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.append(source.read(room_for(1, 2))))
    reader.start()
    source.stop()
    reader.join(10)
    assert got == [0]
    source.close()


def test_rows_of_a_port(device: Device) -> None:
    rows = open_rows(f"serial columns=v,kind {device.name}", [RowField(name="kind", kind="text"), RowField(name="v")])
    device.say(b"\n1,a\n,b\n")
    found = rows.read_rows(1) + rows.read_rows(1)
    assert found == [("a", 1.0), ("b", None)]
    rows.close()


def test_a_port_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="No such file") as away:
        open_source(f"serial {tmp_path}/ttyUSB0", rate_hz=1, channels=["x"])
    assert "plugged in" in away.value.hint


def test_a_port_that_may_not_be_opened_says_which_group(monkeypatch: pytest.MonkeyPatch, device: Device) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(TransportError, match="Permission denied") as away:
        opened(device)
    assert "dialout" in away.value.hint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "want DEVICE"),
        ("/dev/x fast", "want DEVICE"),
        ("/dev/x 9600 8N1", "want DEVICE"),
        ("format=f32 /dev/x", "format 'f32' is unknown"),
        (__file__, "is no serial port"),
    ],
)
def test_wrong_words_are_named(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        open_source(f"serial {words}", rate_hz=1, channels=["x"])
    assert refused.value.hint


def test_without_pyserial_an_odd_speed_names_the_pip_line(monkeypatch: pytest.MonkeyPatch, device: Device) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(UsageError, match="12345 baud needs pyserial") as refused:
        opened(device, baud="12345")
    assert 'pip install "edgeloop[serial]"' in refused.value.hint


def test_with_pyserial_an_odd_speed_is_read(device: Device) -> None:
    pytest.importorskip("serial")
    source = opened(device, baud="12345")
    device.say(b"\n1,2\n")
    assert frames(source, 1) == [[1, 2]]
    source.close()
    with pytest.raises(TransportError, match="at 12345 baud"):
        open_source("serial /dev/no-such-port 12345", rate_hz=1, channels=["x"])


@pytest.mark.planted
def test_a_reader_that_takes_half_a_line_at_the_start_is_seen(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: what comes before the first newline is taken for a line: 5,7 where 15,7 was said."""
    whole = Splitter.__init__

    def joined(self: Splitter, *, max_bytes: int = 65536, skip_first: bool = False) -> None:
        whole(self, max_bytes=max_bytes)

    monkeypatch.setattr(Splitter, "__init__", joined)
    source = opened(device)
    device.say(b"5,7\r\n1,2\r\n")
    assert frames(source, 1) != [[1, 2]]
    source.close()
