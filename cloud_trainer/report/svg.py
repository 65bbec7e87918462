"""Pictures of a report as inline SVG. One rule: what colour says, form or text says too; each has a title."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from cloud_trainer.drift.verdict import DRIFTED, STEADY, WATCH
from cloud_trainer.report.facts import Facts, Mark, Moved, Share, Stand
from cloud_trainer.report.html import Child, Markup, tag

WIDTH, LEFT, RIGHT = 940.0, 170.0, 10.0
ROW, TILE, TILES, NAME = 18.0, 18.0, 42, 24
LANES = ("bundles", "alarms", "labels", "losses", "faults")
COLOURS = {STEADY: "var(--steady)", WATCH: "var(--watch)", DRIFTED: "var(--drifted)"}


@dataclass(frozen=True, slots=True)
class Axis:
    """Time from left to right, the same in every picture of a page."""

    from_ms: int
    to_ms: int

    def x(self, ms: float) -> float:
        """Where a time is, held within the picture."""
        part = (ms - self.from_ms) / max(1, self.to_ms - self.from_ms)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, part)), 1)

    def ticks(self, height: float) -> list[Markup]:
        """Five times with lines up the picture."""
        out = []
        for i in range(5):
            ms = self.from_ms + (self.to_ms - self.from_ms) * i / 4
            x, anchor = self.x(ms), ("start", "middle", "middle", "middle", "end")[i]
            out.append(_line(x, 0, x, height, stroke="var(--line)"))
            out.append(_text(x, height + 14, moment(ms), text_anchor=anchor))
        return out


def moment(ms: float) -> str:
    """A time as text, UTC."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def short(name: str) -> str:
    """A name that fits beside a picture."""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


# ---- over the whole time ----


def course(facts: Facts, axis: Axis, *, watch: float, alarm: float) -> Markup:
    """Log M of the model, with the levels of watch and alarm."""
    height = 150.0
    top = max(alarm * 1.3, *(min(v, 3 * alarm) for _, v in facts.course))

    def y(value: float) -> float:
        return round(height - height * min(max(value, 0.0), top) / top, 1)

    points = " ".join(f"{axis.x(ms)},{y(v)}" for ms, v in facts.course)
    levels = [
        [_line(LEFT, y(at), WIDTH - RIGHT, y(at), stroke=COLOURS[name], stroke_dasharray="5 4", stroke_width=2),
         _text(LEFT - 6, y(at) + 4, f"{name}: {at:.1f}", text_anchor="end")]
        for name, at in ((WATCH, watch), (DRIFTED, alarm))
    ]  # fmt: skip
    line = tag("polyline", points=points, fill="none", stroke="var(--now)", stroke_width=2)
    dots = [tag("circle", cx=axis.x(ms), cy=y(v), r=2.5, fill="var(--now)") for ms, v in facts.course[-1:]]
    return picture("evidence of the model in time", height + 20, axis.ticks(height), levels, line, dots)


def stands(shown: Sequence[Stand], axis: Axis) -> Markup:
    """A row a stream: where it stood when."""
    height = ROW * len(shown)
    rows = []
    for n, stand in enumerate(shown):
        name = f"{stand.verdict.device}/{stand.verdict.stream}"
        rows.append(_text(LEFT - 6, ROW * n + 13, short(name), tag("title", name), text_anchor="end"))
        for first, last, said in stand.spans:
            rows.append(_rect(
                axis.x(first), ROW * n + (7 if said == STEADY else 3), max(1.0, axis.x(last) - axis.x(first)),
                4 if said == STEADY else 12, tag("title", f"{name}: {said}, {moment(first)} to {moment(last)}"),
                fill=COLOURS[said],
            ))  # fmt: skip
    return picture("what was said of each stream in time", height + 20, axis.ticks(height), rows)


def timeline(marks: Sequence[Mark], axis: Axis) -> Markup:
    """A lane for each kind of thing that happened."""
    height = ROW * len(LANES)
    out = []
    for n, lane in enumerate(LANES):
        out.append(_text(LEFT - 6, ROW * n + 13, lane, text_anchor="end"))
        out.append(_line(LEFT, ROW * n + 9, WIDTH - RIGHT, ROW * n + 9, stroke="var(--line)"))
        colour = "var(--drifted)" if lane == "alarms" else "var(--now)"
        out += [
            tag("circle", tag("title", f"{moment(mark.time_ms)}: {mark.text}"), cx=axis.x(mark.time_ms),
                cy=ROW * n + 9, r=5, fill=colour)
            for mark in marks if mark.lane == lane and axis.from_ms <= mark.time_ms  # later ones stand at the end
        ]  # fmt: skip
    return picture("what happened when", height + 20, axis.ticks(height), out)


def accuracies(shares: Sequence[Share], axis: Axis, labelled: Share | None) -> Markup:
    """What the scores promise, a bar of 95 % each; the labels' over the whole time."""
    height = 130.0
    known = [*shares, *([labelled] if labelled else [])]
    low = max(0.0, min(s.accuracy.low for s in known) - 0.05)

    def y(value: float) -> float:
        return round(height - height * (value - low) / (1.0 - low), 1)

    out = [_text(LEFT - 6, y(at) + (10 if at == 1 else 0), f"{at:.0%}", text_anchor="end") for at in (low, 1.0)]
    if labelled:
        a = labelled.accuracy
        out.append(_rect(axis.x(labelled.from_ms), y(a.high), axis.x(labelled.to_ms) - axis.x(labelled.from_ms),
                         max(2.0, y(a.low) - y(a.high)), tag("title", f"by labels {a.value:.1%}"),
                         fill="var(--watch)", fill_opacity=0.35))  # fmt: skip
        out.append(_text(LEFT - 6, y(a.value) + 4, f"by labels {a.value:.0%}", text_anchor="end"))
    for share in shares:
        x, a = axis.x((share.from_ms + share.to_ms) / 2), share.accuracy
        said = tag("title", f"{moment(share.from_ms)}: {a.value:.1%} ({a.low:.1%}..{a.high:.1%}), {a.records} records")
        out.append(_line(x, y(a.low), x, y(a.high), stroke="var(--now)", stroke_width=2))
        out.append(tag("circle", said, cx=x, cy=y(a.value), r=4, fill="var(--now)"))
    return picture("accuracy in time", height + 20, axis.ticks(height), out)


# ---- the fleet ----


def fleet(some: Sequence[Stand]) -> Markup:
    """A tile a stream, by site: what is said of it now."""
    out, at = [], 0.0
    for site, group in groupby(sorted(some, key=_tile_order), key=lambda s: s.site):
        members = list(group)
        out.append(_text(LEFT - 6, at + 13, short(site), tag("title", f"site {site}"), text_anchor="end"))
        for n, stand in enumerate(members):
            v = stand.verdict
            said = f"{v.device}/{v.stream}: {v.verdict}" + (f", {v.cause}" if v.cause else "")
            out.append(_tile(LEFT + TILE * (n % TILES), at + TILE * (n // TILES), v.verdict, said))
        at += TILE * -(-len(members) // TILES) + 8
    return picture("what is said of each stream now, by site", at, out)


def legend() -> Markup:
    """What the tiles mean."""
    tiles = [
        (_tile(100 * n, 0, name, name), _text(100 * n + 22, 13, name))
        for n, name in enumerate((STEADY, WATCH, DRIFTED))
    ]
    return tag(
        "div", picture("key: plain is steady, barred watch, crossed drifted", TILE, tiles, width=320), class_="key"
    )


def _tile_order(stand: Stand) -> tuple[str, int, str, str]:
    v = stand.verdict
    return stand.site, (DRIFTED, WATCH, STEADY).index(v.verdict), v.device, v.stream


def _tile(x: float, y: float, verdict: str, said: str) -> Markup:
    ink: dict[str, str | float] = {"stroke": "var(--paper)", "stroke_width": 2.5}
    signs = {
        STEADY: [],
        WATCH: [_line(x + 4, y + 8, x + 12, y + 8, **ink)],
        DRIFTED: [_line(x + 4, y + 4, x + 12, y + 12, **ink), _line(x + 12, y + 4, x + 4, y + 12, **ink)],
    }
    return tag("g", tag("title", said), _rect(x, y, 16, 16, rx=3, fill=COLOURS[verdict]), signs[verdict])


# ---- a feature ----


def bins(moved: Moved) -> Markup:
    """Shares of each bin, the baseline's beside those since the onset."""
    width, height = 300.0, 110.0
    step = width / len(moved.bins)
    top = max(max(base, now) for _, base, now in moved.bins) or 1.0
    out = []
    for n, (name, base, now) in enumerate(moved.bins):
        title = tag("title", f"{name}: {base:.1%} in the baseline, {now:.1%} since")
        pair = [
            _rect(n * step + step * (0.08 + 0.42 * i), height - height * share / top, step * 0.4, height * share / top,
                  fill=colour)
            for i, (share, colour) in enumerate(((base, "var(--base)"), (now, "var(--now)")))
        ]  # fmt: skip
        out.append(tag("g", title, pair))
    ends = [_text(0, height + 14, short(moved.bins[0][0])),
            _text(width, height + 14, short(moved.bins[-1][0]), text_anchor="end")]  # fmt: skip
    floor = _line(0, height, width, height, stroke="var(--line)")
    said = f"shares of the bins of {moved.name}: grey in the baseline, blue since the onset"
    return picture(said, height + 20, out, floor, ends, width=width)


def means(moved: Moved) -> Markup:
    """The mean of each period in scales of the baseline, and where the change began."""
    width, height = 300.0, 60.0
    known = [mean for _, mean in moved.means if mean is not None]
    first, last = moved.means[0][0], moved.means[-1][0]
    most = max(1.0, *(abs(mean) for mean in known)) if known else 1.0

    def x(ms: int) -> float:
        return round(width * (ms - first) / max(1, last - first), 1)

    def y(mean: float) -> float:
        return round(height / 2 - (height / 2 - 3) * mean / most, 1)

    runs: Iterable[tuple[bool, list[tuple[int, float | None]]]] = (
        (is_gap, list(group)) for is_gap, group in groupby(moved.means, key=lambda one: one[1] is None)
    )
    lines = [
        tag("polyline", points=" ".join(f"{x(ms)},{y(mean or 0.0)}" for ms, mean in run), fill="none",
            stroke="var(--now)", stroke_width=2)
        for is_gap, run in runs if not is_gap
    ]  # fmt: skip
    onset = min(max(x(moved.onset_ms), 0.0), width)
    return picture(
        f"mean of {moved.name} a period; the dashed line is the onset, {moment(moved.onset_ms)}", height + 16,
        _line(0, y(0), width, y(0), stroke="var(--line)"), lines,
        _line(onset, 0, onset, height, stroke="var(--drifted)", stroke_dasharray="4 3"),
        _text(0, height + 13, f"mean of a period, ±{most:.2g} scales"), width=width,
    )  # fmt: skip


# ---- parts ----


def picture(title: str, height: float, *parts: Child, width: float = WIDTH) -> Markup:
    """An SVG that a screen reader names."""
    return tag("svg", tag("title", title), *parts, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=title)


def _rect(x: float, y: float, width: float, height: float, *parts: Markup, **more: str | float) -> Markup:
    return tag("rect", *parts, x=round(x, 1), y=round(y, 1), width=round(width, 1), height=round(height, 1), **more)


def _line(x1: float, y1: float, x2: float, y2: float, **more: str | float) -> Markup:
    return tag("line", x1=round(x1, 1), y1=round(y1, 1), x2=round(x2, 1), y2=round(y2, 1), **more)


def _text(x: float, y: float, *parts: str, **more: str | float) -> Markup:
    return tag("text", *parts, x=round(x, 1), y=round(y, 1), **more)
