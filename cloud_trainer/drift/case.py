"""From what the detector saw to what triage looks at. Pure."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

import numpy as np

from cloud_trainer.drift.detector import Array, Rule
from cloud_trainer.drift.track import Track, gains
from cloud_trainer.drift.triage import Case, Row, Stream, sources

if TYPE_CHECKING:
    from cloud_trainer.drift.verdict import Verdict
    from edge_runtime.contract.baseline import Baseline, Bins


def case_of(
    rule: Rule, baseline: Baseline, told: Sequence[tuple[Track, Verdict]], *, steady_before: Set[tuple[str, str]]
) -> Case:
    """What triage looks at: the named streams' periods around the change, and who else shows it.

    Args:
        rule: The detector's numbers.
        baseline: Of the bundle.
        told: Every stream's run and verdict, at least one of them drifted.
        steady_before: (device, stream) that ran another bundle before and had not drifted under it.
    """
    named = sorted((pair for pair in told if pair[1].alarm_period >= 0), key=lambda pair: -pair[1].log_top)
    one, verdict = named[0]
    first, last = place(one, verdict.onset_period), place(one, verdict.alarm_period)
    features = baseline.strata[0].features
    index = {bins.name: row for row, bins in enumerate(features)}
    moved = [e for e in verdict.evidence if e["feature"] in index]
    now = np.sum([p.counts(one.refs[0]) for p in one.periods[first : last + 1]], axis=0)
    return Case(
        rows=tuple(_row(features, index[e["feature"]], now) for e in moved if e["named"] or e is moved[0]),
        named=tuple(_stream(*pair, steady_before) for pair in named),
        n_streams=len(told),
        n_changed=sum(_shows(rule, track, guilty=one, last=last, from_ms=verdict.from_ms) for track, _ in told),
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


def _shows(rule: Rule, one: Track, *, guilty: Track, last: int, from_ms: int) -> bool:
    """A stream's periods since then speak for the change that another stream's bet had learned."""
    since = np.array([p.end_ms > from_ms for p in one.periods])
    return bool(gains(rule, one, guilty=guilty, last=last)[since].sum() > 0)
