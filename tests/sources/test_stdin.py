"""stdin: what is piped in comes out in any cutting; its end is the end; stop unblocks; the descriptor stays open."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources import RowField, Source, counts_of, open_source, pipe, stdin
from edge_runtime.sources.port import Request
from tests.sources.common import Fed, read_all, read_timed, room_for


def request(*words: str, channels: tuple[str, ...] | None = ("x", "y"), **options: str) -> Request:
    return Request(name="stdin", options=options, words=words, rate_hz=20.0, channels=channels)


@pytest.fixture
def fed() -> Iterator[Any]:
    opened: list[Fed] = []

    def feed(*chunks: bytes, is_open: bool = False) -> int:
        opened.append(Fed(*chunks, is_open=is_open))
        return opened[-1].descriptor

    yield feed
    for one in opened:
        one.close()


FRAMES = [[float(i), -i / 4] for i in range(300)]
FORMS = {
    "ndjson": "".join(f'{{"y":{y},"x":{x}}}\n' for x, y in FRAMES).encode(),
    "csv": ("x,y\n" + "".join(f"{x},{y}\n" for x, y in FRAMES)).encode(),
    "f32": b"".join(struct.pack("<2f", *frame) for frame in FRAMES),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 7, 65536])
def test_frames_come_as_they_are_piped_in(fed: Any, form: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "READ_BYTES", size)
    source = stdin.open_source(request(format=form), descriptor=fed(FORMS[form]))
    assert (source.channels, source.rate_hz) == (("x", "y"), 20.0)
    assert read_all(source, (1, 3, 50)) == FRAMES
    assert read_all(source) == [], "the end stays the end"
    source.close()
    source.close()


def test_times_come_along(fed: Any) -> None:
    source = stdin.open_source(request(), descriptor=fed(b'{"t":1.5,"x":1,"y":2}\n[3,4]\n'))
    assert read_timed(source) == [([1, 2], 1_500_000), ([3, 4], None)]
    source.close()


def test_what_is_broken_is_counted(fed: Any) -> None:
    source = stdin.open_source(request(), descriptor=fed(b"[1,2]\noops\n[3,4]\n[5,"))
    assert read_all(source) == [[1, 2], [3, 4]]
    assert counts_of(source) == {"malformed": 1, "truncated": 1}
    source.close()


def test_stop_unblocks_a_reader_and_is_final(fed: Any) -> None:
    descriptor = fed(b"[1,2]\n", is_open=True)
    source = stdin.open_source(request(), descriptor=descriptor)
    got: list[list[list[float]]] = []
    reader = threading.Thread(target=lambda: got.append(read_all(source)))
    reader.start()
    source.stop()
    reader.join(10)
    assert not reader.is_alive()
    assert read_all(source) == []
    source.close()
    source.stop()
    os.fstat(descriptor)  # it is the process's


def test_rows_of_stdin(fed: Any) -> None:
    fields = [RowField(name="kind", kind="text"), RowField(name="v")]
    rows = stdin.open_rows(request(), fields, descriptor=fed(b'{"v":1,"kind":"a"}\n{"v":2}\n{"v":3,"kind":"c"}\n'))
    assert rows.read_rows(2) == [("a", 1.0), (None, 2.0)]
    assert rows.read_rows(2) == [("c", 3.0)]
    assert rows.read_rows(2) == []
    rows.close()


def test_an_input_that_ends_before_its_first_line_names_no_channels(fed: Any) -> None:
    with pytest.raises(ContractError, match="stdin: ended before its first line"):
        stdin.open_source(request(channels=None), descriptor=fed())


def test_a_stream_of_another_format_is_an_error_and_not_silence(fed: Any) -> None:
    source = stdin.open_source(request(format="csv"), descriptor=fed(FORMS["ndjson"]))
    with pytest.raises(ContractError, match="100 lines in a row are no csv"):
        read_all(source)
    source.close()


@pytest.mark.parametrize("size", [7, 65536])
def test_all_before_lines_of_another_format_is_handed_out(fed: Any, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "READ_BYTES", size)
    data = FORMS["ndjson"] + b"oops\n" * 100 + b"[7,8]\n"
    source, out = stdin.open_source(request(), descriptor=fed(data)), room_for(1000, 2)
    seen = 0
    with pytest.raises(ContractError, match="100 lines in a row are no ndjson"):  # noqa: PT012
        while got := source.read(out):
            seen += got
    source.close()
    assert seen == len(FRAMES)
    rows = stdin.open_rows(request(), [RowField(name="x")], descriptor=fed(data))
    count = 0
    with pytest.raises(ContractError, match="100 lines in a row are no ndjson"):  # noqa: PT012
        while more := rows.read_rows(1000):
            count += len(more)
    rows.close()
    assert count == len(FRAMES)


@pytest.mark.parametrize(
    ("spec", "rate_hz", "message"),
    [
        ("stdin csv", 20.0, "takes no words, got 'csv'"),
        ("stdin form=csv", 20.0, "unknown option form="),
        ("stdin", None, "no rate given"),
        ("stdin", -1.0, "rate -1 Hz is not above 0"),
        ("stdin format=wav", 20.0, "format 'wav'"),
    ],
)
def test_wrong_words_are_named(spec: str, rate_hz: float | None, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        open_source(spec, rate_hz=rate_hz, channels=["x"])
    assert refused.value.hint


def test_the_real_stdin_of_a_process() -> None:
    code = (
        "from edge_runtime.sources import open_source; from array import array\n"
        "s = open_source('stdin format=f32', rate_hz=1, channels=['a']); out = memoryview(array('f', [0] * 8))\n"
        "n = s.read(out); print(out[:n].tolist(), s.read(out))"
    )
    data = array("f", [1, 2, 3]).tobytes()
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False)
    assert done.stdout == b"[1.0, 2.0, 3.0] 0\n", done.stderr


@pytest.mark.planted
def test_a_reader_that_forgets_half_a_frame_is_seen(fed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: what a chunk leaves over is dropped, so every later frame is shifted."""
    from edge_runtime.sources.raw import RawDecoder

    whole = RawDecoder.feed

    def forgetful(self: RawDecoder, data: bytes) -> None:
        whole(self, data)
        self._part = b""

    monkeypatch.setattr(RawDecoder, "feed", forgetful)
    monkeypatch.setattr(pipe, "READ_BYTES", 7)
    source: Source = stdin.open_source(request(format="f32"), descriptor=fed(FORMS["f32"]))
    assert read_all(source) != FRAMES
    source.close()
