"""What a timing policy means: from frames with times to frames on an even grid. One rule: csrc/er_clock.c agrees.

For tests and tools only. A whole recording at once, in Python's own integers: no state, no cutting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PART_US = 65536
"""Times are counted in 1/65536 µs."""
LIMIT_US = 2**61


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame of the grid: input frame `left` itself (left == right), or missing between the two.

    Attributes:
        left: The last input frame taken.
        right: The next one taken.
        place: 1..gap of a missing frame, 0 of one that was there.
        gap: Frames missing between left and right.
    """

    left: int
    right: int
    place: int = 0
    gap: int = 0


@dataclass(slots=True)
class Regular:
    """A recording on the grid.

    Attributes:
        stretches: Entries from one start to the next reset; the first frame of each counts for every channel.
        duplicates: Frames at the place of the last one taken: left out.
        late: Frames before it, by at most `most`: left out.
    """

    stretches: list[list[Entry]] = field(default_factory=list)
    duplicates: int = 0
    late: int = 0

    @property
    def filled(self) -> int:
        """Frames that were made."""
        return sum(entry.place > 0 for stretch in self.stretches for entry in stretch)

    @property
    def resets(self) -> int:
        """Starts anew, the first not counted."""
        return max(0, len(self.stretches) - 1)


def regular(times_us: Sequence[int], *, rate_hz: float, policy: str, most: int) -> Regular:
    """Every frame put onto the grid, left out, or the start of a new stretch.

    Args:
        times_us: One a frame [µs].
        rate_hz: Nominal, as float32 [Hz].
        policy: "hold", "interpolate", "mark" or "reset".
        most: Greatest gap that is filled, greatest step back that is late [frames].
    """
    nominal = int(1e6 * PART_US / float(np.float32(rate_hz)) + 0.5)
    slack = nominal // 50
    out = Regular()
    stands = period = last = 0
    for i, time_us in enumerate(times_us):
        at = min(max(int(time_us), -LIMIT_US), LIMIT_US) * PART_US
        error = at - stands - period
        past = (error + period // 2) // period if out.stretches else 0  # grid points between the next one and it
        if not out.stretches or past > most or past < -1 - most or (past > 0 and policy == "reset"):
            out.stretches.append([Entry(i, i)])
            stands, period, last = at, nominal, i
        elif past == -1:
            out.duplicates += 1
        elif past < 0:
            out.late += 1
        else:
            out.stretches[-1] += [Entry(last, i, place, past) for place in range(1, past + 1)] + [Entry(i, i)]
            last = i
            if past == 0:
                stands = at - (error - _toward_0(error, 8))
                period = min(max(period + _toward_0(error, 256), nominal - slack), nominal + slack)
            else:
                stands = at
    return out


def _toward_0(value: int, divisor: int) -> int:
    return value // divisor if value >= 0 else -(-value // divisor)


def frames_of(
    stretch: Sequence[Entry], frames: NDArray[np.float32], *, policy: str, every: Sequence[int]
) -> NDArray[np.float32]:
    """float32 [len(stretch), n_channels]: what goes into the windows.

    A channel of a slower rate (`every` > 1) is held in a gap, as its next value has not come.
    """
    out = np.empty((len(stretch), frames.shape[1]), np.float32)
    with np.errstate(all="ignore"):
        for number, entry in enumerate(stretch):
            for channel, step in enumerate(every):
                if entry.place == 0:
                    out[number, channel] = frames[entry.left, channel]
                elif policy == "mark":
                    out[number, channel] = np.nan
                elif policy == "hold" or step > 1:
                    counted = range((number - 1) // step * step, -1, -step)
                    held = next(stretch[before].left for before in counted if stretch[before].place == 0)
                    out[number, channel] = frames[held, channel]
                else:
                    a, b = frames[entry.left, channel], frames[entry.right, channel]
                    out[number, channel] = a + np.float32(entry.place) / np.float32(entry.gap + 1) * (b - a)
    return out
