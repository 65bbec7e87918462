"""Lines: any cutting gives the same values; what is broken is left out, counted, and never more memory than a line."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources import pipe
from edge_runtime.sources.cells import BadLine, TimeField, number, text
from edge_runtime.sources.decode import BROKEN_IN_A_ROW, Decoder, RowDecoder
from edge_runtime.sources.formats import decoder
from edge_runtime.sources.frames import NO_TIME, FrameQueue
from edge_runtime.sources.lines import MAX_LINE_BYTES, CsvLines, JsonLines, Splitter
from edge_runtime.sources.port import Request, RowField
from edge_runtime.sources.table import SOURCES
from tests.sources.common import cut, room_for

CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=5)


def request(fmt: str = "ndjson", channels: Sequence[str] | None = ("x", "y"), **options: str) -> Request:
    wanted = tuple(channels) if channels is not None else None
    return Request(name="test", options={"format": fmt, **options}, words=(), rate_hz=10, channels=wanted)


def taken(made: Decoder, data: bytes, cuts: Sequence[int] = (7,)) -> list[list[float]]:
    for piece in cut(data, cuts):
        made.feed(piece)
    made.end()
    width = made.queue.width
    out = room_for(len(made.queue), width)
    frames: list[list[float]] = []
    while (got := made.queue.take(out)[0]) > 0:
        frames += [list(out[i * width : (i + 1) * width]) for i in range(got)]
    return frames


@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), max_size=30), CUTS)
def test_any_cutting_of_any_format_gives_the_same_frames(rows: list[tuple[float, float]], cuts: list[int]) -> None:
    wanted = [list(row) for row in rows]
    forms = {
        "ndjson": "".join(json.dumps({"y": y, "x": x, "more": "z"}) + "\n" for x, y in rows).encode(),
        "csv": ("y,more,x\r\n" + "".join(f"{y!r},z,{x!r}\r\n" for x, y in rows)).encode(),
        "f32": b"".join(struct.pack("<2f", *row) for row in rows),
    }
    for form, data in forms.items():
        made = decoder(request(form), default="ndjson")
        found = taken(made, data, cuts)
        assert repr(found) == repr(wanted), form
        assert not made.counts


def test_arrays_go_by_position_and_objects_by_name() -> None:
    assert taken(decoder(request(), default="ndjson"), b'[1,2]\n{"y":4,"x":3}\n') == [[1, 2], [3, 4]]
    assert taken(decoder(request(columns="y,z,x"), default="ndjson"), b"[1,2,3]\n") == [[3, 1]]
    assert taken(decoder(request("csv", columns="y,z,x"), default="ndjson"), b"1,2,3\n") == [[3, 1]]


def test_raw_columns_are_picked_by_name() -> None:
    data = struct.pack("<6h", 1, 2, 3, -4, -5, -6)
    assert taken(decoder(request("i16", columns="y,z,x"), default="ndjson"), data) == [[3, 1], [-6, -4]]


def test_without_channels_the_first_line_names_them() -> None:
    for form, data in (("ndjson", b'{"t":1,"b":2,"a":3}\n'), ("csv", b"b,a\n2,3\n"), ("ndjson", b"[2,3]\n")):
        made = decoder(request(form, None), default="ndjson")
        assert made.channels is None
        assert taken(made, data) == [[2, 3]]
        assert made.channels == (("ch1", "ch2") if data.startswith(b"[") else ("b", "a"))


@pytest.mark.parametrize(
    ("form", "first", "rest"),
    [
        ("ndjson", b"{}\n", b'{"b":2,"a":3}\n'), ("ndjson", b"[]\n", b"[2,3]\n"),
        ("ndjson", b'{"t":1}\n', b'{"t":2,"b":2,"a":3}\n'), ("csv", b"when\n", b"when,b,a\n1,2,3\n"),
    ],
)  # fmt: skip
def test_a_first_line_that_names_no_channel_is_left_out(form: str, first: bytes, rest: bytes) -> None:
    made = decoder(request(form, None, time_s="when" if form == "csv" else "t"), default="ndjson")
    made.feed(first)
    assert made.channels is None
    assert taken(made, rest) == [[2, 3]]
    assert made.counts == {"malformed": 1}


BROKEN = [
    ("ndjson", b'{"x":1'), ("ndjson", b"7"), ("ndjson", b"[1]"), ("ndjson", b"[1,2,3]"), ("ndjson", b'{"z":1}'),
    ("ndjson", b'{"x":"ok","y":1}'), ("ndjson", b'{"x":[1],"y":1}'), ("ndjson", b'{"x":1e999999,"y":"1_0"}'),
    ("ndjson", b"[" * 5000), ("ndjson", b'{"x":' + b"1" * 5000 + b',"y":1}'), ("ndjson", b"\xff\xfe"),
    ("csv", b"1"), ("csv", b"1,2,3"), ("csv", b"ERR,1"), ("csv", b"1_0,2"), ("csv", b"\xff,1"), ("csv", b'"1,2'),
]  # fmt: skip


@pytest.mark.parametrize(("form", "line"), BROKEN)
def test_a_broken_line_is_left_out_and_counted(form: str, line: bytes) -> None:
    made = decoder(request(form), default="ndjson")
    head = b"x,y\n" if form == "csv" else b""
    good = b"1,2\n" if form == "csv" else b"[1,2]\n"
    assert taken(made, head + good + line + b"\n" + good) == [[1, 2], [1, 2]]
    assert made.counts == {"malformed": 1}


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_what_is_missing_is_nan_and_infinity_comes_through(form: str) -> None:
    lines = {
        "ndjson": b'{"x":null,"y":1}\n{"y":2}\n{"x":NaN,"y":"nan"}\n{"x":Infinity,"y":1e999}\n{"x":true,"y":" 5 "}\n',
        "csv": b"x,y\n,1\n,2\nNaN,nan\ninf,1e999\n1,5\n",
    }
    made = decoder(request(form), default="ndjson")
    assert repr(taken(made, lines[form])) == "[[nan, 1.0], [nan, 2.0], [nan, nan], [inf, inf], [1.0, 5.0]]"
    assert not made.counts


def test_a_last_line_without_its_newline_is_not_taken() -> None:
    """Nothing says that 1.2 is not the beginning of 1.25."""
    for form, data in (("csv", b"x,y\n1,2\n3,4"), ("ndjson", b"[1,2]\n[3,4]"), ("f32", struct.pack("<3f", 1, 2, 3))):
        made = decoder(request(form), default="ndjson")
        assert taken(made, data) == [[1, 2]]
        assert made.counts == {"truncated": 1}


def test_a_header_may_come_again_and_in_another_order() -> None:
    """As of a device that was reset."""
    assert taken(decoder(request("csv"), default="csv"), b"x,y\n1,2\ny,x\n1,2\n") == [[1, 2], [2, 1]]


def test_a_stream_of_another_format_says_so() -> None:
    made = decoder(request("csv"), default="csv")
    with pytest.raises(ContractError, match=rf"test: {BROKEN_IN_A_ROW} lines in a row .* no header line") as refused:
        made.feed(b"1,2\n" * BROKEN_IN_A_ROW)
    assert "columns=" in refused.value.hint
    made.feed(b"x,y\n" + b"1,2\nERR,2\n" * BROKEN_IN_A_ROW)  # every other line is fine: goes on
    assert made.counts == {"malformed": 2 * BROKEN_IN_A_ROW}


@settings(deadline=None)
@given(st.integers(0, 3), st.lists(st.integers(1, 50_000), min_size=1, max_size=4))
def test_a_huge_line_costs_no_more_than_the_limit(before: int, cuts: list[int]) -> None:
    check_bounded(before, cuts)


def check_bounded(before: int, cuts: list[int]) -> None:
    split, most = Splitter(max_bytes=1000), 0
    data = b"ok\n" * before + b"x" * 70_000 + b"\nend\n" + b"y" * 1001 + b"\nlast\n"
    found: list[bytes] = []
    for piece in cut(data, cuts):
        found += split.feed(piece)
        most = max(most, len(split._part))
    assert found == [b"ok"] * before + [b"end", b"last"]
    assert split.too_long == 2
    assert most <= 1000


@pytest.mark.parametrize("line", [b"\n", b"1\n", b"11,1\n", b"1" * 4000 + b"\n"])
@pytest.mark.parametrize("kind", ["frames", "number", "text"])
def test_what_one_read_becomes_fits_what_a_source_says_it_takes(kind: Any, line: bytes) -> None:
    asked = request("csv", None, columns=",".join("xy"[: 1 + line.count(b",")]))
    made = (
        decoder(asked, default="csv")
        if kind == "frames"
        else RowDecoder(asked, [RowField(name="x", kind=kind)], default="csv")
    )
    data = line * (pipe.READ_BYTES // len(line))
    tracemalloc.start()
    made.feed(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + len(data) + MAX_LINE_BYTES < SOURCES["stdin"].n_bytes


def test_the_limit_of_a_line_is_that_of_the_documents() -> None:
    made = decoder(request(), default="ndjson")
    pad = b" " * (MAX_LINE_BYTES - 5)
    assert taken(made, b"[1,2]" + pad + b"\n[1,2]" + pad + b" \n[5,6]\n", (4096,)) == [[1, 2], [5, 6]]
    assert made.counts == {"too_long": 1}


@given(st.binary(max_size=300), st.sampled_from(["ndjson", "csv", "f32", "i16"]), CUTS)
def test_any_bytes_give_frames_and_counts_and_nothing_else(data: bytes, form: str, cuts: list[int]) -> None:
    for frame in taken(decoder(request(form), default="ndjson"), data, cuts):
        assert len(frame) == 2


# ---- times


@pytest.mark.parametrize(
    ("options", "value", "us"),
    [
        ({}, 1700000000.25, 1_700_000_000_250_000),
        ({"time_ms": "t"}, 1700000000250, 1_700_000_000_250_000),
        ({"time_us": "t"}, 1700000000250001, 1_700_000_000_250_001),
        ({"time_ns": "t"}, 1700000000250001000, 1_700_000_000_250_001),
        ({"time_s": "t"}, "2023-11-14T22:13:20.250001Z", 1_700_000_000_250_001),
        ({"time_s": "t"}, "2023-11-14T23:13:20.25+01:00", 1_700_000_000_250_000),
    ],
)
def test_times_come_in_the_unit_that_the_option_names(options: dict[str, str], value: object, us: int) -> None:
    for form in ("ndjson", "csv"):
        if form == "csv" and not options:
            continue  # a CSV column is a time only where told
        made = decoder(request(form, **options), default="ndjson")
        line = json.dumps({"t": value, "x": 1, "y": 2}) if form == "ndjson" else f"t,x,y\n{value},1,2"
        made.feed(line.encode() + b"\n")
        _, times = made.queue.take(room_for(1, 2))
        assert times is not None
        assert times.tolist() == [us]


def test_frames_with_and_without_a_time_do_not_share_a_block() -> None:
    queue, out = FrameQueue(1), room_for(10, 1)
    queue.put([1, 2, 3, 4], [10, 20, NO_TIME, 30])
    found = []
    while (got := queue.take(out))[0]:
        found.append((out[: got[0]].tolist(), got[1].tolist() if got[1] else None))
    assert found == [([1, 2], [10, 20]), ([3], None), ([4], [30])]


@pytest.mark.parametrize("value", [b"-1", b"1e300", b"[]", b'"warm"', b"NaN", b"253402300800"])
def test_what_is_no_time_is_a_broken_line_only_where_it_was_called_one(value: bytes) -> None:
    line = b'{"x":1,"y":2,"t":%s}\n[3,4]\n' % value
    assert taken(decoder(request(), default="ndjson"), line) == [[1, 2], [3, 4]]
    made = decoder(request(time_s="t"), default="ndjson")
    assert taken(made, line) == [[3, 4]]
    assert made.counts == {"malformed": 1}


def test_a_channel_named_t_is_no_time() -> None:
    assert taken(decoder(request(channels=["t"]), default="ndjson"), b'{"t":-5}\n') == [[-5]]


def test_two_times_are_refused() -> None:
    with pytest.raises(UsageError, match="time_s and time_ms"):
        decoder(request(time_s="a", time_ms="b"), default="ndjson")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(BadLine, match="no time"):
        TimeField("t", 1e6).us("2023-11-14T22:13:20")


# ---- rows and cells


@given(CUTS)
def test_rows_keep_number_text_and_missing_apart(cuts: list[int]) -> None:
    fields = [RowField(name="n"), RowField(name="s", kind="text")]
    lines = {
        "ndjson": b'{"s":"a b","n":1}\n{"n":null}\n{"s":"","n":"2.5"}\n{"s":3,"n":NaN}\n{"s":true,"n":true}\n',
        "csv": b's,n\r\na b,1\r\n,\r\n,2.5\r\n3,nan\r\n"true",1\r\n',
    }
    for form, data in lines.items():
        made = RowDecoder(request(form), fields, default="ndjson")
        for piece in cut(data, cuts):
            made.feed(piece)
        made.end()
        assert made.rows == [(1.0, "a b"), (None, None), (2.5, None), (None, "3"), (1.0, "true")]
        assert not made.counts


def test_a_broken_row_is_left_out() -> None:
    made = RowDecoder(request(), [RowField(name="n"), RowField(name="s", kind="text")], default="ndjson")
    made.feed(b'{"n":"x","s":"a"}\n{"n":1,"s":{}}\n{"n":1,"s":"a"}\n')
    assert made.rows == [(1.0, "a")]
    assert made.counts == {"malformed": 2}


@pytest.mark.parametrize("value", ["x", "1_0", "0x1", [], {}, 10**400, b"1"])
def test_what_means_no_number_is_refused(value: Any) -> None:
    with pytest.raises(BadLine, match="no number"):
        number(value)


def test_cells() -> None:
    assert all(math.isnan(number(missing)) for missing in (None, "", "  "))
    assert (number(" 1e3 "), number(True), text(1.5), text(" "), text(None), text(" a b ")) == (
        1000,
        1,
        "1.5",
        None,
        None,
        "a b",
    )


def test_columns_that_lack_a_channel_are_refused() -> None:
    for form in ("csv", "f32"):
        with pytest.raises((UsageError, ContractError), match="y"):
            decoder(request(form, columns="x,z"), default="csv")
    assert JsonLines(("x",)).take(b'{"x":1}') == ([1], NO_TIME)
    assert CsvLines(None).take(b"a,b") is None


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (request("xml"), "format 'xml' is unknown"),
        (request("f32", None), "raw frames name no columns"),
        (request("f32", time_s="t"), "f32 frames carry no time"),
    ],
)
def test_wrong_options_are_named(made: Request, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        decoder(made, default="ndjson")
    assert refused.value.hint


# ---- planted bugs


@pytest.mark.planted
def test_a_splitter_that_keeps_a_huge_line_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: a line without an end is kept for ever."""

    def feed(self: Splitter, data: bytes) -> list[bytes]:
        *lines, self._part = (self._part + data).split(b"\n")
        return lines

    monkeypatch.setattr(Splitter, "feed", feed)
    with pytest.raises(AssertionError):
        check_bounded(0, [5000])


@pytest.mark.planted
def test_a_queue_that_mixes_times_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: a block is not cut where frames have no time, so the mark for none goes out as a time."""
    monkeypatch.setattr("edge_runtime.sources.frames.takewhile", lambda _test, times: times)
    with pytest.raises(AssertionError):
        test_frames_with_and_without_a_time_do_not_share_a_block()


@pytest.mark.planted
def test_a_reader_that_takes_underscores_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: cells go to float() as they are, which takes 1_0 for 10."""
    monkeypatch.setattr("edge_runtime.sources.decode._frame", lambda values: array("f", map(float, values)))
    with pytest.raises(AssertionError):
        test_a_broken_line_is_left_out_and_counted("csv", b"1_0,2")
