"""Facts to a page. One rule: the verdict comes first, in words; pictures and tables say why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from cloud_trainer.drift.loss import ASSUMES
from cloud_trainer.drift.triage import ADVICE, SEASON
from cloud_trainer.drift.verdict import DRIFTED, STEADY, WATCH, Verdict
from cloud_trainer.report import svg
from cloud_trainer.report.facts import Facts, Moved, Share, Stand
from cloud_trainer.report.html import Markup, document, table, tag
from cloud_trainer.report.svg import Axis, moment

ROWS_SHOWN, MARKS_SHOWN = 40, 200


def render(facts: Facts) -> str:
    """The report as one HTML file that needs nothing else."""
    if facts.verdict is None:
        nothing = "No summary of a device is in the store. They come once a period: cloud-trainer ingest stores them."
        return document(facts.title, tag("h1", facts.title), tag("p", nothing, class_="note"))
    axis = Axis(facts.from_ms, facts.to_ms)
    span = f"bundle {facts.bundle[:12]}, {moment(facts.from_ms)} to {moment(facts.to_ms)} UTC"
    return document(
        f"{facts.title}: {facts.verdict.verdict}",
        tag("h1", facts.title), tag("p", span, class_="note"), _verdict(facts, facts.verdict),
        *_moved(facts), *_fleet(facts, axis), *_evidence(facts, axis), *_timeline(facts, axis),
        *_accuracy(facts, axis), *_latency(facts), *_losses(facts),
    )  # fmt: skip


# ---- the verdict ----


def _verdict(facts: Facts, model: Verdict) -> Markup:
    said = model.verdict + (f": {', '.join(model.causes)}" if model.cause and model.verdict == DRIFTED else "")
    advice = [f"{cause}: {ADVICE[cause]}" for cause in model.causes if cause in ADVICE]
    lines = [*_who(facts, model), *_costs(facts, model), *advice, *facts.advice]
    return tag(
        "section", tag("p", tag("strong", said)), [tag("p", line) for line in lines],
        class_=f"verdict {model.verdict}", aria_label="verdict",
    )  # fmt: skip


def _who(facts: Facts, model: Verdict) -> list[str]:
    counts = Counter(stand.verdict.verdict for stand in facts.stands)
    n = len(facts.stands)
    promise = f"a steady fleet is accused at most once in {facts.alarm_periods:g} periods on average"
    if model.verdict == STEADY:
        season = "; against all hours pooled it would be drift: the season has changed, not the world"
        return [f"{_n(n, 'stream')} in {_n(model.periods, 'period')}, {model.n_windows} windows: as in training"
                f"{season if model.cause == SEASON else ''}; {promise}"]  # fmt: skip
    if model.verdict == WATCH:
        return [f"evidence {model.log_top:.1f} of {model.log_alarm:.1f}: no alarm yet", promise]
    names = ", ".join(moved.name for moved in facts.moved if moved.is_named) or "none alone"
    return [
        f"{counts[DRIFTED]} of {_n(n, 'stream')} named (e-BH at q = .05), since {moment(model.from_ms)} UTC "
        f"(period {model.onset_period}), told at the end of period {model.alarm_period}; "
        f"{'it goes on' if model.ongoing else 'the last period no longer shows it'}",
        f"features: {names}; {promise}",
    ]


def _costs(facts: Facts, model: Verdict) -> list[str]:
    lines = []
    if now := model.since:
        when = "before" if model.before and model.before.records else "on its test groups"
        before = f"{model.before.value:.1%} {when}" if model.before else "before not known"
        lines.append(f"expected accuracy {before}, {now.value:.1%} since ({now.low:.1%}..{now.high:.1%} by "
                     f"{now.records} records), {ASSUMES}")  # fmt: skip
    elif model.verdict == DRIFTED:
        lines.append("what it costs is not known: no record's scores say, only labels can")
    if (by := facts.labelled) and by.accuracy:
        a = by.accuracy
        chosen = "" if by.random else ", of the labelled records alone: none was drawn at random"
        lines.append(f"accuracy by labels {a.value:.1%} ({a.low:.1%}..{a.high:.1%} by {a.records} labels){chosen}")
    if facts.labelled and facts.labelled.has_moved:
        lines.append("concept drift: it errs more often than its scores say")
    return lines


# ---- sections: a heading and what is below it ----


def _moved(facts: Facts) -> list[Markup]:
    if not facts.moved:
        return []
    note = "Shares of the baseline's bins in grey, those since the onset in blue; strongest first."
    cards = [_card(one) for one in facts.moved]
    return [tag("h2", "What moved"), tag("p", note, class_="note"), tag("div", cards, class_="cards")]


def _card(one: Moved) -> Markup:
    if one.shift is not None and one.mean is not None and one.mean_before is not None:
        size = f"mean {one.shift:+.2f} scales ({one.mean_before:.4g} before, {one.mean:.4g} since)"
    elif one.mean is not None:
        size = f"mean {one.mean:.4g} since its first period"
    else:
        size = "the mix of its values changed"
    named = f"named on {_n(one.streams, 'stream')} (e-BH at q = .05)" if one.streams else "not named by itself"
    rows = [(name, f"{base:.2%}", f"{now:.2%}") for name, base, now in one.bins]
    return tag(
        "section", tag("h3", one.name), tag("p", size), svg.bins(one), svg.means(one) if one.means else None,
        tag("p", f"since {moment(one.onset_ms)} UTC on {one.where}; {named}; log M {one.log_m:.1f}", class_="note"),
        tag("details", tag("summary", "numbers"), table(("bin", "baseline", "since"), rows)), class_="card",
    )  # fmt: skip


def _fleet(facts: Facts, axis: Axis) -> list[Markup]:
    counts = Counter(stand.verdict.verdict for stand in facts.stands)
    said = ", ".join(f"{counts[name]} {name}" for name in (DRIFTED, WATCH, STEADY) if counts[name])
    shown, rest = facts.stands[:ROWS_SHOWN], len(facts.stands) - ROWS_SHOWN
    return [
        tag("h2", "The fleet"), tag("p", f"{_n(len(facts.stands), 'stream')}: {said}.", class_="note"), svg.legend(),
        svg.fleet(facts.stands), tag("h3", "When"), svg.stands(shown, axis),
        *([tag("p", f"and {rest} more with less evidence", class_="note")] if rest > 0 else []),
        *_troubled(facts.stands),
    ]  # fmt: skip


def _troubled(stands: Sequence[Stand]) -> list[Markup]:
    some = [stand for stand in stands if stand.verdict.verdict != STEADY]
    rows = [
        (f"{v.device}/{v.stream}", stand.site, v.verdict, v.cause, moment(v.from_ms), str(v.onset_period),
         f"{v.log_top:.1f}", ", ".join(e["feature"] for e in v.evidence if e["named"]) or "-")
        for stand in some[:MARKS_SHOWN] for v in (stand.verdict,)
    ]  # fmt: skip
    head = ("stream", "site", "verdict", "cause", "since (UTC)", "period", "log M", "features named")
    return [tag("details", tag("summary", f"not steady: {len(some)}"), table(head, rows))] if some else []


def _evidence(facts: Facts, axis: Axis) -> list[Markup]:
    if not facts.course:
        return []
    alarm = math.log(facts.alarm_periods)
    note = "log M of the model; above the upper line it has drifted, above the lower one it is watched."
    return [tag("h2", "Evidence"), tag("p", note, class_="note"), svg.course(facts, axis, watch=alarm / 2, alarm=alarm)]


def _timeline(facts: Facts, axis: Axis) -> list[Markup]:
    marks = sorted(facts.marks, key=lambda mark: (mark.time_ms, mark.lane, mark.text))
    rows = [(moment(mark.time_ms), mark.lane, mark.text) for mark in marks[-MARKS_SHOWN:]]
    said = f"the last {len(rows)} of {len(marks)}" if len(rows) < len(marks) else _n(len(rows), "entry", "entries")
    return [tag("h2", "Timeline"), svg.timeline(marks, axis),
            tag("details", tag("summary", said), table(("time (UTC)", "what", ""), rows))]  # fmt: skip


def _accuracy(facts: Facts, axis: Axis) -> list[Markup]:
    by = facts.labelled.accuracy if facts.labelled else None
    labelled = Share(from_ms=facts.from_ms, to_ms=facts.to_ms, accuracy=by) if by else None
    if not facts.expected and not labelled:
        nothing = "Neither scores nor labels of records say how often it is right."
        return [tag("h2", "Accuracy"), tag("p", nothing, class_="note")]
    note = f"Dots: what the scores promise, {ASSUMES}; bars are 95 % intervals. Band: by the labels so far."
    return [tag("h2", "Accuracy"), tag("p", note, class_="note"), svg.accuracies(facts.expected, axis, labelled)]


def _latency(facts: Facts) -> list[Markup]:
    if not facts.latencies:
        return []
    rows = [(one.where or "all streams", f"{one.decisions:,}", *(f"{v:,}" for v in (one.p50, one.p99, one.most)))
            for one in facts.latencies]  # fmt: skip
    head = ("stream", "decisions", "p50 µs", "p99 µs", "most µs")
    return [tag("h2", "Time of a decision"), table(head, rows)]


def _losses(facts: Facts) -> list[Markup]:
    if not facts.losses:
        return [tag("h2", "Losses"), tag("p", "Nothing was dropped, given up or broken.", class_="note")]
    rows = [(one.where, *(f"{v:,}" for v in (one.dropped, one.given_up, one.gaps, one.faults)))
            for one in facts.losses[:ROWS_SHOWN]]  # fmt: skip
    head = ("device", "decisions dropped", "rows a full spool gave up", "gaps", "faults")
    more = len(facts.losses) - ROWS_SHOWN
    note = [tag("p", f"and {more} more with less", class_="note")] if more > 0 else []
    return [tag("h2", "Losses"), table(head, rows), *note]


def _n(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
