"""Questions asked of a field before it is believed.

One rule: the answer is the value, or a `ContractError` with document.field, what it wanted and what it got.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Collection, Iterable, Sequence

from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, TypeVar

T = TypeVar("T")

I63: Final = 2**63 - 1
"""Largest sequence or window number: tables keep 64-bit signed integers."""
U64: Final = 2**64 - 1
SAFE: Final = 2**53 - 1
"""Largest integer in a JSON document, and largest time [ms]."""

_ID = re.compile(r"[a-z0-9-]{1,64}")
_HEX = frozenset("0123456789abcdef")


def wrong(what: str, want: str, got: object) -> ContractError:
    """The error of field `what`; `got` is cut to 60 characters."""
    shown = repr(got)
    return ContractError(f"{what}: want {want}, got {shown if len(shown) <= 60 else shown[:57] + '...'}")


def take(
    fields: dict[str, Any], key: str, kind: type[T], *, what: str, low: float | None = None, high: float | None = None
) -> T:
    """Remove `key` from `fields` and give its value, a `kind` (an int counts as float, a bool not as int).

    Args:
        fields: The document, or one object in it.
        key: The field.
        kind: Its Python type.
        what: Name of the document, for the message.
        low: Least value, or least length of text, bytes or list.
        high: Greatest value or length.

    Raises:
        ContractError: Missing, another type, or outside `low`..`high`.
    """
    name = f"{what}.{key}"
    if key not in fields:
        raise ContractError(f"{name}: want {kind.__name__}, it is missing")
    value: Any = fields.pop(key)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise wrong(name, kind.__name__, value)
    if low is not None or high is not None:
        size: Any = len(value) if isinstance(value, str | bytes | list | dict) else value
        if not (-math.inf if low is None else low) <= size <= (math.inf if high is None else high):
            unit = " items" if size is not value else ""
            raise ContractError(f"{name}: want {_span(low, high)}{unit}, got {size}")
    return value


def none_left(fields: dict[str, Any], what: str) -> None:
    """Refuse fields that nobody took: only the top level of a document may grow."""
    if fields:
        raise ContractError(f"{what}: unknown field {min(fields)!r}")


def integer(value: object, what: str, *, low: int = 0, high: int = SAFE) -> int:
    """`value`, an int in `low`..`high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise wrong(what, f"int {low}..{high}", value)
    return value


def integers(values: Sequence[int], what: str, *, low: int = 0, high: int = SAFE) -> None:
    """Every value is an int in `low`..`high`."""
    if values and not (set(map(type, values)) <= {int} and low <= min(values) and max(values) <= high):
        bad = next(v for v in values if type(v) is not int or not low <= v <= high)
        raise wrong(what, f"ints {low}..{high}", bad)


def real(value: object, what: str, *, low: float = -math.inf, high: float = math.inf) -> float:
    """`value`, a finite number in `low`..`high`."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong(what, "number", value)
    if not math.isfinite(value) or not low <= value <= high:
        raise wrong(what, "finite number" + ("" if low == -math.inf else f" {low:g}..{high:g}"), value)
    return float(value)


def reals(values: Sequence[Any], what: str) -> tuple[float, ...]:
    """`values`, finite numbers all."""
    if not (set(map(type, values)) <= {int, float} and all(map(math.isfinite, values))):
        for value in values:
            real(value, what)
    return tuple(map(float, values))


def positive(value: object, what: str) -> float:
    """`value`, a finite number above 0."""
    if real(value, what) <= 0:
        raise wrong(what, "number > 0", value)
    return real(value, what)


def text(value: object, what: str, *, low: int = 1, high: int = 64) -> str:
    """`value`, text of `low`..`high` characters without control characters or lone surrogates."""
    if not isinstance(value, str) or not low <= len(value) <= high:
        raise wrong(what, f"text of {low}..{high} characters", value)
    is_plain = value.isascii() and value.isprintable()
    if not is_plain and any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in value):
        raise wrong(what, "text without control characters", value)
    return value


def ident(value: object, what: str) -> str:
    """`value`, an id that is safe in a topic, a file name and a URL."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise wrong(what, "id [a-z0-9-]{1,64}", value)
    return value


def hexed(value: object, what: str, n: int) -> str:
    """`value`, `n` lower-case hex digits."""
    if not isinstance(value, str) or len(value) != n or not _HEX.issuperset(value):
        raise wrong(what, f"{n} lower-case hex digits", value)
    return value


def digest(value: object, what: str) -> str:
    """`value`, a SHA-256 as 64 lower-case hex digits."""
    return hexed(value, what, 64)


def raw_digest(fields: dict[str, Any], key: str, *, what: str) -> str:
    """Take the 32 raw bytes of a digest (its CBOR form) as hex digits."""
    return take(fields, key, bytes, what=what, low=32, high=32).hex()


def one_of(value: object, what: str, allowed: Collection[object]) -> None:
    """`value` is one of `allowed`."""
    if value not in allowed:
        raise wrong(what, " | ".join(map(str, allowed)), value)


def count(got: int, what: str, *, low: int = 0, high: int) -> None:
    """A collection has `low`..`high` items."""
    if not low <= got <= high:
        raise ContractError(f"{what}: want {_span(low, high)} items, got {got}")


def unique(names: Sequence[str], what: str) -> None:
    """No name stands twice."""
    if len(set(names)) != len(names):
        raise ContractError(f"{what}: {max(names, key=names.count)!r} stands twice")


def float32s(values: Iterable[float], what: str) -> None:
    """Every value is exact in 32 bits, so that device and trainer compare the same numbers."""
    wanted = list(values)
    reals(wanted, what)
    try:
        kept = array("f", wanted).tolist()
    except OverflowError:
        kept = []
    if kept != wanted:
        bad = next((v for v, k in zip(wanted, kept, strict=False) if v != k), wanted[0])
        raise wrong(what, "values exact in float32", bad)


def _span(low: float | None, high: float | None) -> str:
    return f"{'' if low is None else low}..{'' if high is None else high}"
