"""Summaries as the detector reads them: one value per period of a device's stream, its parts merged exactly.

Its one rule: parts of one period merge to the bits of the whole: sums are integers, each part brings its ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from typing import Any

import numpy as np

from cloud_trainer.drift.detector import Array, Reference, autocorrelation
from cloud_trainer.ingest.schema import rows_of
from edge_runtime.contract.strata import strata_over

SYNCED = 1  # the summary's clock
Z_STEP = 2.0**-16  # sums are integers of z = (x - centre) / scale in these steps


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
    strata: tuple[
        tuple[str, float], ...
    ]  # those that it lies in, with its part in each; none where the clock is unknown
    tallies: tuple[Tally, ...]  # features, then scores
    label_counts: tuple[int, ...]  # windows by decided label, abstain last

    def rows(self) -> list[tuple[int, ...]]:
        """Windows by category of each feature and score (NaN last), then of the label."""
        return [*((*t.counts, t.n_nan) for t in self.tallies), self.label_counts]

    def counts(self, ref: Reference) -> Array:
        """[F, B] the same, as wide as the reference."""
        out = np.zeros(ref.p.shape)
        for row, counts in enumerate(self.rows()):
            out[row, : len(counts)] = counts
        return out

    def lag1(self) -> Array:
        """[F] autocorrelation, NaN where there is none; the label's is the largest of the scores'."""
        column = {
            name: np.array([getattr(t, name) for t in self.tallies], dtype=np.float64)
            for name in ("n", "sum", "sum_sq", "sum_lag", "first", "last")
        }
        known = autocorrelation(
            n=column["n"], total=column["sum"], square=column["sum_sq"], lag=column["sum_lag"],
            first=column["first"], last=column["last"],
        )  # fmt: skip
        scores = known[len(known) - (len(self.label_counts) - 1) :]
        return np.append(known, np.fmax.reduce(scores, initial=np.nan))


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
        tallies=tuple(a.merge(b) for a, b in zip(whole.tallies, part.tallies, strict=True)),
    )  # fmt: skip


def _part(row: Mapping[str, Any]) -> Period:
    names = ("n", "n_nan", "min", "max", "first", "last", "sum", "sum_sq", "sum_lag")
    lists: list[Sequence[Any]] = [row[name] for name in names]
    tallies = tuple(
        Tally(**dict(zip(names, values, strict=True)), counts=counts)
        for *values, counts in zip(*lists, rows_of(row["counts"], row["n_counts"]), strict=True)
    )
    return Period(
        bundle=row["bundle"], device=row["device"], stream=row["stream"], epoch=row["epoch"], period=row["period"],
        first_window=row["first_window"],
        start_ms=row["start_ms"], end_ms=row["end_ms"], n_windows=row["n_windows"], strata=_strata(row),
        tallies=tallies, label_counts=tuple(row["label_counts"]),
    )  # fmt: skip


def _strata(row: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    offset_min = row["utc_offset_min"]
    if offset_min is None or row["clock"] != SYNCED:
        return ()
    return strata_over(row["start_ms"], row["end_ms"], offset_min)
