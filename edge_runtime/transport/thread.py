"""The link's thread, and the watchdog over it. One rule: no step of the network may end or stop the sending for good.

A thread that died, or hangs in one step for longer than a step may take, is replaced by a new one with a new courier
and a new link. What the old one had under way is sent again; acknowledgements are by name, so it does no harm if it
wakes up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edge_runtime.errors import TransportError
from edge_runtime.lean import dataclass, field
from edge_runtime.transport.courier import Courier
from edge_runtime.transport.port import Letter, Link

PATIENCE_S = 45.0
"""Longer than a step takes at worst: looking up the name, TCP and the TLS handshake, each to its time-out."""

REST_S = 5.0
"""A thread that dies again and again is replaced so often."""

MOST_STUCK = 8
"""Threads that hang; no thread can be ended from outside, and each keeps its stack."""


@dataclass(slots=True)
class _Run:
    """One thread with what it alone uses."""

    courier: Courier
    link: Link
    began_at: float
    beat_at: float  # of its last finished step [s of the clock]
    thread: threading.Thread = field(default_factory=threading.Thread)
    failure: str = ""


class LinkThread:
    """Life: `start` -> `watch` now and then, `wait_drained` where wished -> `stop`.

    Args:
        make: A new courier and its link; called by whoever calls `start` and `watch`.
        step_s: Longest wait of one step: how late a fresh batch goes out at most [s].
        clock: Monotonic [s].

    Attributes:
        revivals: How often the watchdog replaced the thread; grows.
    """

    def __init__(
        self,
        make: Callable[[], tuple[Courier, Link]],
        *,
        step_s: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._step_s, self._clock = make, step_s, clock
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._close_s = 2.0
        self._stuck: list[threading.Thread] = []
        self._run: _Run | None = None
        self.revivals = 0

    def start(self) -> None:
        """Begin; does not wait for the broker."""
        courier, link = self._make()
        now = self._clock()
        run = self._run = _Run(courier, link, now, now)
        run.thread = threading.Thread(target=self._main, args=(run,), name="el-link", daemon=True)
        run.thread.start()

    def watch(self) -> str:
        """Why the thread was replaced just now; "" where all is well. Call it every few seconds.

        Raises:
            TransportError: `MOST_STUCK` threads hang.
        """
        run, now = self._run, self._clock()
        if run is None or self._stopping.is_set():
            return ""
        if run.thread.is_alive():
            if now - run.beat_at < PATIENCE_S:
                return ""
            why = f"no step in {now - run.beat_at:.0f} s"
            self._stuck = [thread for thread in (*self._stuck, run.thread) if thread.is_alive()]
            if len(self._stuck) > MOST_STUCK:
                raise TransportError(
                    f"link: {len(self._stuck)} threads hang", hint="look at the name server, start anew"
                )
        elif now - run.began_at < REST_S:
            return ""
        else:
            why = run.failure or "ended"
        self.revivals += 1
        self.start()
        return why

    def post(self, letter: Letter) -> None:
        """See `Courier.post`."""
        if self._run is not None:
            self._run.courier.post(letter)

    def announce(self) -> None:
        """See `Courier.announce`."""
        if self._run is not None:
            self._run.courier.announce()

    @property
    def trouble(self) -> str:
        """Why there is no connection, "" while there is one or one is being made."""
        return self._run.link.trouble if self._run else ""

    def session(self) -> int:
        """See `Link`."""
        return self._run.link.session() if self._run else 0

    def wait_drained(self, timeout_s: float) -> bool:
        """True once the store has acknowledged all that was committed before; False after the time-out."""
        self._drained.clear()
        return self._drained.wait(timeout_s)

    def stop(self, timeout_s: float = 15.0) -> None:
        """Say goodbye and end. TransportError if it takes longer than the time-out."""
        self._stopping.set()
        if self._run is None:
            return
        self._run.thread.join(timeout_s)
        if self._run.thread.is_alive():
            raise TransportError(f"link: did not stop in {timeout_s:g} s", hint="look at the network")

    def _main(self, run: _Run) -> None:
        try:
            while run is self._run and not self._stopping.is_set():
                run.courier.step(self._step_s)
                run.beat_at = self._clock()
                if run.courier.is_drained():
                    self._drained.set()
            run.link.close(self._close_s if run is self._run else 0.0)
        except BaseException as error:  # told by the watchdog
            run.failure = f"{type(error).__name__}: {error}"
