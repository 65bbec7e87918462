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
        summary: First paragraph of the reference's docstring: what it is, with its formula and unit.
        rest: What else the docstring says but for the source.
        source: Where the definition is from.
        tolerance: How far the kernel may be from the reference.
    """

    op: native.Operator
    run: Callable[..., Any]
    params: tuple[str, ...]
    summary: str
    rest: str
    source: str
    tolerance: str


def meanings() -> list[Meaning]:
    """Every operator, in id order."""
    found: dict[int, Any] = {**OPS, **FILTERS, **ROWS}
    return [_meaning(op, found[op.id]) for op in native.operators()]


def _meaning(op: native.Operator, of: Any) -> Meaning:
    summary, *rest = [" ".join(part.split()) for part in inspect.getdoc(of.run).split("\n\n")]  # type: ignore[union-attr]
    names = [name.strip("_") for name in inspect.signature(of.run).parameters if name != "words"]
    sources = [part.removeprefix("Source: ") for part in rest if part.startswith("Source: ")]
    return Meaning(
        op=op,
        run=of.run,
        params=tuple(names[len(names) - op.n_params :]),
        summary=summary,
        rest=" ".join(part for part in rest if not part.startswith("Source: ")),
        source=" ".join(sources),
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
