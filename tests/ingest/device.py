"""A device as the store sees it: sends sealed batches, sends them again until the application names each."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from edge_runtime.contract.records import RecordBatch
from tests.ingest.mqtt import Client
from tests.ingest.samples import SITE, STREAM

RESEND_S = 0.3


class Device:
    """Keeps each batch until an ack names exactly it; `run()` sends what is left until nothing is."""

    def __init__(self, name: str, epoch: int, batches: Iterable[RecordBatch]) -> None:
        self.name, self.epoch = name, epoch
        self.kept: dict[tuple[int, int], bytes] = {}
        self.made: list[tuple[str, str, int]] = []
        self.client: Client | None = None
        self._changed = threading.Condition()
        for batch in batches:
            self.add(batch)

    def add(self, batch: RecordBatch) -> None:
        """Seal one more batch."""
        with self._changed:
            self.kept[batch.first_seq, batch.last_seq] = batch.to_bytes()
        self.made += [(self.name, str(self.epoch), seq) for seq in range(batch.first_seq, batch.last_seq + 1)]

    def connect(self, port: int) -> None:
        """Connect to the broker there; again after it came back on another port."""
        self.disconnect()
        self.client = Client(port, self.name, topics=(topics.down(SITE, self.name, "ack"),))
        self.client.paho.on_message = lambda _c, _u, message: self.on_ack(bytes(message.payload))
        while not self.client.arrived.empty():
            self.on_ack(self.client.arrived.get().payload)

    def disconnect(self) -> None:
        """Drop the connection, if there is one."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def on_ack(self, payload: bytes) -> None:
        """Delete what the application names."""
        ack = Ack.from_bytes(payload)
        if ack.epoch == self.epoch:
            self.delete(ack.ranges)

    def delete(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Forget exactly these batches."""
        with self._changed:
            for named in ranges:
                self.kept.pop(named, None)
            self._changed.notify_all()

    def send(self) -> None:
        """Send every batch that is kept, once; returns when the broker has them."""
        assert self.client is not None
        for named, payload in list(self.kept.items()):
            self.client.publish(topics.up(SITE, self.name, "rec", STREAM), payload)
            self.on_puback(named)

    def on_puback(self, named: tuple[int, int]) -> None:
        """The broker has it. That is no reason to delete it."""

    def is_done(self, within_s: float) -> bool:
        """Whether nothing is kept any more, at the latest after so long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.kept, timeout=within_s)
