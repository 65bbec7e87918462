"""A program as people read it. One rule: what it says about cost and state is known before anything runs."""

from __future__ import annotations

import html
from collections.abc import Sequence

from edge_runtime import native
from edge_runtime.contract.program import Channel, Field, Filter, Program
from edge_runtime.features.cost import cost
from edge_runtime.features.spec import call
from edge_runtime.features.units import unit_of

Row = tuple[str, ...]
HEAD: Row = ("feature", "operator", "of", "unit", "cost")
DERIVED: Row = ("derived", "operator", "of", "unit", "rate", "cost")


def describe(program: Program) -> str:
    """A table of the program for people: one line a channel that is derived, one a feature; and what the core needs.

    Raises:
        ContractError: This build cannot run the program.
    """
    lines = [_title(program)]
    derived = _derived(program)
    if derived:
        lines += _columns([DERIVED, *derived])
    return "\n".join([*lines, *_columns([HEAD, *_features(program)])])


def describe_html(program: Program) -> str:
    """The same as an HTML table, for a notebook.

    Raises:
        ContractError: This build cannot run the program.
    """
    parts = [f"<p>{html.escape(_title(program))}</p>"]
    derived = _derived(program)
    if derived:
        parts.append(_table(DERIVED, derived))
    parts.append(_table(HEAD, _features(program)))
    return "\n".join(parts)


def _title(program: Program) -> str:
    seconds = program.window_frames / program.rate_hz, program.hop_frames / program.rate_hz
    parts = [f"program {program.digest[:12]}: {len(program.channels)} channels at {program.rate_hz:g} Hz"]
    if program.filters:
        parts.append(f"{len(program.filters)} derived")
    if program.fields:
        parts.append(f"{len(program.fields)} fields")
    if program.channels:
        parts.append(f"window {program.window_frames} frames ({seconds[0]:g} s)")
        parts.append(f"hop {program.hop_frames} ({seconds[1]:g} s)")
    if program.timing:
        parts.append(f"gaps: {program.timing.policy}, up to {program.timing.most_frames} frames")
    parts.append(f"{len(program.features)} features")
    parts.append(f"{native.state_bytes(program)} bytes of state")
    costs = cost(program)
    spent = [f"{thousands(costs.total)} instructions a window"] if program.channels else []
    if costs.record:
        spent.append(f"{thousands(costs.record_total)}{'' if spent else ' instructions'} a record")
    parts.append(f"about {' and '.join(spent)} (x86-64)")
    return ", ".join(parts)


def _derived(program: Program) -> list[Row]:
    table = {op.id: op for op in native.operators()}
    series: Sequence[Channel | Filter] = (*program.channels, *program.filters)
    rows: list[Row] = []
    costs = cost(program)
    for place, each in enumerate(program.filters, len(program.channels)):
        of = ", ".join(series[i].name for i in each.sources)
        made_by = _call(table[each.op], each.params, ())
        rate = f"{native.channel_pace(program, place)[0]:g} Hz"
        spent = thousands(costs.filters[place - len(program.channels)])
        rows.append((each.name, made_by, of, each.unit, rate, spent))
    units = _field_units(program)
    for field, took in zip([each for each in program.fields if each.is_derived], costs.fields, strict=True):
        of = ", ".join(program.fields[i].name for i in field.sources)
        made_by = _call(table[field.op], field.params, field.words)
        rows.append((field.name, made_by, of, units[field.name], "", thousands(took)))
    return rows


def _features(program: Program) -> list[Row]:
    table = {op.id: op for op in native.operators()}
    series: Sequence[Channel | Filter] = (*program.channels, *program.filters)
    units = _field_units(program)
    rows: list[Row] = []
    costs = cost(program)
    for feature, spent in zip(program.features, map(thousands, [*costs.features, *costs.cells]), strict=True):
        op = table[feature.op]
        there: Sequence[Channel | Filter | Field] = program.fields if feature.is_row else series
        of = [there[i] for i in (feature.channel, feature.other) if i is not None]
        sources = [units[each.name] if isinstance(each, Field) else each.unit for each in of]
        names = ", ".join(each.name for each in of)
        rows.append((feature.name, f"{op.id} {op.name}", names, unit_of(op.unit, sources), spent))
    return rows


def _field_units(program: Program) -> dict[str, str]:
    """Fields have no unit of their own: what is derived from them may have one."""
    table = {op.id: op for op in native.operators()}
    units: dict[str, str] = {}
    for field in program.fields:
        sources = [units[program.fields[i].name] for i in field.sources]
        units[field.name] = unit_of(table[field.op].unit, sources) if field.op else ""
    return units


def _call(op: native.Operator, params: Sequence[float], words: Sequence[str]) -> str:
    return f"{op.id} {call(op.name, params, words)}"


def thousands(count: float) -> str:
    """Such as "12 k" or "340"."""
    return f"{count / 1000:.0f} k" if count >= 9_500 else f"{count / 1000:.1f} k" if count >= 950 else f"{count:.0f}"


def _columns(rows: Sequence[Row]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _table(head: Row, rows: Sequence[Row]) -> str:
    def line(cells: Row, tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "\n".join(["<table>", line(head, "th"), *(line(row, "td") for row in rows), "</table>"])
