"""Streams' runs through the detector: every period against the baseline of its strata. Pure.

Its one rule: streams run side by side and none sees another: one alone has the same evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from cloud_trainer.drift import detector
from cloud_trainer.drift.detector import Array, Reference, Rule, State
from cloud_trainer.drift.periods import Period, counts_of, lag1_of
from edge_runtime.contract.strata import ALL
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    from edge_runtime.contract.baseline import Baseline

SIDE_BY_SIDE: Final = 256  # streams: a step of numpy costs as much for one as for dozens


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A stream's run through the detector."""

    periods: tuple[Period, ...]
    refs: Mapping[str, Reference]  # of the strata, by name
    state: State  # after the last period
    log_e: Array  # [T, F]
    log_m: Array  # [T] mean over features
    log_rows: Array  # [T, F] M of each feature

    @property
    def names(self) -> tuple[str, ...]:
        """Of features, scores, label."""
        return self.refs[ALL].names

    @property
    def width(self) -> int:
        """Categories of the feature that has most."""
        return int(self.refs[ALL].p.shape[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a bet had learned of the feature that spoke loudest."""

    row: int
    state: State


def references(rule: Rule, baseline: Baseline) -> dict[str, Reference]:
    """The reference of each stratum, by its name."""
    return {stratum.name: detector.reference(stratum, rule) for stratum in baseline.strata}


def track(refs: Mapping[str, Reference], rule: Rule, series: Sequence[Period]) -> Track:
    """One stream's run: see `tracks`."""
    return tracks(refs, rule, [series])[0]


def tracks(refs: Mapping[str, Reference], rule: Rule, streams: Sequence[Sequence[Period]]) -> list[Track]:
    """Run each stream's periods, oldest first, each against the strata of the baseline that it lies in.

    Raises:
        ContractError: A summary does not have the baseline's rows and bins.
    """
    for series in streams:
        _check(refs[ALL], series)
    found: list[Track | None] = [None] * len(streams)
    order = sorted(range(len(streams)), key=lambda i: -len(streams[i]))
    for at in range(0, len(order), SIDE_BY_SIDE):
        some = order[at : at + SIDE_BY_SIDE]
        for i, one in zip(some, _run(refs, rule, [streams[i] for i in some]), strict=True):
            found[i] = one
    return [one for one in found if one is not None]


def _run(refs: Mapping[str, Reference], rule: Rule, streams: Sequence[Sequence[Period]]) -> list[Track]:
    """Tracks of streams that are sorted, those with most periods first: who has ended leaves at the end."""
    shape = (len(streams), len(streams[0]), len(refs[ALL].names))
    log_e, log_rows = np.empty(shape), np.empty(shape)
    ended: list[State] = []  # the last stream first
    state = detector.start(refs[ALL], rule, shape=shape[:1])
    for t in range(shape[1]):
        now = [series[t] for series in streams if len(series) > t]
        ended.extend(_one(state, i) for i in range(shape[0] - len(ended) - 1, len(now) - 1, -1))
        ref = _beside(refs, now)
        counts = counts_of(now, ref.p.shape[-1])
        state = detector.step(ref, rule, _first(state, len(now)), counts=counts, lag1=lag1_of(now))
        log_e[: len(now), t], log_rows[: len(now), t] = state.log_e, state.log_m
    ended.extend(_one(state, i) for i in range(shape[0] - len(ended) - 1, -1, -1))
    return [
        Track(
            periods=tuple(series), refs=refs, state=state, log_e=e[: len(series)].copy(),
            log_m=detector.log_mean(rows[: len(series)]), log_rows=rows[: len(series)].copy(),
        )
        for series, state, e, rows in zip(streams, reversed(ended), log_e, log_rows, strict=True)
    ]  # fmt: skip


def _one(state: State, i: int) -> State:
    """Of one stream of several; a copy, so that the others' need not stay."""
    return _map(state, lambda x: x[:, i].copy(), lambda x: x[i].copy())


def _first(state: State, n: int) -> State:
    """Of the first `n` streams."""
    return _map(state, lambda x: x[:, :n], lambda x: x[:n])


def _map(state: State, bets: Callable[[Array], Array], rows: Callable[[Array], Array]) -> State:
    return State(
        log_sr=bets(state.log_sr), log_s=bets(state.log_s), past=bets(state.past), expected=bets(state.expected),
        lag1=rows(state.lag1), log_e=rows(state.log_e), periods=state.periods,
    )  # fmt: skip


def reference_of(refs: Mapping[str, Reference], period: Period) -> Reference:
    """What a period is compared with: what none of its strata covers is in "all"."""
    known = [(refs[name], part) for name, part in period.strata if name in refs]
    rest = 1.0 - sum(part for _, part in known)
    return detector.mixture(known if rest < 1e-9 else [*known, (refs[ALL], rest)])


def _beside(refs: Mapping[str, Reference], some: Sequence[Period]) -> Reference:
    """References of several periods side by side; one for all where strata do not tell them apart."""
    if len(refs) == 1:
        return refs[ALL]
    each = [reference_of(refs, period) for period in some]
    return Reference(
        names=each[0].names, p=np.stack([ref.p for ref in each]), delta=np.stack([ref.delta for ref in each]),
        lag1=np.stack([ref.lag1 for ref in each]),
    )  # fmt: skip


def _check(ref: Reference, series: Sequence[Period]) -> None:
    want = (ref.p > 0).sum(axis=1).tolist()
    for period in series:
        have = period.categories()
        if want != have:
            raise ContractError(
                f"summary of {period.device}/{period.stream} period {period.period}: {len(have) - 1} rows of "
                f"{have[:3]}... counts, the baseline of bundle {period.bundle[:12]} has {len(want) - 1} of "
                f"{want[:3]}...",
                hint="the device counts into other bins than its bundle says: report it",
            )


def learned(rule: Rule, guilty: Track, last: int) -> Learned:
    """What the bets on a stream knew after its period `last`."""
    again = track(guilty.refs, rule, guilty.periods[: last + 1])
    return Learned(row=int(np.argmax(guilty.log_rows[last])), state=again.state)


def gains(rule: Rule, refs: Mapping[str, Reference], some: Sequence[Period], by: Learned) -> Array:
    """[T] what periods, of any stream, say of the feature that `by` speaks of, by what was learned there."""
    if not some:
        return np.zeros(0)
    ref, row, state = _beside(refs, some), [by.row], by.state
    ref = Reference(
        names=(ref.names[by.row],), p=ref.p[..., row, :], delta=ref.delta[..., row], lag1=ref.lag1[..., row]
    )
    alike = _map(state, lambda x: x[:, None, row], lambda x: x[None, row])
    counts = counts_of(some, ref.p.shape[-1])[:, row]
    gain: Array = detector.log_wealth(ref, detector.bet(ref, rule, alike)[0], counts)[:, 0]
    return gain
