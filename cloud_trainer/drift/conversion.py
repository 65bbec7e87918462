"""Whether features changed as readings do when another unit is reported: y = k x + c of a known pair. Pure.

A period's least and greatest value are all that is looked at: they are as they were, where sums are clamped (a
thousandfold is far off the centre).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, TypeAlias

from cloud_trainer.drift.periods import Period

Sides: TypeAlias = tuple[Sequence[Period], Sequence[Period]]

# Factor, and what is added after it. A feature of squares (var, energy) has the factor squared and nothing added.
CONVERSIONS: Final[Mapping[str, tuple[float, float]]] = {
    "C to F": (1.8, 32.0),
    "C to K": (1.0, 273.15),
    "g to m/s^2": (9.80665, 0.0),
    "rad to deg": (180 / math.pi, 0.0),
    "m/s to km/h": (3.6, 0.0),
    "mph to km/h": (1.609344, 0.0),
    "inch to cm": (2.54, 0.0),
    "inch to mm": (25.4, 0.0),
    "psi to kPa": (6.894757, 0.0),
    "1/s to 1/min": (60.0, 0.0),
    "ten": (10.0, 0.0),
    "hundred": (100.0, 0.0),
    "thousand": (1000.0, 0.0),
    "million": (1e6, 0.0),
}
SPREAD: Final = 0.13  # deviation of a period's range by chance [share of itself], where few periods tell it
PRIOR: Final = 4  # periods of evidence that this stands for
ERRORS: Final = 3.0  # standard errors within which a range is the converted one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """How the range of one feature's values in a period changed, on every stream that shows it."""

    weight: list[float]  # a stream's, = 1 / variance of its errors
    before: list[tuple[float, float]]  # of each stream: width and middle of the typical range
    since: list[tuple[float, float]]
    close_width: float  # by chance the log of the widths' ratio errs less
    close_middle: float  # [widths]

    def mean(self, errors: Iterable[float]) -> float:
        """Over the streams."""
        total = sum(weight * error for weight, error in zip(self.weight, errors, strict=True))
        return abs(total) / sum(self.weight)

    def is_by(self, factor: float, added: float) -> bool:
        """The ranges since are those before, converted, and nearer to that than to no change."""
        if factor == 1.0 and added == 0.0:
            return False
        pairs = list(zip(self.before, self.since, strict=True))
        width = self.mean(math.log(new / (factor * old)) for (old, _), (new, _) in pairs)
        middle = self.mean((factor * old + added - new) / size for (_, old), (size, new) in pairs)
        far = self.mean(added / size for size, _ in self.since) if factor == 1.0 else math.inf
        near = abs(math.log(factor)) if factor != 1.0 else math.inf
        return width < min(self.close_width, near / 2) and middle < min(self.close_middle, far / 2)


def is_conversion(rows: Sequence[int], sides: Sequence[Sides]) -> bool:
    """Whether one known pair of units explains the change of all these features.

    Args:
        rows: Indices of features in the baseline.
        sides: Of each stream that shows the change, its periods before and since, oldest first.
    """
    changes = [_change(row, sides) for row in rows]
    return bool(changes) and any(
        all(change is not None and _converted(change, factor, added) for change in changes)
        for factor, added in _both_ways()
    )


def _both_ways() -> list[tuple[float, float]]:
    return [pair for k, c in CONVERSIONS.values() for pair in ((k, c), (1 / k, -c / k))]


def _converted(change: _Change, factor: float, added: float) -> bool:
    return any(change.is_by(k, c) for k, c in ((factor, added), (factor, 0.0), (factor * factor, 0.0)))


def _change(row: int, sides: Sequence[Sides]) -> _Change | None:
    """None where no stream has a range on both sides of the change.

    How far chance takes a range is told by the periods before: those since are of the change, whatever it is.
    """
    both = [(_ranges(row, before[::-1]), _ranges(row, since)) for before, since in sides]
    both = [(before, since) for before, since in both if before and since]
    if not both:
        return None
    typical = [(_typical(before), _typical(since)) for before, since in both]
    weight = [1 / (1 / len(before) + 1 / len(since)) for before, since in both]
    n, off_width, off_middle = PRIOR, PRIOR * SPREAD**2, PRIOR * SPREAD**2
    for (before, _), ((width, middle), _) in zip(both, typical, strict=True):
        n += len(before) - 1
        off_width += sum(math.log(one / width) ** 2 for one, _ in before)
        off_middle += sum(((one - middle) / width) ** 2 for _, one in before)
    scale = ERRORS / math.sqrt(n * sum(weight))
    return _Change(
        weight=weight, before=[pair[0] for pair in typical], since=[pair[1] for pair in typical],
        close_width=scale * math.sqrt(off_width), close_middle=scale * math.sqrt(off_middle),
    )  # fmt: skip


def _ranges(row: int, periods: Sequence[Period]) -> list[tuple[float, float]]:
    """Width and middle of the values of each period, those nearest to the change first.

    The nearest is left out where there are others: a change does not wait for the end of a period.
    """
    known = [p.tallies[row] for p in (periods[1:] or periods) if p.tallies[row].n]
    return [(t.max - t.min, (t.max + t.min) / 2) for t in known if t.max > t.min]


def _typical(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Width (the geometric mean) and middle."""
    return math.exp(fmean(math.log(width) for width, _ in ranges)), fmean(middle for _, middle in ranges)
