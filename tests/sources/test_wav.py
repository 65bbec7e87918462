"""WAV playback: every PCM width and float, its own rate, and what is broken is named."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import wave
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources import open_source
from edge_runtime.sources.playback import PlaybackSource
from tests.sources.common import played, read_all, room_for

FULL = {8: 128, 16: 1 << 15, 24: 1 << 23, 32: 1 << 31}


def pcm(path: Path, values: list[int], *, bits: int, n: int = 1, rate_hz: int = 16000) -> Path:
    """Written by the standard library, which is an independent judge of the header."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(n)
        out.setsampwidth(bits // 8)
        out.setframerate(rate_hz)
        if bits == 8:
            out.writeframes(bytes(v + 128 for v in values))
        else:
            out.writeframes(b"".join(v.to_bytes(bits // 8, "little", signed=True) for v in values))
    return path


def riff(fmt: bytes, data: bytes, *, size: int | None = None, before: bytes = b"") -> bytes:
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", len(fmt)) + fmt
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fmt(code: int, n: int, rate_hz: int, bits: int, extra: bytes = b"") -> bytes:
    return struct.pack("<HHIIHH", code, n, rate_hz, rate_hz * n * bits // 8, n * bits // 8, bits) + extra


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data(), st.sampled_from(sorted(FULL)), st.integers(1, 3), st.lists(st.integers(1, 20), min_size=1))
def test_every_width_is_scaled_to_one(tmp_path: Path, data: st.DataObject, bits: int, n: int, cuts: list[int]) -> None:
    full = FULL[bits]
    frames = data.draw(st.lists(st.lists(st.integers(-full, full - 1), min_size=n, max_size=n), max_size=30))
    path = pcm(tmp_path / "a.wav", [v for frame in frames for v in frame], bits=bits, n=n)
    source = PlaybackSource([path], rate_hz=None)
    assert source.rate_hz == 16000
    assert source.channels == tuple(f"ch{i + 1}" for i in range(n))
    found = read_all(source, cuts)
    wanted = [[v / full for v in frame] for frame in frames]
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a == pytest.approx(b, rel=1e-7, abs=0)
    source.seek(len(frames) // 2)
    assert read_all(source, cuts) == found[len(frames) // 2 :]
    source.close()


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("extensible", [False, True])
def test_float_comes_as_it_is(tmp_path: Path, bits: int, extensible: bool) -> None:
    values = [0.5, -1.5, 0.25, 3.0]
    head = fmt(3, 2, 8000, bits)
    if extensible:
        head = fmt(0xFFFE, 2, 8000, bits, struct.pack("<HHIH", 22, bits, 3, 3) + bytes(14))
    path = tmp_path / "f.wav"
    path.write_bytes(riff(head, struct.pack(f"<4{'f' if bits == 32 else 'd'}", *values), before=b"LIST\x03\0\0\0abc\0"))
    source = open_source(f"playback {path}", channels=["left", "right"])
    assert (source.rate_hz, source.channels) == (8000, ("left", "right"))
    assert read_all(source) == [[0.5, -1.5], [0.25, 3.0]]
    source.close()


def test_channels_are_picked_by_number(tmp_path: Path) -> None:
    path = pcm(tmp_path / "a.wav", [0, 64, -64, 32], bits=8, n=2)
    assert played(f"playback {path}", channels=["ch2"]) == [[0.5], [0.25]]
    assert played(f"playback {path}", channels=["ch2", "ch1"]) == [[0.5, 0], [0.25, -0.5]]
    with pytest.raises(ContractError, match="2 columns without names, 3 wanted") as refused:
        open_source(f"playback {path}", channels=["a", "b", "c"])
    assert "ch1, ch2" in refused.value.hint


def test_a_recorder_that_wrote_into_a_pipe_knows_no_size(tmp_path: Path) -> None:
    for size in (0, 0xFFFFFFFF):
        path = tmp_path / "p.wav"
        path.write_bytes(riff(fmt(1, 1, 8000, 16), struct.pack("<2h", 16384, -16384), size=size))
        assert played(f"playback {path}") == [[0.5], [-0.5]]


def test_two_rates_are_not_one_stream(tmp_path: Path) -> None:
    one = pcm(tmp_path / "1.wav", [0], bits=16)
    two = pcm(tmp_path / "2.wav", [0], bits=16, rate_hz=8000)
    with pytest.raises(ContractError, match=r"2.wav: was captured at 8000 Hz, wanted 16000 Hz"):
        open_source(f"playback {one} {two}")
    with pytest.raises(ContractError, match=r"1.wav: was captured at 16000 Hz, wanted 44100 Hz"):
        open_source(f"playback {one}", rate_hz=44100)
    (tmp_path / "c.csv").write_text("ch1\n1\n")
    with pytest.raises(UsageError, match="no rate"):
        open_source(f"playback {tmp_path / 'c.csv'} {one}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no RIFF/WAVE"),
        (b"RIFF\0\0\0\0AVI ", "no RIFF/WAVE"),
        (b"RIFF\0\0\0\0WAVE", "cannot be read"),
        (riff(fmt(1, 1, 8000, 12), b""), "format 1 of 12 bit"),
        (riff(fmt(85, 1, 8000, 16), b""), "format 85 of 16 bit"),
        (riff(fmt(1, 0, 8000, 16), b""), "0 channels"),
        (riff(fmt(1, 1, 0, 16), b""), "at 0 Hz"),
        (riff(b"\1\0", b""), "cannot be read"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "no format before its data"),
    ],
)
def test_what_is_no_wav_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    with pytest.raises(ContractError, match=rf"x\.wav: .*{message}"):
        open_source(f"playback {path}")


def test_a_header_that_promises_4_gib_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVEfmt \xfe\xff\xff\xff" + bytes(40))
    tracemalloc.start()
    with pytest.raises(ContractError, match=r"x\.wav: "):
        open_source(f"playback {path}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_frames_before_a_cut_come_and_then_it_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(riff(fmt(1, 1, 8000, 16), struct.pack("<3h", 1, 2, 3))[:-cut])
    source = open_source(f"playback {path}")
    seen: list[float] = []
    out = room_for(8, 1)
    with pytest.raises(ContractError, match=r"x\.wav: ends before the end"):  # noqa: PT012
        while got := source.read(out):
            seen += out[:got]
    source.close()
    assert len(seen) == (6 - cut) // 2


def test_a_float_that_is_not_finite_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(riff(fmt(3, 2, 8000, 32), struct.pack("<6f", 1, 2, 3e38, 3e38, float("nan"), 0)))
    source = PlaybackSource([path], rate_hz=None)
    out = room_for(8, 2)
    assert source.read(out) == 2
    with pytest.raises(ContractError, match="frame 2, channel 'ch1': nan is not finite"):
        source.read(out)
    source.close()
    with contextlib.closing(PlaybackSource([path], rate_hz=None, allow_nan=True)) as lenient:
        assert len(read_all(lenient)) == 3


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=80), st.integers(0, 60))
def test_any_bytes_are_frames_or_a_contract_error(tmp_path: Path, noise: bytes, at: int) -> None:
    data = bytearray(riff(fmt(1, 2, 8000, 16), bytes(40)))
    data[at : at + len(noise)] = noise
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    with contextlib.suppress(ContractError):
        played(f"playback {path}")
