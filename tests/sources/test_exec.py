"""exec: what a command prints; its end is told by its status; nothing of it outlives the source."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from array import array
from pathlib import Path

import pytest

from edge_runtime.errors import TransportError, UsageError
from edge_runtime.sources import RowField, Source, open_rows, open_source
from edge_runtime.sources import exec as exec_source
from tests.sources.common import read_all


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "sensor.sh"
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return str(path)


def opened(tmp_path: Path, text: str, options: str = "") -> Source:
    return open_source(f"exec {options} {script(tmp_path, text)}", rate_hz=10, channels=["x", "y"])


def is_gone(pid: int) -> bool:
    """Neither running nor a zombie: waits for a child of ours' child by its descriptor."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = bool(poll.poll(10_000))
    os.close(descriptor)
    return ended


def test_a_command_that_ends_well_is_the_end_of_the_stream(tmp_path: Path) -> None:
    source = opened(tmp_path, "echo x,y; echo 1,2; echo 3,4", "format=csv")
    assert read_all(source) == [[1, 2], [3, 4]]
    assert read_all(source) == []
    source.close()


@pytest.mark.parametrize(
    ("end", "how"),
    [("exit 3", "ended with status 3"), ("kill -SEGV $$", "was ended by SIGSEGV"), ("kill -9 $$", "SIGKILL")],
)
def test_another_status_is_named_after_all_frames_before(tmp_path: Path, end: str, how: str) -> None:
    source = opened(tmp_path, f"echo '[1,2]'; {end}")
    out = memoryview(array("f", bytes(8)))
    assert source.read(out) == 1
    with pytest.raises(TransportError, match=rf"sensor.sh: .*{how}"):
        source.read(out)
    source.close()


def test_stop_ends_the_whole_group_and_leaves_no_zombie(tmp_path: Path) -> None:
    source = opened(tmp_path, 'sleep 1000 & echo "[$!,$$]"; wait')
    out = memoryview(array("f", bytes(8)))
    assert source.read(out) == 1
    pids = [int(value) for value in out]
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.append(source.read(out)))
    reader.start()
    source.stop()
    reader.join(10)
    assert got == [0]
    source.close()
    source.close()
    assert all(is_gone(pid) for pid in pids)
    with pytest.raises(ChildProcessError):
        os.waitpid(pids[1], os.WNOHANG)


def test_a_command_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_source, "GRACE_S", 0.1)
    source = opened(tmp_path, "trap '' TERM; echo \"[$$,1]\"; while :; do sleep 1000; done")
    out = memoryview(array("f", bytes(8)))
    assert source.read(out) == 1
    source.stop()
    source.close()
    assert is_gone(int(out[0]))


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """The child has exited, a grandchild of its group holds on: it goes too, and the stream had its end."""
    source = opened(tmp_path, 'sleep 1000 >/dev/null & echo "[$!,0]"; exit 0')
    frames = read_all(source)
    source.close()
    assert is_gone(int(frames[0][0]))


def test_a_command_that_closes_its_output_and_runs_on_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_source, "GRACE_S", 0.1)
    source = opened(tmp_path, "exec >/dev/null; sleep 1000")
    with pytest.raises(TransportError, match="closed its output and ran on"):
        read_all(source)
    source.close()


def test_its_messages_go_to_our_stderr_and_it_reads_nothing_of_ours(tmp_path: Path) -> None:
    code = (
        "import sys; from edge_runtime.sources import open_source; from array import array\n"
        "s = open_source(sys.argv[1], rate_hz=1, channels=['x']); print(s.read(memoryview(array('f', [0]))))"
    )
    command = f"exec {script(tmp_path, 'echo sensor is warm >&2; cat; echo [1]')}"
    done = subprocess.run(
        [sys.executable, "-c", code, command], input="[7]\n[8]\n", capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "sensor is warm\n")


def test_a_command_is_found_beside_the_config(tmp_path: Path) -> None:
    script(tmp_path, "echo '[1,2]'; pwd >&2")
    source = open_source(f"exec cwd={tmp_path} ./sensor.sh", rate_hz=10, channels=["x", "y"])
    assert read_all(source) == [[1, 2]]
    source.close()


def test_rows_of_a_command(tmp_path: Path) -> None:
    text = "echo 'name,v'; echo 'a,1'; echo ',2'; exit 1"
    fields = [RowField(name="v"), RowField(name="name", kind="text")]
    rows = open_rows(f"exec format=csv {script(tmp_path, text)}", fields)
    found = rows.read_rows(1) + rows.read_rows(9)
    assert found == [(1.0, "a"), (2.0, None)]
    with pytest.raises(TransportError, match="status 1"):
        rows.read_rows(9)
    rows.stop()
    assert rows.read_rows(9) == []
    rows.close()


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="exec: no-such-program: cannot be started: No such file") as refused:
        open_source("exec no-such-program --fast", rate_hz=1, channels=["x"])
    assert refused.value.hint
    with pytest.raises(UsageError, match="no command named"):
        open_source("exec format=csv", rate_hz=1, channels=["x"])


def test_a_refused_request_leaves_no_child(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    with pytest.raises(UsageError, match="no rate given"):
        open_source(f"exec {script(tmp_path, f'echo $$ > {marker}; sleep 1000')}", channels=["x"])
    assert not marker.exists() or is_gone(int(marker.read_text() or "0"))


@pytest.mark.planted
def test_a_source_that_ends_the_child_alone_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: the signal goes to the child, not to its group."""
    source = opened(tmp_path, 'sleep 1000 & echo "[$!,$$]"; wait')
    out = memoryview(array("f", bytes(8)))
    assert source.read(out) == 1
    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", os.kill)
        source.stop()
        source.close()
    left = int(out[0])
    os.kill(left, 0)  # still there
    os.kill(left, signal.SIGKILL)
    assert is_gone(left)
