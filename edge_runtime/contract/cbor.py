"""A small fixed subset of CBOR (RFC 8949) with typed arrays (RFC 8746). One rule: one value, one byte string.

Deterministic as RFC 8949 section 4.2.1 asks (shortest integers, definite lengths, keys in bytewise order),
but floats are always 64 bit. The reader refuses every other spelling; only the width of a typed array is free.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache

from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final

MAX_DEPTH: Final = 8
"""Maps and arrays inside each other."""
U64: Final = 2**64 - 1

TAGS: Final = {"B": 64, "H": 69, "I": 70, "Q": 71, "b": 72, "h": 77, "i": 78, "q": 79, "f": 85, "d": 86}
"""`array.array` typecode -> RFC 8746 tag, little endian; e.g. 70 is uint32, 85 is float32."""
CODES: Final = {tag: code for code, tag in TAGS.items()}
_NARROWEST_FIRST: Final = "BHIQbhiq"  # an unsigned one takes no negative value
_PREFIX: Final = {code: bytes((0xD8, tag)) for code, tag in TAGS.items()}

_SIMPLE: Final[dict[object, bytes]] = {False: b"\xf4", True: b"\xf5", None: b"\xf6"}
_SWAP = sys.byteorder == "big"
_Put = Callable[[bytes], object]


def dumps(value: object) -> bytes:
    """The bytes of `value`: int, float, bytes, str, bool, None, list, tuple, dict by str, `array.array`.

    Raises:
        ContractError: An integer outside -2^64..2^64-1, a lone surrogate, depth over 8, another type.
    """
    out: list[bytes] = []
    _put(out.append, value, 0)
    return b"".join(out)


def loads(data: bytes, *, what: str) -> object:
    """The value in `data`; typed arrays come back as `array.array`.

    Raises:
        ContractError: Truncated, bytes after the end, a type outside the subset, a longer spelling than
            needed, keys out of order or twice, depth over 8.
    """
    data = bytes(data)
    value, end = _get(data, 0, 0, what)
    if end != len(data):
        raise ContractError(f"{what}: {len(data) - end} bytes after the end at {end}")
    return value


def smallest(values: Sequence[int]) -> array[int]:
    """`values` in the narrowest typed array that holds them all; unsigned unless one is negative.

    Raises:
        ContractError: They fit neither 64-bit type.
    """
    for code in _NARROWEST_FIRST:
        try:
            return array(code, values)
        except OverflowError:
            continue
    raise ContractError(f"cbor: {min(values)}..{max(values)} does not fit a 64-bit column")


class Encoded(bytes):
    """A value as `dumps` writes it, to stand where the value would."""

    __slots__ = ()


def _head(major: int, n: int) -> bytes:
    if n < 24:
        return bytes((major << 5 | n,))
    if n < 2**8:
        return bytes((major << 5 | 24, n))
    if n < 2**16:
        return struct.pack(">BH", major << 5 | 25, n)
    if n < 2**32:
        return struct.pack(">BI", major << 5 | 26, n)
    return struct.pack(">BQ", major << 5 | 27, n)


def _text(value: str) -> bytes:
    try:
        raw = value.encode()
    except UnicodeEncodeError as error:
        raise ContractError(f"cbor: text holds a lone surrogate at {error.start}") from error
    return _head(3, len(raw)) + raw


@lru_cache(maxsize=64)
def _order(names: tuple[object, ...]) -> tuple[tuple[bytes, str], ...]:
    """(encoded key, key) in the order of the wire; the same few documents come again and again."""
    keys = [name for name in names if isinstance(name, str)]
    if len(keys) != len(names):
        raise ContractError("cbor: a key is not text")
    return tuple(sorted((_text(name), name) for name in keys))


def _put(put: _Put, value: object, depth: int) -> None:
    leaf = _LEAFS.get(type(value))
    if leaf is not None:
        put(leaf(value))
    elif isinstance(value, dict):
        _put_map(put, value, depth)
    elif isinstance(value, list | tuple):
        if depth >= MAX_DEPTH:
            raise ContractError(f"cbor: nested deeper than {MAX_DEPTH}")
        put(_head(4, len(value)))
        for item in value:
            _put(put, item, depth + 1)
    else:  # a subclass, such as an enum's number, or nothing of ours
        base = next((kind for kind in _LEAFS if isinstance(value, kind)), None)
        if base is None:
            raise ContractError(f"cbor: {type(value).__name__} has no form in the subset")
        put(_LEAFS[base](value))


def _put_map(put: _Put, fields: dict[Any, object], depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise ContractError(f"cbor: nested deeper than {MAX_DEPTH}")
    put(_head(5, len(fields)))
    for key, name in _order(tuple(fields)):
        put(key)
        value = fields[name]
        leaf = _LEAFS.get(type(value))
        if leaf is not None:
            put(leaf(value))
        else:
            _put(put, value, depth + 1)


def _int(value: int) -> bytes:
    if not -U64 - 1 <= value <= U64:
        raise ContractError(f"cbor: integer {value} is outside -2^64..2^64-1")
    return _head(0, value) if value >= 0 else _head(1, -1 - value)


def _typed(values: array[Any]) -> bytes:
    prefix = _PREFIX.get(values.typecode)
    if prefix is None:
        raise ContractError(f"cbor: array {values.typecode!r} has no form in the subset")
    if _SWAP:
        values = values[:]
        values.byteswap()
    raw = values.tobytes()
    return prefix + _length(len(raw)) + raw


@lru_cache(maxsize=256)
def _length(n: int) -> bytes:
    return _head(2, n)


_LEAFS: Final[dict[type, Callable[[Any], bytes]]] = {
    array: _typed,
    bool: _SIMPLE.__getitem__,
    int: _int,
    str: _text,
    bytes: lambda value: _head(2, len(value)) + value,
    Encoded: lambda value: value,
    float: lambda value: struct.pack(">Bd", 0xFB, value),
    type(None): _SIMPLE.__getitem__,
}


def _get_head(data: bytes, at: int, what: str) -> tuple[int, int, int]:
    """(major type, its number, position after it); only the shortest spelling."""
    if at >= len(data):
        raise ContractError(f"{what}: truncated at byte {at}")
    major, short = data[at] >> 5, data[at] & 31
    at += 1
    if short < 24:
        return major, short, at
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(short)
    if size is None:
        raise ContractError(f"{what}: byte {at - 1} is {data[at - 1]:#04x}, outside the subset (no indefinite lengths)")
    if at + size > len(data):
        raise ContractError(f"{what}: truncated at byte {len(data)}")
    n = int.from_bytes(data[at : at + size], "big")
    if major != 7 and n < (24 if size == 1 else 1 << 4 * size):
        raise ContractError(f"{what}: {n} at byte {at - 1} is spelled longer than needed")
    return major, n, at + size


def _get(data: bytes, at: int, depth: int, what: str) -> tuple[Any, int]:
    start = at
    major, n, at = _get_head(data, at, what)
    if major <= 1:
        return (n if major == 0 else -1 - n), at
    if major in (2, 3):
        raw = _bytes(data, at, n, what)
        return (raw if major == 2 else _utf8(raw, start, what)), at + n
    if major == 6:
        return _get_typed(data, at, n, what)
    if major == 7:
        return _get_simple(data, start, at, what)
    if depth >= MAX_DEPTH:
        raise ContractError(f"{what}: nested deeper than {MAX_DEPTH} at byte {start}")
    if n > len(data) - at:
        raise ContractError(f"{what}: {n} items at byte {start}, {len(data) - at} bytes left")
    return (_get_list if major == 4 else _get_map)(data, at, n, depth, what)


def _get_list(data: bytes, at: int, n: int, depth: int, what: str) -> tuple[Any, int]:
    items = []
    for _ in range(n):
        item, at = _get(data, at, depth + 1, what)
        items.append(item)
    return items, at


def _get_map(data: bytes, at: int, n: int, depth: int, what: str) -> tuple[Any, int]:
    fields: dict[str, Any] = {}
    last = b""
    for _ in range(n):
        start = at
        name, at = _get(data, at, MAX_DEPTH, what)
        key = data[start:at]
        if not isinstance(name, str) or key <= last:
            raise ContractError(f"{what}: key at byte {start} is not text, out of order or stands twice")
        last = key
        fields[name], at = _get(data, at, depth + 1, what)
    return fields, at


def _get_typed(data: bytes, at: int, tag: int, what: str) -> tuple[array[Any], int]:
    start = at
    code = CODES.get(tag)
    major, n, at = _get_head(data, at, what)
    if code is None or major != 2:
        raise ContractError(f"{what}: tag {tag} at byte {start} is outside the subset (typed arrays, little endian)")
    values: array[Any] = array(code)
    if n % values.itemsize:
        raise ContractError(f"{what}: {n} bytes at byte {start} are no whole number of {values.itemsize}-byte values")
    values.frombytes(_bytes(data, at, n, what))
    if _SWAP:
        values.byteswap()
    return values, at + n


def _get_simple(data: bytes, start: int, at: int, what: str) -> tuple[object, int]:
    byte = data[start]
    if byte in (0xF4, 0xF5, 0xF6):
        return {0xF4: False, 0xF5: True, 0xF6: None}[byte], at
    if byte == 0xFB:
        return struct.unpack_from(">d", data, start + 1)[0], at
    raise ContractError(f"{what}: byte {start} is {byte:#04x}, outside the subset (floats are 64 bit)")


def _bytes(data: bytes, at: int, n: int, what: str) -> bytes:
    if n > len(data) - at:
        raise ContractError(f"{what}: truncated: {n} bytes wanted at byte {at}, {len(data) - at} left")
    return data[at : at + n]


def _utf8(raw: bytes, start: int, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ContractError(f"{what}: text at byte {start} is not UTF-8") from error
