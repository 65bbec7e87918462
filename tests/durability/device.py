"""A device as a process: real spool, courier and link, making records until its standard input closes.

`python -m tests.durability.device VARIANT FOLDER PORT`. Records are numbered in the column `window`, and how many were
made is committed with them: whatever happens, numbers 0, 1, 2, ... must be in the store once each.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from edge_runtime.lean import uniform
from edge_runtime.spool import Spool, SpoolWorker
from edge_runtime.spool.worker import utc_ms
from edge_runtime.transport import Courier, Endpoint, LinkThread, MqttLink
from tests.durability.content import DEVICE, ROWS, SITE, draft_of, gap_event, greeting, made_of, says_offline

ROOM = 64 << 20
RESEND_S = 0.5
PACE_S = 0.01  # a batch: busy enough that a kill meets every stage


class DeletesOnPuback(Courier):
    """Planted: takes the broker's word for the store's."""

    def step(self, timeout_s: float = 0.2) -> None:
        super().step(timeout_s)
        if self._flights and self._link.session() and not self._link.backlog():
            for first, flight in list(self._flights.items()):
                self._on_ack(Ack(epoch=flight.epoch, ranges=((first, flight.last_seq),)).to_bytes())


class ObeysWatermarks(Courier):
    """Planted: the device that belongs to consumers which say "everything up to here"."""

    def _on_ack(self, payload: bytes) -> None:
        ack = Ack.from_bytes(payload)
        high = max(last for _, last in ack.ranges)
        ranges = tuple((first, flight.last_seq) for first, flight in self._flights.items() if flight.last_seq <= high)
        if ranges:
            super()._on_ack(Ack(epoch=ack.epoch, ranges=ranges).to_bytes())


COURIERS: dict[str, type[Courier]] = {"delete-on-puback": DeletesOnPuback, "watermark": ObeysWatermarks}


def open_worker(folder: Path, *, max_bytes: int = ROOM, now_ms: Callable[[], int] = utc_ms) -> SpoolWorker:
    """The spool's thread over `folder`, started."""
    worker = SpoolWorker(
        lambda: Spool.open(folder / "spool.db", max_bytes=max_bytes, gap=gap_event),
        commit_interval_s=0.02,
        now_ms=now_ms,
    )
    worker.start()
    return worker


def open_link(port: int, *, clock: Callable[[], float] = time.monotonic, longest_wait_s: float = 0.05) -> MqttLink:
    """To the broker of the rig."""
    return MqttLink(
        Endpoint(host="127.0.0.1", port=port, connect_timeout_s=2.0), client_id=f"el-{SITE}-{DEVICE}",
        subscriptions=(topics.down(SITE, DEVICE, "ack"),), will=says_offline, clock=clock,
        uniform=lambda low, high: min(longest_wait_s, uniform(low, high)),
    )  # fmt: skip


def open_courier(
    link: MqttLink, worker: SpoolWorker, *, variant: str = "right", clock: Callable[[], float] = time.monotonic
) -> Courier:
    """Between the two."""
    return COURIERS.get(variant, Courier)(
        link, worker, site=SITE, device=DEVICE, greeting=greeting, on_desired=lambda _: None, resend_s=RESEND_S,
        clock=clock,
    )  # fmt: skip


def main(variant: str, folder: Path, port: int) -> None:
    """Make, send, and say `drained` once told to stop making and the store has it all."""
    worker = open_worker(folder)

    def make() -> tuple[Courier, MqttLink]:
        link = open_link(port)
        return open_courier(link, worker, variant=variant), link

    thread = LinkThread(make, step_s=0.01)
    thread.start()
    stop = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    made = made_of(worker.checkpoints)
    print("ready", flush=True)
    while not stop.wait(PACE_S):
        draft, made = draft_of(worker.epoch, made), made + ROWS
        while not worker.submit([draft], {"made": b"%d" % made}, wait_s=10):
            pass
    worker.flush()
    while not thread.wait_drained(60):
        pass
    worker.flush()  # the acknowledgements too
    thread.stop()
    worker.stop()
    print(f"drained {made}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
