"""A broker with a consumer and a store behind it, in virtual time; every message has the fate that the test gave it.

What a fate may do is what brokers, networks and consumers do: lose after PUBACK, repeat, delay, and answer for another
epoch or for rows that are not a batch. Without a given fate all goes well, so every plan heals in the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from edge_runtime.errors import TransportError
from edge_runtime.spool import Sealed
from edge_runtime.transport import Letter, Message
from tests.sim.clock import SimClock

UP = ("ok", "lost", "twice", "late", "stale", "partial", "wide")
"""Fates of a batch: to the store, lost after PUBACK, twice, after 30 s; the last three are lost, and an ack comes that
names another epoch, a part of the batch, or more than it."""

DOWN = ("ok", "lost", "twice", "late", "garbled")
"""Fates of an ack: delivered, lost, twice, after 45 s, with broken bytes."""

Name = tuple[int, int, int]
"""(epoch, first_seq, last_seq): the identity of a batch."""


def payload_of(name: Name) -> bytes:
    """A payload that says its identity, as every real one does."""
    return b"%d %d %d" % name


def name_of(payload: bytes) -> Name:
    """The identity in a payload of `payload_of`."""
    epoch, first, last = payload.split()
    return int(epoch), int(first), int(last)


@dataclass
class SimSpool:
    """A `SpoolPort` that keeps account: what was deleted before the store had it stands in `lost`."""

    epoch: int
    store: set[Name]
    busy: Iterator[bool] = field(default_factory=lambda: iter(()))
    last_seq: int = 0
    batches: dict[int, Sealed] = field(default_factory=dict)
    sealed: set[Name] = field(default_factory=set)
    lost: list[Name] = field(default_factory=list)

    def seal(self, rows: int) -> None:
        """A new batch."""
        first, self.last_seq = self.last_seq + 1, self.last_seq + rows
        name = (self.epoch, first, self.last_seq)
        self.sealed.add(name)
        self.batches[first] = Sealed(
            epoch=self.epoch, first_seq=first, last_seq=self.last_seq, kind="rec", stream="s",
            payload=payload_of(name), sealed_ms=0,
        )  # fmt: skip

    def take(self, limit: int, after_seq: int) -> list[Sealed]:
        """See `SpoolPort`; a busy disk answers late."""
        if next(self.busy, False):
            raise TransportError("busy")
        return [batch for first, batch in sorted(self.batches.items()) if first > after_seq][:limit]

    def acked(self, epoch: int, ranges: Iterable[tuple[int, int]]) -> None:
        """As the real one: exact."""
        for first, last in ranges:
            batch = self.batches.get(first)
            if epoch == self.epoch and batch and batch.last_seq == last:
                del self.batches[first]
                if (epoch, first, last) not in self.store:
                    self.lost.append((epoch, first, last))


class SimLink:
    """A `Link` to a broker that forgets all when the connection is cut, as mosquitto without persistence."""

    def __init__(
        self, clock: SimClock, *, site: str, device: str, up: Iterable[str] = (), down: Iterable[str] = ()
    ) -> None:
        self.clock, self.store, self.seen = clock, set[Name](), list[Letter]()
        self.pubacked: deque[Letter] = deque()
        self._ack_topic = topics.down(site, device, "ack")
        self._up, self._down = iter(up), iter(down)
        self._session, self._sessions, self._untaken = 1, 1, 0
        self._inbox: deque[Message] = deque()
        self.queue, self.trouble = 64, ""
        self.commit_after_s = 0.05

    # Link

    def receive(self, timeout_s: float) -> list[Message]:
        """Let time pass."""
        self.clock.advance(timeout_s)
        messages = list(self._inbox)
        self._inbox.clear()
        return messages

    def send(self, letter: Letter) -> bool:
        """Take it with the fate that is next."""
        if not self._session or self._untaken >= self.queue:
            return False
        session = self._session
        self.seen.append(letter)
        if letter.qos:
            self._untaken += 1
            self.clock.at(0.02, lambda: self._arrive(letter, session))
        return True

    def session(self) -> int:
        """See `Link`."""
        return self._session

    def backlog(self) -> int:
        """See `Link`."""
        return self._untaken

    def close(self, timeout_s: float) -> None:
        """End."""
        self._session = 0

    # the other side

    def cut(self, for_s: float) -> None:
        """The connection breaks: what is under way is gone, acks too."""
        self._session, self._untaken = 0, 0
        self._inbox.clear()
        self.clock.at(for_s, self._connect)

    def deliver(self, message: Message) -> None:
        """Something comes down."""
        if self._session:
            self._inbox.append(message)

    def _connect(self) -> None:
        if not self._session:
            self._sessions += 1
            self._session = self._sessions

    def _arrive(self, letter: Letter, session: int) -> None:
        if session != self._session:
            return
        self._untaken -= 1
        self.pubacked.append(letter)
        if "/rec/" not in letter.topic:
            return
        name = name_of(letter.payload)
        epoch, first, last = name
        fate = next(self._up, "ok")
        if fate in ("ok", "twice"):
            self.clock.at(self.commit_after_s, lambda: self._commit(name))
        if fate == "twice":
            self.clock.at(0.5, lambda: self._commit(name))
        if fate == "late":
            self.clock.at(30.0, lambda: self._commit(name))
        if fate == "stale":
            self._ack(epoch ^ 1, [(first, last)])
        if fate == "partial" and last > first:
            self._ack(epoch, [(first, last - 1), (first + 1, last)])
        if fate == "wide":
            wider = {(1, last), (first, last + 1), (max(1, first - 1), last)}
            self._ack(epoch, sorted(wider - {(first, last)}))

    def _commit(self, name: Name) -> None:
        self.store.add(name)
        self._ack(name[0], [name[1:]])

    def _ack(self, epoch: int, ranges: Sequence[tuple[int, int]]) -> None:
        message = Message(topic=self._ack_topic, payload=Ack(epoch=epoch, ranges=tuple(ranges)).to_bytes())
        fate = next(self._down, "ok")
        if fate == "garbled":
            message = Message(topic=self._ack_topic, payload=message.payload[:-3])
        if fate != "lost":
            self.clock.at(45.0 if fate == "late" else 0.05, lambda: self.deliver(message))
        if fate == "twice":
            self.clock.at(1.0, lambda: self.deliver(message))
