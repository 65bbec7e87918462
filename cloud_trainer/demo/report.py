"""The report of a loop as one HTML file: plain data in, text out. One rule: self-contained, no script, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from cloud_trainer.report.html import Markup, document, table, tag

COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#edc948", "#9c755f")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A confusion matrix: rows are the truth, columns the decision; `counts[truth][decision]`."""

    title: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The drift evidence of one device: log M a period, and the level at which it alarms."""

    device: str
    log_m: tuple[float, ...]
    alarm: float
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One device's line: spans of (first, last, what) in windows, and marks of (window, text)."""

    device: str
    spans: tuple[tuple[int, int, str], ...]
    marks: tuple[tuple[int, str], ...] = ()


@dataclass(slots=True, kw_only=True)
class Report:
    """What a page shows, in order."""

    title: str
    log: list[str] = field(default_factory=list)
    matrices: list[Matrix] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    moved: list[tuple[str, str, str]] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = field(default_factory=list)


def render(report: Report) -> str:
    """Return the page."""
    parts = [
        tag("h1", report.title),
        "<h2>What the devices decided</h2>",
        "<p class=note>Confusion matrices; rows are the truth, columns the decision.</p>",
        "<div class=side>" + "".join(_matrix(m) for m in report.matrices) + "</div>",
        "<h2>Drift evidence</h2>",
        "<p class=note>log M a period; above the dashed line the world has moved "
        "(at most one false alarm in A periods on average).</p>",
        _evidence(report.evidence),
    ]
    if report.moved:
        parts.append(_table("What moved most", ("feature", "log e", "change"), report.moved))
    parts += [
        "<h2>Timeline</h2>",
        "<p class=note>What each device decided, window by window; marks are swaps.</p>",
    ]
    parts.append(_tracks(report.tracks))
    parts += [_table(*table) for table in report.tables]
    parts += [tag("h2", "Log"), tag("pre", "\n".join(report.log))]
    return document(report.title, Markup("\n".join(parts)))


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tag("h2", title) + table(head, rows)


def _matrix(matrix: Matrix) -> str:
    head = "".join(f"<th>{escape(label)}</th>" for label in matrix.labels)
    rows = []
    for i, (label, counts) in enumerate(zip(matrix.labels, matrix.counts, strict=True)):
        total = max(1, sum(counts))
        cells = "".join(
            f"<td style='background:{'#59a14f' if i == j else '#e15759'}{round(96 * c / total):02x}'>{c}</td>"
            for j, c in enumerate(counts)
        )
        rows.append(f"<tr><td>{escape(label)}</td>{cells}</tr>")
    return f"<div><h3>{escape(matrix.title)}</h3><table><tr><th></th>{head}</tr>{''.join(rows)}</table></div>"


def _evidence(series: Sequence[Evidence]) -> str:
    if not any(s.log_m for s in series):
        return "<p>No period was complete.</p>"
    width, height, left = 900.0, 260.0, 50.0
    alarm = max(s.alarm for s in series)
    top = max([alarm * 1.6, 1.0])
    low = min([0.0, *(v for s in series for v in s.log_m)])
    low = max(low, -top)
    longest = max(len(s.log_m) for s in series)

    def x(i: int) -> float:
        return left + (width - left - 20) * i / max(1, longest - 1)

    def y(v: float) -> float:
        return 20 + (height - 50) * (top - min(max(v, low), top)) / (top - low)

    out = [f"<svg viewBox='0 0 {width:g} {height + 30:g}' role=img aria-label='drift evidence'>"]
    out.append(
        f"<line x1={left} x2={width - 20} y1={y(alarm):.1f} y2={y(alarm):.1f} "
        "stroke=currentColor stroke-dasharray='5 4'/>"
        f"<text x={left + 4} y={y(alarm) - 5:.1f}>alarm, log A = {alarm:.2f}</text>"
        f"<text x=4 y={y(top) + 4:.1f}>{top:.0f}</text><text x=4 y={y(low) + 4:.1f}>{round(low)}</text>"
        f"<text x={width - 120} y={height:g}>period {longest - 1}</text>"
    )
    for n, one in enumerate(series):
        colour = COLOURS[n % len(COLOURS)]
        points = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in enumerate(one.log_m))
        out.append(f"<polyline points='{points}' fill=none stroke='{colour}' stroke-width=2.5 />")
        out.append(
            f"<rect x={left + 280 * n} y={height + 8:g} width=12 height=12 fill='{colour}'/>"
            f"<text x={left + 18 + 280 * n} y={height + 18:g}>{escape(one.device)}: {escape(one.verdict)}</text>"
        )
    out.append("</svg>")
    return "".join(out)


def _tracks(tracks: Sequence[Track]) -> str:
    if not tracks:
        return "<p>No device decided anything.</p>"
    names = sorted({what for t in tracks for *_, what in t.spans})
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    last = max((span[1] for t in tracks for span in t.spans), default=1)
    width, left, row = 900.0, 90.0, 46.0
    height = row * len(tracks) + 30

    def x(window: int) -> float:
        return left + (width - left - 10) * window / max(1, last)

    out = [f"<svg viewBox='0 0 {width:g} {height:g}' role=img aria-label='timeline of the devices'>"]
    for n, track in enumerate(tracks):
        y = row * n + 18
        out.append(f"<text x=0 y={y + 15:g}>{escape(track.device)}</text>")
        for first, end, what in track.spans:
            size = max(0.6, x(end + 1) - x(first))
            out.append(
                f"<rect x={x(first):.1f} y={y:g} width={size:.1f} height=20 fill='{colour[what]}'>"
                f"<title>{escape(what)}: windows {first}..{end}</title></rect>"
            )
        for window, text in track.marks:
            out.append(
                f"<line x1={x(window):.1f} x2={x(window):.1f} y1={y - 6:g} y2={y + 26:g} "
                "stroke=currentColor stroke-width=2 />"
                f"<text x={x(window) + 3:.1f} y={y - 4:g}>{escape(text)}</text>"
            )
    for i, name in enumerate(names):
        out.append(
            f"<rect x={left + 110 * i} y={height - 18:g} width=12 height=12 fill='{colour[name]}'/>"
            f"<text x={left + 16 + 110 * i} y={height - 8:g}>{escape(name)}</text>"
        )
    out.append("</svg>")
    return "".join(out)
