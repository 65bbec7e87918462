"""Strata of a baseline: which hours or months a moment belongs to, and their counts. See FORMAT.md section "strata".

One rule: a name says all that puts a moment into it, so that no reader needs more than the name.
Only the cloud reads the document: a device counts into bins, which are the same at every hour.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from edge_runtime.contract.baseline import MAX_STRATA, Baseline, Bins, Stratum
from edge_runtime.contract.checks import count, integer, integers, none_left, real, take, text, unique, wrong
from edge_runtime.contract.document import read_json, write_json
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, dataclass, field, replace

ALL: Final = "all"
KINDS: Final = {"hour": "hour %H weekday", "month": "month %m"}  # of which a baseline has one
MEMBER: Final = "strata.json"  # of a bundle
HOUR_MS: Final = 3_600_000


def strata_at(time_ms: int, utc_offset_min: int) -> tuple[str, ...]:
    """The stratum of each kind that holds a moment, in the order of `KINDS`.

    Args:
        time_ms: UTC [ms since 1970].
        utc_offset_min: Local time minus UTC [min].
    """
    local = time.gmtime(time_ms // 1000 + 60 * utc_offset_min)
    day = "weekend" if local.tm_wday >= 5 else "weekday"
    return tuple(time.strftime(form, local).replace("weekday", day) for form in KINDS.values())


def strata_over(start_ms: int, end_ms: int, utc_offset_min: int) -> tuple[tuple[str, float], ...]:
    """The strata of each kind that a span of time has a part in, with that part; those of a kind add up to 1.

    Args:
        start_ms: UTC [ms since 1970].
        end_ms: UTC; where it is not above `start_ms` the span is that moment.
        utc_offset_min: Local time minus UTC [min].
    """
    parts: dict[str, int] = {}
    for start, end in _hours(start_ms, max(end_ms, start_ms + 1), 60_000 * utc_offset_min):
        for name in strata_at(start, utc_offset_min):
            parts[name] = parts.get(name, 0) + end - start
    whole = max(end_ms, start_ms + 1) - start_ms
    return tuple((name, part / whole) for name, part in parts.items())


def _hours(start_ms: int, end_ms: int, offset_ms: int) -> Iterator[tuple[int, int]]:
    """The span cut at each full hour of local time."""
    while start_ms < end_ms:
        cut = min(end_ms, start_ms + HOUR_MS - (start_ms + offset_ms) % HOUR_MS)
        yield start_ms, cut
        start_ms = cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """One feature or score in a stratum, in the bins of the baseline.

    Attributes:
        counts: n_bins + 2: below, bins, above; 0..SAFE.
        n_nan: Values that were NaN.
        lag1: Autocorrelation of neighbouring windows, -1..1.
    """

    counts: tuple[int, ...]
    n_nan: int
    lag1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The windows of one stratum.

    Attributes:
        name: As `strata_at` gives it, or another text of 1..64 that nothing belongs to.
        n_windows: Windows counted.
        rows: Features in the program's order, then scores in the labels' order; 2..1088.
        label_counts: Windows by decided label, abstain last.
    """

    name: str
    n_windows: int
    rows: tuple[Counts, ...]
    label_counts: tuple[int, ...]

    def __post_init__(self) -> None:
        text(self.name, "strata.name")
        what = f"strata.{self.name}"
        if self.name == ALL:
            raise wrong("strata.name", "another name than that of the baseline itself", self.name)
        integer(self.n_windows, f"{what}.n_windows")
        count(len(self.rows), f"{what}.rows", low=2, high=1088)
        for row in self.rows:
            count(len(row.counts), f"{what}.counts", low=3, high=66)
            integers(row.counts, f"{what}.counts")
            integer(row.n_nan, f"{what}.n_nan")
            real(row.lag1, f"{what}.lag1", low=-1, high=1)
        count(len(self.label_counts), f"{what}.label_counts", low=1, high=65)
        integers(self.label_counts, f"{what}.label_counts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """The strata of one bundle beside "all".

    Attributes:
        strata: 1..63, names unique.
        extra: Fields of a newer minor version.
    """

    strata: tuple[Part, ...]
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        count(len(self.strata), "strata.strata", low=1, high=MAX_STRATA - 1)
        unique([part.name for part in self.strata], "strata.strata")

    def to_bytes(self) -> bytes:
        """Canonical JSON. Equal strata give equal bytes."""
        items = [
            {
                "name": part.name,
                "n_windows": part.n_windows,
                "counts": [row.counts for row in part.rows],
                "n_nan": [row.n_nan for row in part.rows],
                "lag1": [row.lag1 for row in part.rows],
                "label_counts": part.label_counts,
            }
            for part in self.strata
        ]
        return write_json("strata", {"strata": items}, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Strata:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = read_json(data, "strata")
        items = take(fields, "strata", list, what="strata", high=MAX_STRATA - 1)
        return cls(strata=tuple(map(_part, items)), extra=fields)


def matched(baseline: Baseline, strata: Strata) -> Baseline:
    """The baseline with these strata too, in its own bins.

    Raises:
        ContractError: Their rows are not those of the baseline.
    """
    return replace(baseline, strata=(*baseline.strata, *(_stratum(baseline.strata[0], part) for part in strata.strata)))


def _stratum(whole: Stratum, part: Part) -> Stratum:
    of = (*whole.features, *whole.scores)
    if [len(row.counts) for row in part.rows] != [len(bins.counts) for bins in of]:
        raise ContractError(f"strata.{part.name}: its rows are not the {len(of)} of the baseline, or have other bins")
    rows = tuple(map(_bins, of, part.rows))
    n = len(whole.features)
    return Stratum(
        name=part.name,
        n_windows=part.n_windows,
        features=rows[:n],
        scores=rows[n:],
        label_counts=part.label_counts,
    )


def _bins(of: Bins, row: Counts) -> Bins:
    return replace(of, counts=row.counts, n_nan=row.n_nan, lag1=row.lag1)


def _part(value: object) -> Part:
    what = "strata.strata"
    if not isinstance(value, dict):
        raise wrong(what, "object", value)
    columns = [take(value, name, list, what=what, high=1088) for name in ("counts", "n_nan", "lag1")]
    if len({len(column) for column in columns}) != 1 or not all(isinstance(row, list) for row in columns[0]):
        raise ContractError(f"{what}: want counts as lists, and as many of n_nan and lag1")
    part = Part(
        name=take(value, "name", str, what=what),
        n_windows=take(value, "n_windows", int, what=what),
        rows=tuple(
            Counts(counts=tuple(counts), n_nan=n_nan, lag1=real(lag1, f"{what}.lag1"))
            for counts, n_nan, lag1 in zip(*columns, strict=True)
        ),
        label_counts=tuple(take(value, "label_counts", list, what=what, high=65)),
    )
    none_left(value, f"{what}.{part.name}")
    return part
