"""One device, one broker, one consumer, and a ledger of what was sealed: the stage of `test_faults`.

The device is the real one (spool on disk, courier, link) in this process, so that its clocks and its disk are ours; the
broker is a process; the consumer writes a real store. Its one rule: a row is in the ledger once its commit returned.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from cloud_trainer.ingest import view
from cloud_trainer.ingest.consumer import Consumer
from cloud_trainer.workspace import Workspace
from edge_runtime.spool import SpoolWorker
from edge_runtime.transport import Courier, MqttLink
from tests.durability.content import ROWS, draft_of, made_of
from tests.durability.device import ROOM, open_courier, open_link, open_worker
from tests.durability.rig import BrokerChild
from tests.sim.clock import SimClock

Row = tuple[str, int, int]
"""(epoch, window, time_ms)."""
START_MS = 1_700_000_000_000


@dataclass(slots=True)
class World:
    """Life: `with World(folder, broker) as w`, then faults and `settle`."""

    folder: Path
    broker_name: str
    ledger: set[Row] = field(default_factory=set)
    clock: SimClock = field(default_factory=SimClock)
    wall_ms: int = START_MS
    max_bytes: int = ROOM
    made: int = 0
    broker: BrokerChild = field(init=False)
    consumer: Consumer = field(init=False)
    worker: SpoolWorker = field(init=False)
    link: MqttLink = field(init=False)
    courier: Courier = field(init=False)

    def __enter__(self) -> World:
        self.disk.mkdir(parents=True, exist_ok=True)
        self.broker = BrokerChild(self.broker_name, self.folder)
        self.broker.start()
        self.consumer = Consumer(
            self.ws.tables, "127.0.0.1", self.broker.port, shared=self.broker.shares, commit_s=0.02
        )  # fmt: skip
        self.consumer._client._reconnect_min_delay = 0.05  # type: ignore[assignment]
        self.consumer._client._reconnect_max_delay = 0.05  # type: ignore[assignment]
        self.consumer.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.consumer.stop()
        self.broker.kill()

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def ws(self) -> Workspace:
        return Workspace(self.folder / "ws")

    # ---- the device

    def start(self) -> None:
        """The device starts on what its disk holds."""
        self.worker = open_worker(self.disk, max_bytes=self.max_bytes, now_ms=lambda: self.wall_ms)
        self.link = open_link(self.broker.port, clock=self.clock, longest_wait_s=60.0)
        self.courier = open_courier(self.link, self.worker, clock=self.clock)
        self.made = made_of(self.worker.checkpoints)

    def stop(self) -> None:
        """It stops in good order."""
        self.link.close(0.0)
        self.worker.stop()

    def submit(self, rows: int = ROWS) -> list[Row]:
        """Hand the next batch to the spool; its rows."""
        epoch, first = self.worker.epoch, self.made
        draft = draft_of(epoch, first, rows=rows, time_ms=self.wall_ms)
        self.made += rows
        assert self.worker.submit([draft], {"made": b"%d" % self.made}, wait_s=10)
        new = [(str(epoch), first + i, self.wall_ms) for i in range(rows)]
        self.wall_ms += 1000
        return new

    def make(self, batches: int, *, rows: int = ROWS) -> None:
        """Seal so many; they are on disk and in the ledger at return."""
        new = [row for _ in range(batches) for row in self.submit(rows)]
        self.worker.flush()
        self.ledger.update(new)

    def submit_to_ledger(self) -> None:
        """As `make` of one, without waiting for the disk."""
        self.ledger.update(self.submit())

    def step(self, seconds: float = 0.1) -> None:
        """One step of the device's network, and so much virtual time."""
        self.clock.advance(seconds)
        self.courier.step(0.002)

    def settle(self, timeout_s: float = 60.0) -> None:
        """Until the store has acknowledged all that the device holds."""
        end = time.monotonic() + timeout_s
        while not self.courier.is_drained():
            self.step()
            assert time.monotonic() < end, f"not drained: {self.link.trouble}"
        self.worker.flush()
        assert self.worker.take(9, 0) == []

    # ---- the store

    def stored(self) -> list[Row]:
        """All rows of the view."""
        rows = view.sql(self.ws, 'select epoch, "window", time_ms from records').fetchall()
        return [(str(epoch), int(window), int(ms)) for epoch, window, ms in rows]

    def gap_rows(self) -> int:
        """Rows that gap events name."""
        query = "select coalesce(sum(json_extract(fields, '$.rows')::bigint), 0) from events where kind = 'gap'"
        return int(view.sql(self.ws, query).fetchall()[0][0])

    def unnamed(self) -> int:
        """Numbers of the device that are neither in a table nor inside a gap."""
        seqs = " union all ".join(f"select seq from {name}" for name in ("records", "events"))
        have = {int(seq) for (seq,) in view.sql(self.ws, seqs).fetchall()}
        ends = "json_extract(fields, '$.first_seq')::bigint, json_extract(fields, '$.last_seq')::bigint"
        gaps = view.sql(self.ws, f"select {ends} from events where kind = 'gap'").fetchall()
        named = {seq for first, last in gaps for seq in range(int(first), int(last) + 1)}
        return len(set(range(1, self.worker.last_seq + 1)) - have - named)
