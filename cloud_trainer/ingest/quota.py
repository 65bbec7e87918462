"""What a device may have stored: so many rows an hour, and a day's worth at once.

Its one rule: pure; time is handed in. A day's worth, because a device that was offline sends what it kept (a full spool
of 16 MiB is some 180,000 records) and must not be punished for it. What is over is set aside whole in `quarantine` and
acknowledged: it weighs in no statistic, and a device that floods does not send it again and again.
"""

from __future__ import annotations

BURST_HOURS = 24
REMEMBERED = 100_000  # devices; those with nothing used need no memory
HOUR_MS = 3_600_000


class Quota:
    """A bucket a device, full at first. Source: the token bucket of RFC 2697, 1999.

    Args:
        rows_hour: Rows of records, summaries and events together, 1...; 0 is no limit.

    Attributes:
        over_rows: Refused so far; grows.
    """

    def __init__(self, rows_hour: int) -> None:
        self.rows_hour = rows_hour
        self.over_rows = 0
        self._full = float(rows_hour * BURST_HOURS)
        self._left: dict[str, tuple[float, int]] = {}  # device -> rows it may have, and when that was so [UTC ms]

    def admits(self, device: str, rows: int, now_ms: int) -> bool:
        """Whether these rows are within the device's quota; they are used up then, and counted in `over_rows` else."""
        if not self.rows_hour:
            return True
        left = self._now(device, now_ms)
        is_within = rows <= left
        if is_within:
            left -= rows
        else:
            self.over_rows += rows
        self._left[device] = left, now_ms
        if len(self._left) > REMEMBERED:
            self._left = {name: self._left[name] for name in self._left if self._now(name, now_ms) < self._full}
        return is_within

    def _now(self, device: str, now_ms: int) -> float:
        left, at_ms = self._left.get(device, (self._full, now_ms))
        return min(self._full, left + max(0, now_ms - at_ms) * self.rows_hour / HOUR_MS)
