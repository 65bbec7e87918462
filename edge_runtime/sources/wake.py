"""What ends a wait for bytes: a pipe to oneself. One rule: set once, from any thread, and never unset."""

from __future__ import annotations

import os
import select
from _thread import allocate_lock  # threading's own lock, without threading: a process that only decides has none


class Wake:
    """Makes a `poll` return: set once, from any thread."""

    def __init__(self) -> None:
        self._ends: tuple[int, ...] = os.pipe()
        self._lock = allocate_lock()
        self.is_set = False

    def set(self) -> None:
        """From now on `wait` gives False."""
        with self._lock:
            was_set, self.is_set = self.is_set, True  # before the byte: who wakes up must see it
            if not was_set and self._ends:
                os.write(self._ends[1], b"x")

    def wait(self, descriptor: int, timeout_s: float | None = None) -> bool:
        """True when `descriptor` can be read or is at its end, False when set or when the time is over."""
        poll = select.poll()
        poll.register(self._ends[0], select.POLLIN)
        poll.register(descriptor, select.POLLIN | select.POLLPRI)
        found = poll.poll(None if timeout_s is None else timeout_s * 1000)
        return not self.is_set and bool(found)

    def close(self) -> None:
        """Close the pipe; set it first."""
        self.set()
        with self._lock:
            ends, self._ends = self._ends, ()
        for end in ends:
            os.close(end)
