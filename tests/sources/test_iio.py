"""iio: a made-up device in a folder as sysfs would show it, and a FIFO as its buffer device."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import ContractError, TransportError, UsageError
from edge_runtime.sources import Source, counts_of, open_source, times_of
from edge_runtime.sources.iio_scan import layout
from tests.sources.common import room_for

FILES = {
    "name": "lis3dh", "sampling_frequency": "100.000000",
    "in_accel_x_raw": "256", "in_accel_y_raw": "-512", "in_accel_scale": "0.5", "in_accel_y_offset": "12",
    "in_voltage0_raw": "3", "in_voltage0_scale": "2.0", "in_voltage_scale": "99", "in_temp_input": "21500",
    "buffer/enable": "0", "buffer/length": "2", "current_timestamp_clock": "realtime",
    "scan_elements/in_accel_x_en": "0", "scan_elements/in_accel_x_index": "0",
    "scan_elements/in_accel_x_type": "le:s12/16>>4",
    "scan_elements/in_accel_y_en": "1", "scan_elements/in_accel_y_index": "1",
    "scan_elements/in_accel_y_type": "be:s16/32",
    "scan_elements/in_voltage0_en": "0", "scan_elements/in_voltage0_index": "2",
    "scan_elements/in_voltage0_type": "le:u8/8>>0",
    "scan_elements/in_timestamp_en": "0", "scan_elements/in_timestamp_index": "10",
    "scan_elements/in_timestamp_type": "le:s64/64>>0",
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "sys/iio:device3" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (tmp_path / "sys/iio:device1").mkdir()
    (tmp_path / "sys/iio:device1/name").write_text("other\n")
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/iio:device3")
    return tmp_path


def says(root: Path, name: str, text: str | None = None) -> str:
    path = root / "sys/iio:device3" / name
    if text is not None:
        path.write_text(text)
    return path.read_text().strip()


def opened(
    root: Path, *channels: str, mode: str = "poll", device: str = "lis3dh", rate_hz: float | None = 100
) -> Source:
    spec = f"iio mode={mode} sysfs={root}/sys dev={root}/dev {device}"
    return open_source(spec, rate_hz=rate_hz, channels=channels or None)


# ---- polling


def test_values_are_raw_plus_offset_times_scale(root: Path) -> None:
    with closing(opened(root, "accel_y", "voltage0", "accel_x", "temp")) as source:
        out = room_for(2, 4)
        assert source.read(out) == 1, "live: one frame at a time"
        assert out[:4].tolist() == [(-512 + 12) * 0.5, 6, 128, 21500]
        says(root, "in_accel_x_raw", "-4\n")
        assert source.read(out) == 1
        assert out[2] == -2


def test_the_device_is_found_by_its_number_too_and_has_its_rate(root: Path) -> None:
    with closing(opened(root, device="iio:device3", rate_hz=None)) as source:
        assert source.rate_hz == 100
        assert source.channels == ("accel_x", "accel_y", "temp", "voltage0")


def test_a_device_that_is_not_there_is_waited_for_and_the_others_named(root: Path) -> None:
    with pytest.raises(TransportError, match="no device 'bmi160'") as away:
        opened(root, device="bmi160")
    assert "iio:device1 (other), iio:device3 (lis3dh)" in away.value.hint


def test_a_channel_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(ContractError, match="no column 'accel_z'") as refused:
        opened(root, "accel_z")
    assert "accel_x" in refused.value.hint
    with pytest.raises(ContractError, match="has no channel"):
        opened(root, device="other")


def test_a_device_that_goes_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> bytes:
        raise OSError(errno.ENODEV, "No such device")

    with closing(opened(root, "accel_x")) as source:
        monkeypatch.setattr(os, "pread", gone)
        with pytest.raises(TransportError, match="in_accel_x_raw: No such device"):
            source.read(room_for(1, 1))


@pytest.mark.parametrize("text", ["", "busy", "0x10"])
def test_what_is_no_number_is_named(root: Path, text: str) -> None:
    with closing(opened(root, "accel_x")) as source:
        says(root, "in_accel_x_raw", text)
        with pytest.raises(ContractError, match=r"in_accel_x_raw: .* is no number"):
            source.read(room_for(1, 1))
    says(root, "in_accel_scale", text)
    if text:
        with pytest.raises(ContractError, match=r"in_accel_scale: .* is no number"):
            opened(root, "accel_x")


@pytest.mark.parametrize("rate_hz", [1001.0, None])
def test_a_rate_that_polling_cannot_do_is_refused(root: Path, rate_hz: float | None) -> None:
    (root / "sys/iio:device3/sampling_frequency").unlink()
    with pytest.raises(UsageError, match="by polling"):
        opened(root, "accel_x", rate_hz=rate_hz)


def test_stop_unblocks_a_reader(root: Path) -> None:
    with closing(opened(root, "accel_x", rate_hz=0.01)) as source:
        got: list[int] = []
        reader = threading.Thread(target=lambda: got.append(source.read(room_for(1, 1))))
        reader.start()
        source.stop()
        reader.join(10)
        assert got == [0]


@pytest.mark.parametrize("words", ["", "a b", "mode=dma a"])
def test_wrong_words_are_named(words: str) -> None:
    with pytest.raises(UsageError, match="source iio") as refused:
        open_source(f"iio {words}", rate_hz=1)
    assert refused.value.hint


# ---- the buffer


def scan(x: int, y: int, v: int, ns: int) -> bytes:
    """accel_x le:s12/16>>4 at 0, accel_y be:s16/32 at 4, voltage0 u8 at 8, time at 16: 24 bytes."""
    return struct.pack("<hxx", x << 4 | 7) + struct.pack(">i", y) + struct.pack("<B7x", v) + struct.pack("<q", ns)


def fed(root: Path, *scans: bytes) -> threading.Thread:
    def write() -> None:
        with (root / "dev/iio:device3").open("wb", buffering=0) as fifo:
            for one in scans:
                fifo.write(one)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def read_to_the_end(source: Source) -> list[tuple[list[float], int | None]]:
    """Every frame with its time, until the writer has closed the FIFO."""
    found: list[tuple[list[float], int | None]] = []
    width = len(source.channels)
    out = room_for(1, width)

    def read() -> None:
        while source.read(out):
            times = times_of(source)
            found.append((list(out), None if times is None else times[0]))

    with pytest.raises(TransportError, match="is gone"):
        read()
    return found


def test_scans_are_taken_apart_by_their_types(root: Path) -> None:
    with closing(opened(root, "voltage0", "accel_y", "accel_x", mode="buffer")) as source:
        assert [says(root, f"scan_elements/in_{n}_en") for n in ("accel_x", "accel_y", "voltage0", "timestamp")] == [
            "1"
        ] * 4
        assert (says(root, "buffer/enable"), says(root, "buffer/length")) == ("1", "256")
        data = scan(100, -20, 250, 1_700_000_000_123_456_789) + scan(-2048, 32767, 0, 1_700_000_000_133_456_789)
        feeding = fed(root, data[:10], data[10:])
        found = read_to_the_end(source)
        feeding.join(10)
    assert found == [
        ([500, (-20 + 12) * 0.5, 50], 1_700_000_000_123_456),
        ([0, (32767 + 12) * 0.5, -1024], 1_700_000_000_133_456),
    ]
    assert says(root, "buffer/enable") == "0", "what we switched on we switch off"


def test_channels_that_are_not_wanted_are_switched_off(root: Path) -> None:
    with closing(opened(root, "accel_x", mode="buffer")):
        assert says(root, "scan_elements/in_accel_y_en") == "0"


def test_a_buffer_that_is_on_is_read_as_it_is_and_left_on(root: Path) -> None:
    for name in ("accel_x", "voltage0"):
        says(root, f"scan_elements/in_{name}_en", "1")
    says(root, "buffer/enable", "1")
    with closing(opened(root, "accel_x", mode="buffer")) as source:
        feeding = fed(root, struct.pack("<hxx", 32) + struct.pack(">i", 5) + struct.pack("<B3x", 9) + b"half")
        assert read_to_the_end(source) == [([1], None)]
        assert counts_of(source) == {"truncated": 1}
        feeding.join(10)
    assert says(root, "buffer/enable") == "1"
    says(root, "scan_elements/in_accel_x_en", "0")
    with pytest.raises(ContractError, match="is on without accel_x"):
        opened(root, "accel_x", mode="buffer")


def test_times_of_another_clock_are_none_of_ours(root: Path) -> None:
    says(root, "current_timestamp_clock", "monotonic")
    with closing(opened(root, "accel_x", "accel_y", "voltage0", mode="buffer")) as source:
        feeding = fed(root, scan(1, 2, 3, 4))
        assert [when for _, when in read_to_the_end(source)] == [None]
        feeding.join(10)


def test_another_rate_than_the_devices_is_refused(root: Path) -> None:
    with pytest.raises(ContractError, match="samples at 100 Hz, wanted 50 Hz") as refused:
        opened(root, "accel_x", mode="buffer", rate_hz=50)
    assert "echo 50 >" in refused.value.hint
    assert says(root, "buffer/enable") == "0"


def test_a_device_without_buffer_or_right_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ContractError, match="has no buffer"):
        opened(root, mode="buffer", device="other")

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refused)
    with pytest.raises(TransportError, match="in_accel_x_en: cannot write 1: Permission denied") as away:
        opened(root, "accel_x", mode="buffer")
    assert "mode=poll" in away.value.hint


def test_a_buffer_device_that_is_missing_is_told_and_switched_off(root: Path) -> None:
    (root / "dev/iio:device3").unlink()
    with pytest.raises(TransportError, match="No such file"):
        opened(root, "accel_x", mode="buffer")
    assert says(root, "buffer/enable") == "0"


@pytest.mark.parametrize("kind", ["", "le:s12/16>>5", "le:s12/24", "xe:s8/8", "le:s0/8", "le:s16/16X3", "s16"])
def test_a_type_that_is_none_is_named(kind: str) -> None:
    with pytest.raises(ContractError, match="source iio: type"):
        layout([kind])


SIZES = st.sampled_from([8, 16, 32, 64])


@given(st.lists(st.tuples(st.sampled_from(["le", "be"]), st.booleans(), SIZES, st.data()), min_size=1, max_size=5))
def test_any_layout_gives_back_its_numbers(columns: Sequence[tuple[str, bool, int, st.DataObject]]) -> None:
    """The scan is written by struct with native alignment of its own making: pad to each size, then to the largest."""
    types, values, data = [], [], b""
    for order, is_signed, storage, draw in columns:
        bits = draw.draw(st.integers(1, storage))
        shift = draw.draw(st.integers(0, storage - bits))
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
        value = draw.draw(st.integers(low, high))
        noise = draw.draw(st.integers(0, (1 << shift) - 1)) if shift else 0
        stored = ((value & (1 << bits) - 1) << shift | noise) & (1 << storage) - 1
        types.append(f"{order}:{'s' if is_signed else 'u'}{bits}/{storage}>>{shift}")
        values.append(value)
        data += bytes(-len(data) % (storage // 8)) + stored.to_bytes(storage // 8, "little" if order == "le" else "big")
    elements, size = layout(types)
    data += bytes(-len(data) % max(storage // 8 for _, _, storage, _ in columns))
    assert size == len(data)
    assert [element.raw(memoryview(data)) for element in elements] == values


@pytest.mark.planted
def test_a_layout_without_padding_is_seen() -> None:
    """Planted bug: channels follow each other without gaps, so all after a small one are read askew."""
    types = ["le:s16/16>>0", "le:s64/64>>0"]
    elements, size = layout(types)
    packed = [replace(elements[0], at=0), replace(elements[1], at=2)]
    data = memoryview(struct.pack("<h6xq", 5, 1_700_000_000_000_000_000))
    assert size == len(data)
    assert [element.raw(data) for element in elements] == [5, 1_700_000_000_000_000_000]
    assert [element.raw(data) for element in packed] != [5, 1_700_000_000_000_000_000]
