"""A stream's run through the detector: every period against the baseline of its stratum. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cloud_trainer.drift import detector
from cloud_trainer.drift.detector import Array, Reference, Rule, State
from edge_runtime.contract.strata import ALL
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    from cloud_trainer.drift.periods import Period
    from edge_runtime.contract.baseline import Baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A stream's run through the detector."""

    periods: tuple[Period, ...]
    refs: tuple[Reference, ...]  # of each period's strata
    states: tuple[State, ...]  # after each period
    log_e: Array  # [T, F]
    log_m: Array  # [T] mean over features
    log_rows: Array  # [T, F] M of each feature


def references(rule: Rule, baseline: Baseline) -> dict[str, Reference]:
    """The reference of each stratum, by its name."""
    return {stratum.name: detector.reference(stratum, rule) for stratum in baseline.strata}


def track(refs: Mapping[str, Reference], rule: Rule, series: Sequence[Period]) -> Track:
    """Run one stream's periods, oldest first, each against the strata of the baseline that it lies in.

    Raises:
        ContractError: A summary does not have the baseline's rows and bins.
    """
    used = [detector.mixture(_parts(refs, period.strata)) for period in series]
    state = detector.start(refs[ALL], rule)
    states = []
    for ref, period in zip(used, series, strict=True):
        _check(ref, period)
        state = detector.step(ref, rule, state, counts=period.counts(ref), lag1=period.lag1())
        states.append(state)
    log_rows = np.stack([s.log_m for s in states])
    return Track(
        periods=tuple(series), refs=tuple(used), states=tuple(states), log_e=np.stack([s.log_e for s in states]),
        log_m=detector.log_mean(log_rows), log_rows=log_rows,
    )  # fmt: skip


def _parts(refs: Mapping[str, Reference], strata: Sequence[tuple[str, float]]) -> list[tuple[Reference, float]]:
    """The references that a period is compared with, and its part in each: what none of them covers is in "all"."""
    known = [(refs[name], part) for name, part in strata if name in refs]
    rest = 1.0 - sum(part for _, part in known)
    return known if rest < 1e-9 else [*known, (refs[ALL], rest)]


def _check(ref: Reference, period: Period) -> None:
    want = (ref.p > 0).sum(axis=1).tolist()
    have = [len(counts) for counts in period.rows()]
    if want != have:
        raise ContractError(
            f"summary of {period.device}/{period.stream} period {period.period}: {len(have) - 1} rows of {have[:3]}... "
            f"counts, the baseline of bundle {period.bundle[:12]} has {len(want) - 1} of {want[:3]}...",
            hint="the device counts into other bins than its bundle says: report it",
        )


def gains(rule: Rule, one: Track, *, guilty: Track, last: int) -> Array:
    """[T] what a stream's periods say of the feature strongest in `guilty`, by what was learned there at `last`."""
    row, state = int(np.argmax(guilty.log_rows[last])), guilty.states[last]
    return np.array([
        detector.log_wealth(ref, detector.bet(ref, rule, state)[0], p.counts(ref))[row]
        for ref, p in zip(one.refs, one.periods, strict=True)
    ])  # fmt: skip
