"""What a program makes of the times of its frames: FORMAT.md section "program". One rule: by default, nothing."""

from __future__ import annotations

from edge_runtime.contract.checks import integer, none_left, one_of, real, take, wrong
from edge_runtime.lean import Any, Final, dataclass

TIME_POLICIES: Final = ("none", "hold", "interpolate", "mark", "reset")
MAX_GAP: Final = 65535
LEAST_HZ: Final = 0.001
MOST_HZ: Final = 100_000.0
"""Above it a period is less than 10 µs, and times in µs are too coarse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The policy of a stream's clock; what each does is in the README, the exact rule in csrc/er_clock.h.

    Attributes:
        policy: "none" times are ignored; a gap in them is filled by "hold" (the last frame again), "interpolate"
            (linear between both sides) or "mark" (NaN: its windows abstain); "reset" starts anew at any gap.
        most_frames: A longer gap, or a longer step back of the clock, starts anew too. 1..65535; 0 with "none".
    """

    policy: str = "none"
    most_frames: int = 0

    def __post_init__(self) -> None:
        one_of(self.policy, "program.timing.policy", TIME_POLICIES)
        low, high = (1, MAX_GAP) if self.policy != "none" else (0, 0)
        integer(self.most_frames, "program.timing.most_frames", low=low, high=high)

    def __bool__(self) -> bool:
        """Times are looked at."""
        return self.policy != "none"

    def check_rate(self, rate_hz: float) -> None:
        """Refuse a rate that times in µs cannot carry.

        Raises:
            ContractError: Outside 0.001..100000 Hz.
        """
        if self:
            real(rate_hz, "program.rate_hz (with a timing policy)", low=LEAST_HZ, high=MOST_HZ)


def read_timing(fields: dict[str, Any]) -> Timing:
    """The key "timing" of a program, taken out; it is left out where it has its default."""
    if "timing" not in fields:
        return Timing()
    value = take(fields, "timing", dict, what="program")
    timing = Timing(
        policy=take(value, "policy", str, what="program.timing"),
        most_frames=take(value, "most_frames", int, what="program.timing"),
    )
    if not timing:
        raise wrong("program.timing", "to be left out where the policy is none", timing.policy)
    none_left(value, "program.timing")
    return timing
