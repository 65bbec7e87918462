"""Device and consumer die at random moments; what the device made is in the store all the same, once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from cloud_trainer.ingest import available, compact, open_broker, view
from cloud_trainer.workspace import Workspace
from tests.daemon.rig import Rig, recording
from tests.spool.common import until

FRAMES = 4000


class ConsumerProcess:
    """`cloud-trainer ingest` as a process of its own."""

    def __init__(self, ws: Path, port: int, *, shared: bool) -> None:
        flags = [] if shared else ["--no-shared"]
        self._command = [
            sys.executable, "-c", "from cloud_trainer.cli import main; main()", "ingest", "-w", str(ws),
            "--port", str(port), "--commit-s", "0.2", *flags,
        ]  # fmt: skip
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ready(self) -> None:
        assert self.process.stdout is not None
        assert b"storing what arrives" in self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)

    def again(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.ready()


@pytest.mark.parametrize("broker_name", available())
def test_killed_device_and_killed_consumer_lose_and_repeat_nothing(tmp_path: Path, broker_name: str) -> None:
    rng = random.Random(7)
    calm = Rig(tmp_path / "calm")
    calm.folder.mkdir()
    recording(calm.folder / "run.csv", frames=FRAMES)
    calm.write()
    assert calm.run().returncode == 0
    made = [row for _, row in calm.records()]

    ws = Workspace(tmp_path / "ws")
    rig = Rig(tmp_path / "device")
    rig.folder.mkdir()
    recording(rig.folder / "run.csv", frames=FRAMES)
    broker = open_broker(prefer=broker_name)
    broker.start()
    consumer = ConsumerProcess(ws.root, broker.port, shared=broker.shares)
    rig.write(
        top=f'[broker]\nhost = "{broker.host}"\nport = {broker.port}\nresend_s = 0.5\n', speed=20.0, at_end="wait"
    )
    device = rig.start()
    try:
        consumer.ready()
        for turn in range(10):
            more = rng.randrange(10, 60)  # a random moment, told by what the device has done, not by the clock
            enough = _decided(rig) + more
            assert until(partial(_is_far_enough, rig, enough), 30), rig.log()
            if turn % 2:
                device.kill()
                device.wait(10)
                device = rig.start()
            else:
                consumer.kill()
                consumer.again()
        assert until(lambda: _is_stored(ws, len(made)), 60), rig.log()
        device.terminate()
        assert device.wait(30) == 0
    finally:
        device.kill()
        device.wait(10)
        consumer.kill()
        broker.stop()

    rows = view.sql(ws, 'select "window", label, probability, features, seq from records order by seq').fetchall()
    assert [(w, label, pytest.approx(p)) for w, label, p, _ in made] == [row[:3] for row in rows]
    assert len({row[4] for row in rows}) == len(rows)
    compact(ws)
    on_disk = ws.tables.sql("select count(*), count(distinct (device, epoch, seq)) from raw_records").fetchall()[0]
    assert on_disk == (len(made), len(made))
    assert not rig.records(), "the device still holds what the store has"


def _decided(rig: Rig) -> int:
    return len(rig.decisions()) if (rig.folder / "out.ndjson").exists() else 0


def _is_far_enough(rig: Rig, decisions: int) -> bool:
    return _decided(rig) >= decisions or "end of recording" in rig.log()


def _is_stored(ws: Workspace, rows: int) -> bool:
    return bool(view.sql(ws, "select count(*) from records").fetchall()[0][0] >= rows)


def test_lineage_leads_from_a_record_to_its_bundle(tmp_path: Path) -> None:
    """The row names the bundle and the program that made it."""
    rig = Rig(tmp_path)
    recording(tmp_path / "run.csv", frames=400)
    rig.write()
    done = rig.run()
    assert done.returncode == 0
    bundle = json.loads(done.stdout.splitlines()[0])["bundle"]
    assert all(s.header.bundle.startswith(bundle) for s in rig.summaries())
