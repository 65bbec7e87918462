"""The unit of what an operator gives. One rule: "x" stands for the unit of the channel that it reads."""

from __future__ import annotations

from collections.abc import Sequence


def unit_of(of_op: str, of_sources: Sequence[str]) -> str:
    """Such as "(g)/s" for the operator's "x/s" and a channel in g; "x*y" and "x/y" are of two."""
    if of_op.startswith("x") and not any(of_sources):  # fields have no unit
        return ""
    if of_op in {"x*y", "x/y"} and len(of_sources) == 2:
        return of_op[1].join(f"({unit})" for unit in of_sources)
    if not of_op.startswith("x"):  # "Hz", "1", "count"
        return of_op
    of_channel = "·".join(dict.fromkeys(of_sources))
    return of_channel if of_op == "x" else f"({of_channel}){of_op[1:]}"
