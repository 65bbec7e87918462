"""The daemon on live sources, as a process: piped in, a broker that goes and comes back, a port that is unplugged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from array import array
from pathlib import Path

import pytest

from tests.daemon.rig import Rig, ended, recording, windows_of
from tests.ingest.mqtt import Client
from tests.spool.common import until
from tests.transport.mosquitto import Mosquitto, needs_mosquitto

N = 400


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def lines(n: int) -> bytes:
    return b"".join(b'{"x": %d, "note": "y"}\n' % (i % 2) for i in range(n))


def test_what_is_piped_in_is_decided_to_its_end(rig: Rig) -> None:
    rig.write(source="stdin")
    done = subprocess.run(rig.command(), input=lines(N) + b'{"x":', capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["window"] for line in done.stdout.splitlines()] == list(range(windows_of(N)))
    assert sum(s.n_windows for s in rig.summaries()) == windows_of(N)
    (lost,) = [e.fields for e in rig.events() if e.fields.get("error") == "Lost"]
    assert lost["truncated"] == 1


@pytest.mark.parametrize("form", ["csv", "ndjson", "f32"])
def test_frames_decide_alike_whatever_brings_them(rig: Rig, form: str) -> None:
    """The same bits by playback and piped in: label, vote and margin of every window, and the records."""
    recording(rig.folder / "run.csv", frames=N)
    values = array("f", map(float, (rig.folder / "run.csv").read_text().split()[1:]))
    rig.write()
    played = rig.run()
    calm = [row for _, row in rig.records()]
    feed = {
        "csv": (rig.folder / "run.csv").read_bytes(),
        "ndjson": "".join(f"[{value!r}]\n" for value in values).encode(),
        "f32": values.tobytes(),
    }[form]
    shutil.rmtree(rig.state)
    rig.write(source=f"stdin format={form}")
    piped = subprocess.run(rig.command(), input=feed, capture_output=True, timeout=60, check=False)
    assert piped.returncode == 0, piped.stderr
    wanted = [json.loads(line) | {"time_ms": 0} for line in played.stdout.splitlines()]
    assert len(wanted) == windows_of(N)
    assert [json.loads(line) | {"time_ms": 0} for line in piped.stdout.splitlines()] == wanted
    features = {window: features for window, _, _, features in calm}
    assert all(features.get(window, f) == f for window, _, _, f in (row for _, row in rig.records()))


def test_a_slow_reader_slows_what_is_piped_in_and_loses_nothing(rig: Rig) -> None:
    """As in any pipeline: the daemon waits for its reader, and its writer for the daemon."""
    n = 40_000
    (rig.folder / "in.ndjson").write_bytes(lines(n))
    rig.write(source="stdin")
    with (rig.folder / "in.ndjson").open("rb") as feed, subprocess.Popen(
        rig.command(), stdin=feed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert not until(lambda: process.poll() is not None, 3.0), "it did not wait"
        windows = [json.loads(line)["window"] for line in process.stdout]
        assert process.wait(60) == 0
    assert windows == list(range(windows_of(n)))


def test_a_stream_that_cannot_be_opened_leaves_no_child_of_another(rig: Rig) -> None:
    (rig.folder / "run.csv").write_text("y\n1\n")
    other = '[[stream]]\nname = "n"\nsource = "playback run.csv"\nbundle = "tiny.elb"\n'
    rig.write(source="exec sh -c 'echo $$ > pid; exec sleep 1000'", bottom=other)
    done = rig.run()
    assert done.returncode == 3, done.stderr
    assert "no column 'x'" in done.stderr
    pid = (rig.folder / "pid").read_text() if (rig.folder / "pid").exists() else ""
    assert not pid.strip() or until(lambda: not Path(f"/proc/{pid.strip()}").exists())


def test_parquet_is_played_within_the_fence(rig: Rig) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = rig.folder / "run.parquet"
    duckdb.connect(":memory:").execute(
        f"copy (select (i % 7) / 7 as x from range({N}) r(i)) to '{path}' (format parquet)"
    )
    rig.write(source="playback run.parquet")
    done = rig.run()
    assert done.returncode == 0, done.stderr
    assert re.search(r"m: source \(playback\) +59,768,832 ", done.stderr), "duckdb is in the budget"
    assert len(done.stdout.splitlines()) == windows_of(N)


def test_a_source_of_ones_own_decides(rig: Rig) -> None:
    (rig.folder / "mine.py").write_text(
        "class Mine:\n"
        "    def __init__(self, words, *, rate_hz, channels):\n"
        "        self.left, self.rate_hz, self.channels = int(words[0]), rate_hz, channels\n"
        "    def read(self, out):\n"
        "        self.left -= 1\n"
        "        out[0] = self.left % 2\n"
        "        return int(self.left >= 0)\n"
        "    def seek(self, frame): ...\n"
        "    def stop(self): self.left = 0\n"
        "    def close(self): ...\n"
    )
    rig.write(source=f"mine.py:Mine {N}")
    done = rig.run()
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == windows_of(N)
    assert "end of the stream" in done.stderr


def test_a_port_that_is_away_is_waited_for_and_one_that_goes_comes_back(rig: Rig) -> None:
    port = rig.folder / "ttyS"
    rig.write(source=f"serial columns=x {port}")
    process = rig.start()
    try:
        assert until(lambda: "ttyS: No such file" in rig.log()), rig.log()
        for life in (1, 2):
            plug(rig, port, life)
    finally:
        assert ended(process) == 0
    assert [d["window"] for d in rig.decisions()] == list(range(2 * windows_of(N)))


def plug(rig: Rig, port: Path, life: int) -> None:
    """Put a port in its place, speak, and take it away."""
    side, other = os.openpty()
    link = port.with_name("new")
    link.symlink_to(os.ttyname(other))
    link.replace(port)
    assert until(lambda: rig.log().count("the source was away") == life, 30), rig.log()
    os.write(side, b"\n" + b"0.5\n" * N)
    assert until(lambda: len(rig.decisions()) == life * windows_of(N)), rig.log()
    port.unlink()
    os.close(other)
    os.close(side)
    assert until(lambda: rig.log().count("hung up") + rig.log().count("No such file") > life), rig.log()


@needs_mosquitto
def test_frames_over_mqtt_go_on_after_the_broker_comes_back(rig: Rig, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    rig.write(top=f'[broker]\nhost = "127.0.0.1"\nport = {broker.port}\n', source="mqtt format=f32 a/b")
    process = rig.start()
    try:
        for life in (1, 2):
            before = len(rig.decisions())
            with Client(broker.port, "sensor") as client:

                def decides(client: Client = client, before: int = before) -> bool:
                    client.publish("a/b", bytes(4 * 100))
                    return len(rig.decisions()) > before + 10

                assert until(decides, 30), rig.log()
            broker.kill()
            assert until(lambda life=life: rig.log().count("source mqtt: 127.0.0.1") >= life), rig.log()  # type: ignore[misc]
            if life == 1:
                broker.start()
    finally:
        broker.kill()
        assert ended(process) == 0
    assert [d["window"] for d in rig.decisions()] == list(range(len(rig.decisions())))
    assert "the source was away" in rig.log()
