"""A network thread that dies or hangs is replaced in under a minute, and nothing is lost by it."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime.errors import TransportError
from edge_runtime.transport import Courier, Endpoint, Link, LinkThread, Message
from edge_runtime.transport.thread import MOST_STUCK, PATIENCE_S, REST_S
from tests.sim.broker import SimLink, SimSpool
from tests.sim.clock import SimClock
from tests.transport.child import greeting, make
from tests.transport.mosquitto import Consumer, Mosquitto, needs_mosquitto

EPOCH = 7


class Ill(SimLink):
    """Dies or hangs in `receive` once it is told to; hangs until the end of the test."""

    def __init__(self, store: set[tuple[int, int, int]], released: threading.Event) -> None:
        super().__init__(SimClock(), site="x", device="d")
        self.store, self.order, self._released = store, "", released
        self.hangs = threading.Event()

    def receive(self, timeout_s: float) -> list[Message]:
        if self.order == "die":
            raise SystemExit
        if self.order == "hang":
            self.hangs.set()
            self._released.wait(30)
        return super().receive(timeout_s)


class Stage:
    """A link thread over links that fall ill, one after another, and a spool that knows what was lost."""

    def __init__(self) -> None:
        self.clock, self.links = SimClock(), list[Ill]()
        self.released = threading.Event()
        self.store: set[tuple[int, int, int]] = set()
        self.spool = SimSpool(epoch=EPOCH, store=self.store)
        self.thread = LinkThread(self._make, step_s=0.01, clock=self.clock)

    def _make(self) -> tuple[Courier, Link]:
        link = Ill(self.store, self.released)
        self.links.append(link)
        courier = Courier(
            link, self.spool, site="x", device="d", greeting=list, on_desired=lambda _: None, clock=link.clock
        )
        return courier, link

    def falls_ill(self, order: str) -> None:
        """The present link does, and it is over with its thread at return."""
        link = self.links[-1]
        thread = self.thread._run.thread  # type: ignore[union-attr]
        link.order = order
        if order == "die":
            thread.join(10)
        else:
            assert link.hangs.wait(10)

    def seconds_to_revive(self) -> float:
        """Virtual, from now until the watchdog, asked every second, replaced the thread; at most 100."""
        begin = self.clock()
        while not self.thread.watch() and self.clock() - begin < 100:
            self.clock.advance(1.0)
        return self.clock() - begin


@contextmanager
def stage() -> Iterator[Stage]:
    one = Stage()
    one.thread.start()
    try:
        yield one
    finally:
        one.released.set()
        one.thread.stop()


@pytest.mark.parametrize("order", ["die", "hang"])
def test_a_thread_that_is_gone_is_replaced_in_under_a_minute(order: str) -> None:
    with stage() as one:
        one.clock.advance(10 * REST_S)
        one.spool.seal(3)
        assert one.thread.wait_drained(10)
        assert one.thread.watch() == ""
        for _ in range(3):
            one.falls_ill(order)
            one.spool.seal(3)
            assert not one.thread.wait_drained(0.05)
            assert one.seconds_to_revive() < 60
            assert one.thread.wait_drained(10)
        assert (one.spool.lost, one.spool.batches, one.thread.revivals) == ([], {}, 3)


@pytest.mark.planted
@pytest.mark.parametrize("order", ["die", "hang"])
def test_a_watchdog_that_sleeps_is_caught(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LinkThread, "watch", lambda _self: "")
    with stage() as one:
        one.falls_ill(order)
        assert one.seconds_to_revive() >= 60


def test_a_step_that_takes_long_is_left_alone() -> None:
    with stage() as one:
        one.falls_ill("hang")
        one.clock.advance(PATIENCE_S - 1)
        assert one.thread.watch() == ""
        assert len(one.links) == 1


def test_a_thread_that_dies_at_once_is_replaced_at_a_pace() -> None:
    with stage() as one:
        for _ in range(5):
            one.falls_ill("die")
            assert one.thread.watch() == ""
            assert one.seconds_to_revive() == REST_S
        assert len(one.links) == 6


def test_the_old_thread_ends_when_it_wakes_up() -> None:
    with stage() as one:
        old = one.thread._run.thread  # type: ignore[union-attr]
        one.falls_ill("hang")
        one.seconds_to_revive()
        one.released.set()
        old.join(10)
        assert not old.is_alive()
        assert one.links[0].session() == 0, "closed"


def test_threads_that_all_hang_are_an_error() -> None:
    with stage() as one:
        for _ in range(MOST_STUCK):
            one.falls_ill("hang")
            one.seconds_to_revive()
        one.falls_ill("hang")
        with pytest.raises(TransportError, match="9 threads hang"):
            one.seconds_to_revive()


@pytest.mark.system
@needs_mosquitto
def test_a_killed_thread_of_a_real_link_comes_back(tmp_path: Path) -> None:
    clock = SimClock()
    with Mosquitto(tmp_path) as broker:
        consumer = Consumer(broker.port)
        spool = SimSpool(epoch=EPOCH, store=consumer.committed)  # type: ignore[arg-type]

        def new() -> tuple[Courier, Link]:
            link = make(Endpoint(host="127.0.0.1", port=broker.port), subscriptions=("el/v1/x/d/ack",))
            return Courier(link, spool, site="x", device="d", greeting=greeting, on_desired=lambda _: None), link

        thread = LinkThread(new, step_s=0.01, clock=clock)
        thread.start()
        spool.seal(4)
        assert thread.wait_drained(10)
        for _ in range(2):
            clock.advance(2 * REST_S)
            victim = thread._run.thread  # type: ignore[union-attr]
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(victim.ident or 0), ctypes.py_object(SystemExit))
            victim.join(10)
            spool.seal(4)
            assert thread.watch() == "SystemExit: "
            assert thread.wait_drained(10)
        thread.stop()
        assert (spool.lost, spool.batches) == ([], {})
        consumer.close()
