"""Strata of a baseline: its windows by the local hour or month of their recording.

One rule: a stratum has enough windows, of two days at least, or it is not there; one day alone is weather, no season.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.baseline import F32, counts_of, lag1_of, neighbours
from cloud_trainer.seasons import SeasonSpec
from edge_runtime.contract.baseline import Baseline, Bins
from edge_runtime.contract.strata import KINDS, Counts, Part, Strata, strata_at

I64 = npt.NDArray[np.int64]
QUARTER_US: Final = 15 * 60 * 1_000_000  # no clock on earth is set by less
DAY_S: Final = 86400
LEAST_SHARE: Final = 0.01  # of a feature's variance: less than that is no season, and strata would cost windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of a baseline: values [n, C]; of each its recording, its number there, its time [µs], -1 if unknown."""

    values: F32
    recording: I64
    window: I64
    time_us: I64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sorted:
    """A kind of strata: names that hold enough, the stratum of each feature row (-1: none), the share it explains."""

    kind: str
    names: tuple[str, ...]
    of_row: I64
    n_poor: int
    explained: float


def strata_of(
    baseline: Baseline, spec: SeasonSpec, *, features: Rows, scores: Rows, decided: I64
) -> tuple[Strata | None, str]:
    """The strata, None where all windows stay one, and the reason in a sentence.

    Args:
        baseline: Of the same rows.
        spec: What is asked.
        features: Every window.
        scores: Those that the model did not see.
        decided: Label of each of these, an index; the number of labels for abstain.
    """
    if spec.strata == "none":
        return None, "strata: all hours are one, as [drift] strata asks"
    if not (features.time_us >= 0).any():
        return None, "strata: all hours are one, the recordings have no times ([data] time_us names their column)"
    kinds = list(KINDS) if spec.strata == "auto" else [spec.strata]
    tried = [_sorted(kind, baseline, spec, features) for kind in kinds]
    rich = [one for one in tried if len(one.names) > 1]
    if not rich:
        want = f"no two {' or '.join(f'{kind}s' for kind in kinds)} have {spec.least_windows} windows of two days"
        return None, f"strata: all hours are one, {want}"
    best = max(rich, key=lambda one: one.explained)
    if spec.strata == "auto" and best.explained < LEAST_SHARE:
        return None, f"strata: all hours are one, hours and months explain less than {LEAST_SHARE:.0%} of any feature"
    whole = baseline.strata[0]
    code, names = _by_name(best.kind, spec, scores.time_us)
    of_score = np.array([best.names.index(name) if name in best.names else -1 for name in [*names, ""]])[code]
    parts = tuple(
        Part(
            name=name,
            n_windows=int((best.of_row == i).sum()),
            rows=(*_counts(features, best.of_row == i, whole.features), *_counts(scores, of_score == i, whole.scores)),
            label_counts=tuple(np.bincount(decided[of_score == i], minlength=len(whole.label_counts)).tolist()),
        )
        for i, name in enumerate(best.names)
    )
    sizes = [part.n_windows for part in parts]
    left = f", {best.n_poor} with less left to all hours" if best.n_poor else ""
    why = f"strata: {len(parts)} by {best.kind} ({spec.timezone}) of {min(sizes)}..{max(sizes)} windows{left}"
    return Strata(strata=parts), f"{why}; they explain up to {max(0.0, best.explained):.0%} of a feature"


def _sorted(kind: str, baseline: Baseline, spec: SeasonSpec, rows: Rows) -> _Sorted:
    code, names = _by_name(kind, spec, rows.time_us)
    days = _by_day(spec, rows.time_us)
    enough = []
    for i in range(len(names)):
        inside = code == i
        if inside.sum() >= spec.least_windows and len(np.unique(days[inside])) > 1:
            enough.append(i)
    of_row = np.full(len(code), -1, dtype=np.int64)
    for place, i in enumerate(enough):
        of_row[code == i] = place
    return _Sorted(
        kind=kind,
        names=tuple(names[i] for i in enough),
        of_row=of_row,
        n_poor=len(names) - len(enough),
        explained=_explained(of_row, len(enough), baseline.strata[0].features, rows.values),
    )


def _by_name(kind: str, spec: SeasonSpec, time_us: I64) -> tuple[I64, list[str]]:
    """Which stratum each row is in, -1 where its time is unknown, and the names of the strata."""
    quarters, quarter = np.unique(time_us // QUARTER_US, return_inverse=True)
    ahead_min = _ahead_s(spec, quarters) // 60
    place, at_ms = list(KINDS).index(kind), quarters * QUARTER_US // 1000
    found = [strata_at(ms, ahead)[place] for ms, ahead in zip(at_ms.tolist(), ahead_min.tolist(), strict=True)]
    names = sorted({name for name, number in zip(found, quarters.tolist(), strict=True) if number >= 0})
    index = {name: i for i, name in enumerate(names)}
    code = np.array([index.get(name, -1) for name in found], dtype=np.int64)[quarter]
    code[time_us < 0] = -1
    return code, names


def _by_day(spec: SeasonSpec, time_us: I64) -> I64:
    """The local day of each row."""
    quarters, quarter = np.unique(time_us // QUARTER_US, return_inverse=True)
    days: I64 = ((quarters * QUARTER_US // 1_000_000 + _ahead_s(spec, quarters)) // DAY_S)[quarter]
    return days


def _ahead_s(spec: SeasonSpec, quarters: I64) -> I64:
    """Local time minus UTC [s] at each quarter of an hour."""
    zone = spec.zone
    if zone is UTC:
        return np.zeros(len(quarters), dtype=np.int64)
    moments = (datetime.fromtimestamp(q * QUARTER_US // 1_000_000, tz=zone) for q in quarters.tolist())
    return np.array([int((moment.utcoffset() or timedelta()).total_seconds()) for moment in moments], dtype=np.int64)


def _explained(of_row: I64, n_strata: int, bins: Sequence[Bins], values: F32) -> float:
    """Share of variance between strata, beyond what chance gives, of the feature where it is largest.

    Chance: (strata - 1) / independent windows, by the feature's autocorrelation.
    """
    inside = of_row >= 0
    if n_strata < 2:
        return 0.0
    wide, code = values[inside].astype(np.float64), of_row[inside]
    n = np.bincount(code, minlength=n_strata)
    shares = []
    for column, one in zip(wide.T, bins, strict=True):
        centred = column - column.mean()
        whole = float((centred**2).sum())
        between = float((np.bincount(code, weights=centred, minlength=n_strata) ** 2 / n).sum())
        lag1 = max(0.0, one.lag1)
        chance = (n_strata - 1) / max(1.0, len(column) * (1 - lag1) / (1 + lag1))
        shares.append(between / whole - chance if whole > 0 else 0.0)
    return max(shares)


def _counts(rows: Rows, inside: npt.NDArray[np.bool_], bins: Sequence[Bins]) -> list[Counts]:
    """What the rows inside count in the frozen bins."""
    pairs = neighbours(rows.recording[inside], rows.window[inside])
    out = []
    for values, one in zip(rows.values[inside].T, bins, strict=True):
        known = values[~np.isnan(values)]
        counts = counts_of(known, np.array(one.edges, np.float32)).tolist()
        lag1 = round(lag1_of(values, pairs), 4)
        out.append(Counts(counts=tuple(counts), n_nan=len(values) - len(known), lag1=lag1))
    return out
