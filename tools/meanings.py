"""The operator table of the core beside the references: what the documents and the builder are generated from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_runtime import native
from edge_runtime.features.reference import FILTERS, OPS, ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One operator.

    Attributes:
        op: Its row in the core's table.
        run: Its reference.
        params: Names of its parameters.
        listed: Name of a parameter that may be given several times; empty without one.
        takes: Of a row operator: "number", "text" or "both" kinds of field.
        has_words: It takes words, of a text field.
        summary: First paragraph of the reference's docstring: what it is, with its formula and unit.
        rest: What else the docstring says but for the source.
        source: Where the definition is from.
        tolerance: How far the kernel may be from the reference.
    """

    op: native.Operator
    run: Callable[..., Any]
    params: tuple[str, ...]
    listed: str
    takes: str
    has_words: bool
    summary: str
    rest: str
    source: str
    tolerance: str


def meanings() -> list[Meaning]:
    """Every operator, in id order."""
    found: dict[int, Any] = {**OPS, **FILTERS, **ROWS}
    return [_meaning(op, found[op.id]) for op in native.operators()]


def _meaning(op: native.Operator, of: Any) -> Meaning:
    doc = inspect.getdoc(of.run) or ""
    head, _, source = doc.partition("Source: ")
    summary, *rest = [" ".join(part.split()) for part in head.strip().split("\n\n")]
    source, *after = [" ".join(part.split()) for part in source.split("\n\n")]
    given = inspect.signature(of.run).parameters
    names = [name.strip("_") for name, p in given.items() if name != "words" and p.kind is not p.VAR_POSITIONAL]
    listed = next((name for name, p in given.items() if p.kind is p.VAR_POSITIONAL), "")
    n_fixed = op.n_params - bool(listed)
    return Meaning(
        op=op,
        run=of.run,
        params=tuple(names[len(names) - n_fixed :]),
        listed=listed,
        takes=getattr(of, "takes", ""),
        has_words="words" in given,
        summary=summary,
        rest=" ".join([*rest, *after]),
        source=source,
        tolerance=_tolerance(of.tolerance),
    )


def _tolerance(of: Any) -> str:
    if isinstance(of, int | float):
        return f"{of:g} of the greatest size" if of else "exact"
    parts = [f"{of.rtol:g} of the result"] if of.rtol else []
    if of.atol:
        words = re.sub(r"[_ ]+", " ", of.of.__name__).strip()
        parts.append(f"{of.atol:g} of the {'window' if words == '<lambda>' else words}")
    if of.floor:
        parts.append(f"{of.floor:g}")
    return " + ".join(parts) or "exact"
