"""Capture: what was read can be played back, equal frames are equal bytes, and a file is whole or not there."""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources.capture import capture
from edge_runtime.sources.cells import TimeField
from edge_runtime.sources.host import HostSource
from edge_runtime.sources.playback import PlaybackSource


class Canned:
    """A source of given frames, handed out in blocks of `most`; breaks at frame `broken`."""

    def __init__(self, values: list[float], width: int = 2, *, most: int = 7, broken: int = 10**9) -> None:
        self._values, self._width, self._most, self._broken = array("f", values), width, most, broken
        self.channels = tuple("abcdef"[:width])
        self.rate_hz = 20.0
        self.next_frame = 0

    def read(self, out: memoryview) -> int:
        if self.next_frame >= self._broken:
            raise ContractError("broken", hint="")
        first = self.next_frame * self._width
        got = min(self._most, len(out) // self._width, len(self._values[first:]) // self._width)
        out[: got * self._width] = memoryview(self._values[first : first + got * self._width])
        self.next_frame += got
        return got

    def seek(self, frame: int) -> None:
        self.next_frame = frame

    def stop(self) -> None: ...

    def close(self) -> None: ...


def played(path: Path) -> list[float]:
    source = PlaybackSource([path], rate_hz=1)
    out = memoryview(array("f", bytes(4 * 2000)))
    values: list[float] = []
    while got := source.read(out):
        values += out[: got * len(source.channels)].tolist()
    source.close()
    return values


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=2, max_size=700).filter(lambda v: len(v) % 2 == 0),
    st.integers(1, 300),
)
def test_playback_gives_what_was_captured_to_five_digits(tmp_path: Path, values: list[float], most: int) -> None:
    path = tmp_path / "f.csv.gz"
    assert capture(Canned(values, most=most), path, frames=len(values), overwrite=True) == len(values) // 2
    assert played(path) == pytest.approx(values, rel=5e-5, abs=1e-40)


def test_equal_frames_are_equal_bytes_for_any_cutting(tmp_path: Path) -> None:
    values = [float(i % 97) for i in range(1200)]
    for name, most in (("a.csv.gz", 1), ("b.csv.gz", 300)):
        capture(Canned(values, most=most), tmp_path / name, frames=600)
    data = (tmp_path / "a.csv.gz").read_bytes()
    assert data == (tmp_path / "b.csv.gz").read_bytes()
    assert data[3:8] == bytes(5), "no name and no time in the header"


def test_it_takes_no_more_than_asked_for(tmp_path: Path) -> None:
    source = Canned([0.0] * 2000)
    assert capture(source, tmp_path / "a.csv.gz", seconds=2.0) == 40 == source.next_frame
    assert capture(source, tmp_path / "b.csv.gz", frames=3) == 3
    assert source.next_frame == 43


def test_a_file_that_exists_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        capture(Canned([1, 2]), path, frames=1)
    assert path.read_text() == "mine"
    capture(Canned([1, 2]), path, frames=1, overwrite=True)
    assert played(path) == [1, 2]


@pytest.mark.parametrize("source", [Canned([]), Canned([1, 2] * 20, broken=14)], ids=["no frame", "breaks off"])
def test_nothing_is_left_of_a_capture_that_fails(tmp_path: Path, source: Canned) -> None:
    with pytest.raises(ContractError):
        capture(source, tmp_path / "a.csv.gz", frames=20)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_durable_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def log_sync(descriptor: int) -> None:
        done.append("fsync")
        sync(descriptor)

    def log_replace(old: Path, new: Path) -> None:
        done.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", log_sync)
    monkeypatch.setattr(os, "replace", log_replace)
    capture(Canned([1, 2]), tmp_path / "a.csv.gz", frames=1)
    assert done == ["fsync", "rename", "fsync"], "file, name, folder"


@pytest.mark.parametrize("length", [{}, {"seconds": 1, "frames": 1}, {"frames": 0}, {"seconds": 0.01}])
def test_a_length_that_is_none_is_refused(tmp_path: Path, length: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="capture:"):
        capture(Canned([1, 2]), tmp_path / "a.csv.gz", **length)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.*No such file"):
        capture(Canned([1, 2]), tmp_path / "none" / "a.csv.gz", frames=1)


def test_names_with_commas_come_back(tmp_path: Path) -> None:
    source = Canned([1, 2])
    source.channels = ("x, left", 'the "y"')
    capture(source, tmp_path / "a.csv.gz", frames=1)
    assert PlaybackSource([tmp_path / "a.csv.gz"], rate_hz=1).channels == source.channels


def test_this_machine_can_be_captured_and_played_back(tmp_path: Path) -> None:
    source = HostSource(rate_hz=50)
    assert capture(source, tmp_path / "a.csv.gz", frames=5) == 5
    source.close()
    assert len(played(tmp_path / "a.csv.gz")) == 5 * len(source.channels)


class Timed(Canned):
    """Every frame has a time, those of the third block have none."""

    times: memoryview | None = None

    def read(self, out: memoryview) -> int:
        first = self.next_frame
        got = super().read(out)
        has_times = not 14 <= first < 21
        self.times = memoryview(array("q", [10**15 + 50_000 * (first + i) for i in range(got)])) if has_times else None
        return got


def test_times_are_captured_and_played_back(tmp_path: Path) -> None:
    path = tmp_path / "f.csv.gz"
    capture(Timed([float(i) for i in range(28)]), path, frames=14)
    source = PlaybackSource([path], rate_hz=20, time=TimeField("time_us", 1.0))
    out = memoryview(array("f", bytes(4 * 100)))
    assert (source.channels, source.read(out)) == (("a", "b"), 14)
    assert source.times is not None
    assert source.times.tolist() == [10**15 + 50_000 * i for i in range(14)]
    assert out[:28].tolist() == [float(i) for i in range(28)]
    source.close()


def test_a_frame_without_a_time_among_others_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.csv.gz"
    capture(Timed([0.0] * 60), path, frames=30)
    source = PlaybackSource([path], rate_hz=20, time=TimeField("time_us", 1.0))
    out = memoryview(array("f", bytes(4 * 100)))
    assert source.read(out) == 14
    with pytest.raises(ContractError, match="line 16: no time in 'time_us'"):
        source.read(out)
    source.close()


def test_a_channel_named_as_the_times_is_refused(tmp_path: Path) -> None:
    source = Timed([0.0] * 8)
    source.channels = ("time_us", "b")
    with pytest.raises(UsageError, match="a channel is called 'time_us'"):
        capture(source, tmp_path / "f.csv.gz", frames=4)
    assert list(tmp_path.iterdir()) == []
