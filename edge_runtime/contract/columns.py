"""Columns of a batch: typed arrays, the narrowest that fits.

One rule: a column is checked as a whole, not value by value.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from edge_runtime.contract.cbor import smallest
from edge_runtime.contract.checks import I63, take, wrong
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final

CLOCKS: Final = {0: "unknown", 1: "synced", 2: "virtual"}
"""Quality of the clock behind the times of a batch."""


def offsets(values: Sequence[int]) -> tuple[int, array[int]]:
    """(least value, distance of each from it): a column of large neighbouring numbers in few bytes."""
    base = min(values)
    return base, smallest([value - base for value in values])


def take_offsets(fields: dict[str, Any], base_key: str, key: str, *, what: str, high: int = I63) -> tuple[int, ...]:
    """Take what `offsets` wrote.

    Raises:
        ContractError: Missing, not integers, a base outside 0..`high`, or a distance below 0.
    """
    base = take(fields, base_key, int, what=what, low=0, high=high)
    steps = take_ints(fields, key, what=what)
    if steps and min(steps) < 0:
        raise wrong(f"{what}.{key}", "distances of 0 or more", min(steps))
    return tuple([base + step for step in steps])


def take_ints(fields: dict[str, Any], key: str, *, what: str) -> tuple[int, ...]:
    """Take a column of integers of any width; its range is for the document to check.

    Raises:
        ContractError: Missing or not a typed array of integers.
    """
    column: array[Any] = take(fields, key, array, what=what)
    if column.typecode in "fd":
        raise wrong(f"{what}.{key}", "integer column", f"column of {column.typecode!r}")
    return tuple(column)


def take_floats(fields: dict[str, Any], key: str, *, what: str) -> array[float]:
    """Take a float32 column.

    Raises:
        ContractError: Missing or another type.
    """
    column: array[Any] = take(fields, key, array, what=what)
    floats(column, f"{what}.{key}")
    return column


def floats(column: object, what: str) -> None:
    """`column` is an `array('f')`."""
    if not isinstance(column, array) or column.typecode != "f":
        got = f"array({column.typecode!r})" if isinstance(column, array) else type(column).__name__
        raise ContractError(f"{what}: want array('f'), got {got}")


def rows(column: Sequence[object], n: int, what: str) -> None:
    """`column` has `n` values."""
    if len(column) != n:
        raise ContractError(f"{what}: want {n} values, got {len(column)}")
