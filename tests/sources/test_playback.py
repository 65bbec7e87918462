"""Playback: any cutting of the reads gives the same frames, and what is broken is named by file, line and column."""

from __future__ import annotations

import gzip
import math
import random
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources import open_source, times_of
from edge_runtime.sources.playback import PlaybackSource

Write = Callable[..., Path]
Playback = Callable[..., PlaybackSource]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, text: str | bytes) -> Path:
        data = text if isinstance(text, bytes) else text.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file


@pytest.fixture
def playback() -> Iterator[Playback]:
    opened: list[PlaybackSource] = []

    def open_files(*args: Any, **kwargs: Any) -> PlaybackSource:
        opened.append(PlaybackSource(*args, **kwargs))
        return opened[-1]

    yield open_files
    for source in opened:
        source.close()


def all_frames(source: PlaybackSource, cuts: list[int] | None = None) -> list[float]:
    """Every value that is left, read in blocks of `cuts` frames, over and over."""
    width = len(source.channels)
    cuts = cuts or [64]
    values: list[float] = []
    turn = 0
    while True:
        out = memoryview(array("f", bytes(4 * width * cuts[turn % len(cuts)])))
        got = source.read(out)
        if got == 0:
            return values
        values += out[: got * width].tolist()
        turn += 1


def numbers(frames: int, width: int, seed: int = 0) -> list[list[float]]:
    rng = random.Random(seed)
    return [[array("f", [rng.gauss(0, 1e3)])[0] for _ in range(width)] for _ in range(frames)]


def as_csv(rows: list[list[float]], names: str = "abcdefgh") -> str:
    width = len(rows[0])
    return "\n".join([",".join(names[:width]), *(",".join(map(repr, row)) for row in rows)]) + "\n"


def test_frames_come_as_they_stand_in_the_file(write: Write, playback: Playback) -> None:
    source = playback([write("a.csv", "x,y\n1,2\n3.5,-4e2\n")], rate_hz=10)
    assert (source.channels, source.rate_hz) == (("x", "y"), 10.0)
    assert all_frames(source) == [1, 2, 3.5, -400]
    assert source.next_frame == 2


def test_columns_are_chosen_and_ordered_by_name(write: Write, playback: Playback) -> None:
    files = [write("a.csv", "x,y,z\n1,2,3\n"), write("b.csv.gz", "z,w,x\n6,0,4\n")]
    assert all_frames(playback(files, rate_hz=1, channels=["z", "x"])) == [3, 1, 6, 4]
    assert all_frames(playback(files, rate_hz=1, channels=["x"])) == [1, 4]


def test_without_a_choice_the_first_file_gives_the_columns(write: Write, playback: Playback) -> None:
    files = [write("a.csv", "x,y\n1,2\n"), write("b.csv", "y,more,x\n4,9,3\n")]
    assert all_frames(playback(files, rate_hz=1)) == [1, 2, 3, 4]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(any),
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.integers(0, 100),
)
def test_any_cutting_of_reads_gives_the_same_frames(
    write: Write, playback: Playback, lengths: list[int], cuts: list[int], at: int
) -> None:
    rows = numbers(sum(lengths), 3)
    files, first = [], 0
    for i, length in enumerate(lengths):
        text = as_csv(rows[first : first + length]) if length else "a,b,c\n"
        files.append(write(f"{i}.csv{'.gz' * (i % 2)}", text))
        first += length
    flat = [value for row in rows for value in row]
    source = playback(files, rate_hz=1)
    assert all_frames(source, cuts) == flat
    source.seek(at)
    assert source.next_frame == min(at, len(rows))
    assert all_frames(source, cuts) == flat[3 * at :]
    source.seek(0)
    source.seek(at)
    source.seek(at // 2)
    assert all_frames(source, cuts) == flat[3 * (at // 2) :]
    source.close()


def test_seek_finds_every_frame_from_every_frame(write: Write, playback: Playback) -> None:
    files = [
        write(f"{i}.csv", "a\n" + "".join(f"{n}\n" for n in some)) for i, some in enumerate(([0, 1], [], [2, 3, 4]))
    ]
    source = playback(files, rate_hz=1)
    assert all_frames(source) == [0, 1, 2, 3, 4], "from here on it knows the lengths of its files"
    one = memoryview(array("f", [0]))
    for start in range(5):
        for target in range(7):
            source.seek(start)
            assert (source.read(one), one[0]) == (1, start)
            source.seek(target)
            assert source.next_frame == min(target, 5)
            assert all_frames(source) == list(range(target, 5))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 40), st.lists(st.integers(1, 50), min_size=1, max_size=6), st.sampled_from(["x", "", "1,2,3"]))
def test_all_frames_before_a_broken_line_come_for_any_cutting(
    write: Write, playback: Playback, good: int, cuts: list[int], bad: str
) -> None:
    text = "a,b\n" + "".join(f"{i},{-i}\n" for i in range(good)) + f"7,{bad}\n" + "8,8\n" * 30
    source = playback([write("f.csv", text)], rate_hz=1)
    seen = 0
    with pytest.raises(ContractError, match=f"line {good + 2}\\b"):  # noqa: PT012 - the last of many reads raises
        while got := source.read(memoryview(array("f", bytes(8 * cuts[seen % len(cuts)])))):
            seen += got
    assert seen == good == source.next_frame
    with pytest.raises(ContractError):
        source.read(memoryview(array("f", [0, 0])))
    source.seek(good + 1)
    assert all_frames(source) == [8.0] * 60, "beyond the broken line it goes on"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a,b\n1,2\n3,abc\n", r"f\.csv line 3, column 'b': 'abc' is not a finite"),
        ("a,b\n1,2\n3,\n", r"line 3, column 'b': '' is missing or NaN"),
        ("a,b\nnan,2\n", r"line 2, column 'a': 'nan' is missing or NaN"),
        ("a,b\n1,inf\n", r"line 2, column 'b': 'inf' is not a finite"),
        ("a,b\n1,1e39\n", r"line 2, column 'b': '1e39' is not a finite float32"),
        ("a,b\n1,1_0\n", r"line 2, column 'b': '1_0' is not"),
        ("a,b\n1\n", r"line 2: 1 cells, the header has 2"),
        ("a,b\n1,2,3\n", r"line 2: 3 cells, the header has 2"),
        ("a,b\n1,2\n\n3,4\n", r"line 3: 0 cells, the header has 2"),
        ('a,b\n1,2\n3,"4\n', r"after line 2: cannot be read"),
        ("a,b\n1,2\n3,\xe9\n".encode("latin-1"), r"f\.csv.*cannot be read"),
    ],
)
def test_a_broken_line_is_named(write: Write, playback: Playback, text: str | bytes, want: str) -> None:
    with pytest.raises(ContractError, match=want) as refused:
        all_frames(playback([write("f.csv", text)], rate_hz=1))
    assert refused.value.hint


@pytest.mark.parametrize("text", ["", "\n", "a,,c\n1,2,3\n", "a,b,a\n1,2,3\n"])
def test_a_header_without_distinct_names_is_refused(write: Write, playback: Playback, text: str) -> None:
    with pytest.raises(ContractError, match=r"f\.csv line 1"):
        playback([write("f.csv", text)], rate_hz=1)


def test_a_missing_column_names_file_and_columns_before_any_frame(write: Write, playback: Playback) -> None:
    files = [write("a.csv", "x,y\n1,2\n"), write("b.csv", "x,z\n1,2\n")]
    with pytest.raises(ContractError, match=r"b\.csv: no column 'y'") as refused:
        playback(files, rate_hz=1)
    assert refused.value.hint == "there are: x, z"


def test_missing_values_become_nan_where_allowed(write: Write, playback: Playback) -> None:
    source = playback([write("f.csv", "a,b\n1,\nNaN,2\n3,4\n")], rate_hz=1, allow_nan=True)
    assert [None if math.isnan(v) else v for v in all_frames(source)] == [1, None, None, 2, 3, 4]
    with pytest.raises(ContractError, match="not a finite"):
        all_frames(playback([write("g.csv", "a\n-inf\n")], rate_hz=1, allow_nan=True))


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_torn_gzip_is_refused_not_taken_as_the_end(write: Write, playback: Playback, cut: int) -> None:
    path = write("f.csv.gz", as_csv(numbers(200, 2)))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ContractError, match=r"f\.csv\.gz.*cannot be read"):
        all_frames(playback([path], rate_hz=1))


def test_an_absent_file_is_named(tmp_path: Path, playback: Playback) -> None:
    with pytest.raises(ContractError, match=r"none\.csv.*No such file"):
        playback([tmp_path / "none.csv"], rate_hz=1)


def test_byte_order_mark_and_windows_line_ends_do_no_harm(write: Write, playback: Playback) -> None:
    source = playback([write("f.csv", b'\xef\xbb\xbf"a",b\r\n1,"2"\r\n')], rate_hz=1)
    assert source.channels == ("a", "b")
    assert all_frames(source) == [1, 2]


def test_stop_is_the_end(write: Write, playback: Playback) -> None:
    source = playback([write("f.csv", "a\n1\n2\n")], rate_hz=1)
    source.read(memoryview(array("f", [0])))
    source.stop()
    assert all_frames(source) == []


def test_a_wrong_buffer_or_seek_is_refused(write: Write, playback: Playback) -> None:
    source = playback([write("f.csv", "a,b\n1,2\n")], rate_hz=1)
    wrong: list[Any] = [memoryview(array("f", [0])), memoryview(array("d", [0, 0])), memoryview(bytes(8)).cast("f")]
    for out in wrong:
        with pytest.raises(ValueError, match="out:"):
            source.read(out)
    with pytest.raises(ValueError, match="negative"):
        source.seek(-1)


@pytest.mark.parametrize("rate_hz", [0, -1, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(write: Write, playback: Playback, rate_hz: float) -> None:
    with pytest.raises(UsageError, match="rate"):
        playback([write("f.csv", "a\n1\n")], rate_hz=rate_hz)


# ---- open_source ------------------------------------------------------------


def test_a_spec_opens_its_source(write: Write) -> None:
    files = [write("a b.csv", "x,y\n1,2\n"), write("c.csv.gz", "x,y\n3,4\n")]
    source = open_source(f"playback '{files[0]}' {files[1]}", rate_hz=5, channels=["y"])
    assert isinstance(source, PlaybackSource)
    assert (source.channels, source.rate_hz, all_frames(source)) == (("y",), 5.0, [2, 4])
    host = open_source("host", channels=["cpu_user"])
    assert (host.channels, host.rate_hz) == (("cpu_user",), 20.0)
    host.close()


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ("", "unknown"),
        ("modbus", "unknown"),
        ("playback", "no file"),
        ("playback a.csv", "no rate"),
        ("host now", "takes no words"),
        ("playback 'a", "quot"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(spec: str, want: str) -> None:
    with pytest.raises(UsageError, match=want) as refused:
        open_source(spec)
    assert refused.value.hint


@pytest.mark.parametrize("channels", [[], ["a", "a"]])
def test_no_channel_or_one_twice_is_refused(write: Write, channels: list[str]) -> None:
    with pytest.raises(UsageError, match="each once"):
        open_source(f"playback {write('f.csv', 'a,b')}", rate_hz=1, channels=channels)


def test_a_column_gives_the_times(write: Write) -> None:
    path = write("a.csv", "x,when\n1,1.5\n2,2023-11-14T22:13:20Z\n3,\n")
    source = open_source(f"playback time_s=when {path}", rate_hz=1)
    out = memoryview(array("f", bytes(40)))
    assert (source.channels, source.read(out)) == (("x",), 2)
    times = times_of(source)
    assert times is not None
    assert times.tolist() == [1_500_000, 1_700_000_000_000_000]
    with pytest.raises(ContractError, match="line 4: no time in 'when'"):
        source.read(out)
    source.close()
    with pytest.raises(ContractError, match="no column 't'"):
        open_source(f"playback time_s=t {path}", rate_hz=1)
