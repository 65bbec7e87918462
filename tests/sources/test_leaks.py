"""Opened and closed over and over, a source leaves no descriptor, no thread and no child; nor one refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge_runtime.errors import EdgeloopError
from edge_runtime.sources import RowField, open_rows, open_source
from edge_runtime.sources.table import SOURCES
from tests.sources.test_iio import FILES
from tests.sources.test_wav import pcm

ROUNDS = 20


def held() -> tuple[int, int, frozenset[str]]:
    """(descriptors, threads, children, ended ones too) of this process."""
    tasks = Path("/proc/self/task").iterdir()
    children = frozenset(child for task in tasks for child in (task / "children").read_text().split())
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), children


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    pcm(tmp_path / "a.wav", [1, 2, 3, 4], bits=8, n=2, rate_hz=10)
    (tmp_path / "own.py").write_text(
        "class S:\n"
        "    def __init__(self, words, *, rate_hz, channels): self.channels, self.rate_hz = channels, rate_hz\n"
        "    def read(self, out): return 0\n"
        "    def seek(self, frame): ...\n"
        "    def stop(self): ...\n"
        "    def close(self): ...\n"
    )
    for name, text in FILES.items():
        path = tmp_path / "sys/iio:device3" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/iio:device3")
    (tmp_path / "arecord").write_text("#!/bin/sh\nexec sleep 1000\n")
    (tmp_path / "arecord").chmod(0o755)
    side, other = os.openpty()
    (tmp_path / "tty").symlink_to(os.ttyname(other))
    yield tmp_path
    os.close(side)
    os.close(other)


SPECS = {
    "host": "host",
    "playback": "playback {0}/a.csv {0}/a.wav",
    "stdin": "stdin format=f32",
    "exec": "exec sleep 1000",
    "mqtt": "mqtt broker=127.0.0.1:9 a/b",
    "serial": "serial columns=x,y {0}/tty",
    "iio": "iio sysfs={0}/sys dev={0}/dev lis3dh",
    "iio buffer": "iio mode=buffer sysfs={0}/sys dev={0}/dev lis3dh",
    "alsa": "alsa",
    "own": "{0}/own.py:S",
}
CHANNELS = {"host": ["cpu_user"], "iio": ["accel_x"], "iio buffer": ["accel_x"], "playback": ["x", "y"]}


def test_every_source_is_among_these() -> None:
    assert {name.split()[0] for name in SPECS} - {"own"} == set(SOURCES)


def rounds(act: Callable[[], None]) -> None:
    act()  # what is imported and cached comes with the first
    before = held()
    for _ in range(ROUNDS):
        act()
    assert held() == before


@pytest.mark.parametrize("name", SPECS)
def test_nothing_is_left_of_a_source_that_was_closed(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    spec, channels = SPECS[name].format(folder), CHANNELS.get(name, ["x", "y"])

    def act() -> None:
        rate_hz = 100.0 if name == "iio buffer" else 10.0
        source = open_source(spec.replace(f" {folder}/a.wav", ""), rate_hz=rate_hz, channels=channels)
        source.stop()
        source.close()
        source.close()

    rounds(act)


@pytest.mark.parametrize("name", [name for name in SPECS if name in SOURCES and SOURCES[name].has_rows])
def test_nothing_is_left_of_rows_that_were_closed(folder: Path, name: str) -> None:
    spec = SPECS[name].format(folder).replace(f" {folder}/a.wav", "").replace(" format=f32", "")

    def act() -> None:
        rows = open_rows(spec, [RowField(name="x")])
        rows.stop()
        rows.close()
        rows.close()

    rounds(act)


@pytest.mark.parametrize(
    ("spec", "channels"),
    [
        ("playback {0}/a.csv {0}/a.wav", ["x", "nothing"]),
        ("exec format=f32 sleep 1000", None),
        ("exec format=xml sleep 1000", ["x"]),
        ("serial format=ndjson columns=x {0}/a.csv", ["x"]),
        ("iio sysfs={0}/sys lis3dh", ["nothing"]),
        ("iio mode=buffer sysfs={0}/sys dev={0}/none lis3dh", ["accel_x"]),
        ("host", ["cpu_user", "nothing"]),
    ],
)
def test_nothing_is_left_of_one_that_was_refused(folder: Path, spec: str, channels: list[str] | None) -> None:
    def act() -> None:
        with pytest.raises(EdgeloopError):
            open_source(spec.format(folder), rate_hz=10, channels=channels)
        with suppress(EdgeloopError):
            open_source(spec.format(folder), channels=["x"]).close()

    rounds(act)
