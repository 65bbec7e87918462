"""Frame times of a source that is asked rather than waited for. One rule: frame k is due at start + k / rate, always.

Lateness does not add up; who comes late gets one frame over the longer time, never a burst.
"""

from __future__ import annotations

import math
import threading
import time


def next_slot(slot: int, elapsed_s: float, *, rate_hz: float) -> int:
    """The number of the next frame time, which is `number / rate_hz` after the start: never two in one period.

    Args:
        slot: The last one served.
        elapsed_s: Time since the start [s].
        rate_hz: Frames per second.

    Returns:
        `slot + 1`, or, if its time is over by a whole period and more, the latest slot that is due.
    """
    return max(slot + 1, math.floor(elapsed_s * rate_hz))


class Pace:
    """Waits for one frame time after another.

    Attributes:
        missed: Frame times that were over before anybody waited for them; grows.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz, self._slot = rate_hz, 0
        self._start_s = -1.0  # the clock runs from the first wait
        self._stopped = threading.Event()
        self.missed = 0

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def wait(self) -> bool:
        """True at the next frame time, False when stopped."""
        if self._start_s < 0:
            self._start_s = time.monotonic()
        slot = next_slot(self._slot, time.monotonic() - self._start_s, rate_hz=self._rate_hz)
        due_s = self._start_s + slot / self._rate_hz
        while (wait_s := due_s - time.monotonic()) > 0:
            if self._stopped.wait(wait_s):
                return False
        self.missed += slot - self._slot - 1
        self._slot = slot
        return not self._stopped.is_set()

    def stop(self) -> None:
        """Make `wait` return False, now and from now on; from any thread."""
        self._stopped.set()
