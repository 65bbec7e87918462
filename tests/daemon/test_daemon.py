"""The daemon as a process: it decides, keeps its budget, survives its broker and its own death."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from cloud_trainer.rollout.keys import signer
from edge_runtime.contract.bundle import unpack
from edge_runtime.contract.event import Event
from edge_runtime.contract.program import Channel
from edge_runtime.daemon.budget import Used
from edge_runtime.daemon.lock import lock_state
from edge_runtime.update import slots
from edge_runtime.update.disk import PosixDisk
from tests.daemon.rig import KEYS, Rig, ended, play_with_kills, recording, windows_of
from tests.spool.common import until
from tests.update.bundles import PROGRAM, members, packed_bundle


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    recording(tmp_path / "run.csv", frames=2000)
    return Rig(tmp_path)


def test_decides_every_window_once_and_in_order(rig: Rig) -> None:
    rig.write()
    done = rig.run()
    assert done.returncode == 0, done.stderr
    windows = [json.loads(line)["window"] for line in done.stdout.splitlines()]
    assert windows == list(range(windows_of(2000)))


def test_summaries_count_every_window_of_a_recording(rig: Rig) -> None:
    rig.write()
    assert rig.run().returncode == 0
    assert sum(s.n_windows for s in rig.summaries()) == windows_of(2000)
    assert [s.period for s in rig.summaries()] == list(range(len(rig.summaries())))


def test_broker_away_keeps_deciding_and_keeps_its_records(rig: Rig) -> None:
    rig.write(top='[broker]\nhost = "127.0.0.1"\nport = 9\n', at_end="wait")
    process = rig.start()
    assert until(lambda: (rig.folder / "out.ndjson").exists() and len(rig.decisions()) == windows_of(2000))
    assert until(lambda: "link device=dev-1 trouble=" in rig.log()), "nobody is told why nothing arrives"
    assert ended(process) == 0
    assert len(rig.records()) >= 10 * (windows_of(2000) // 50)


def test_sigterm_stops_cleanly_and_the_next_start_goes_on(rig: Rig) -> None:
    rig.write(speed=100.0)
    process = rig.start()
    assert until(lambda: (rig.folder / "out.ndjson").exists() and len(rig.decisions()) > 40)
    assert ended(process, signal.SIGTERM) == 0
    assert rig.start().wait(60) == 0
    assert [d["window"] for d in rig.decisions()] == list(range(windows_of(2000)))


def never_stopped(folder: Path) -> Rig:
    """A device that played the whole recording in one go."""
    calm = Rig(folder)
    calm.folder.mkdir()
    recording(calm.folder / "run.csv", frames=2000)
    calm.write()
    assert calm.run().returncode == 0
    return calm


def test_killed_device_makes_every_record_once(rig: Rig, tmp_path: Path) -> None:
    """Rows, sequence numbers and bits are those of a device that was never killed."""
    calm = never_stopped(tmp_path / "calm")
    rig.write(speed=60.0)
    assert play_with_kills(rig, kills=5, seed=3, wait=time.sleep) == 5
    rows = rig.records()
    assert [row for _, row in rows] == [row for _, row in calm.records()]
    seqs = [seq for sealed in rig.sealed() for seq in range(sealed.first_seq, sealed.last_seq + 1)]
    assert seqs == list(range(1, len(seqs) + 1))
    tallies = [(s.period, s.label_counts, s.rows) for s in rig.summaries()]
    assert tallies == [(s.period, s.label_counts, s.rows) for s in calm.summaries()]


def test_a_state_that_was_copied_goes_on_in_its_period_under_a_new_epoch(rig: Rig, tmp_path: Path) -> None:
    """As of a disk that was put back, and of every start of a machine: nothing of the period is lost or twice."""
    calm = never_stopped(tmp_path / "calm")
    rig.write(speed=60.0)
    device = rig.start()
    assert until(lambda: len(rig.decisions()) > 120, 30)  # in the midst of the third period
    device.kill()
    device.wait(10)
    shutil.copytree(rig.state, tmp_path / "copy")
    shutil.rmtree(rig.state)
    (tmp_path / "copy").rename(rig.state)
    assert rig.run().returncode == 0
    assert [row for _, row in rig.records()] == [row for _, row in calm.records()]
    tallies = [(s.period, s.label_counts, s.rows) for s in rig.summaries()]
    assert tallies == [(s.period, s.label_counts, s.rows) for s in calm.summaries()]
    first, second = dict.fromkeys(sealed.epoch for sealed in rig.sealed())
    assert {s.header.epoch for s in rig.summaries()} == {first, second}


BROKER = '[broker]\nhost = "127.0.0.1"\nport = 1\n'


@pytest.mark.parametrize(
    ("top", "named"),
    [
        ("[budget]\nmemory_bytes = 2000000\n", r"all together \d+ bytes, limit 2000000"),
        (f"{BROKER}[budget]\nrecord_bytes_day = 1000\n", r"all telemetry \d+ bytes/day, limit 1000"),
    ],
)
def test_fit_and_the_daemon_refuse_with_the_same_table(rig: Rig, top: str, named: str) -> None:
    """Before anything starts; of memory the interpreter's own part is measured, and differs."""
    path = rig.write(top=top)
    fit = [sys.executable, "-m", "edge_runtime.cli", "fit", str(rig.folder / "tiny.elb"), "--budget", str(path)]
    told = subprocess.run(fit, capture_output=True, text=True, check=False)
    started = rig.run()
    for done in (told, started):
        assert (done.returncode, done.stdout) == (5, "")
        assert re.search(rf"needs more than there is: {named}$", done.stderr, re.M), done.stderr
        assert done.stderr.count("<- over") == 1
        assert "\nhint: " in done.stderr
    tables = [re.findall(r"^m: .*$", done.stderr, re.M) for done in (told, started)]
    assert tables[0] == tables[1] != []


def test_over_budget_is_refused_before_start_with_the_table(rig: Rig) -> None:
    rig.write(top="[budget]\nmemory_bytes = 2000000\n")
    done = rig.run()
    assert done.returncode == 5
    assert re.search(r"all together \d+ bytes, limit 2000000$", done.stderr, re.M)
    assert "interpreter and program" in done.stderr
    assert "hint:" in done.stderr
    assert done.stdout == ""


def test_a_bundle_of_an_untrusted_key_is_not_run(rig: Rig) -> None:
    path = rig.write()
    text = path.read_text()
    key = text.split('release_keys = ["')[1].split('"')[0]
    path.write_text(text.replace(key, "ab" * 32))
    done = rig.run()
    assert done.returncode == 4
    assert "no valid signature" in done.stderr


def test_an_altered_factory_bundle_is_refused(rig: Rig) -> None:
    rig.write()
    data = bytearray((rig.folder / "tiny.elb").read_bytes())
    data[len(data) // 2] ^= 1
    (rig.folder / "tiny.elb").write_bytes(data)
    assert rig.run().returncode in (3, 4)


def test_a_broken_line_ends_the_stream_and_is_named(rig: Rig) -> None:
    lines = (rig.folder / "run.csv").read_text().splitlines()
    lines[1001] = "oops"
    (rig.folder / "run.csv").write_text("\n".join(lines))
    rig.write()
    done = rig.run()
    assert done.returncode == 1
    assert "run.csv" in done.stderr
    assert "1002" in done.stderr
    assert len(done.stdout.splitlines()) == windows_of(1000)
    kinds = [Event.from_bytes(s.payload).kind for s in rig.sealed() if s.kind == "ev"]
    assert "fault" in kinds


def test_a_missing_column_is_named_with_those_there_are(rig: Rig) -> None:
    (rig.folder / "run.csv").write_text("y\n1\n2\n")
    rig.write()
    done = rig.run()
    assert done.returncode == 3
    assert "no column 'x'" in done.stderr
    assert "hint: there are: y" in done.stderr


def test_a_recording_shorter_than_a_window_ends_without_a_decision(rig: Rig) -> None:
    recording(rig.folder / "run.csv", frames=5)
    rig.write()
    done = rig.run()
    assert done.returncode == 0
    assert done.stdout == ""


def test_a_missing_factory_bundle_is_named(rig: Rig) -> None:
    rig.write()
    (rig.folder / "tiny.elb").unlink()
    done = rig.run()
    assert done.returncode == 2
    assert "tiny.elb: No such file" in done.stderr


def test_a_second_daemon_is_refused_before_it_touches_the_first_ones_trial(rig: Rig) -> None:
    rig.write()
    assert rig.run().returncode == 0
    disk = PosixDisk(rig.state / "streams" / "m")
    data = packed_bundle(2, signer=signer(KEYS.release))
    digest = unpack(data).digest
    disk.write(slots.bundle_name(digest), data)
    slots.install(disk, digest, order_version=1)
    slots.start(disk)
    held = lock_state(rig.state)  # as a running daemon does
    done = rig.run()
    os.close(held)
    assert done.returncode == 2
    assert "another edge-runtime runs on it" in done.stderr
    assert slots.load(disk).phase is slots.Phase.TRIAL


def test_a_state_folder_that_cannot_be_made_is_named(rig: Rig) -> None:
    rig.write()
    rig.state.write_text("a file stands in its place")
    done = rig.run()
    assert done.returncode == 2
    assert f"error: state {rig.state}: File exists" in done.stderr


def test_a_rotten_bundle_is_replaced_by_the_factory_one(rig: Rig) -> None:
    rig.write()
    assert rig.run().returncode == 0
    (bundle,) = (rig.state / "streams" / "m" / "bundles").glob("*.elb")
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    recording(rig.folder / "run.csv", frames=3000)
    done = rig.run()
    assert done.returncode == 0, done.stderr
    assert "restore device=dev-1" in done.stderr
    assert json.loads(done.stdout.splitlines()[0])["window"] == windows_of(2000)


def test_decides_on_when_nobody_reads_its_decisions(rig: Rig) -> None:
    """A closed pipe ends the lines, not the device; the exit status stays true."""
    rig.write(speed=400.0)
    with subprocess.Popen(rig.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        log = process.stderr.read()
    assert process.returncode == 0
    assert "decisions are no longer written" in log
    assert sum(s.n_windows for s in rig.summaries()) == windows_of(2000)


def test_runs_on_when_nobody_reads_its_log(rig: Rig) -> None:
    rig.write(speed=400.0, at_end="wait")
    with subprocess.Popen(rig.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stderr.close()
        for _ in range(windows_of(2000) - 1):
            process.stdout.readline()
        assert not until(lambda: process.poll() is not None, 1.0), "its last event ended it"
        process.terminate()
    assert process.returncode == 0
    assert sum(s.n_windows for s in rig.summaries()) == windows_of(2000)


def test_two_streams_decide_side_by_side(rig: Rig) -> None:
    recording(rig.folder / "other.csv", frames=1000, seed=2)
    other = '[[stream]]\nname = "n"\nsource = "playback other.csv"\nbundle = "tiny.elb"\nperiod_windows = 50\n'
    rig.write(bottom=other)
    done = rig.run()
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for stream, frames in (("m", 2000), ("n", 1000)):
        assert [line["window"] for line in lines if line["stream"] == stream] == list(range(windows_of(frames)))
    seqs = [seq for sealed in rig.sealed() for seq in range(sealed.first_seq, sealed.last_seq + 1)]
    assert seqs == list(range(1, len(seqs) + 1)), "one row counter for all streams"


@pytest.mark.skipif(sys.platform != "linux", reason="the host source reads /proc: Linux only")
def test_the_live_host_source_decides_and_goes_on_after_a_restart(rig: Rig) -> None:
    program = replace(PROGRAM, channels=(Channel(name="cpu_user", unit="1"),))
    rig.write(files=members() | {"program.json": program.to_bytes()}, source="host")
    for _ in range(2):
        seen = len(rig.decisions()) if (rig.folder / "out.ndjson").exists() else 0
        process = rig.start()
        assert until(partial(_has_more_than, rig, seen + 2), 30), rig.log()
        assert ended(process) == 0
    assert [d["window"] for d in rig.decisions()] == list(range(len(rig.decisions())))
    assert "the device was away" in rig.log()


def _has_more_than(rig: Rig, decisions: int) -> bool:
    return (rig.folder / "out.ndjson").exists() and len(rig.decisions()) > decisions


SENSOR = """#!/bin/sh
# 40 frames, then dead; the third life lasts.
echo life >> lives
i=0
while [ $i -lt 40 ]; do echo "{\\"x\\": $i}"; i=$((i+1)); done
[ "$(wc -l < lives)" -lt 3 ] && exit 7
echo oops
exec sleep 1000
"""


def test_a_live_stream_that_fails_comes_back_while_another_lives(rig: Rig) -> None:
    """The command dies twice; each death is an event, each return begins with an empty window."""
    (rig.folder / "sensor.sh").write_text(SENSOR)
    (rig.folder / "sensor.sh").chmod(0o755)
    other = '[[stream]]\nname = "n"\nsource = "playback run.csv"\nbundle = "tiny.elb"\nat_end = "wait"\n'
    rig.write(source="exec ./sensor.sh", bottom=other, period_windows=5)
    process = rig.start()
    assert until(lambda: rig.log().count("the source was away") == 2, 30), rig.log()
    each = windows_of(40)
    assert until(lambda: len([d for d in rig.decisions() if d["stream"] == "m"]) == 3 * each), rig.log()
    assert ended(process) == 0
    assert [d["window"] for d in rig.decisions() if d["stream"] == "m"] == list(range(3 * each))
    assert [d["window"] for d in rig.decisions() if d["stream"] == "n"] == list(range(windows_of(2000)))
    faults = [e.fields for e in rig.events() if e.kind == "fault"]
    assert "ended with status 7" in str(faults[0]["message"])
    assert faults[0]["retry_s"] == 1


def test_a_stalled_reader_of_stdout_costs_a_live_stream_lines_and_not_its_windows(rig: Rig) -> None:
    """Nobody reads until all is decided; what was lost stands in an event and in the summaries."""
    n = 100_000
    (rig.folder / "sensor.sh").write_text(f"#!/bin/sh\nseq -f '[%.0f]' {n}; echo > fed; exec sleep 1000\n")
    (rig.folder / "sensor.sh").chmod(0o755)
    rig.write(source="exec ./sensor.sh", period_windows=1000)
    with subprocess.Popen(rig.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert until((rig.folder / "fed").exists, 60), "it waited for a reader"
        process.terminate()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    windows = [json.loads(line)["window"] for line in out.splitlines()]
    assert windows == sorted(windows)
    decided = sum(s.n_windows for s in rig.summaries())
    assert decided > windows_of(n) // 2
    lost = sum(s.drops for s in rig.summaries())
    assert decided - 10_000 < lost < decided, "a pipe and 1024 lines hold the rest"
    told = [e.fields for e in rig.events() if e.fields.get("error") == "Lost"]
    assert sum(int(fields["decisions"]) for fields in told) >= lost


def test_decisions_come_by_a_unix_socket(rig: Rig) -> None:
    rig.write(speed=60.0, decisions=["unix:m.sock"])
    process = rig.start()
    path = rig.folder / "m.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as reader:
        assert until(lambda: reader.connect_ex(str(path)) in {0, errno.EISCONN})  # it is there before it listens
        with reader.makefile("r") as lines:
            windows = [json.loads(line)["window"] for line in lines]  # to the end of the daemon
    assert process.wait(60) == 0
    assert windows == list(range(windows[0], windows_of(2000)))
    assert len(windows) > 10  # how many went by before this process came to connect is the machine's matter
    assert not path.exists()


@pytest.mark.planted
def test_the_fence_stops_a_leak_at_the_budget(rig: Rig) -> None:
    """Planted leak: what the daemon would take beyond its budget is refused to it."""
    path = rig.write(top="[budget]\nmemory_bytes = 100000000\n")
    code = (
        "import sys; from pathlib import Path; from edge_runtime.daemon import load_config\n"
        "from edge_runtime.daemon.service import Daemon\n"
        "daemon = Daemon(load_config(Path(sys.argv[1]))); daemon._open_slots(); daemon._fit()\n"
        "try:\n    bytearray(200_000_000)\nexcept MemoryError:\n    print('fenced')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout == "fenced\n", done.stderr


LEAK = '''
class Leak:
    """A source that keeps all that it ever read, and more."""

    channels, rate_hz, is_live = ("x",), 10.0, False

    def __init__(self, words, *, rate_hz, channels):
        self.kept, self.n = [], 0

    def read(self, out):
        self.n += 1
        if self.n > 3:
            self.kept.append(bytearray(64 << 20))
        out[:8] = out[:8]
        return 8

    def seek(self, frame): ...
    def stop(self): ...
    def close(self): self.kept.clear()
'''


def test_a_stream_that_leaks_ends_alone_by_its_name(rig: Rig) -> None:
    """The fence refuses it the memory; it says so, and what it had decided is kept."""
    (rig.folder / "leak.py").write_text(LEAK)
    other = '[[stream]]\nname = "n"\nsource = "playback run.csv"\nbundle = "tiny.elb"\nperiod_windows = 50\n'
    rig.write(top="[budget]\nmemory_bytes = 150000000\n", source="leak.py:Leak", bottom=other)
    done = rig.run()
    assert done.returncode == 1
    assert 'error=BudgetError message="stream m: needs more data memory than budget.memory_bytes' in done.stderr
    faults = [event.fields["error"] for event in rig.events() if event.kind == "fault"]
    assert faults == ["BudgetError"]
    windows = [json.loads(line)["window"] for line in done.stdout.splitlines() if '"stream":"n"' in line]
    assert windows == list(range(windows_of(2000))), "the other stream went on to its end"


def test_the_high_water_mark_of_its_memory_is_telemetry(rig: Rig) -> None:
    rig.write(top="[budget]\nmemory_bytes = 150000000\n", at_end="wait")
    process = rig.start()
    assert until(lambda: "memory device=dev-1" in rig.log(), 30), rig.log()
    assert ended(process) == 0
    (told,) = [event.fields for event in rig.events() if event.kind == "memory"]
    peak, data, limit = (int(told[key]) for key in ("peak_bytes", "data_bytes", "data_limit_bytes"))
    assert 8 << 20 < peak < 150_000_000
    assert 1 << 20 < data < limit
    assert 150_000_000 < limit < 150_000_000 + peak, "the budget on top of what it had at its start"


def test_only_a_mark_that_is_clearly_higher_is_news() -> None:
    told = Used(peak_bytes=16_000_000, data_bytes=1, data_limit_bytes=0)
    assert told.is_news(None)
    assert not replace(told, peak_bytes=17_000_000).is_news(told)
    assert replace(told, peak_bytes=17_000_001).is_news(told)
    assert not replace(told, data_bytes=9).is_news(told)
    assert not replace(told, peak_bytes=0).is_news(None), "no /proc, nothing to tell"
