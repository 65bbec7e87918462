"""What a stream lost, told sparingly. One rule: pure.

An event is a row of the spool, so there is one a period at most: the first loss of a kind is told at once, what
follows with the end of a period.
"""

from __future__ import annotations

from collections.abc import Mapping


class Losses:
    """Counters that grow, and what of them was told."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._known: set[str] = set()

    def news(self, counts: Mapping[str, int], *, period_ends: bool) -> dict[str, int]:
        """What to tell now: by name, how many more than when it was told last; {} for nothing."""
        new = {name: n - self._told.get(name, 0) for name, n in counts.items() if n > self._told.get(name, 0)}
        if not period_ends and new.keys() <= self._known:
            return {}
        self._told.update(counts)
        self._known.update(new)
        return new
