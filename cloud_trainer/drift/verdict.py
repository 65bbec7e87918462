"""Verdicts: what the detector says of a model, of each stream that runs it, with the evidence. Pure.

Its one rule: the alarm belongs to the model (bundle), at most once in `Rule.alarm_periods` on a steady fleet, however
many devices run it. When it is up, e-BH names the streams; the one with the most evidence is always named.

steady: M never passed the watch threshold. watch: M of the stream (or model) passed sqrt(A). drifted: the model's
alarm was up, and this stream is named. An alarm stays until another bundle runs: `ongoing` says whether the last
period still speaks for the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cloud_trainer.drift import detector, triage
from cloud_trainer.drift.case import cases
from cloud_trainer.drift.detector import Array, Reference, Rule
from cloud_trainer.drift.periods import Z_STEP, Period, counts_of
from cloud_trainer.drift.track import Track, gains, learned, reference_of, references, tracks
from edge_runtime.contract.strata import ALL

if TYPE_CHECKING:
    from cloud_trainer.drift.loss import Accuracy
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
    cause: str = ""  # what kind of change, where drifted: see `triage`; "season" where only all hours pooled would
    also: tuple[str, ...] = ()  # what else happens, on other streams; of the model alone
    before: Accuracy | None = None  # expected from the scores before `from_ms`, or of no records: on its test groups
    since: Accuracy | None = None  # from then on

    @property
    def causes(self) -> tuple[str, ...]:
        """All kinds of change, the strongest first."""
        return (self.cause, *self.also) if self.cause else ()

    @property
    def loss(self) -> float:
        """By how much the accuracy is expected to have fallen, 0..1; NaN where the scores do not say."""
        if self.before is None or self.since is None:
            return float("nan")
        return self.before.value - self.since.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdicts on a model, and the runs that they were read from."""

    verdicts: tuple[Verdict, ...]  # of the model, then of each stream in the order of `tracks`
    tracks: tuple[Track, ...]
    times: tuple[int, ...]  # ends of all periods [ms]
    log_fleet: Array  # [times] log of the mean M over the streams


def judge_model(
    rule: Rule, baseline: Baseline, series: Sequence[Period], *, steady_before: Set[tuple[str, str]] = frozenset()
) -> list[Verdict]:
    """The model's verdict first, then one for each stream: see `judged`."""
    return list(judged(rule, baseline, series, steady_before=steady_before).verdicts)


def judged(
    rule: Rule, baseline: Baseline, series: Sequence[Period], *, steady_before: Set[tuple[str, str]] = frozenset()
) -> Judged:
    """What the detector makes of all periods under one bundle.

    Args:
        rule: The detector's numbers.
        baseline: Of the bundle.
        series: All periods, in any order; at least one.
        steady_before: (device, stream) that ran another bundle before and had not drifted under it.
    """
    refs = references(rule, baseline)
    ordered = sorted(series, key=lambda p: (p.device, p.stream, p.start_ms, p.first_window))
    by_stream = [list(group) for _, group in groupby(ordered, key=lambda p: (p.device, p.stream))]
    runs = tuple(tracks(refs, rule, by_stream))
    times, log_fleet = _fleet(runs)
    alarm = _first(log_fleet, np.log(rule.alarm_periods))
    named = _named(rule, runs) if alarm >= 0 else set()
    bins = (*baseline.strata[0].features, *baseline.strata[0].scores)
    streams = [
        _stream_verdict(rule, bins, t, alarm_ms=times[alarm] if index in named else None)
        for index, t in enumerate(runs)
    ]
    verdicts = [_model_verdict(rule, streams, runs, times=times, log_fleet=log_fleet), *streams]
    if named:
        told = list(zip(runs, streams, strict=True))
        causes = [
            (triage.cause(case), alike) for case, alike in cases(rule, baseline, told, steady_before=steady_before)
        ]
        whose = {(v.device, v.stream): cause for cause, alike in causes for _, v in alike}
        also = tuple(dict.fromkeys(cause for cause, _ in causes if cause != causes[0][0]))
        verdicts = [replace(v, cause=whose.get((v.device, v.stream), "")) for v in verdicts]
        verdicts[0] = replace(verdicts[0], cause=causes[0][0], also=also)
    elif _is_season(rule, refs, by_stream):
        verdicts[0] = replace(verdicts[0], cause=triage.SEASON)
    return Judged(verdicts=tuple(verdicts), tracks=runs, times=tuple(times), log_fleet=log_fleet)


def _is_season(rule: Rule, refs: Mapping[str, Reference], by_stream: Sequence[Sequence[Period]]) -> bool:
    """Against all hours pooled it would have been an alarm."""
    if len(refs) == 1:
        return False
    pooled = tracks({ALL: refs[ALL]}, rule, by_stream)
    return _first(_fleet(pooled)[1], np.log(rule.alarm_periods)) >= 0


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
    log_e = np.array([float(detector.log_mean(detector.log_fixed_start(t.state))) for t in tracks])
    most = int(np.argmax([t.log_m.max() for t in tracks]))
    return {*detector.e_bh(log_e, rule.discovery_rate), most}


def _stream_verdict(rule: Rule, bins: Sequence[Bins], one: Track, *, alarm_ms: int | None) -> Verdict:
    top = float(one.log_m.max())
    seen = float(np.log(rule.watch_periods))
    verdict = DRIFTED if alarm_ms is not None else WATCH if top > seen else STEADY
    first, last, ongoing = 0, len(one.periods) - 1, False
    evidence: tuple[dict[str, Any], ...] = ()
    if verdict != STEADY:
        last = _alarm_at(rule, one, alarm_ms)
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


def _alarm_at(rule: Rule, one: Track, alarm_ms: int | None) -> int:
    """Index of the period whose end raised the alarm, or the later one that shows this stream's own part in it.

    Of the most evidence where the stream is only watched.
    """
    if alarm_ms is not None:
        before = sum(p.end_ms <= alarm_ms for p in one.periods)
        above = _first(one.log_m[max(0, before - 1) :], np.log(rule.alarm_periods))
        if above >= 0:
            return max(0, before - 1) + above
    return int(np.argmax(one.log_m))


def _gain(rule: Rule, one: Track, *, last: int) -> Array:
    """[T] what each period says of the strongest feature, by what the bet had learned at `last`.

    For onset and end only: the bets of the time learn of a change from the first period that has it.
    """
    return gains(rule, one.refs, one.periods, learned(rule, one, last))


def _evidence(rule: Rule, bins: Sequence[Bins], one: Track, *, first: int, last: int) -> tuple[dict[str, Any], ...]:
    """The features that speak for a change at `last`, strongest first, with the size of the change since `first`."""
    strength = one.log_rows[last]
    log_start = detector.log_fixed_start(one.state)
    named = set(detector.e_bh(log_start, rule.discovery_rate))
    counts, expected = since(one, first)
    names = categories(bins, len(one.periods[0].label_counts))
    return tuple(
        {
            "feature": one.names[row], "log_m": round(float(strength[row]), 3),
            "log_e": round(float(one.log_e[first:, row].sum()), 3), "named": row in named,
            **_shares(names[row], counts[row], expected[row]),
            **(_means(bins[row], row, one.periods[:first], one.periods[first:]) if row < len(bins) else {}),
        }
        for row in np.argsort(-strength, kind="stable").tolist()
        if strength[row] > 0
    )  # fmt: skip


def since(one: Track, first: int) -> tuple[Array, Array]:
    """[F, B] windows by category from period `first` on, and the shares that the baseline expects of them."""
    some = one.periods[first:]
    counts = counts_of(some, one.width).sum(axis=0)
    weight = np.array([p.n_windows for p in some], dtype=np.float64)
    return counts, np.average([reference_of(one.refs, p).p for p in some], axis=0, weights=weight)


def categories(bins: Sequence[Bins], n_labels: int) -> list[list[str]]:
    """Names of the categories of each feature and score, then of the label's (abstain is one of the `n_labels`)."""
    return [*(_bin_names(b) for b in bins), [*(b.name for b in bins[len(bins) + 1 - n_labels :]), "abstain"]]


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
