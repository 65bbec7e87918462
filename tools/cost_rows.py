"""Coefficients of what a record costs, fitted to instruction counts, for `python -m tools.cost`. Needs valgrind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edge_runtime import native
from edge_runtime.contract.program import Feature, Field, Program
from edge_runtime.errors import ContractError
from edge_runtime.features.reference.row import ROWS, RowReference
from tools.counting import RECORDS, count_records

MISSING = 2003
COPIES = 5
"""Of a step: what more of them cost is what one costs."""
SIZES = (1, 8, 32)
"""Parameters or words of an operator that takes a list."""
NUMBERS = (0.25, 3.0, -1.5, 37.5, 1200.0, 0.0, 86_400_000.0, 1.7e12)
Record = list[float | str]
Fit = Callable[[Iterable[Sequence[float]], Sequence[float]], tuple[float, ...]]
Table = dict[int, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """One operator on one kind of value, with a list of so many."""

    op: RowReference
    kind: str
    params: tuple[float, ...]
    words: tuple[str, ...]

    @property
    def n_list(self) -> int:
        """Parameters and words."""
        return len(self.params) + len(self.words)


def records(program: Program) -> list[Record]:
    """Eight records: numbers of every size; texts of which one in eight is none of the words w0, w1, ..."""
    numbers = [NUMBERS[i:] + NUMBERS[:i] for i in range(RECORDS)]
    words = [f"w{i}" for i in range(RECORDS - 1)] + ["something"]
    return [
        [
            numbers[r][f % RECORDS] if each.kind == "number" else words[(r + f) % RECORDS]
            for f, each in enumerate(program.record)
        ]
        for r in range(RECORDS)
    ]


def program(case: Case | None, copies: int, *, numbers: int = 2, texts: int = 1) -> Program:
    """`copies` of the case on the first field of its kind; without a case of what is next to nothing."""
    fields = [Field(name=f"n{i}") for i in range(numbers)] + [Field(name=f"t{i}", kind="text") for i in range(texts)]
    op, kind = (case.op, case.kind) if case else (ROWS[MISSING], "number" if numbers else "text")
    params, words = (case.params, case.words) if case else ((), ())
    at = 0 if kind == "number" else numbers
    if kind == "text" and op.name.startswith("impute"):  # a text is no feature: stages, and one cell
        made = {"op": op.id, "sources": (at,), "params": params, "words": words}
        fields += [Field(name=f"s{i}", kind="text", **made) for i in range(copies)]  # type: ignore[arg-type]
        op, params, words, at, copies = ROWS[MISSING], (), (), len(fields) - 1, 1
    features = [
        Feature(name=f"y{i}", op=op.id, channel=at, other=1 if op.n_sources == 2 else None, params=params, words=words)
        for i in range(copies)
    ]
    return Program(
        rate_hz=1.0, channels=(), window_frames=1, hop_frames=1, fields=tuple(fields), features=tuple(features)
    )


def cases(op: RowReference) -> list[Case]:
    """Of each kind that it takes, with lists of several lengths where it takes lists."""
    found = []
    for kind in ("number", "text"):
        if op.takes not in {kind, "both"}:
            continue
        params, words = (op.tries if kind == "number" else op.text_tries)[0]
        tries = [Case(op, kind, params, tuple(f"w{i}" for i in range(len(words))))]
        for n in SIZES:
            if words:
                tries.append(Case(op, kind, params, tuple(f"w{i}" for i in range(n))))
            else:
                tries.append(Case(op, kind, tuple(float(i) for i in range(n)), ()))
        found += [case for case in tries if _is_taken(program(case, 1))]
    return list(dict.fromkeys(found))


def _is_taken(each: Program) -> bool:
    try:
        native.check_program(each)
    except ContractError:
        return False
    return True


def record(fit: Fit) -> tuple[float, ...]:
    """(a record, a number field, a text field)."""
    shapes = [(a, b, k) for a in (1, 4, 16) for b in (0, 1, 4, 16) for k in (1, 9)]
    programs = [program(None, k, numbers=a, texts=b) for a, b, k in shapes]
    return fit([(1, *shape) for shape in shapes], _count(programs))[:3]


def rows(fit: Fit, known: Table) -> Table:
    """(a step on a number, an entry of its list; the same of a text) of each row operator."""
    found = dict(known)
    ops = [op for id_, op in sorted(ROWS.items()) if id_ not in known]
    mine = [case for op in ops for case in cases(op)]
    pairs = [(program(case, 1), program(case, COPIES)) for case in mine]
    once, more = _count([one for one, _ in pairs]), _count([several for _, several in pairs])
    steps = [(b - a) / (COPIES - 1) for a, b in zip(once, more, strict=True)]
    for op in ops:
        row: list[float] = []
        for kind in ("number", "text"):
            counts = [(c.n_list, step) for c, step in zip(mine, steps, strict=True) if c.op is op and c.kind == kind]
            has_list = len({n for n, _ in counts}) > 1
            row += fit([(1, n if has_list else 0) for n, _ in counts], [n for _, n in counts]) if counts else (0.0, 0.0)
        found[op.id] = tuple(row)
    return found


def _count(programs: Sequence[Program]) -> list[float]:
    return count_records(programs, [records(each) for each in programs])
