"""Ends a run that takes too long. One rule: a device that rests is not woken; the thread sleeps while nothing runs.

A timer a run would cost more than the run itself (a thread, 50 µs). This one thread looks at the clock when the run
that it slept over may be late, so a run costs two uncontended locks (1.4 µs), and none ends early.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watchdog:
    """Watches one run at a time.

    Attributes:
        limit_s: Of a run [s], > 0.
    """

    def __init__(self, limit_s: float) -> None:
        if not limit_s > 0:
            raise ValueError(f"limit_s: {limit_s} is not above 0")
        self.limit_s = limit_s
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] | None = None
        self._deadline = 0.0
        self._n_runs = 0
        self._is_late = self._is_asleep = self._is_closed = False

    def begin(self, stop: Callable[[], object], *, times: int = 1) -> None:
        """Let a run take `times` limits from now on; after that `stop` is called, in another thread."""
        with self._lock:
            self._stop, self._deadline = stop, time.monotonic() + times * self.limit_s
            self._n_runs += 1
            self._is_late = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            elif self._is_asleep:
                self._is_asleep = False
                self._wake.notify()

    def end(self) -> bool:
        """Watch no more; return whether the run was ended for being late."""
        with self._lock:
            is_late, self._is_late, self._stop = self._is_late, False, None
            return is_late

    def close(self) -> None:
        """Let the thread end."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()

    def _watch(self) -> None:
        with self._wake:
            while not self._is_closed:
                seen = self._n_runs
                if self._stop is not None and time.monotonic() >= self._deadline:
                    self._stop()
                    self._stop, self._is_late = None, True
                wait_s = self.limit_s  # whatever begins meanwhile may take as long
                if self._stop is not None:
                    wait_s = min(wait_s, self._deadline - time.monotonic())
                self._wake.wait(max(0.0, wait_s))
                while self._stop is None and self._n_runs == seen and not self._is_closed:
                    self._is_asleep = True
                    self._wake.wait()
                    self._is_asleep = False
