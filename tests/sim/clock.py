"""Virtual time: stands still until it is moved."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class SimClock:
    """A clock [s] with things to do at given times; `clock()` reads it, as `time.monotonic` would."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self._ids = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now_s

    def at(self, delay_s: float, do: Callable[[], None]) -> None:
        """Do it `delay_s` from now, in order of time, then of asking."""
        heapq.heappush(self._due, (self.now_s + delay_s, next(self._ids), do))

    def advance(self, seconds: float) -> None:
        """Move on, doing what falls due on the way."""
        end = self.now_s + seconds
        while self._due and self._due[0][0] <= end:
            self.now_s, _, do = heapq.heappop(self._due)
            do()
        self.now_s = end
