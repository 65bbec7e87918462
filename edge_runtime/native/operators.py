"""The core's operator table: of windows, stream filters and rows."""

from __future__ import annotations

from functools import cache

from edge_runtime.lean import dataclass
from edge_runtime.native._er import ffi, lib


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One row of the core's operator table.

    Attributes:
        id: Wire id, append-only.
        name: The word in a feature list.
        unit: "x" (that of the channel), "x^2", "x/s", "Hz", "1" or "count".
        n_params: 0..4.
        limits: The parameters allowed, in words; empty without any.
        kind: "window" (channel in, one number out), "filter" (a derived channel), "row" (fields in).
        n_sources: Channels or fields that it takes, (least, most).
        example: Parameters that a window of 64 frames at 20 frames/s takes.
    """

    id: int
    name: str
    unit: str
    n_params: int
    limits: str
    kind: str
    n_sources: tuple[int, int]
    example: tuple[float, ...]


KINDS = ("window", "filter", "row")


@cache
def operators() -> tuple[Operator, ...]:
    """Every operator of this build, in id order."""
    table: list[Operator] = []
    info = ffi.new("er_op_info *")
    while lib.er_op(len(table), info) == lib.ER_OK:
        name, unit, limits = (ffi.string(text).decode() for text in (info.name, info.unit, info.limits))
        table.append(
            Operator(
                id=info.id,
                name=name,
                unit=unit,
                n_params=info.n_params,
                limits=limits,
                kind=KINDS[info.kind],
                n_sources=(info.n_least, info.n_most),
                example=tuple(info.example[0 : info.n_params]),
            )
        )
    return tuple(table)
