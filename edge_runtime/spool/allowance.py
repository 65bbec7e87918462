"""What each kind of batch may send: bytes a day, as a bucket that fills with time. Pure values.

One rule: a bucket holds a day's bytes at most and starts full, so a clock that jumps gives no more than one day.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_runtime.lean import Final, dataclass

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Bytes that are left, by kind; a kind that is not there has no limit.

    Attributes:
        limits: Bytes a day.
        left: Bytes that may go now.
        at_ms: When that was true [UTC ms].
    """

    limits: Mapping[str, int]
    left: Mapping[str, float]
    at_ms: int

    def at(self, now_ms: int) -> Allowance:
        """The same, filled up to now; a clock that was set back fills nothing."""
        share = min(1.0, max(0, now_ms - self.at_ms) / DAY_MS)
        left = {kind: min(limit, self.left[kind] + limit * share) for kind, limit in self.limits.items()}
        return Allowance(limits=self.limits, left=left, at_ms=now_ms)

    def less(self, kind: str, n_bytes: int) -> Allowance | None:
        """What is left after so many bytes of the kind; None where they are too many."""
        if kind not in self.limits:
            return self
        left = self.left[kind] - n_bytes
        return None if left < 0 else Allowance(limits=self.limits, left={**self.left, kind: left}, at_ms=self.at_ms)


def full(limits: Mapping[str, int]) -> Allowance:
    """A day's bytes of each kind; a limit of 0 is none."""
    some = {kind: limit for kind, limit in limits.items() if limit}
    return Allowance(limits=some, left=some, at_ms=0)
