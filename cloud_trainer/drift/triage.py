"""Triage: what kind of change an alarm speaks of. Pure rules over what the detector saw; the first that holds counts.

Streams that were alarmed by another change than the strongest are another case (`case.cases`), with a cause of its own.

unit change    the strongest features were converted: their ranges are now those of k x + c, of a known pair of units.
new category   a text or number came that training never saw: a feature that tells the unknown rose from nothing.
bad release    most streams changed from their first period under this bundle on, and were steady under the one before.
sick sensor    few streams of many carry the change; of a single stream: one channel of several does.
moved world    most streams do, from some time on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from cloud_trainer.drift.periods import Period

UNIT_CHANGE, NEW_CATEGORY, BAD_RELEASE = "unit change", "new category", "bad release"
SICK_SENSOR, MOVED_WORLD = "sick sensor", "moved world"
SEASON = "season"  # no alarm: it is as in training at this hour or in this month, and only their mix has changed

ADVICE: Final[Mapping[str, str]] = {
    UNIT_CHANGE: "convert the readings; do not retrain on them",
    NEW_CATEGORY: "the model never saw it: its records want labels",
    BAD_RELEASE: "halt the rollout and go back; the world is as it was",
    SICK_SENSOR: "mend or replace the sensor; do not retrain on it",
    MOVED_WORLD: "what comes in is not as in training: labels will tell what it costs",
}

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
SPREAD: Final = 0.4  # of the range of one period's values: how far chance takes it [share of itself]
STRONGEST: Final = 3
FEW: Final = 0.5  # share of streams from which on it is the world
TELLS_UNKNOWN: Final = ("unknown", "ordinal")  # operators whose value a new text or number changes
NEVER: Final = 0.002  # share of the baseline below which a category was not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream that the alarm names: its periods before and since the change, oldest first."""

    before: tuple[Period, ...]
    since: tuple[Period, ...]
    was_steady: bool  # under the bundle before this one


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A feature that moved, of the stream with the most evidence. Names are of the form "source.operator(...)"."""

    index: int  # in the baseline
    name: str
    grown: tuple[tuple[float, float], ...]  # of each category: share in the baseline, share now

    @property
    def operator(self) -> str:
        """What is computed of them."""
        return self.name.partition(".")[2].partition("(")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that triage looks at."""

    rows: tuple[Row, ...]  # strongest first, features only
    named: tuple[Stream, ...]  # most evidence first
    n_streams: int
    n_changed: int  # streams that show the same change, named or not
    n_sources: int  # channels and fields that the program has features of


def sources(name: str) -> list[str]:
    """Channels or fields that a feature of this name is of."""
    return name.partition(".")[0].split(",")


def cause(case: Case) -> str:
    """One of the five."""
    return next((name for name, holds in _RULES if holds(case)), MOVED_WORLD)


def _is_unit_change(case: Case) -> bool:
    stream = case.named[0]
    rows = case.rows[:STRONGEST]
    return bool(rows) and any(
        all(_converted(row.index, stream, factor, added) for row in rows) for factor, added in _both_ways()
    )


def _both_ways() -> list[tuple[float, float]]:
    return [pair for k, c in CONVERSIONS.values() for pair in ((k, c), (1 / k, -c / k))]


def _converted(row: int, stream: Stream, factor: float, added: float) -> bool:
    """The typical least and greatest value of a period are those before, converted."""
    before, since = _range(row, stream.before), _range(row, stream.since)
    if before is None or since is None:
        return False
    close = SPREAD / math.sqrt(min(len(stream.before), len(stream.since)))
    return any(_fits(before, since, k, c, close) for k, c in ((factor, added), (factor, 0.0), (factor * factor, 0.0)))


def _range(row: int, periods: Sequence[Period]) -> tuple[float, float] | None:
    """Medians of the least and the greatest value of a period."""
    known = [p.tallies[row] for p in periods if p.tallies[row].n]
    if not known:
        return None
    low, high = median(t.min for t in known), median(t.max for t in known)
    return (low, high) if high > low else None


def _fits(before: tuple[float, float], since: tuple[float, float], factor: float, added: float, close: float) -> bool:
    if factor == 1.0 and added == 0.0:
        return False
    width = since[1] - since[0]
    wanted = factor * (before[1] - before[0])
    middle = factor * (before[0] + before[1]) / 2 + added
    return abs(math.log(width / wanted)) < close and abs(sum(since) / 2 - middle) < close * width


def _is_new_category(case: Case) -> bool:
    return any(
        row.operator in TELLS_UNKNOWN and any(base < NEVER and now > base + NEVER for base, now in row.grown)
        for row in case.rows[:1]
    )


def _is_bad_release(case: Case) -> bool:
    at_once = sum(len(s.before) <= 1 and s.was_steady for s in case.named)
    return _is_most(case) and at_once > len(case.named) / 2


def _is_sick_sensor(case: Case) -> bool:
    if case.n_streams > 1:
        return not _is_most(case)
    return case.n_sources > 1 and len({source for row in case.rows for source in sources(row.name)}) == 1


def _is_most(case: Case) -> bool:
    return case.n_changed >= FEW * case.n_streams


_RULES: Final[Sequence[tuple[str, Callable[[Case], bool]]]] = (
    (UNIT_CHANGE, _is_unit_change),
    (NEW_CATEGORY, _is_new_category),
    (BAD_RELEASE, _is_bad_release),
    (SICK_SENSOR, _is_sick_sensor),
)
