"""The sitting: a device, a broker and consumers as processes, SIGKILLed at random moments; then the store is counted.

Its one rule: nothing is asked of a process that was killed. What was made is read from the device's own disk at the
end, what arrived from the reading view.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloud_trainer.ingest import broker as brokers
from cloud_trainer.ingest import view
from cloud_trainer.workspace import Workspace
from edge_runtime.spool import Spool
from tests.durability.content import gap_event, made_of
from tests.spool.common import until

ROOT = Path(__file__).parents[2]
PART = {"device": ("device",), "broker": ("broker",), "consumer": ("consumer",), "dark": ("consumer", "broker")}
"""Which processes an event kills, in this order; `dark`: the broker dies while no consumer is there."""


def events(kills: int) -> list[str]:
    """So many kills of each process, half of the broker's and the consumer's in the dark."""
    return ["device"] * kills + [event for event in PART if event != "device"] * ((kills + 1) // 2)


@dataclass(frozen=True, slots=True)
class Count:
    """What a sitting made and what the store has of it."""

    made: int
    lost: int
    duplicated: int
    left: int  # batches that the device still holds
    gaps: int  # rows that gap events name
    kills: Counter[str]


class Child:
    """A process that says `ready`, may be killed at any time, and is started again the same way."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return when it is ready."""
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.line() == "ready"

    def line(self) -> str:
        """What it says next."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close_input(self) -> None:
        """Tell it to come to its end."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()

    def lives(self) -> bool:
        """It was not killed and did not end by itself."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL of it and of all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()


def lasting_port(choose: random.Random) -> int:
    """A free one that the kernel gives to nobody else.

    Connecting to a port of its own range while nobody listens can end in a connection to itself, which holds the port.
    """
    while True:
        port = choose.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class BrokerChild(Child):
    """A broker on one port for the whole sitting; started again it knows nothing."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.port, self.shares = name, lasting_port(random.Random()), name == "mosquitto"
        template = brokers.MOSQUITTO if name == "mosquitto" else brokers.IOTCORE
        config = folder / ("mosquitto.conf" if name == "mosquitto" else "iotcore.toml")
        text = template.format(port=self.port, payload=brokers.MAX_PAYLOAD_BYTES, inflight=brokers.INFLIGHT)
        config.write_text(text, encoding="utf-8")
        program = brokers.mosquitto_program() or "-"
        super().__init__([sys.executable, "-P", str(brokers.PROGRAM), name, program, str(config)])

    def start(self) -> None:
        """Return when it takes connections."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert until(lambda: brokers._takes_connections("127.0.0.1", self.port), 20), f"{self.name} does not listen"
        assert self.lives(), f"another process listens on {self.port}"


@dataclass(slots=True)
class Sitting:
    """Life: `with Sitting(...) as s: s.kill_at_random(...); s.finish()`.

    Args:
        folder: All files below it.
        broker: "mosquitto" or "iotcore".
        variant: "right", or the name of a planted bug.
        consumers: How many share the work.
        seed: Of the random moments.
    """

    folder: Path
    broker: str
    variant: str = "right"
    consumers: int = 1
    seed: int = 1
    kills: Counter[str] = field(default_factory=Counter)
    _all: dict[str, list[Child]] = field(default_factory=dict)
    _random: random.Random = field(default_factory=random.Random)

    def __enter__(self) -> Sitting:
        self.disk.mkdir(parents=True)
        self._random.seed(self.seed)
        broker = BrokerChild(self.broker, self.folder)
        port, run = str(broker.port), [sys.executable, "-m"]
        consumer = [*run, "tests.durability.consumer", self.variant, str(self.ws.root), port,
                    "shared" if broker.shares else "alone"]  # fmt: skip
        device = [*run, "tests.durability.device", self.variant, str(self.disk), port]
        self._all = {
            "broker": [broker],
            "consumer": [Child([*consumer, f"c{i}"]) for i in range(self.consumers)],
            "device": [Child(device)],
        }
        self.start("broker", "consumer", "device")
        return self

    def __exit__(self, *_: object) -> None:
        for children in self._all.values():
            for child in children:
                child.kill()

    @property
    def ws(self) -> Workspace:
        """Of the consumers."""
        return Workspace(self.folder / "ws")

    @property
    def disk(self) -> Path:
        """Of the device."""
        return self.folder / "device"

    def start(self, *parts: str) -> None:
        """All of these."""
        for part in parts:
            for child in self._all[part]:
                child.start()

    def kill_at_random(self, events: Sequence[str], *, within_s: float = 0.4) -> None:
        """The events (of `PART`), shuffled, each at a random moment after what was killed before is back."""
        for event in self._random.sample(list(events), len(events)):
            victims = {part: self._random.choice(self._all[part]) for part in PART[event]}
            for part, victim in victims.items():
                threading.Event().wait(self._random.uniform(0.0, within_s))  # the random moment is the point
                assert victim.lives(), f"{part} ended by itself"
                victim.kill()
                self.kills[part] += 1
            for victim in reversed(victims.values()):
                victim.start()

    def finish(self) -> Count:
        """The device makes no more and waits for the store; then both are counted."""
        [device] = self._all["device"]
        device.close_input()
        assert device.line().startswith("drained")
        for part in self._all:
            for child in self._all[part]:
                child.kill()
        return count(self.ws, self.disk, kills=self.kills)


def count(ws: Workspace, disk: Path, *, kills: Counter[str] | None = None) -> Count:
    """Numbers of records made, by the device's disk, against those in the view."""
    with Spool.open(disk / "spool.db", max_bytes=1 << 30, gap=gap_event) as spool:
        made, left = made_of(spool.checkpoints()), len(spool.pending(1 << 20))
    found = 'select count(*), count(distinct "window"), coalesce(max("window"), -1) from records'
    rows, distinct, last = view.sql(ws, found).fetchall()[0]
    gaps = "select coalesce(sum(json_extract(fields, '$.rows')::bigint), 0) from events where kind = 'gap'"
    assert last < made, f"the store has window {last}, the device made {made}"
    return Count(
        made=made, lost=made - distinct, duplicated=rows - distinct, left=left,
        gaps=int(view.sql(ws, gaps).fetchall()[0][0]), kills=kills or Counter(),
    )  # fmt: skip
