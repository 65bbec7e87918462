"""Sinks: lines are never mixed, a reader that stalls stops no stream that cannot wait, and what it lost is counted."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.daemon.losses import Losses
from edge_runtime.daemon.sinks import MAX_LINES, MqttSink, Stdout, StdoutSink, line_of
from edge_runtime.daemon.socket_sink import MAX_READERS, MAX_WAITING_BYTES, LineServer, SocketSink
from edge_runtime.errors import UsageError
from edge_runtime.transport import Letter


def decision(window: int, *, pad: int = 60) -> dict[str, object]:
    return {"stream": "m", "window": window, "label": "x" * pad}


class Piped:
    """A pipe as stdout, with nobody reading until told."""

    def __init__(self) -> None:
        self.end, writing = os.pipe()
        self.out = os.fdopen(writing, "w")

    def read_rest(self) -> list[int]:
        """The windows of all lines, once the writer is closed."""
        self.out.close()
        with os.fdopen(self.end, "rb") as file:
            return [json.loads(line)["window"] for line in file]


@pytest.fixture
def piped() -> Piped:
    return Piped()


def test_a_live_stream_goes_on_when_its_reader_stalls(piped: Piped) -> None:
    sink = StdoutSink(Stdout(piped.out), may_wait=False)
    n = 5000
    for window in range(n):  # a blocking write would stand still here: nobody reads
        sink.emit(decision(window))
        sink.flush()
    assert sink.dropped > 0
    lost, waiting = sink.dropped, len(sink._lines)
    assert waiting == MAX_LINES
    reader: list[list[int]] = []
    thread = threading.Thread(target=lambda: reader.append(_windows(piped.end)))
    thread.start()
    sink.close()
    piped.out.close()
    thread.join(10)
    (seen,) = reader
    assert sink.dropped == lost, "what waited came when somebody read"
    assert len(seen) == n - lost
    assert seen == sorted(seen)
    assert seen[-1] == n - 1, "the oldest are given up, not the newest"


def _windows(descriptor: int) -> list[int]:
    with os.fdopen(descriptor, "rb") as file:
        return [json.loads(line)["window"] for line in file]


def test_what_nobody_takes_at_the_end_is_counted(piped: Piped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.daemon.sinks.CLOSE_S", 0.05)
    sink = StdoutSink(Stdout(piped.out), may_wait=False)
    for window in range(3000):
        sink.emit(decision(window))
        sink.flush()
    sink.close()
    seen = piped.read_rest()
    assert len(seen) + sink.dropped + 4096 // len(line_of(decision(0))) >= 3000
    assert not sink._lines


def test_lines_of_streams_are_never_mixed(piped: Piped) -> None:
    """Lines longer than a pipe takes at once, from four threads, two of which may wait."""
    shared = Stdout(piped.out)
    sinks = [StdoutSink(shared, may_wait=i % 2 == 0) for i in range(4)]

    def work(sink: StdoutSink) -> None:
        for window in range(100):
            sink.emit(decision(window, pad=6000))
            sink.flush()
        sink.close()

    reader: list[list[int]] = []
    reading = threading.Thread(target=lambda: reader.append(_windows(piped.end)))
    reading.start()
    threads = [threading.Thread(target=work, args=(sink,)) for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    piped.out.close()
    reading.join(30)
    assert sum(sink.dropped for sink in sinks) + len(reader[0]) == 400


def test_a_playback_waits_for_its_reader(piped: Piped) -> None:
    sink = StdoutSink(Stdout(piped.out), may_wait=True)
    reader: list[list[int]] = []
    reading = threading.Thread(target=lambda: reader.append(_windows(piped.end)))
    for window in range(3000):
        sink.emit(decision(window))
        if window == 100:
            reading.start()
        sink.flush()
    piped.out.close()
    reading.join(10)
    assert reader == [list(range(3000))]
    assert sink.dropped == 0


@pytest.mark.parametrize("may_wait", [True, False])
def test_a_closed_pipe_is_told_once(piped: Piped, may_wait: bool) -> None:
    sink = StdoutSink(Stdout(piped.out), may_wait=may_wait)
    os.close(piped.end)
    sink.emit(decision(0))
    with pytest.raises(BrokenPipeError):
        sink.flush()
    sink.emit(decision(1))
    sink.flush()  # into nowhere
    piped.out.close()


@pytest.mark.planted
def test_a_writer_that_does_not_ask_the_pipe_stands_still(piped: Piped) -> None:
    """Planted bug: every write is tried, as it was before, and so waits for the reader."""
    code = (
        "import sys; from edge_runtime.daemon.sinks import Stdout, StdoutSink\n"
        "Stdout._is_ready = lambda self, wait_s: True\n"
        "sink = StdoutSink(may_wait=False)\n"
        "for i in range(5000): sink.emit({'window': i}); sink.flush(); print(i, file=sys.stderr)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=piped.out, stderr=subprocess.PIPE) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=3)
        process.kill()
    os.close(piped.end)
    piped.out.close()


def test_mqtt_gets_each_decision_as_a_letter_that_may_be_lost() -> None:
    posted: list[Letter] = []
    sink = MqttSink(posted.append, site="s", device="d", stream="m")
    sink.emit(decision(7))
    sink.flush()
    sink.close()
    assert [(one.topic, one.qos) for one in posted] == [("el/v1/s/d/dec/m", 0)]


# ---- Unix socket


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LineServer]:
    made = LineServer(tmp_path / "m.sock")
    yield made
    made.close()


def connected(server: LineServer) -> socket.socket:
    reader = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    reader.settimeout(10)
    reader.connect(str(server.path))
    return reader


def lines_until(reader: socket.socket, window: int) -> list[int]:
    """Windows read up to and with `window`, or to the end of the connection."""
    data = b""
    while f'"window":{window},'.encode() not in data or not data.endswith(b"\n"):
        more = reader.recv(65536)
        if not more:
            break
        data += more
    return [json.loads(line)["window"] for line in data.splitlines()]


def emit(sink: SocketSink, windows: range, pad: int = 60) -> None:
    for window in windows:
        sink.emit(decision(window, pad=pad))
        sink.flush()


def test_every_reader_gets_the_lines_from_its_connection_on(server: LineServer) -> None:
    sink = SocketSink(server)
    emit(sink, range(3))
    with connected(server) as one:
        emit(sink, range(3, 6))
        with connected(server) as two:
            emit(sink, range(6, 9))
            assert lines_until(two, 8) == [6, 7, 8]
        emit(sink, range(9, 12))
        assert lines_until(one, 11) == list(range(3, 12))
    emit(sink, range(12, 40))
    assert not server._readers, "those who left are forgotten"
    assert sink.dropped == 0


def test_a_slow_reader_loses_whole_lines_and_delays_nobody(server: LineServer) -> None:
    sink, n = SocketSink(server), 6000
    with connected(server) as slow, connected(server) as fast:
        seen: list[list[int]] = []
        reading = threading.Thread(target=lambda: seen.append(lines_until(fast, n)))
        reading.start()
        emit(sink, range(n), pad=400)
        lost = sink.dropped
        assert lost > 0, "the slow one"
        assert max(map(len, server._readers.values())) <= MAX_WAITING_BYTES
        emit_until_seen(sink, n, reading)
        windows = lines_until_quiet(slow)
        assert windows == sorted(windows), "no line is cut or mixed"
    assert len(seen[0]) > len(windows)


def emit_until_seen(sink: SocketSink, window: int, reading: threading.Thread) -> None:
    """Send the last line again until the reader, which may have lost one, has it."""
    for _ in range(1000):
        sink.emit(decision(window))
        sink.flush()
        reading.join(0.01)
        if not reading.is_alive():
            return
    raise AssertionError("the fast reader got no last line")


def lines_until_quiet(reader: socket.socket) -> list[int]:
    """All whole lines that wait."""
    reader.setblocking(False)
    data = b""
    try:
        while more := reader.recv(65536):
            data += more
    except BlockingIOError:
        pass
    return [json.loads(line)["window"] for line in data[: data.rfind(b"\n") + 1].splitlines()]


def test_its_mode_lets_the_group_read_and_no_other(server: LineServer) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o660


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
        dead.listen()
    assert path.exists()
    server = LineServer(path)
    with connected(server) as reader:
        emit(SocketSink(server), range(1))
        assert lines_until(reader, 0) == [0]
    server.close()
    assert not path.exists()


def test_the_socket_of_another_daemon_is_not(server: LineServer) -> None:
    with pytest.raises(UsageError, match="another process serves it"):
        LineServer(server.path)
    with connected(server) as reader:
        emit(SocketSink(server), range(1))
        assert lines_until(reader, 0) == [0], "the first one still serves"


def test_a_file_in_its_place_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists and is no socket"):
        LineServer(path)
    assert path.read_text() == "mine"


def test_a_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"decisions unix:.*too long") as refused:
        LineServer(tmp_path / ("x" * 120))
    assert "107 bytes" in refused.value.hint


def test_readers_beyond_the_limit_are_turned_away(server: LineServer) -> None:
    sink = SocketSink(server)
    readers = []
    for _ in range(MAX_READERS):
        readers.append(connected(server))
        emit(sink, range(1))
    with connected(server) as late:
        emit(sink, range(1))
        assert late.recv(10) == b""
    for reader in readers:
        reader.close()


class Endless:
    """A listening socket that somebody connects to faster than he is turned away."""

    def __init__(self) -> None:
        self.accepted = 0

    def accept(self) -> tuple[socket.socket, str]:
        self.accepted += 1
        assert self.accepted < 1000, "a decision waits for ever"
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours, ""


def test_who_connects_without_end_delays_no_decision(server: LineServer, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Endless()
    with monkeypatch.context() as patch:
        patch.setattr(server, "_server", endless)
        server.offer([b"{}\n"])
        server.offer([b"{}\n"])
    assert endless.accepted == 2 * MAX_READERS


# ---- losses


def test_the_first_loss_is_told_at_once_and_the_rest_with_the_period() -> None:
    losses = Losses()
    assert losses.news({}, period_ends=True) == {}
    assert losses.news({"malformed": 1}, period_ends=False) == {"malformed": 1}
    assert losses.news({"malformed": 4}, period_ends=False) == {}
    assert losses.news({"malformed": 5, "decisions": 2}, period_ends=False) == {"malformed": 4, "decisions": 2}
    assert losses.news({"malformed": 9, "decisions": 2}, period_ends=False) == {}
    assert losses.news({"malformed": 9, "decisions": 2}, period_ends=True) == {"malformed": 4}
    assert losses.news({"malformed": 9, "decisions": 2}, period_ends=True) == {}


@pytest.mark.planted
def test_a_server_that_takes_any_socket_for_stale_is_seen(server: LineServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: what stands at the path is removed without asking who serves it."""
    monkeypatch.setattr("edge_runtime.daemon.socket_sink._make_room", lambda path: path.unlink())
    thief = LineServer(server.path)
    with connected(server) as reader:
        emit(SocketSink(server), range(1))
        reader.settimeout(0.2)
        with pytest.raises(TimeoutError):  # its readers reach the other one now
            reader.recv(10)
    monkeypatch.undo()
    thief.close()
