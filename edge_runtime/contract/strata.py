"""Which strata of a baseline a moment may belong to, by its local time. See FORMAT.md section "baseline".

One rule: a name says all that puts a moment into it, so that no reader needs more than the name.
"""

from __future__ import annotations

import time

from edge_runtime.lean import Final

ALL: Final = "all"
KINDS: Final = {"hour": "hour %H weekday", "month": "month %m"}  # of which a baseline has one


def strata_at(time_ms: int, utc_offset_min: int) -> tuple[str, ...]:
    """The stratum of each kind that holds a moment, in the order of `KINDS`.

    Args:
        time_ms: UTC [ms since 1970].
        utc_offset_min: Local time minus UTC [min].
    """
    local = time.gmtime(time_ms // 1000 + 60 * utc_offset_min)
    day = "weekend" if local.tm_wday >= 5 else "weekday"
    return tuple(time.strftime(form, local).replace("weekday", day) for form in KINDS.values())
