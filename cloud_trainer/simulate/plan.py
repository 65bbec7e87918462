"""What is simulated: how many devices, how long, which faults, and whom they meet. Pure.

Its one rule: everything is drawn from the seed, so a plan that went wrong goes wrong again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from edge_runtime.errors import UsageError

FAULTS: Final[Mapping[str, str]] = {
    "outage": "a fifth of the devices is away for a quarter of the time",
    "clock": "a tenth has its clock set a year ahead or back, and right again later",
    "restart": "a fifth loses its process in the middle of a period and goes on from its checkpoint",
    "storm": "the broker is killed half way, and all devices come back at once",
    "sick": "one device in fifty, at least one, reads a wrong sensor from two fifths of the time on",
    "shift": "the world moves for all from three fifths of the time on: two features by one standard deviation",
}
STEADY: Final = ("outage", "clock", "restart", "storm")
"""The faults that leave the numbers as they are: with these alone no alarm is right."""
YEAR_MS: Final = 365 * 86_400_000
START_MS: Final = 1_767_225_600_000  # 2026-01-01
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run.

    Attributes:
        devices: 1..100,000, one stream each.
        periods: Simulated hours, 1...
        windows: Decisions an hour, 1...
        records: Records kept an hour, at most.
        faults: Names of `FAULTS`.
        seed: Of everything that is drawn.
        resend_s: First wait for the store's acknowledgement, as in device.toml [s].
        speed: Times real time: an hour of the devices takes 3600 / speed seconds, and each ends its hours at its own
            moment. 0: as fast as broker and store take it.
        start_ms: What the clocks of the devices say at the start [UTC ms]; with speed 1 it is best the true time.
    """

    devices: int
    periods: int
    windows: int
    records: int
    faults: tuple[str, ...]
    seed: int
    resend_s: float = 10.0
    speed: float = 0.0
    start_ms: int = START_MS

    def met(self, fault: str) -> dict[int, int]:
        """Device -> period in which it meets `fault`; none where the plan does not have it."""
        if fault not in self.faults:
            return {}
        rng = Random(f"{self.seed} {fault}")  # noqa: S311
        first = {"sick": 2 * self.periods // 5, "shift": 3 * self.periods // 5, "storm": self.periods // 2}
        share = {"outage": 0.2, "clock": 0.1, "restart": 0.2, "sick": 0.02}.get(fault, 1.0)
        some = sorted(rng.sample(range(self.devices), max(1, round(share * self.devices))))
        return {one: first.get(fault, rng.randrange(self.periods)) for one in some}

    def phase(self, device: int) -> float:
        """By what part of an hour the hours of a device end later than those of the first, 0 up to 1."""
        return device / self.devices if self.speed else 0.0

    def due_s(self, device: int, period: int) -> float:
        """When a device has all windows of a period, from the start on [s]; 0 for at once."""
        return (period + 1 + self.phase(device)) * HOUR_MS / 1000 / self.speed if self.speed else 0.0

    @property
    def away_periods(self) -> int:
        """How long an outage lasts, and a clock is wrong."""
        return max(1, self.periods // 4)


def parse_faults(text: str) -> tuple[str, ...]:
    """The faults that `text` names, with commas; "all" and "none" are names too.

    Raises:
        UsageError: One is unknown.
    """
    named = [part.strip() for part in text.split(",") if part.strip()]
    if named == ["all"]:
        return tuple(FAULTS)
    if named == ["none"]:
        return ()
    for name in named:
        if name not in FAULTS:
            raise UsageError(f"--faults: {name!r} is unknown", hint=f"all, none, or some of {','.join(FAULTS)}")
    return tuple(dict.fromkeys(named))
