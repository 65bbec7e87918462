"""Couriers with a planted bug. The property of `test_courier.py` must fail for each."""

from __future__ import annotations

from edge_runtime.contract.ack import Ack
from edge_runtime.transport import Courier
from tests.sim.broker import SimLink, SimSpool, name_of


class DeleteOnPuback(Courier):
    """Takes the broker's PUBACK for the store's word."""

    def step(self, timeout_s: float = 0.2) -> None:
        super().step(timeout_s)
        assert isinstance(self._link, SimLink)
        while self._link.pubacked:
            letter = self._link.pubacked.popleft()
            if "/rec/" in letter.topic:
                epoch, first, last = name_of(letter.payload)
                super()._on_ack(Ack(epoch=epoch, ranges=((first, last),)).to_bytes())


class AckByWatermark(Courier):
    """Takes an ack for all that came before it."""

    def _on_ack(self, payload: bytes) -> None:
        high = max(last for _, last in Ack.from_bytes(payload).ranges)
        ranges = tuple((f, flight.last_seq) for f, flight in self._flights.items() if flight.last_seq <= high)
        if ranges:
            super()._on_ack(Ack(epoch=Ack.from_bytes(payload).epoch, ranges=ranges).to_bytes())


class AckByOverlap(Courier):
    """Takes an ack for every batch that it touches."""

    def _on_ack(self, payload: bytes) -> None:
        ack = Ack.from_bytes(payload)
        ranges = tuple(
            (first, flight.last_seq)
            for first, flight in self._flights.items()
            if any(first <= b and a <= flight.last_seq for a, b in ack.ranges)
        )
        if ranges:
            super()._on_ack(Ack(epoch=ack.epoch, ranges=ranges).to_bytes())


class AnyEpoch(Courier):
    """Does not look at the epoch."""

    def _on_ack(self, payload: bytes) -> None:
        assert isinstance(self._spool, SimSpool)
        super()._on_ack(Ack(epoch=self._spool.epoch, ranges=Ack.from_bytes(payload).ranges).to_bytes())


class SendOnce(Courier):
    """Trusts the broker to deliver: sends nothing again."""

    def _resend(self) -> bool:
        return True


class NeverLearns(Courier):
    """Waits the same for a slow store as for a fast one: loses nothing, and sends everything many times."""

    def _learn(self, trip_s: float) -> None:
        """Nothing."""


MUTANTS = (DeleteOnPuback, AckByWatermark, AckByOverlap, AnyEpoch, SendOnce)
