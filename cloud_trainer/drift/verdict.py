"""Verdicts: what the detector says of a model, of each stream that runs it, with the evidence. Pure.

Its one rule: the alarm belongs to the model (bundle), at most once in `Rule.alarm_periods` on a steady fleet, however
many devices run it. When it is up, e-BH names the streams; the one with the most evidence is always named.

steady: M never passed the watch threshold. watch: M of the stream (or model) passed sqrt(A). drifted: the model's
alarm was up, and this stream is named. An alarm stays until another bundle runs: `ongoing` says whether the last
period still speaks for the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cloud_trainer.drift import detector
from cloud_trainer.drift.detector import Array, Reference, Rule, State
from cloud_trainer.drift.periods import Z_STEP, Period
from edge_runtime.contract.strata import ALL
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    from edge_runtime.contract.baseline import Baseline, Bins

STEADY, WATCH, DRIFTED = "steady", "watch", "drifted"
BINS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of one stream under one bundle; `device` and `stream` are "" for the model as a whole."""

    bundle: str
    device: str
    stream: str
    verdict: str  # steady, watch, drifted
    periods: int  # periods seen
    n_windows: int
    from_ms: int  # start of the suspicious range, of all periods where steady
    to_ms: int
    onset_period: int  # number of the period where the change most likely began; -1 where steady
    alarm_period: int  # number of the period whose end raised the alarm; -1 where none
    log_m: float  # at the last period
    log_top: float  # the largest there was
    log_alarm: float
    ongoing: bool
    evidence: tuple[Mapping[str, Any], ...]  # features, strongest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A stream's run through the detector."""

    periods: tuple[Period, ...]
    refs: tuple[Reference, ...]  # of each period's stratum
    states: tuple[State, ...]  # after each period
    log_e: Array  # [T, F]
    log_m: Array  # [T] mean over features
    log_rows: Array  # [T, F] M of each feature


def references(rule: Rule, baseline: Baseline) -> dict[str, Reference]:
    """The reference of each stratum, by its name."""
    return {stratum.name: detector.reference(stratum, rule) for stratum in baseline.strata}


def track(refs: Mapping[str, Reference], rule: Rule, series: Sequence[Period]) -> Track:
    """Run one stream's periods, oldest first, each against the narrowest stratum that the baseline has for it.

    Raises:
        ContractError: A summary does not have the baseline's rows and bins.
    """
    used = [refs[next((name for name in period.strata if name in refs), ALL)] for period in series]
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


def _check(ref: Reference, period: Period) -> None:
    want = (ref.p > 0).sum(axis=1).tolist()
    have = [len(counts) for counts in period.rows()]
    if want != have:
        raise ContractError(
            f"summary of {period.device}/{period.stream} period {period.period}: {len(have) - 1} rows of {have[:3]}... "
            f"counts, the baseline of bundle {period.bundle[:12]} has {len(want) - 1} of {want[:3]}...",
            hint="the device counts into other bins than its bundle says: report it",
        )


def judge_model(rule: Rule, baseline: Baseline, series: Sequence[Period]) -> list[Verdict]:
    """The model's verdict first, then one for each stream, from all periods under one bundle."""
    refs = references(rule, baseline)
    bins = (*baseline.strata[0].features, *baseline.strata[0].scores)
    ordered = sorted(series, key=lambda p: (p.device, p.stream, p.start_ms, p.first_window))
    tracks = [track(refs, rule, list(group)) for _, group in groupby(ordered, key=lambda p: (p.device, p.stream))]
    times, log_fleet = _fleet(tracks)
    alarm = _first(log_fleet, np.log(rule.alarm_periods))
    named = _named(rule, tracks) if alarm >= 0 else set()
    streams = [
        _stream_verdict(rule, bins, t, alarm_ms=times[alarm] if index in named else None)
        for index, t in enumerate(tracks)
    ]
    return [_model_verdict(rule, streams, tracks, times=times, log_fleet=log_fleet), *streams]


def _fleet(tracks: Sequence[Track]) -> tuple[list[int], Array]:
    """End times of all periods [ms], and log of the mean M over the streams at each."""
    ends = sorted((p.end_ms, i, t) for i, one in enumerate(tracks) for t, p in enumerate(one.periods))
    current = np.full(len(tracks), -np.inf)
    times: list[int] = []
    values: list[float] = []
    for end_ms, group in groupby(ends, key=lambda end: end[0]):
        for _, i, t in group:
            current[i] = tracks[i].log_m[t]
        times.append(end_ms)
        values.append(float(detector.log_mean(current)))
    return times, np.array(values)


def _first(values: Array, threshold: float) -> int:
    above = np.flatnonzero(values > threshold)
    return int(above[0]) if len(above) else -1


def _named(rule: Rule, tracks: Sequence[Track]) -> set[int]:
    """Indices of the streams that carry the alarm."""
    log_e = np.array([float(detector.log_mean(detector.log_fixed_start(t.states[-1]))) for t in tracks])
    most = int(np.argmax([t.log_m.max() for t in tracks]))
    return {*detector.e_bh(log_e, rule.discovery_rate), most}


def _stream_verdict(rule: Rule, bins: Sequence[Bins], one: Track, *, alarm_ms: int | None) -> Verdict:
    top = float(one.log_m.max())
    seen = float(np.log(rule.watch_periods))
    verdict = DRIFTED if alarm_ms is not None else WATCH if top > seen else STEADY
    first, last, ongoing = 0, len(one.periods) - 1, False
    evidence: tuple[dict[str, Any], ...] = ()
    if verdict != STEADY:
        last = _alarm_at(one, alarm_ms)
        gain = _gain(rule, one, last=last)
        first, ongoing = detector.onset(gain[: last + 1]), bool(gain[-1] > 0)
        evidence = _evidence(rule, bins, one, first=first, last=last)
    return Verdict(
        bundle=one.periods[0].bundle, device=one.periods[0].device, stream=one.periods[0].stream, verdict=verdict,
        periods=len(one.periods), n_windows=sum(p.n_windows for p in one.periods),
        from_ms=one.periods[first].start_ms, to_ms=one.periods[-1].end_ms,
        onset_period=one.periods[first].period if verdict != STEADY else -1,
        alarm_period=one.periods[last].period if verdict == DRIFTED else -1,
        log_m=float(one.log_m[-1]), log_top=top, log_alarm=float(np.log(rule.alarm_periods)),
        ongoing=ongoing, evidence=evidence,
    )  # fmt: skip


def _alarm_at(one: Track, alarm_ms: int | None) -> int:
    """Index of the period whose end raised the alarm; where it was raised by others, or is only watched, of the top."""
    if alarm_ms is not None:
        before = [t for t, p in enumerate(one.periods) if p.end_ms <= alarm_ms]
        if before and one.log_m[before[-1]] >= 0:
            return before[-1]
    return int(np.argmax(one.log_m))


def _gain(rule: Rule, one: Track, *, last: int) -> Array:
    """[T] what each period says of the strongest feature, by what the bet had learned at `last`.

    For onset and end only: the bets of the time learn of a change from the first period that has it.
    """
    row, state = int(np.argmax(one.log_rows[last])), one.states[last]
    return np.array([
        detector.log_wealth(ref, detector.bet(ref, rule, state)[0], p.counts(ref))[row]
        for ref, p in zip(one.refs, one.periods, strict=True)
    ])  # fmt: skip


def _evidence(rule: Rule, bins: Sequence[Bins], one: Track, *, first: int, last: int) -> tuple[dict[str, Any], ...]:
    """The features that speak for a change at `last`, strongest first, with the size of the change since `first`."""
    strength = one.log_rows[last]
    log_start = detector.log_fixed_start(one.states[-1])
    named = set(detector.e_bh(log_start, rule.discovery_rate))
    counts = np.array([p.counts(ref) for p, ref in zip(one.periods, one.refs, strict=True)])[first:].sum(axis=0)
    weight = np.array([p.n_windows for p in one.periods[first:]], dtype=np.float64)
    expected = np.average([ref.p for ref in one.refs[first:]], axis=0, weights=weight)
    names = [_bin_names(b) for b in bins]
    names.append([*(b.name for b in bins[len(bins) + 1 - len(one.periods[0].label_counts) :]), "abstain"])
    return tuple(
        {
            "feature": one.refs[0].names[row], "log_m": round(float(strength[row]), 3),
            "log_e": round(float(one.log_e[first:, row].sum()), 3), "named": row in named,
            **_shares(names[row], counts[row], expected[row]),
            **(_means(bins[row], row, one.periods[:first], one.periods[first:]) if row < len(bins) else {}),
        }
        for row in np.argsort(-strength, kind="stable").tolist()
        if strength[row] > 0
    )  # fmt: skip


def _shares(names: Sequence[str], counts: Array, expected: Array) -> dict[str, Any]:
    """The categories whose share changed most."""
    share = counts / max(1.0, counts.sum())
    most = np.argsort(-np.abs(share - expected), kind="stable")[:BINS_SHOWN].tolist()
    return {
        "n": int(counts.sum()),
        "bins": [
            {"bin": names[b], "baseline": round(float(expected[b]), 4), "now": round(float(share[b]), 4)}
            for b in most
            if b < len(names)
        ],
    }


def _means(bins: Bins, row: int, before: Sequence[Period], since: Sequence[Period]) -> dict[str, Any]:
    """Mean before and since, in units of the baseline's scale from its centre."""
    means = {"mean_before": _mean(row, before), "mean_since": _mean(row, since)}
    return {**means, "centre": bins.centre, "scale": bins.scale}


def _mean(row: int, some: Sequence[Period]) -> float | None:
    n = sum(p.tallies[row].n for p in some)
    return round(sum(p.tallies[row].sum for p in some) * Z_STEP / n, 4) if n else None


def _bin_names(bins: Bins) -> list[str]:
    """Of each category: below, the bins, above, NaN."""
    inner = [f"{a:.6g}..{b:.6g}" for a, b in pairwise(bins.edges)]
    return [f"< {bins.edges[0]:.6g}", *inner, f"> {bins.edges[-1]:.6g}", "NaN"]


def _model_verdict(
    rule: Rule, streams: Sequence[Verdict], tracks: Sequence[Track], *, times: Sequence[int], log_fleet: Array
) -> Verdict:
    top = float(log_fleet.max())
    alarm = _first(log_fleet, np.log(rule.alarm_periods))
    verdict = DRIFTED if alarm >= 0 else WATCH if top > np.log(rule.watch_periods) else STEADY
    guilty = [v for v in streams if v.verdict == DRIFTED]
    all_periods = [p for one in tracks for p in one.periods]
    return Verdict(
        bundle=streams[0].bundle, device="", stream="", verdict=verdict, periods=len(times),
        n_windows=sum(p.n_windows for p in all_periods),
        from_ms=min((v.from_ms for v in guilty), default=min(p.start_ms for p in all_periods)),
        to_ms=max(p.end_ms for p in all_periods), onset_period=min((v.onset_period for v in guilty), default=-1),
        alarm_period=min((v.alarm_period for v in guilty), default=-1),
        log_m=float(log_fleet[-1]), log_top=top, log_alarm=float(np.log(rule.alarm_periods)),
        ongoing=any(v.ongoing for v in streams if v.verdict == verdict),
        evidence=tuple({"device": v.device, "stream": v.stream, "log_m": round(v.log_top, 3)} for v in guilty),
    )  # fmt: skip
