"""Workloads and takes: they run, stop, leave nothing, never outlive their caller; and the shipped takes are whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import cloud_trainer.demo
from cloud_trainer.demo import capture as takes_module
from cloud_trainer.demo.capture import Take, capture_takes, describe_machine, main, plan, read_index
from cloud_trainer.demo.workloads import STOP_WITHIN_S, WORKLOADS, running
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources.capture import capture
from edge_runtime.sources.host import CHANNELS
from edge_runtime.sources.playback import PlaybackSource

SHIPPED = Path(cloud_trainer.demo.__file__).parent / "host"
REPO = Path(cloud_trainer.demo.__file__).parents[2]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def is_dead(pid: int) -> bool:
    return not is_alive(pid)


def wait_for_child(pid: int) -> None:
    """Until it has ended, all threads of it, without taking its exit code from who started it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def wait_until(claim: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    end_s = time.monotonic() + timeout_s
    while not claim() and time.monotonic() < end_s:
        threading.Event().wait(0.01)
    return claim()


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takes_module, "SETTLE_S", 0.0)
    monkeypatch.setattr(takes_module, "REST_S", 0.0)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_runs_stops_at_once_and_leaves_no_file(name: str, tmp_path: Path) -> None:
    with running(name, take=1, folder=tmp_path) as pid:
        threading.Event().wait(0.2)
        assert is_alive(pid)
        sizes = [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()]
        assert sum(sizes) <= 64 << 20
        told_s = time.monotonic()
    assert time.monotonic() - told_s < STOP_WITHIN_S, "it ended by itself, it was not killed"
    assert not is_alive(pid)
    assert list(tmp_path.iterdir()) == []


def test_a_workload_dies_with_a_caller_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom cloud_trainer.demo.workloads import running\n"
        "with running('disk', folder=Path(sys.argv[1])) as pid:\n    print(pid, flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        assert is_alive(pid)
        caller.kill()
    assert wait_until(partial(is_dead, pid))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_workload_told_to_terminate_deletes_its_files(tmp_path: Path) -> None:
    workload = running("compress", folder=tmp_path)
    with pytest.raises(RuntimeError, match="ended by itself"), workload as pid:  # noqa: PT012 - raised on leaving
        (own,) = tmp_path.iterdir()
        assert len(list(own.iterdir())) == 1
        os.kill(pid, signal.SIGTERM)
        wait_for_child(pid)
        assert list(own.iterdir()) == []


def test_an_error_in_the_context_comes_through_and_the_workload_ends() -> None:
    with pytest.raises(KeyError), running("idle") as pid:
        raise KeyError
    assert not is_alive(pid)


def test_an_unknown_workload_is_refused() -> None:
    with pytest.raises(ValueError, match="compress"), running("gpu"):
        pass


def test_takes_of_a_label_are_spread_over_the_time() -> None:
    order = plan("abc", takes=3, first_take=1)
    assert order == [("b", 1), ("c", 1), ("a", 1), ("c", 2), ("a", 2), ("b", 2), ("a", 3), ("b", 3), ("c", 3)]


@pytest.mark.usefixtures("no_rest")
def test_takes_are_captured_and_the_index_keeps_its_others(tmp_path: Path) -> None:
    told: list[str] = []
    first = capture_takes(tmp_path, labels=["idle", "cpu"], takes=1, seconds=0.1, progress=told.append)
    more = capture_takes(tmp_path, labels=["cpu"], takes=1, seconds=0.1, first_take=7)
    assert told == ["1/2 idle take 0", "2/2 cpu take 0"]
    assert [(t.file, t.label, t.take, t.frames) for t in first + more] == [
        ("idle-0.csv.gz", "idle", 0, 2),
        ("cpu-0.csv.gz", "cpu", 0, 2),
        ("cpu-7.csv.gz", "cpu", 7, 2),
    ]
    assert read_index(tmp_path) == sorted(first + more, key=lambda take: (take.label, take.take))
    with pytest.raises(UsageError, match="exists"):
        capture_takes(tmp_path, labels=["cpu"], takes=1, seconds=0.1)


@pytest.mark.usefixtures("no_rest")
def test_a_take_whose_workload_broke_off_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def capture_while_it_dies(*args: Any, **kwargs: Any) -> int:
        children = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children").read_text().split()
        for pid in map(int, children):
            os.kill(pid, signal.SIGKILL)
            wait_for_child(pid)
        return capture(*args, **kwargs)

    monkeypatch.setattr(takes_module, "capture", capture_while_it_dies)
    with pytest.raises(RuntimeError, match="ended by itself"):
        capture_takes(tmp_path, labels=["idle"], takes=1, seconds=0.1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", [[], ["idle", "gpu"]])
def test_labels_that_are_no_workloads_are_refused(tmp_path: Path, labels: list[str]) -> None:
    with pytest.raises(ValueError, match="labels"):
        capture_takes(tmp_path, labels=labels, takes=1, seconds=1)


@pytest.mark.usefixtures("no_rest")
def test_the_command_captures_and_exits_2_where_a_file_exists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--out", str(tmp_path), "--labels", "idle", "--takes", "1", "--seconds", "0.1"]
    assert main(command) == 0
    assert main(command) == 2
    assert "error: " in capsys.readouterr().err


def test_an_index_that_is_none_is_refused(tmp_path: Path) -> None:
    assert read_index(tmp_path) == []
    (tmp_path / "takes.csv").write_text("file,label\na,b\n")
    with pytest.raises(ContractError, match=r"takes\.csv"):
        read_index(tmp_path)


def test_the_machine_is_described_without_its_name() -> None:
    assert describe_machine().startswith(f"{os.cpu_count()} cores, Linux ")
    assert os.uname().nodename not in describe_machine()


# ---- the shipped takes ------------------------------------------------------


def test_the_shipped_takes_are_six_of_each_label_and_small() -> None:
    takes = read_index(SHIPPED)
    assert {(t.label, t.take) for t in takes} == {(label, n) for label in WORKLOADS for n in range(6)}
    assert {t.file for t in takes} == {path.name for path in SHIPPED.glob("*.csv.gz")}
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 700_000


@pytest.mark.parametrize("take", read_index(SHIPPED), ids=lambda take: take.file)
def test_a_shipped_take_plays_back_whole_with_the_channels_of_today(take: Take) -> None:
    source = PlaybackSource([SHIPPED / take.file], rate_hz=take.rate_hz)
    assert source.channels == tuple(channel.name for channel in CHANNELS)
    assert source.read(memoryview(array("f", bytes(4 * 400 * len(CHANNELS))))) == take.frames == 320
    source.close()


def test_the_readme_of_the_takes_has_the_table_of_channels() -> None:
    lines = (SHIPPED / "README.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("| ")][-len(CHANNELS) :] == [
        f"| {channel.name} | {channel.unit} | {channel.doc} |" for channel in CHANNELS
    ]
