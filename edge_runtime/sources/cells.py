"""One cell of a line: what number, text or time it means. One rule: pure, and a BadLine for what means nothing."""

from __future__ import annotations

import json
import math

from edge_runtime.errors import UsageError
from edge_runtime.lean import Final, dataclass
from edge_runtime.sources.frames import NO_TIME

TIME_UNITS: Final = {"time_s": 1e6, "time_ms": 1e3, "time_us": 1.0, "time_ns": 1e-3}
"""Option that names the time of a line -> µs of one of its units."""
MISSING: Final = frozenset({"na", "n/a", "null", "none", "?"})
"""Words, in lower case, that stand for a number that is missing in tables of records."""
_YEAR_9999_US: Final = 253402300799 * 10**6


class BadLine(ValueError):  # noqa: N818 - not an error of the program: the line is left out and counted
    """Why a line cannot be taken."""


@dataclass(frozen=True, slots=True)
class TimeField:
    """Where a line says when it was taken: a number since 1970 UTC in units of `to_us` µs, or ISO 8601 text."""

    name: str
    to_us: float
    is_guess: bool = False  # nobody said that it is a time: then what is none is no mistake

    def us(self, value: object) -> int:
        """The time [µs UTC]; `NO_TIME` for a value that is missing.

        Raises:
            BadLine: It is no time between 1970 and 9999.
        """
        if value is None or value == "":
            return NO_TIME
        try:
            us = round(_plain(value) * self.to_us) if not _is_iso(value) else _iso_us(str(value))
        except (ValueError, OverflowError, BadLine):
            us = -1
        if not 0 <= us <= _YEAR_9999_US:
            if self.is_guess:
                return NO_TIME
            raise BadLine(f"time {self.name!r}: {short(value)} is no time of 1970..9999 (is its unit right?)")
        return us


def time_field(options: dict[str, str], *, name: str) -> TimeField | None:
    """The time field that `options` name, which are taken out: one of time_s, time_ms, time_us, time_ns."""
    given = [key for key in TIME_UNITS if key in options]
    if len(given) > 1:
        raise UsageError(f"source {name}: {' and '.join(given)} name two times", hint="name one")
    return TimeField(options.pop(given[0]), TIME_UNITS[given[0]]) if given else None


def number(value: object) -> float:
    """The number that a cell or JSON value means; NaN for one that is missing: null, or blank.

    Raises:
        BadLine: It means none.
    """
    if value is None or value == "" or (isinstance(value, str) and value.isspace()):
        return math.nan
    try:
        return _plain(value)
    except (ValueError, OverflowError, TypeError):
        raise BadLine(f"{short(value)} is no number") from None


def field_number(value: object) -> float | None:
    """The number that a field of a record holds; None for one that is missing, so written (`MISSING`) or left out.

    A time as ISO 8601 text with its zone is its Unix milliseconds, which the operators of times take.

    Raises:
        BadLine: It means none.
    """
    try:
        found = number(value)
        return None if math.isnan(found) else found
    except BadLine:
        word = value.strip() if isinstance(value, str) else ""
        if word.lower() in MISSING:
            return None
        if not _is_iso(word):
            raise
    try:
        return _iso_us(word) / 1000
    except BadLine:
        raise
    except ValueError:
        raise BadLine(f"{short(value)} is no number, and no time") from None


def text(value: object) -> str | None:
    """The text that a cell or JSON value means, without the blanks around it; a number of JSON as JSON writes it.

    None for one that is missing: null, or blank, as in training.

    Raises:
        BadLine: It is a JSON object or array.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise BadLine(f"{short(value)} is no text")


def _plain(value: object) -> float:
    if isinstance(value, str) and "_" in value:  # float() takes "1_0" as 10, which no device means
        raise BadLine(f"{short(value)} is no number")
    if not isinstance(value, str | int | float):
        raise BadLine(f"{short(value)} is no number")
    return float(value)


def _is_iso(value: object) -> bool:
    return isinstance(value, str) and ("T" in value or value.count("-") > 1)


def _iso_us(value: str) -> int:
    from datetime import datetime

    when = datetime.fromisoformat(value)
    if when.tzinfo is None:
        raise BadLine(f"{value!r} has no zone")
    delta = when - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (delta.days * 86400 + delta.seconds) * 10**6 + delta.microseconds


def short(value: object) -> str:
    """A value as a message shows it."""
    return repr(value)[:80]
