"""The `[drift]` of a project: which hours or months of training a device's periods are compared with.

One rule: strata are names of local time, so recordings need times, and where they were made needs a time zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloud_trainer.section import Section

WAYS: Final = ("auto", "hour", "month", "none")
_OFFSET = re.compile(r"([+-])([01]\d):([0-5]\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeasonSpec:
    """What the exporter makes strata of.

    Attributes:
        strata: "hour" (of the day, weekdays and weekends apart), "month", "none", or "auto": what explains more.
        timezone: Where the recordings were made: a name such as "Europe/Berlin", or "+02:00".
        least_windows: Windows that a stratum needs; those with less stay with all the others.
    """

    strata: str = "auto"
    timezone: str = "UTC"
    least_windows: int = 200

    @property
    def zone(self) -> tzinfo:
        """The time zone, with its summer time.

        Raises:
            ValueError: There is none of that name.
        """
        found = _OFFSET.fullmatch(self.timezone)
        if found:
            ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
            return timezone(-ahead if found[1] == "-" else ahead)
        try:
            return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, OSError) as why:  # a folder of the database is no zone, and tells an OSError
            raise ValueError(f"timezone {self.timezone!r} is not known here") from why


def read_seasons(section: Section) -> SeasonSpec:
    """The values of `[drift]`.

    Raises:
        UsageError: A key is unknown or out of range, or there is no such time zone.
    """
    spec = SeasonSpec(
        strata=section.choice("strata", "auto", of=WAYS),
        timezone=section.text("timezone", "UTC"),
        least_windows=section.integer("least_windows", 200, low=20, high=10**9),
    )
    try:
        _ = spec.zone
    except ValueError as why:
        raise section.wrong("timezone", 'a name such as "Europe/Berlin", or "+02:00"') from why
    section.done()
    return spec
