"""The budget table of README.md, from the gates of bench/budgets.toml. One rule: no figure is written by hand."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

GATES = Path(__file__).resolve().parents[1] / "bench" / "budgets.toml"
BEGIN, END = "<!-- budgets: begin -->\n", "<!-- budgets: end -->\n"
COLUMNS = ("code_bytes", "state_bytes", "stack_bytes", "instructions")


def readme(text: str) -> str:
    """README.md with the table as the gates are."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + _table(tomllib.loads(GATES.read_text(encoding="utf-8"))) + END + rest.split(END)[1]


def _table(gates: Mapping[str, Mapping[str, int]]) -> str:
    rows = ["| target | code | state | worst stack | instructions a window |", "|---|---:|---:|---:|---:|"]
    for target, gate in gates.items():
        cells = (f"{gate[column]:,}" if gate[column] else "-" for column in COLUMNS)
        rows.append(f"| {target} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
