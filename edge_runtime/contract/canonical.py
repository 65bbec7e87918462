"""Canonical JSON: one value, one byte string (RFC 8785).

One rule: what another reader could read differently is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from json.encoder import encode_basestring

from edge_runtime.errors import ContractError
from edge_runtime.lean import Final

MAX_DEPTH: Final = 32
"""Objects and arrays inside each other."""
MAX_INT: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly (RFC 7493 section 2.2)."""

_PLAIN: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
_ODD: Final = re.compile(r"(?<=[,:[])-?(?:[0-9.]+e[-+][0-9]+|[0-9]+\.0|[0-9]{16,})(?=[],}])")
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))


def dumps(value: object) -> bytes:
    """The bytes of `value`: keys by UTF-16 code units, numbers as ECMAScript prints them, no spaces, UTF-8.

    Raises:
        ContractError: NaN, infinity, an integer beyond ±(2^53 - 1), a lone surrogate, depth over 32, another
            type.
    """
    out: list[str] = []
    _put(out.append, value, 0)
    try:
        return "".join(out).encode()
    except UnicodeEncodeError as error:
        raise ContractError(f"json: text holds a lone surrogate at {error.start}") from error


def loads(data: bytes, *, what: str) -> object:
    """The value in `data`: dict, list, str, int, float, bool or None. Spaces and key order are free here.

    Raises:
        ContractError: Not UTF-8, not JSON, a duplicate key, NaN or infinity, a number that is not exact as a
            64-bit float or an integer up to 2^53 - 1, a lone surrogate, depth over 32.
    """

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ContractError(f"{what}: key {twice!r} stands twice")
        return fields

    try:
        value: object = json.loads(
            bytes(data).decode(),
            object_pairs_hook=unique,
            parse_int=_int,
            parse_float=_float,
            parse_constant=_constant,
        )
    except RecursionError as error:
        raise ContractError(f"{what}: nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        raise ContractError(f"{what}: not JSON ({error})") from error
    _check(value, 0, what)
    return value


def loads_spelt(data: bytes, *, what: str) -> tuple[object, bool]:
    """(what `loads` gives, whether `data` is known to be what `dumps` would write of it); False says nothing.

    What is plain, as nearly all documents are, is read and written again by the interpreter's own C, in half the time.

    Raises:
        ContractError: As `loads`.
    """
    try:
        text = bytes(data).decode()
        value: object = json.loads(text)
        # Without escapes no surrogate is alone; below them code points sort as UTF-16 does. A key that stands twice,
        # a space, another order or spelling are not written again.
        is_plain = "\\" not in text and (text.isascii() or max(text) < "\ud800") and _depth(text) <= MAX_DEPTH
        if isinstance(value, dict) and is_plain and _ODD.sub(_respelt, _PLAIN.encode(value)) == text:
            return value, True
    except (ValueError, RecursionError):
        pass  # the slow reader says what is wrong
    return loads(data, what=what), False


def number(value: float) -> str:
    """`value` as ECMAScript `Number::toString` prints it, which RFC 8785 section 3.2.2.3 asks for.

    Raises:
        ContractError: NaN or infinity.
    """
    if not math.isfinite(value):
        raise ContractError(f"json: {value!r} has no JSON form")
    if value == 0:
        return "0"  # -0 too
    sign = "-" if value < 0 else ""
    # repr gives the shortest digits that read back to the same value, as ECMAScript does; the layout differs.
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    n = len(digits)
    if n <= point <= 21:
        return sign + digits + "0" * (point - n)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if n > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


def _respelt(found: re.Match[str]) -> str:
    """As `dumps` spells a number that Python spells otherwise; an integer that is not exact is none of a document."""
    text = found[0]
    if "." in text or "e" in text:
        return number(float(text))
    return text if abs(int(text)) <= MAX_INT else ""


def _depth(text: str) -> int:
    """Of the objects and arrays in JSON without escapes."""
    between = "".join(text.split('"')[::2])  # the texts
    brackets, depth = between.encode().translate(_SQUARE, _NO_BRACKET), 0
    while brackets and depth <= MAX_DEPTH:  # each turn reads them all
        brackets, depth = brackets.replace(b"[]", b""), depth + 1
    return depth


def _put(put: Callable[[str], object], value: object, depth: int) -> None:
    if depth >= MAX_DEPTH and isinstance(value, dict | list | tuple):
        raise ContractError(f"json: nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        put(encode_basestring(value))
    elif value is None or isinstance(value, bool):
        put({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            raise ContractError(f"json: integer {value} is outside ±{MAX_INT}")
        put(str(int(value)))
    elif isinstance(value, float):
        put(number(value))
    elif isinstance(value, dict):
        _put_object(put, value, depth)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            put("," if i else "[")
            _put(put, item, depth + 1)
        put("]" if value else "[]")
    else:
        raise ContractError(f"json: {type(value).__name__} has no JSON form")


def _put_object(put: Callable[[str], object], fields: dict[object, object], depth: int) -> None:
    names = [name for name in fields if isinstance(name, str)]
    if len(names) != len(fields):
        raise ContractError("json: a key is not text")
    put("{")
    for i, name in enumerate(sorted(names, key=lambda name: name.encode("utf-16-be", "surrogatepass"))):
        put(("," if i else "") + encode_basestring(name) + ":")
        _put(put, fields[name], depth + 1)
    put("}")


def _int(text: str) -> int | float:
    if len(text) <= 17 and abs(int(text)) <= MAX_INT:
        return int(text)
    # ECMAScript prints floats below 1e21 without an exponent, so 1e20 arrives looking like an integer.
    value = float(text)
    if math.isfinite(value) and number(value) == text:
        return value
    raise ValueError(f"integer {text[:40]} is outside ±{MAX_INT}")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is beyond a 64-bit float")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _check(value: object, depth: int, what: str) -> None:
    if depth >= MAX_DEPTH and isinstance(value, dict | list):
        raise ContractError(f"{what}: nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise ContractError(f"{what}: text holds a lone surrogate")
    elif isinstance(value, dict):
        for name, item in value.items():
            _check(name, depth, what)
            _check(item, depth + 1, what)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1, what)
