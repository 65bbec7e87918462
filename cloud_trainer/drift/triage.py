"""Triage: what kind of change an alarm speaks of. Pure rules over what the detector saw; the first that holds counts.

Streams that were alarmed by another change than the strongest are another case (`case.cases`), with a cause of its own.

unit change    the strongest features were converted: their ranges are now those of k x + c, of a known pair of units.
new category   a text or number came that training never saw: a feature that tells the unknown rose from nothing.
bad release    most streams changed from their first period under this bundle on, and were steady under the one before.
sick sensor    few streams of many carry the change; of a single stream: one channel of several does.
moved world    most streams do, from some time on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_trainer.drift.conversion import is_conversion
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
    sides = [(stream.before, stream.since) for stream in case.named]
    return is_conversion([row.index for row in case.rows[:STRONGEST]], sides)


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
