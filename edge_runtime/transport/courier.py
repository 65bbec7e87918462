"""The courier: what is in flight between spool and store, as plain state; its ports are handed in.

One rule: a batch leaves the spool only when the store names exactly it (epoch, first..last) on `ack`. A
broker's PUBACK says nothing about the store, and a watermark says too much: with several consumers a later
batch may be committed first. The wait for an acknowledgement follows what it took of late: a store that is slow
must not get each batch many times over, and be slower yet. Source: RFC 6298, "Computing TCP's Retransmission
Timer", 2011; a batch that was sent again counts from its first sending.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from edge_runtime.errors import ContractError, TransportError
from edge_runtime.lean import Protocol, dataclass
from edge_runtime.spool.values import Sealed
from edge_runtime.transport.port import Letter, Link, Message

TAKE = 16
"""Batches asked of the spool at a time."""


class SpoolPort(Protocol):
    """What the courier needs of `SpoolWorker`."""

    last_seq: int

    def take(self, limit: int, after_seq: int) -> list[Sealed]:
        """At most `limit` committed batches after `after_seq`; TransportError without an answer in time."""
        ...

    def acked(self, epoch: int, ranges: Iterable[tuple[int, int]]) -> None:
        """Remove the batches named exactly."""
        ...


@dataclass(slots=True)
class _Flight:
    letter: Letter
    epoch: int
    last_seq: int
    sent_at: float  # first, over this connection [s of the clock]
    due_at: float  # when to send again [s of the clock]
    tries: int = 1


class Courier:
    """Call `step` for ever; one thread. `post`, `announce`, `is_drained` may be called from others.

    Args:
        link: To the broker.
        spool: Where sealed batches wait.
        site: Site id.
        device: Device id.
        greeting: Gives the retained letters (birth, state) to send on each connection and after `announce`.
        on_desired: Called with the payload of each `desired` message, in the link's thread.
        clock: Monotonic [s].
        max_batches: In flight at most, 1...
        max_bytes: In flight at most, though one batch always may [bytes].
        resend_s: First wait for the store's acknowledgement at least; doubles with each try [s].
        resend_cap_s: Longest wait [s].
        max_posts: Letters that may wait in `post`.

    Attributes:
        dropped_posts: Letters that `post` found no place for, or no connection; grows.
        bad_messages: Messages down that broke their format; grows.
    """

    def __init__(
        self,
        link: Link,
        spool: SpoolPort,
        *,
        site: str,
        device: str,
        greeting: Callable[[], Sequence[Letter]],
        on_desired: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
        max_batches: int = 64,
        max_bytes: int = 256 * 1024,
        resend_s: float = 20.0,
        resend_cap_s: float = 300.0,
        max_posts: int = 256,
    ) -> None:
        self._link, self._spool, self._site, self._device = link, spool, site, device
        self._greeting, self._on_desired, self._clock = greeting, on_desired, clock
        self._max_batches, self._max_bytes = max_batches, max_bytes
        self._resend_s, self._resend_cap_s = resend_s, resend_cap_s
        self._handlers = {
            topics.down(site, device, "ack"): self._on_ack,
            topics.down(site, device, "desired"): on_desired,
        }
        self._flights: dict[int, _Flight] = {}  # by first_seq, ascending
        self._flight_bytes = 0
        self._after_seq = 0  # all up to here was sent at least once, or is no longer there
        self._session = 0
        self._trip_s = self._spread_s = 0.0  # of an acknowledgement, smoothed; 0: none came yet
        self._greetings: deque[Letter] = deque()
        self._announce = False
        self._posts: deque[Letter] = deque()
        self._max_posts = max_posts
        self.dropped_posts = 0
        self.bad_messages = 0

    # ---- from any thread

    def post(self, letter: Letter) -> None:
        """Send soon if the link is up, else drop and count. For what need not arrive, such as `dec`."""
        if len(self._posts) < self._max_posts:
            self._posts.append(letter)
        else:
            self.dropped_posts += 1

    def announce(self) -> None:
        """Send the greeting again: birth or state has changed."""
        self._announce = True

    def is_drained(self) -> bool:
        """All that the spool has committed was acknowledged by the store."""
        return not self._flights and self._after_seq >= self._spool.last_seq

    # ---- the link's thread

    def step(self, timeout_s: float = 0.2) -> None:
        """Wait at most `timeout_s` for messages, act on them, then send what may be sent."""
        for message in self._link.receive(timeout_s):
            self._handle(message)
        session = self._link.session()
        if session == 0:
            self._session = 0
            self._drop_posts()
            return
        if session != self._session:
            self._begin(session)
        if self._announce:
            self._announce = False
            self._greetings = deque(self._greeting())
        if self._send_queue(self._greetings) and self._resend() and self._send_queue(self._posts):
            self._send_new()

    def _handle(self, message: Message) -> None:
        handler = self._handlers.get(message.topic)
        if handler is None:
            self.bad_messages += 1
            return
        try:
            handler(message.payload)
        except ContractError:
            self.bad_messages += 1

    def _on_ack(self, payload: bytes) -> None:
        ack = Ack.from_bytes(payload)
        now, oldest = self._clock(), None
        for first, last in ack.ranges:
            flight = self._flights.get(first)
            if flight is not None and (flight.epoch, flight.last_seq) == (ack.epoch, last):
                self._flight_bytes -= len(flight.letter.payload)
                del self._flights[first]
                oldest = flight.sent_at if oldest is None else min(oldest, flight.sent_at)
        # Also what is not in flight: after a restart the store's word may come before our sending.
        self._spool.acked(ack.epoch, ack.ranges)
        if oldest is not None:
            self._learn(now - oldest)
        for flight in self._flights.values():  # a consumer lives: no reason to wait long for the others
            flight.tries = 1
            flight.due_at = min(flight.due_at, now + self._wait_s())

    def _learn(self, trip_s: float) -> None:
        trip_s = min(trip_s, self._resend_cap_s)
        if self._trip_s:
            self._spread_s += (abs(trip_s - self._trip_s) - self._spread_s) / 4
            self._trip_s += (trip_s - self._trip_s) / 8
        else:
            self._trip_s, self._spread_s = trip_s, trip_s / 2

    def _wait_s(self) -> float:
        """For the first acknowledgement of a batch."""
        margin_s = max(4 * self._spread_s, self._trip_s / 2)
        return min(self._resend_cap_s, max(self._resend_s, self._trip_s + margin_s))

    def _begin(self, session: int) -> None:
        self._session = session
        self._greetings = deque(self._greeting())
        now = self._clock()
        for flight in self._flights.values():
            flight.sent_at, flight.due_at, flight.tries = now, now, 0

    def _drop_posts(self) -> None:
        self.dropped_posts += len(self._posts)
        self._posts.clear()

    def _send_queue(self, letters: deque[Letter]) -> bool:
        while letters:
            if not self._link.send(letters[0]):
                return False
            letters.popleft()
        return True

    def _resend(self) -> bool:
        """Send again what is overdue; on a slow link only once the broker took what it was given before."""
        now = self._clock()
        overdue = [flight for flight in self._flights.values() if flight.due_at <= now]
        if overdue and all(flight.tries for flight in overdue) and self._link.backlog():
            return True
        for flight in overdue:
            if not self._link.send(flight.letter):
                return False
            flight.due_at = now + min(self._resend_cap_s, self._wait_s() * 2.0**flight.tries)
            flight.tries = min(flight.tries + 1, 16)
        return True

    def _send_new(self) -> None:
        room = self._max_batches - len(self._flights)
        high = self._spool.last_seq
        if room <= 0 or self._flight_bytes >= self._max_bytes or high <= self._after_seq:
            return
        try:
            batches = self._spool.take(min(room, TAKE), self._after_seq)
        except TransportError:  # the disk is slow: the next step asks again
            return
        if not batches:
            self._after_seq = high  # acknowledged or given up before it was sent
        for batch in batches:
            if self._flights and self._flight_bytes + len(batch.payload) > self._max_bytes:
                return
            topic = topics.up(self._site, self._device, batch.kind, batch.stream)
            letter = Letter(topic=topic, payload=batch.payload)
            if not self._link.send(letter):
                return
            now = self._clock()
            self._flights[batch.first_seq] = _Flight(
                letter=letter, epoch=batch.epoch, last_seq=batch.last_seq, sent_at=now, due_at=now + self._wait_s()
            )
            self._flight_bytes += len(batch.payload)
            self._after_seq = batch.last_seq
