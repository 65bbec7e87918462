"""From the store to what a report shows. One rule: it judges as `cloud-trainer drift` does, and stores nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from cloud_trainer.audit import find_bundle
from cloud_trainer.drift import DRIFTED, Rule
from cloud_trainer.drift.case import place
from cloud_trainer.drift.judge import baseline, by_age, read_periods, with_loss
from cloud_trainer.drift.periods import Z_STEP, Period
from cloud_trainer.drift.retrain import decide
from cloud_trainer.drift.verdict import STEADY, WATCH, Judged, Verdict, categories, since
from cloud_trainer.ingest import view
from cloud_trainer.labels import of_bundles
from cloud_trainer.policies import RetrainPolicy
from cloud_trainer.report import telemetry
from cloud_trainer.report.facts import Facts, Mark, Moved, Stand
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from cloud_trainer.drift.track import Track
    from cloud_trainer.workspace import Workspace
    from edge_runtime.contract.baseline import Bins

MOVED_SHOWN, POINTS = 8, 240
FOREVER = 2**62


def gather(
    ws: Workspace,
    *,
    bundle: str = "",
    from_ms: int = 0,
    to_ms: int = FOREVER,
    rule: Rule | None = None,
    policy: RetrainPolicy | None = None,
) -> Facts:
    """What there is to say of a model.

    Args:
        ws: Where its telemetry, bundle and labels are.
        bundle: How its digest begins; the one that ran last where not given.
        from_ms: What is shown begins here; it is judged by all that came before, too.
        to_ms: Judged by periods that end by then.
        rule: The detector's numbers.
        policy: When to ask for labels.

    Raises:
        UsageError: No telemetry speaks of the bundle, or of several that begin so; the workspace lacks the file.
        ContractError: As `drift.judge`.
    """
    rule = rule or Rule()
    found = [p for p in read_periods(ws) if p.end_ms <= to_ms]
    digest = _chosen(found, bundle)
    if not digest:
        return Facts(title="No model has reported yet", alarm_periods=rule.alarm_periods)
    [one] = by_age(found, rule=rule, baseline_of=lambda name: baseline(ws, name), bundle=digest)
    manifest = find_bundle(ws, digest)[1]
    first = max(from_ms, min(t.periods[0].start_ms for t in one.tracks))
    last = max(one.times)
    where = telemetry.Where(bundle=digest, from_ms=first, to_ms=last)
    labelled = next(iter(of_bundles(ws, digest)), None)
    said = decide(policy or RetrainPolicy(), one.verdicts[0], labelled)
    strata = manifest.baseline().strata[0]
    return Facts(
        title=f"{manifest.manifest.name} {manifest.manifest.version}", bundle=digest, from_ms=first, to_ms=last,
        alarm_periods=rule.alarm_periods, verdict=with_loss(ws, one.verdicts[0]),
        course=_course(one, first), stands=_stands(ws, one, rule, first),
        moved=_moved(one, (*strata.features, *strata.scores)),
        marks=[*_runs(found, first, last), *_alarms(one, first), *(
            mark for mark in telemetry.marks(ws, where) if mark.time_ms <= to_ms
        )],
        expected=telemetry.expected(ws, where),
        labelled=labelled, advice=[said.told] if said else [],
        latencies=telemetry.latencies(ws, where), losses=telemetry.losses(ws, where),
    )  # fmt: skip


def _chosen(found: Sequence[Period], prefix: str) -> str:
    """The digest that is meant; "" where nothing has run."""
    latest: dict[str, int] = {}
    for period in found:
        latest[period.bundle] = max(period.end_ms, latest.get(period.bundle, 0))
    known = sorted((digest for digest in latest if digest.startswith(prefix)), key=lambda digest: latest[digest])
    if prefix and len(known) != 1:
        raise UsageError(
            f"bundle {prefix}: {len(known)} models with summaries begin so",
            hint=f"one of {', '.join(sorted(digest[:12] for digest in latest)) or 'none: nothing was stored yet'}",
        )
    return known[-1] if known else ""


def _course(one: Judged, from_ms: int) -> list[tuple[int, float]]:
    """The highest of each few, so that a peak stays one."""
    course = [(ms, log_m) for ms, log_m in zip(one.times, one.log_fleet.tolist(), strict=True) if ms > from_ms]
    every = -(-len(course) // POINTS) or 1
    parts = [course[at : at + every] for at in range(0, len(course), every)]
    return [(part[-1][0], max(log_m for _, log_m in part)) for part in parts]


def _stands(ws: Workspace, one: Judged, rule: Rule, from_ms: int) -> list[Stand]:
    """Every stream; those with most evidence first within their verdict."""
    sites = dict(view.sql(ws, "select device, max(site) from summaries group by device").fetchall())
    order = (DRIFTED, WATCH, STEADY)
    both = zip(one.verdicts[1:], one.tracks, strict=True)
    return [
        Stand(site=sites.get(v.device, ""), verdict=v, spans=_spans(v, track, rule, from_ms))
        for v, track in sorted(both, key=lambda pair: (order.index(pair[0].verdict), -pair[0].log_top))
    ]


def _spans(verdict: Verdict, one: Track, rule: Rule, from_ms: int) -> list[tuple[int, int, str]]:
    alarm = place(one, verdict.alarm_period) if verdict.alarm_period >= 0 else len(one.periods)
    watched = np.log(rule.watch_periods)
    spans: list[tuple[int, int, str]] = []
    for i, (p, log_m) in enumerate(zip(one.periods, one.log_m.tolist(), strict=True)):
        if p.end_ms <= from_ms:
            continue
        said = DRIFTED if i >= alarm else WATCH if log_m > watched else STEADY
        is_next = bool(spans) and p.start_ms - spans[-1][1] <= (p.end_ms - p.start_ms) // 10
        if is_next and spans[-1][2] == said:
            spans[-1] = (spans[-1][0], p.end_ms, said)
        else:
            spans.append((max(p.start_ms, from_ms), p.end_ms, said))
    return spans


def _moved(one: Judged, bins: Sequence[Bins]) -> list[Moved]:
    """The features that e-BH names on drifted streams (on watched ones where none drifted), else the strongest."""
    verdict = one.verdicts[0].verdict
    if verdict == STEADY:
        return []
    best: dict[str, tuple[float, Track, Verdict, bool]] = {}
    seen: Counter[str] = Counter()
    for v, track in zip(one.verdicts[1:], one.tracks, strict=True):
        if v.verdict != verdict:
            continue
        for row in v.evidence:
            name, log_m = row["feature"], row["log_m"]
            seen[name] += bool(row["named"])
            if name not in best or best[name][0] < log_m:
                best[name] = (log_m, track, v, row["named"])
    order = sorted(best, key=lambda name: (not seen[name], -best[name][0]))
    shown = max(1, min(MOVED_SHOWN, sum(n > 0 for n in seen.values())))
    return [_one_moved(name, best[name], seen[name], bins) for name in order[:shown]]


def _one_moved(name: str, found: tuple[float, Track, Verdict, bool], streams: int, bins: Sequence[Bins]) -> Moved:
    log_m, track, v, is_named = found
    first = place(track, v.onset_period)
    row = track.names.index(name)
    counts, expected = since(track, first)
    words = categories(bins, len(track.periods[0].label_counts))[row]
    shares = counts[row] / max(1.0, counts[row].sum())
    [evidence] = [e for e in v.evidence if e["feature"] == name]
    shift, before = evidence.get("mean_since"), evidence.get("mean_before")
    centre, scale = evidence.get("centre", 0.0), evidence.get("scale", 1.0)
    return Moved(
        name=name, where=f"{v.device}/{v.stream}", streams=streams, is_named=is_named, log_m=log_m, onset_ms=v.from_ms,
        shift=shift if shift is None or before is None else shift - before,
        mean=None if shift is None else centre + shift * scale,
        mean_before=None if before is None else centre + before * scale,
        bins=[(word, float(expected[row, b]), float(shares[b])) for b, word in enumerate(words)],
        means=_means(track.periods, row) if row < len(bins) else (),
    )  # fmt: skip


def _means(series: Sequence[Period], row: int) -> list[tuple[int, float | None]]:
    every = -(-len(series) // POINTS)
    found: list[tuple[int, float | None]] = []
    for _, group in groupby(enumerate(series), key=lambda pair: pair[0] // every):
        some = [p for _, p in group]
        n = sum(p.tallies[row].n for p in some)
        mean = sum(p.tallies[row].sum for p in some) * Z_STEP / n if n else None
        found.append((some[-1].end_ms, mean))
    return found


def _runs(found: Sequence[Period], from_ms: int, to_ms: int) -> list[Mark]:
    """When each bundle was first seen, and on how many devices it came to run."""
    marks = []
    for digest in dict.fromkeys(p.bundle for p in found):
        mine = [p for p in found if p.bundle == digest]
        devices, begun = len({p.device for p in mine}), min(p.start_ms for p in mine)
        if begun < to_ms and max(p.end_ms for p in mine) > from_ms:
            text = f"bundle {digest[:12]} first runs; on {devices} device{'s' * (devices != 1)} so far"
            marks.append(Mark(lane="bundles", time_ms=max(begun, from_ms), text=text))
    return marks


def _alarms(one: Judged, from_ms: int) -> list[Mark]:
    """The model's alarm, and each named stream's."""
    marks = []
    threshold = one.verdicts[0].log_alarm
    told = next((ms for ms, log_m in zip(one.times, one.log_fleet, strict=True) if log_m > threshold), None)
    if told is not None and told > from_ms:
        marks.append(Mark(lane="alarms", time_ms=told, text=f"alarm of the model: {one.verdicts[0].cause}"))
    for v, track in zip(one.verdicts[1:], one.tracks, strict=True):
        if v.alarm_period >= 0 and (at := track.periods[place(track, v.alarm_period)].end_ms) > from_ms:
            marks.append(Mark(lane="alarms", time_ms=at, text=f"{v.device}/{v.stream} is named"))
    return marks
