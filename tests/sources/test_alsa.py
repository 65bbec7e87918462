"""alsa: the words that arecord gets, its samples as -1..1, and its end. A script stands in for arecord."""

from __future__ import annotations

import struct
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.errors import TransportError, UsageError
from edge_runtime.sources import open_source
from tests.sources.common import played, room_for


@pytest.fixture
def arecord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Writes its words to `words` and the file `samples` to stdout, then ends with the status in `status`."""
    path = tmp_path / "arecord"
    path.write_text(f'#!/bin/sh\ncd {tmp_path}\necho "$@" > words\ncat samples\nexit "$(cat status)"\n')
    path.chmod(0o755)
    (tmp_path / "samples").write_bytes(struct.pack("<6h", 0, 16384, -32768, 32767, 8192, -1))
    (tmp_path / "status").write_text("0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def words(rate: str, n: str, *more: str) -> list[str]:
    return ["-q", "-t", "raw", "-f", "S16_LE", "-r", rate, "-c", n, *more]


def test_samples_come_as_fractions_of_full_scale(arecord: Path) -> None:
    frames = played("alsa plughw:1,0", rate_hz=16000, channels=["left", "right"])
    assert frames == [[0, 0.5], [-1, 32767 / 32768], [0.25, -1 / 32768]]
    assert (arecord / "words").read_text().split() == words("16000", "2", "-D", "plughw:1,0")


def test_one_channel_of_two_is_picked(arecord: Path) -> None:
    assert played("alsa columns=left,right", rate_hz=8000, channels=["right"]) == [[0.5], [32767 / 32768], [-1 / 32768]]
    assert (arecord / "words").read_text().split() == words("8000", "2")


def test_without_channels_it_is_mono(arecord: Path) -> None:
    with closing(open_source("alsa", rate_hz=8000)) as source:
        assert source.channels == ("ch1",)


def test_its_failure_is_named(arecord: Path) -> None:
    (arecord / "status").write_text("1")
    with closing(open_source("alsa", rate_hz=8000, channels=["x"])) as source:
        assert source.read(room_for(9, 1)) == 6
        with pytest.raises(TransportError, match="source alsa: arecord: ended with status 1"):
            source.read(room_for(9, 1))


@pytest.mark.parametrize(
    ("spec", "rate_hz", "message"),
    [
        ("alsa", 22050.5, "want a whole number of Hz"),
        ("alsa", None, "want a whole number of Hz"),
        ("alsa hw:0 hw:1", 8000, "one device at most"),
    ],
)
def test_wrong_words_are_named(arecord: Path, spec: str, rate_hz: float | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_source(spec, rate_hz=rate_hz, channels=["x"])


def test_without_arecord_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="arecord is not installed") as refused:
        open_source("alsa", rate_hz=8000)
    assert "alsa-utils" in refused.value.hint
