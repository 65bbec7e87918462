"""A device that was killed says so at its next start: how, in which window, under which bundle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_trainer.ingest import view
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import cbor, topics
from edge_runtime.contract.bundle import unpack
from edge_runtime.contract.event import Event
from edge_runtime.daemon import last_run
from edge_runtime.daemon.last_run import place_of
from edge_runtime.daemon.lock import lock_state
from edge_runtime.spool import lives
from tests.daemon.rig import Rig, ended, recording, windows_of
from tests.spool.common import until

NOW_MS = 1_600_000_000_000


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    recording(tmp_path / "run.csv", frames=1000)
    made = Rig(tmp_path)
    made.write(speed=60.0)
    return made


def killed(rig: Rig, *, after: int, by: signal.Signals = signal.SIGKILL) -> None:
    process = rig.start()
    assert until(lambda: (rig.folder / "out.ndjson").exists() and len(rig.decisions()) > after, 30)
    assert ended(process, by) == -by


def crashes(rig: Rig) -> list[Event]:
    return [event for event in rig.events() if event.kind == "crash"]


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_device_says_where_it_was_and_the_store_is_asked(rig: Rig, tmp_path: Path, by: signal.Signals) -> None:
    """As for want of memory, and as by a fault in the code of an engine."""
    killed(rig, after=120, by=by)
    rig.write()  # the rest without waiting
    assert rig.start().wait(60) == 0
    [crash] = crashes(rig)
    assert (crash.stream, crash.fields["how"]) == ("m", "killed")
    assert 50 <= int(crash.fields["window"]) <= len(rig.decisions())
    assert crash.fields["bundle"] == unpack((tmp_path / "tiny.elb").read_bytes()).digest
    assert NOW_MS < int(crash.fields["started_ms"]) <= int(crash.fields["at_ms"]) <= crash.time_ms
    assert [event.kind for event in rig.events()].index("crash") < len(rig.events()) - 1
    ws, pending = Workspace(tmp_path / "ws"), Pending()
    for one in rig.sealed():
        pending.add(topics.up("lab", rig.id, one.kind, one.stream), one.payload, now_ms=7)
    append(ws.tables, pending.take().tables)
    asked = "select device, stream, fields ->> '$.how', fields ->> '$.bundle' from events where kind = 'crash'"
    assert view.sql(ws, asked).fetchall() == [(rig.id, "m", "killed", crash.fields["bundle"])]


def test_an_end_in_good_order_is_no_crash(rig: Rig) -> None:
    rig.write()
    for _ in range(2):
        assert rig.start().wait(60) == 0
    assert crashes(rig) == []


def test_a_crash_is_told_once(rig: Rig) -> None:
    killed(rig, after=20)
    rig.write()
    for _ in range(2):
        assert rig.start().wait(60) == 0
    assert len(crashes(rig)) == 1
    assert len(rig.decisions()) >= windows_of(1000)


def test_a_device_that_dies_at_each_start_says_so_each_time(rig: Rig) -> None:
    """Before its spool has sealed anything of the new run: a minute of commits is far away."""
    killed(rig, after=20)
    rig.write(speed=60.0, commit_s=60.0)
    for n in range(1, 4):
        killed(rig, after=len(rig.decisions()))
        assert len(crashes(rig)) == n
    assert [crash.fields["how"] for crash in crashes(rig)] == ["killed"] * 3


BROKEN = """
import sqlite3, sys
from pathlib import Path
from edge_runtime.daemon import load_config
from edge_runtime.daemon.service import Daemon
from edge_runtime.spool import Spool

def commit(*_, **__):
    raise sqlite3.DatabaseError("database disk image is malformed")

Spool.commit = commit
Daemon(load_config(Path(sys.argv[1]))).run()
"""


def test_a_run_that_its_spool_ends_says_why_at_the_next_start(rig: Rig) -> None:
    """The thread that would have stored it is the one that died, and fails again when it is stopped."""
    command = [sys.executable, "-c", BROKEN, str(rig.write())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "malformed" in done.stderr) == (1, True)
    assert rig.start().wait(60) == 0
    [crash] = crashes(rig)
    assert crash.fields["how"] == "error"
    assert "malformed" in str(crash.fields["message"])


def test_a_start_that_is_refused_does_not_forget_it(rig: Rig) -> None:
    killed(rig, after=20)
    rig.write(raw_channels=["nobody"], raw_reasons=["fault"])
    assert rig.start().wait(60) == 2
    rig.write()
    assert rig.start().wait(60) == 0
    assert len(crashes(rig)) == 1


def test_a_stream_that_fails_says_in_which_window(rig: Rig) -> None:
    """It ends by itself, so it says it at once and not at the next start."""
    whole = (rig.folder / "run.csv").read_text().splitlines()
    (rig.folder / "run.csv").write_text("\n".join([*whole[:101], "broken", *whole[102:]]))
    rig.write()
    assert rig.start().wait(60) == 1
    [fault] = [event for event in rig.events() if event.kind == "fault"]
    assert fault.fields["error"] == "ContractError"
    assert fault.fields["window"] == len(rig.decisions())
    assert fault.fields["bundle"] == unpack((rig.folder / "tiny.elb").read_bytes()).digest
    (rig.folder / "run.csv").write_text("\n".join(whole))
    assert rig.start().wait(60) == 0
    assert crashes(rig) == []


# ---- what stands in the lock file


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    held = lock_state(tmp_path)
    yield held
    os.close(held)


def test_the_first_run_and_one_that_ended_left_nothing(lock: int) -> None:
    assert last_run.crash_of(lock) is None
    last_run.begin(lock)
    last_run.end(lock)
    assert last_run.crash_of(lock) is None


def test_a_run_without_an_end_was_killed_or_its_machine_stopped(
    lock: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began_ms = time.time_ns() // 1_000_000
    last_run.begin(lock)
    crash = last_run.crash_of(lock)
    assert crash
    assert (crash.how, crash.message) == ("killed", "")
    assert crash.started_ms >= began_ms
    tmp_path.joinpath("boot").write_text("another\n")
    monkeypatch.setattr(lives, "BOOT_ID", tmp_path / "boot")
    later = last_run.crash_of(lock)
    assert later
    assert later.how == "power"


def test_one_that_gave_up_says_why(lock: int) -> None:
    last_run.begin(lock)
    last_run.end(lock, message="TransportError: spool: disk I/O error" + "ä" * 2000)
    crash = last_run.crash_of(lock)
    assert crash
    assert crash.how == "error"
    assert crash.message.startswith("TransportError: spool")
    last_run.begin(lock)
    again = last_run.crash_of(lock)
    assert again
    assert (again.how, again.message) == ("killed", ""), "what was longer before is gone"


@pytest.mark.parametrize("left", [b"\0", b"\xa1", cbor.dumps({"boot": 1}), bytes(100)])
def test_a_torn_mark_is_a_crash_too(lock: int, left: bytes) -> None:
    os.pwrite(lock, left, 0)
    crash = last_run.crash_of(lock)
    assert crash
    assert crash.how == "power"


def test_a_checkpoint_of_an_older_version_has_no_time() -> None:
    assert place_of(None) == {}
    assert place_of(cbor.dumps({"bundle": "ab", "at": [9, 2, 0]})) == {"window": 2, "bundle": "ab"}
    assert place_of(cbor.dumps({"bundle": "ab", "at": [9, 2, 0], "told_ms": 5}))["at_ms"] == 5
