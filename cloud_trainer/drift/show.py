"""A verdict as a few lines for a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from cloud_trainer.drift.verdict import STEADY, Verdict

FEATURES_SHOWN = 5


def show(verdict: Verdict) -> str:
    """Text of one verdict: who, what, since when, and the strongest features."""
    who = f"{verdict.device}/{verdict.stream}" if verdict.device else f"model {verdict.bundle[:12]}"
    what = f"{verdict.verdict} ({verdict.cause})" if verdict.cause else verdict.verdict
    head = (
        f"{who}: {what}, {verdict.periods} periods, {verdict.n_windows} windows, "
        f"log M {verdict.log_top:.1f} of {verdict.log_alarm:.1f}"
    )
    if verdict.verdict == STEADY:
        return head
    lines = [head, f"  since {_time(verdict.from_ms)} (period {verdict.onset_period}) to {_time(verdict.to_ms)}"]
    if verdict.before and verdict.since:
        now = verdict.since
        lines.append(
            f"  expected accuracy {verdict.before.value:.1%} -> {now.value:.1%} ({now.low:.1%}..{now.high:.1%} by "
            f"{now.records} records), if the scores are calibrated and only inputs moved"
        )
    for row in verdict.evidence[:FEATURES_SHOWN]:
        if "feature" not in row:
            lines.append(f"  {row['device']}/{row['stream']}: log M {row['log_m']:.1f}")
            continue
        change = ", ".join(f"{b['bin']}: {b['baseline']:.0%} -> {b['now']:.0%}" for b in row["bins"])
        lines.append(f"  {row['feature']}: log M {row['log_m']:.1f}, {_mean(row.get('mean_since'))}{change}")
    return "\n".join(lines)


def _mean(value: float | None) -> str:
    return "" if value is None else f"mean {value:+.2f} scales off; "


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
