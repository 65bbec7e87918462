"""Summaries as the detector reads them: one value per period of a device's stream, its parts merged exactly.

Its one rule: parts of one period merge to the bits of the whole: sums are integers, each part brings its ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cloud_trainer.drift.detector import Array, autocorrelation
from edge_runtime.contract.checks import I63
from edge_runtime.contract.strata import strata_over

U32: Final = 2**32 - 1
SYNCED = 1  # the summary's clock
Z_STEP = 2.0**-16  # sums are integers of z = (x - centre) / scale in these steps
SUMS: Final = ("n", "n_nan", "first", "last", "sum", "sum_sq", "sum_lag")
N_NAN: Final = SUMS.index("n_nan")
ENDS: Final = ("min", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a period counted for one feature or score."""

    n: int
    n_nan: int
    min: float  # NaN where n is 0
    max: float
    first: int
    last: int
    sum: int
    sum_sq: int
    sum_lag: int
    counts: tuple[int, ...]  # below, inner bins, above

    def merge(self, later: Tally) -> Tally:
        """The tally of both parts; `later` follows without a gap."""
        if not (self.n and later.n):
            whole = self if self.n else later
            return Tally(
                n=whole.n, n_nan=self.n_nan + later.n_nan, min=whole.min, max=whole.max, first=whole.first,
                last=whole.last, sum=whole.sum, sum_sq=whole.sum_sq, sum_lag=whole.sum_lag, counts=whole.counts,
            )  # fmt: skip
        return Tally(
            n=self.n + later.n, n_nan=self.n_nan + later.n_nan, min=min(self.min, later.min),
            max=max(self.max, later.max), first=self.first, last=later.last, sum=self.sum + later.sum,
            sum_sq=self.sum_sq + later.sum_sq, sum_lag=self.sum_lag + later.sum_lag + self.last * later.first,
            counts=tuple(a + b for a, b in zip(self.counts, later.counts, strict=True)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Tallies:
    """A period's tallies, features then scores, as columns: thousands of devices have millions of periods."""

    sums: NDArray[np.int64]  # [7, F] in the order of SUMS
    ends: NDArray[np.float32]  # [2, F] least and greatest
    flat: NDArray[np.uint32]  # counts, row by row
    widths: tuple[int, ...]  # how many of them each row has

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[float]], flat: Sequence[int], widths: Sequence[int]) -> Tallies:
        """From a column for each field of `Tally`, and the counts row by row."""
        return cls(
            sums=np.array([columns[name] for name in SUMS], dtype=np.int64),
            ends=np.array([columns[name] for name in ENDS], dtype=np.float32),
            flat=np.array(flat, dtype=np.uint32), widths=_same(tuple(map(int, widths))),
        )  # fmt: skip

    @classmethod
    def of_rows(cls, rows: Sequence[Tally]) -> Tallies:
        """From a tally for each feature and score; a sum beyond 63 bits, or a count beyond 32, stays there."""
        columns = {name: [max(-I63, min(I63, getattr(row, name))) for row in rows] for name in SUMS}
        ends = {name: [getattr(row, name) for row in rows] for name in ENDS}
        flat = [min(count, U32) for row in rows for count in row.counts]
        return cls.of({**columns, **ends}, flat, [len(row.counts) for row in rows])

    def __len__(self) -> int:
        return len(self.widths)

    def __getitem__(self, row: int) -> Tally:
        at = sum(self.widths[:row])
        return Tally(
            **dict(zip(SUMS, self.sums[:, row].tolist(), strict=True)),
            **dict(zip(ENDS, self.ends[:, row].tolist(), strict=True)),
            counts=tuple(self.flat[at : at + self.widths[row]].tolist()),
        )

    def __iter__(self) -> Iterator[Tally]:
        return (self[row] for row in range(len(self)))

    def merge(self, later: Tallies) -> Tallies:
        """Of both parts; `later` follows without a gap."""
        return Tallies.of_rows([a.merge(b) for a, b in zip(self, later, strict=True)])


@cache
def _same(widths: tuple[int, ...]) -> tuple[int, ...]:
    """One tuple for all periods that have it."""
    return widths


@cache
def _places(widths: tuple[int, ...], n_labels: int, width: int) -> tuple[NDArray[np.int64], ...]:
    """Where counts, NaN and labels stand in a flat table of `width` categories a row."""
    starts = np.arange(len(widths)) * width
    counts = np.concatenate([start + np.arange(n) for start, n in zip(starts, widths, strict=True)])
    return counts, starts + np.array(widths), len(widths) * width + np.arange(n_labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One period of one device's stream under one bundle."""

    bundle: str
    device: str
    stream: str
    epoch: str
    period: int  # its number in this stream and epoch
    first_window: int
    start_ms: int
    end_ms: int
    n_windows: int
    strata: tuple[tuple[str, float], ...]  # those that it lies in, with its part in each; none where no clock is
    tallies: Tallies
    label_counts: tuple[int, ...]  # windows by decided label, abstain last

    def categories(self) -> list[int]:
        """How many each feature and score has (NaN is one), then the label."""
        return [*(width + 1 for width in self.tallies.widths), len(self.label_counts)]


def counts_of(some: Sequence[Period], width: int) -> Array:
    """[T, F, width] windows by category of each feature and score (NaN last), then of the label."""
    tallies, n_labels = some[0].tallies, len(some[0].label_counts)
    at, nan, label = _places(tallies.widths, n_labels, width)
    out = np.zeros((len(some), (len(tallies) + 1) * width))
    out[:, at] = [p.tallies.flat for p in some]
    out[:, nan] = [p.tallies.sums[N_NAN] for p in some]
    out[:, label] = [p.label_counts for p in some]
    return out.reshape(len(some), -1, width)


def lag1_of(some: Sequence[Period]) -> Array:
    """[T, F] autocorrelation, NaN where there is none; the label's is the largest of the scores'."""
    sums = np.array([p.tallies.sums for p in some], dtype=np.float64)
    column = dict(zip(SUMS, np.moveaxis(sums, 1, 0), strict=True))
    known = autocorrelation(
        n=column["n"], total=column["sum"], square=column["sum_sq"], lag=column["sum_lag"],
        first=column["first"], last=column["last"],
    )  # fmt: skip
    scores = known[:, known.shape[1] - (len(some[0].label_counts) - 1) :]
    return np.concatenate([known, np.fmax.reduce(scores, axis=1, initial=np.nan, keepdims=True)], axis=1)


def periods(rows: Iterable[Mapping[str, Any]]) -> list[Period]:
    """Rows of the summaries view as whole periods, by (bundle, device, stream) and time."""
    found = (_part(row) for row in rows if row["n_windows"])
    parts = sorted(found, key=lambda part: (_key(part), part.first_window))
    return sorted(_merged(parts), key=lambda p: (p.bundle, p.device, p.stream, p.start_ms, p.first_window))


def _key(part: Period) -> tuple[str, str, str, str, int]:
    return (part.bundle, part.device, part.stream, part.epoch, part.period)


def _merged(parts: Iterable[Period]) -> Iterator[Period]:
    for _, group in groupby(parts, key=_key):
        yield reduce(_join, group)


def _join(whole: Period, part: Period) -> Period:
    return Period(
        bundle=whole.bundle, device=whole.device, stream=whole.stream, epoch=whole.epoch, period=whole.period,
        first_window=whole.first_window,
        start_ms=min(whole.start_ms, part.start_ms), end_ms=max(whole.end_ms, part.end_ms),
        n_windows=whole.n_windows + part.n_windows, strata=whole.strata,
        label_counts=tuple(a + b for a, b in zip(whole.label_counts, part.label_counts, strict=True)),
        tallies=whole.tallies.merge(part.tallies),
    )  # fmt: skip


def _part(row: Mapping[str, Any]) -> Period:
    return Period(
        bundle=row["bundle"], device=row["device"], stream=row["stream"], epoch=row["epoch"], period=row["period"],
        first_window=row["first_window"],
        start_ms=row["start_ms"], end_ms=row["end_ms"], n_windows=row["n_windows"], strata=_strata(row),
        tallies=Tallies.of(row, row["counts"], row["n_counts"]), label_counts=tuple(map(int, row["label_counts"])),
    )  # fmt: skip


def _strata(row: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    offset_min = row["utc_offset_min"]
    if offset_min is None or row["clock"] != SYNCED:
        return ()
    return strata_over(row["start_ms"], row["end_ms"], offset_min)
