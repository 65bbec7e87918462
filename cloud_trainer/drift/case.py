"""From what the detector saw to what triage looks at. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import TYPE_CHECKING

import numpy as np

from cloud_trainer.drift.detector import Array, Rule
from cloud_trainer.drift.periods import counts_of
from cloud_trainer.drift.track import Learned, Track, gains, learned
from cloud_trainer.drift.triage import Case, Row, Stream, sources

if TYPE_CHECKING:
    from cloud_trainer.drift.verdict import Verdict
    from edge_runtime.contract.baseline import Baseline, Bins


Told = tuple[Track, "Verdict"]


def cases(
    rule: Rule, baseline: Baseline, told: Sequence[Told], *, steady_before: Set[tuple[str, str]]
) -> Iterator[tuple[Case, list[Told]]]:
    """What triage looks at, and the named streams that it speaks of: the strongest change first.

    A stream that has enough evidence for an alarm of its own and does not show the strongest change is another case,
    so a sensor that has been sick for a year does not hide that the world moves today. What is too weak to be a case
    of its own goes with the first that it shows, or with the first.

    Args:
        rule: The detector's numbers.
        baseline: Of the bundle.
        told: Every stream's run and verdict, at least one of them drifted.
        steady_before: (device, stream) that ran another bundle before and had not drifted under it.
    """
    left = sorted((pair for pair in told if pair[1].alarm_period >= 0), key=lambda pair: -pair[1].log_top)
    found: list[tuple[Told, list[Told]]] = []
    while strong := [pair for pair in left if not found or pair[1].log_top > pair[1].log_alarm]:
        one, verdict = strong[0]
        last = place(one, verdict.alarm_period)
        by = learned(rule, one, last)
        alike = [pair for pair in left if _shows(rule, pair[0], by, from_ms=verdict.from_ms)]
        found.append((strong[0], [strong[0], *(pair for pair in alike if pair is not strong[0])]))
        left = [pair for pair in left if not any(pair is other for other in found[-1][1])]
    found[0][1].extend(left)
    for _, named in found:
        yield _case(rule, baseline, told, named, steady_before), named


def _case(
    rule: Rule, baseline: Baseline, told: Sequence[Told], named: Sequence[Told], steady_before: Set[tuple[str, str]]
) -> Case:
    """The periods of the `named` around the change of the first of them, and who else shows it."""
    one, verdict = named[0]
    first, last = place(one, verdict.onset_period), place(one, verdict.alarm_period)
    features = baseline.strata[0].features
    index = {bins.name: row for row, bins in enumerate(features)}
    moved = [e for e in verdict.evidence if e["feature"] in index]
    by = learned(rule, one, last)
    now = counts_of(one.periods[first : last + 1], one.width).sum(axis=0)
    return Case(
        rows=tuple(_row(features, index[e["feature"]], now) for e in moved if e["named"] or e is moved[0]),
        named=tuple(_stream(*pair, steady_before) for pair in named),
        n_streams=len(told),
        n_changed=sum(_shows(rule, track, by, from_ms=verdict.from_ms) for track, _ in told),
        n_sources=len({source for b in features for source in sources(b.name)}),
    )


def _stream(track: Track, verdict: Verdict, steady_before: Set[tuple[str, str]]) -> Stream:
    first = place(track, verdict.onset_period)
    was_steady = (verdict.device, verdict.stream) in steady_before
    return Stream(before=track.periods[:first], since=track.periods[first:], was_steady=was_steady)


def place(one: Track, number: int) -> int:
    """Index of the period with this number; of the last, where epochs repeat it."""
    return max(i for i, p in enumerate(one.periods) if p.period == number)


def _row(features: Sequence[Bins], row: int, now: Array) -> Row:
    """The feature with its shares in the baseline and in `now` [F, B]."""
    base = np.array([*features[row].counts, features[row].n_nan], dtype=np.float64)
    shares = now[row, : len(base)] / max(1.0, now[row].sum())
    grown = zip((base / max(1.0, base.sum())).tolist(), shares.tolist(), strict=True)
    return Row(index=row, name=features[row].name, grown=tuple(grown))


def _shows(rule: Rule, one: Track, by: Learned, *, from_ms: int) -> bool:
    """A stream's periods since then speak for the change that another stream's bet had learned."""
    since = [p for p in one.periods if p.end_ms > from_ms]
    return bool(gains(rule, one.refs, since, by).sum() > 0)
