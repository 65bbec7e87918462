"""A verdict as a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cloud_trainer.drift.loss import ASSUMES
from cloud_trainer.drift.triage import ADVICE
from cloud_trainer.drift.verdict import DRIFTED, STEADY, Verdict

FEATURES_SHOWN, STREAMS_SHOWN = 5, 8
STREAMS_TOLD = 20  # with all that is known of each
BY_E_BH = "named by e-BH at q = .05"


def pick(verdicts: Sequence[Verdict]) -> tuple[list[Verdict], list[str]]:
    """What to tell of a model one by one: itself and the streams with most evidence; and a line a kind of the others.

    Args:
        verdicts: Of the model, then of its streams.
    """
    streams = [v for v in verdicts if v.device]
    calm = [v for v in streams if v.verdict == STEADY]
    loud = sorted((v for v in streams if v.verdict != STEADY), key=lambda v: -v.log_top)
    rest = loud[STREAMS_TOLD:]
    left_out = {id(v) for v in (*calm, *rest)}
    lines = [_counted(some, what) for some, what in ((rest, "more not steady"), (calm, "steady")) if some]
    return [v for v in verdicts if id(v) not in left_out], lines


def _counted(some: Sequence[Verdict], what: str) -> str:
    streams = f"{len(some)} stream{'s' if len(some) > 1 else ''} {what}"
    return f"  {streams}, log M {max(v.log_top for v in some):.1f} at most (--all lists them)"


def show(verdict: Verdict) -> str:
    """Text of one verdict: who, what, since when, and the strongest features."""
    who = f"{verdict.device}/{verdict.stream}" if verdict.device else f"model {verdict.bundle[:12]}"
    what = f"{verdict.verdict} ({', '.join(verdict.causes)})" if verdict.cause else verdict.verdict
    head = (
        f"{who}: {what}, {verdict.periods} periods, {verdict.n_windows} windows, "
        f"log M {verdict.log_top:.1f} of {verdict.log_alarm:.1f}"
    )
    if verdict.verdict == STEADY:
        return head
    lines = [head, f"  since {_time(verdict.from_ms)} (period {verdict.onset_period}) to {_time(verdict.to_ms)}"]
    if now := verdict.since:
        before = f"{verdict.before.value:.1%}" if verdict.before else "not known"
        before += " (its test groups)" if verdict.before and not verdict.before.records else ""
        lines.append(
            f"  expected accuracy {before} -> {now.value:.1%} ({now.low:.1%}..{now.high:.1%} by "
            f"{now.records} records), {ASSUMES}"
        )
    elif verdict.verdict == DRIFTED:
        lines.append("  what it costs is not known: no record's scores say, only labels can")
    if verdict.device:
        lines += _features(verdict)
    elif verdict.evidence:
        shown = ", ".join(
            f"{e['device']}/{e['stream']} (log M {e['log_m']:.1f})" for e in verdict.evidence[:STREAMS_SHOWN]
        )
        more = len(verdict.evidence) - STREAMS_SHOWN
        lines.append(f"  streams {BY_E_BH}: {shown}{f' and {more} more' if more > 0 else ''}")
    if not verdict.device:
        lines += [f"  {cause}: {ADVICE[cause]}" for cause in verdict.causes if cause in ADVICE]
    return "\n".join(lines)


def _features(verdict: Verdict) -> list[str]:
    """Which ones are named, then the strongest with the size of their change."""
    named = [e["feature"] for e in verdict.evidence if e["named"]]
    lines = [f"  features {BY_E_BH}: {', '.join(named) or 'none alone'}"]
    for row in verdict.evidence[: max(len(named[:FEATURES_SHOWN]), 1)]:
        change = ", ".join(f"{b['bin']}: {b['baseline']:.0%} -> {b['now']:.0%}" for b in row["bins"])
        lines.append(f"  {row['feature']}: log M {row['log_m']:.1f}, {_means(row)}{change}")
    return lines


def _means(row: Mapping[str, Any]) -> str:
    before, since = row.get("mean_before"), row.get("mean_since")
    if since is None:
        return ""
    return f"mean {'' if before is None else f'{before:+.2f} -> '}{since:+.2f} scales off; "


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
