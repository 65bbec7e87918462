"""edge_runtime/features/costs.py: the coefficients of the cost model, fitted to instruction counts. Needs valgrind.

`python -m tools.cost` adds the operators that are not in it yet; `python -m tools.cost --all` makes it anew (minutes).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime import native
from edge_runtime.contract.program import Channel, Feature, Filter, Program
from edge_runtime.errors import ContractError
from edge_runtime.features import costs
from edge_runtime.features.cost import stages
from edge_runtime.features.reference import FILTERS, OPS
from tools.cost_rows import record, rows
from tools.counting import count

Table = dict[int, tuple[float, ...]]
Shared = dict[int, dict[int, float]]
PATH = Path(__file__).resolve().parents[1] / "edge_runtime" / "features" / "costs.py"
RATE = 100.0
COUNT = 34
"""Operator `count`: next to nothing."""
SIZES = (40, 64, 100, 128, 240, 256, 500, 512, 1000, 1024, 2048, 4096)
USUAL = 256
LINEAR = 0.15
"""Greatest relative error of a straight line."""


def program(
    calls: Sequence[tuple[int, tuple[float, ...]]],
    *,
    n: int = USUAL,
    hop: int = 0,
    columns: int = 1,
    read: int = 1,
    every: int = 1,
    filters: Sequence[Filter] = (),
) -> Program:
    """The calls on each of `read` columns, or on the derived channels where there are some."""
    table = {op.id: op for op in native.operators()}
    places = range(columns, columns + len(filters)) if filters else range(read)
    pairs = {op for op, _ in calls if table[op].n_sources[0] == 2}
    features = [
        Feature(name=f"{c}.{op}.{i}", op=op, channel=c, params=params, other=c + 1 if op in pairs else None)
        for c in places
        for i, (op, params) in enumerate(calls)
    ]
    return Program(
        rate_hz=RATE,
        channels=tuple(Channel(name=f"c{i}", unit="x", every=every) for i in range(columns + bool(pairs))),
        window_frames=n,
        hop_frames=hop or n,
        filters=tuple(filters),
        features=tuple(features),
    )


def fit(rows: Iterable[Sequence[float]], counts: Sequence[float]) -> tuple[float, ...]:
    """Coefficients of at least 0 with the least relative squares."""
    from scipy.optimize import nnls  # type: ignore[import-untyped]

    weight = 1.0 / np.maximum(np.abs(counts), 20.0)
    return tuple(float(f"{c:.4g}") for c in nnls(np.array(list(rows)) * weight[:, None], counts * weight)[0])


def taken(each: Program) -> bool:
    """Whether the core takes it."""
    try:
        native.check_program(each)
    except ContractError:
        return False
    return True


# ---- the parts of the model


def base() -> tuple[float, ...]:
    """(once, a sample taken in, a column, a sample of a channel that is read, a channel that is read)."""
    nothing: list[tuple[int, tuple[float, ...]]] = [(COUNT, ())]
    shapes: list[dict[str, Any]] = [
        {"n": n, "hop": hop, "columns": columns, "read": read}
        for n in (64, 256, 1024)
        for hop in (n // 4, n)
        for columns, read in ((1, 1), (2, 1), (2, 2), (4, 1), (4, 4), (8, 8))
    ]
    counts = count([program(nothing, **shape) for shape in shapes])
    rows = [(1, s["hop"] * s["columns"], s["columns"], s["n"] * s["read"], s["read"]) for s in shapes]
    return fit(rows, counts)


def variants(op: native.Operator) -> list[tuple[float, ...]]:
    """The table's parameters first, then those of the reference that a usual window takes."""
    of = OPS.get(op.id)
    known = dict.fromkeys([op.example, *(tries for tries in (of.tries if of else ()) if len(tries) == op.n_params)])
    return [params for params in known if taken(program([(op.id, params)]))]


def windows(of_base: Sequence[float], known: Table) -> Table:
    """(once, a sample, a sample and stage of the transform, a unit of the first parameter) of each."""
    found = dict(known)
    ops = [op for op in native.operators() if op.kind == "window" and op.id not in known]
    wanted = [(op, n, op.example) for op in ops for n in SIZES if taken(program([(op.id, op.example)], n=n))]
    more = [(op, USUAL, params) for op in ops for params in variants(op)[1:]]
    programs = [program([(op.id, params)], n=n) for op, n, params in wanted + more]
    nets = [c - _base_of(of_base, p) for c, p in zip(count(programs), programs, strict=True)]
    for op in ops:
        mine = [(n, max(c, 1.0)) for (o, n, _), c in zip(wanted, nets, strict=False) if o is op]
        fixed, sample, stage = _curve(mine)
        at = dict(mine).get(USUAL, 1.0)
        tried = [(p[0], c) for (o, _, p), c in zip(more, nets[len(wanted) :], strict=True) if o is op and p]
        slope = _slope(at, op.example[0], tried) if tried else 0.0
        found[op.id] = (float(f"{max(0.0, fixed - slope * sum(op.example[:1])):.4g}"), sample, stage, slope)
    return found


def _curve(counts: Sequence[tuple[int, float]]) -> tuple[float, ...]:
    """(once, a sample, a sample and stage): a line where that is near enough, else with the transform."""
    made = [c for _, c in counts]
    line = fit([(1, n) for n, _ in counts], made)
    if max(abs(line[0] + n * line[1] - c) / max(c, 20.0) for n, c in counts) < LINEAR:
        return (*line, 0.0)
    return fit([(1, n, n * stages(n)) for n, _ in counts], made)


def _slope(at: float, example: float, tried: Sequence[tuple[float, float]]) -> float:
    """Instructions a unit of the first parameter; 0 where it makes little difference, or less work."""
    steps = [(c - at) / (p - example) for p, c in tried if p != example]
    slope = float(np.median(steps)) if steps else 0.0
    return float(f"{slope:.4g}") if slope * example > 0.1 * at else 0.0


def _base_of(of_base: Sequence[float], each: Program) -> float:
    read = {place for f in each.features for place in (f.channel, f.other) if place is not None}
    n, hop, columns = each.window_frames, each.hop_frames, len(each.channels)
    return float(np.dot(of_base, (1, hop * columns, columns, n * len(read), len(read))))


def shared(of_base: Sequence[float], known: Shared, old: Table) -> Shared:
    """What is left of an operator's count (a fraction) where another stands before it on the channel."""
    ops = [op for op in native.operators() if op.kind == "window" and taken(program([(op.id, op.example)]))]
    single = [program([(op.id, op.example)]) for op in ops]
    alone = {op.id: c - _base_of(of_base, p) for op, p, c in zip(ops, single, count(single), strict=True)}
    pairs = [
        (a, b, b.example)
        for a in ops
        for b in ops
        if a is not b and a.n_sources == b.n_sources and not (a.id in old and b.id in old)
    ]
    pairs += [(a, a, again) for a in ops if a.id not in known.get(a.id, {}) and (again := _again(a))]
    both = [program([(a.id, a.example), (b.id, params)]) for a, b, params in pairs]
    left: Shared = {op: dict(row) for op, row in known.items()}
    for (a, b, _), p, c in zip(pairs, both, count(both), strict=True):
        rest = (c - _base_of(of_base, p) - alone[a.id]) / max(alone[b.id], 1.0)
        if alone[b.id] > 200 and rest < 0.9:
            left.setdefault(b.id, {})[a.id] = round(max(rest, 0.0), 2)
    return left


def _again(op: native.Operator) -> tuple[float, ...]:
    """Its parameters with another first one; none where it has none."""
    first, *rest = op.example or (0.0,)
    tries = [(other, *rest) for other in (first + 1, first / 2, first * 2) if op.example]
    return next((params for params in tries if taken(program([(op.id, params)]))), ())


def filters(of_base: Sequence[float], known: Table) -> Table:
    """(a window, a sample, a sample and unit of the greatest parameter, a sample and source) of each."""
    found = dict(known)
    for op in (op for op in native.operators() if op.kind == "filter" and op.id not in known):
        cases = []
        of = FILTERS.get(op.id)
        for params in dict.fromkeys([op.example, *(of.tries if of else ())]):
            for n_from in {op.n_sources[0], min(3, op.n_sources[1]), op.n_sources[1]}:
                for n in (120, 480, 2400):
                    made = Filter(name="f", op=op.id, sources=tuple(range(n_from)), params=params)
                    each = program([(COUNT, ())], n=n, columns=n_from, filters=[made])
                    cases += [(each, n, max(params, default=0.0), n_from)] if taken(each) else []
        nets = []
        for (each, *_), c in zip(cases, count([case[0] for case in cases]), strict=True):
            out = native.channel_pace(each, len(each.channels))[1]
            columns = len(each.channels)
            nets.append(c - float(np.dot(of_base, (1, each.hop_frames * columns, columns, out, 1))))
        rows = [(1, n, n * p, n * k if op.n_sources[1] > 1 else 0) for _, n, p, k in cases]
        found[op.id] = fit(rows, [max(net, 1.0) for net in nets])
    return found


def text(*, anew: bool) -> str:
    """The module."""
    of_base: Sequence[float] = base() if anew else costs.BASE
    old: Table = {} if anew else costs.WINDOWS
    of_windows = windows(of_base, old)
    of_filters = filters(of_base, {} if anew else costs.FILTERS)
    of_shared = shared(of_base, {} if anew else costs.SHARED, old)
    of_record = record(fit) if anew else costs.RECORD
    of_rows = rows(fit, {} if anew else costs.ROWS)
    lines = [
        '"""Coefficients of the cost model (`cost.py`). Generated by `python -m tools.cost`: do not edit."""',
        "",
        "# fmt: off",
        "# ruff: noqa: E501",
        "from __future__ import annotations",
        "",
        f"BASE = {tuple(of_base)}",
        '"""Instructions once; a sample taken in; a column; a sample of a channel that is read; a channel read."""',
        "WINDOWS: dict[int, tuple[float, ...]] = {",
        *(f"    {op}: {row}," for op, row in sorted(of_windows.items())),
        "}",
        '"""Once, a sample, a sample and stage of the transform, a unit of the first parameter."""',
        "FILTERS: dict[int, tuple[float, ...]] = {",
        *(f"    {op}: {row}," for op, row in sorted(of_filters.items())),
        "}",
        '"""A window, a sample, a sample and unit of the greatest parameter, a sample and source."""',
        "SHARED: dict[int, dict[int, float]] = {",
        *(f"    {op}: {row}," for op, row in sorted(of_shared.items())),
        "}",
        '"""What is left of the first operator where the second stands before it."""',
        f"RECORD = {tuple(of_record)}",
        '"""Instructions a record; a number field; a text field."""',
        "ROWS: dict[int, tuple[float, ...]] = {",
        *(f"    {op}: {row}," for op, row in sorted(of_rows.items())),
        "}",
        '"""A step on a number, an entry of its list; the same on a text."""',
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the table."""
    from tools.__main__ import formatted

    PATH.write_text(formatted(text(anew="--all" in sys.argv)), encoding="utf-8")
    print(f"{PATH.name}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
