"""Protocol buffers, read with a table and never trusted. One rule: what the table does not name is refused.

A real parser merges a message that stands twice, keeps the last of two numbers and skips a field of the wrong wire
type, so a walker that did otherwise would look at another model than the engine runs: here every singular field
stands once, and every field is of its type. Nothing recurses, and no list grows before its limit is asked.

Source: protobuf encoding guide (wire types 0, 1, 2, 5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import cache

from edge_runtime.errors import ContractError
from edge_runtime.lean import Any

MAX_TEXT = 1024  # bytes of a name or a label
MAX_NOTE = 4096  # bytes of a text that nobody reads


class Kind(Enum):
    """What a field holds: (words, wire types it may have)."""

    INT = ("one integer", (0,))
    FLOAT = ("one float32", (5,))
    BYTES = ("one text, message or blob", (2,))
    NOTE = ("one text that nobody reads", (2,))
    INTS = ("integers, packed or not", (0, 2))
    FLOATS = ("float32, packed or not; kept as bytes", (2, 5))
    DOUBLES = ("float64, packed or not; kept as bytes", (1, 2))
    MANY = ("texts or messages", (2,))
    REFUSED = ("never allowed", ())


Table = Mapping[int, tuple[str, Kind, int]]
"""Field number -> name, kind, and how many may stand there."""

_WIDTH = {Kind.FLOATS: 4, Kind.DOUBLES: 8}
_HIGH = bytes(range(128, 256))
_LISTS = (Kind.INTS, Kind.FLOATS, Kind.DOUBLES, Kind.MANY)
_INTEGER = re.compile(rb"[\x80-\xff]{0,9}+[\x00-\x7f]")
_INTEGERS = re.compile(rb"(?:[\x80-\xff]{0,9}+[\x00-\x7f])*+")


def _varint(data: memoryview, at: int, what: str) -> tuple[int, int]:
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    found = _INTEGER.match(data, at)
    if found is None:
        raise ContractError(f"{what}: byte {at} starts no integer of 64 bits")
    return _decoded(found.group(), what), found.end()


def _decoded(raw: bytes, what: str) -> int:
    """Return the integer in its one shortest form, as 64 bits without a sign."""
    if len(raw) == 1:
        return raw[0]
    value = 0
    for i, byte in enumerate(raw):
        value |= (byte & 0x7F) << 7 * i
    if value >= 1 << 64 or not raw[-1]:
        raise ContractError(f"{what}: {raw.hex()} is an integer over 64 bits, or longer than it need be")
    return value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _all_decoded(raws: list[bytes], what: str) -> list[int]:
    """Return the integers of *raws*, each in its one form."""
    values = {raw: _signed(_decoded(raw, what)) for raw in set(raws)}  # a forest repeats few numbers often
    return [values[raw] for raw in raws]


def _count(raw: memoryview | bytes, most: int, what: str, *, each: int) -> None:
    """Refuse too many integers before there is a list of them: each ends in a byte below 128, and so does a key."""
    n = len(bytes(raw).translate(None, _HIGH)) // each
    if n > most:
        raise ContractError(f"{what}: {n} items, limit is {most}")


def _packed_ints(packed: memoryview, most: int, what: str) -> list[int]:
    _count(packed[: (most + 1) * 10], most, what, each=1)
    found = _INTEGERS.match(packed)
    if found is None or found.end() != len(packed):
        raise ContractError(f"{what}: byte {found.end() if found else 0} starts no integer of 64 bits")
    return _all_decoded(_INTEGER.findall(packed), what)


@cache
def _runs(key: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes], dict[int, re.Pattern[bytes]]]:
    """Patterns of what stands behind one another under one key: integers, each of them, and numbers by width."""
    tag = re.escape(key)
    one = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"
    widths = {n: re.compile(b"(?:%b.{%d})++" % (tag, n), re.DOTALL) for n in _WIDTH.values()}
    return re.compile(b"(?:%b%b)++" % (tag, one)), re.compile(b"%b(%b)" % (tag, one)), widths


def _ints_behind(data: memoryview, begin: int, at: int, most: int, what: str) -> tuple[list[int], int]:
    """Return unpacked integers, whose first key stands at *begin*..*at*, and where they end."""
    run, each, _ = _runs(bytes(data[begin:at]))
    found = run.match(data, begin, min(len(data), begin + (most + 1) * (at - begin + 10)))
    if found is None:
        raise ContractError(f"{what}: byte {at} starts no integer of 64 bits")
    _count(found.group(), most, what, each=2)
    return _all_decoded(each.findall(data, begin, found.end()), what), found.end()


def _numbers_behind(data: memoryview, begin: int, at: int, width: int, what: str) -> tuple[bytes, int]:
    """Return unpacked fixed-width numbers as packed bytes, and where they end."""
    found = _runs(bytes(data[begin:at]))[2][width].match(data, begin)
    if found is None:
        raise ContractError(f"{what}: a number of {width} bytes, {len(data) - at} are left")
    raw, step = found.group(), width + at - begin
    packed = bytearray(len(raw) // step * width)
    for i in range(width):
        packed[i::width] = raw[i + at - begin :: step]
    return bytes(packed), found.end()


def message(data: memoryview, table: Table, what: str) -> dict[str, Any]:
    """Return the fields of one message by name; repeated ones are lists, absent singular ones are missing.

    Raises:
        ContractError: cut bytes, a field the table does not name or refuses, one of another wire type, more of them
            than the table allows.
    """
    found: dict[str, Any] = {name: [] for name, kind, _ in table.values() if kind in _LISTS}
    at = 0
    while at < len(data):
        begin = at
        key, at = _varint(data, at, what)
        name, kind, most = table.get(key >> 3, (f"field {key >> 3}", Kind.REFUSED, 0))
        where, wire = f"{what}.{name}", key & 7
        if kind is Kind.REFUSED:
            raise ContractError(f"{where} is not allowed", hint="export the model with cloud-trainer")
        words, wires = kind.value
        if wire not in wires:
            raise ContractError(f"{where}: wire type {wire}, want {words} ({' or '.join(map(str, wires))})")
        if wire == 0 and kind is Kind.INTS:
            numbers, at = _ints_behind(data, begin, at, most, where)
            found[name] += numbers
        elif wire == 0:
            value, at = _varint(data, at, where)
            _put(found, name, _signed(value), where)
        elif wire == 2:
            size, at = _varint(data, at, where)
            if size > len(data) - at:
                raise ContractError(f"{where}: {size} bytes, {len(data) - at} are left")
            _put_bytes(found, (name, kind, most), data[at : at + size], where)
            at += size
            if kind is Kind.MANY:
                at = _more(data, at, data[begin], found[name], most)
        else:
            packed, at = _numbers_behind(data, begin, at, 4 if wire == 5 else 8, where)
            _put_numbers(found, name, kind, packed, where)
        if kind in _LISTS and len(found[name]) > most:
            raise ContractError(f"{where}: {len(found[name])} items, limit is {most}")
    return found


def _more(data: memoryview, at: int, key: int, items: list[memoryview], most: int) -> int:
    """Take the short fields of one key that stand next, and return where they end: a forest has a word a node."""
    end = len(data) - 1
    while at < end and data[at] == key < 0x80 and len(items) <= most:
        size = data[at + 1]
        if size >= 0x80 or size > end - at - 1:
            break  # long, or cut: the caller's matter
        items.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return at


def _put(found: dict[str, Any], name: str, value: Any, where: str) -> None:
    if name in found:
        raise ContractError(f"{where} stands twice")
    found[name] = value


def _put_numbers(found: dict[str, Any], name: str, kind: Kind, packed: bytes, where: str) -> None:
    if kind in _LISTS:
        found[name].append(packed)
    elif len(packed) > 4:
        raise ContractError(f"{where} stands twice")
    else:
        _put(found, name, packed, where)


def _put_bytes(found: dict[str, Any], row: tuple[str, Kind, int], value: memoryview, where: str) -> None:
    """A field that has a length: a message, a text, or packed numbers."""
    name, kind, most = row
    if kind is Kind.MANY:
        found[name].append(value)
    elif kind is Kind.INTS:
        found[name] += _packed_ints(value, most, where)
    elif kind in _WIDTH:
        if len(value) % _WIDTH[kind]:
            raise ContractError(f"{where}: {len(value)} bytes are no numbers of {_WIDTH[kind]} bytes")
        found[name].append(value)
    else:
        _put(found, name, value, where)
        if kind is Kind.NOTE:
            text(value, where, limit=MAX_NOTE)


def text(value: memoryview | bytes, what: str, *, limit: int = MAX_TEXT) -> str:
    """Return a text field of at most *limit* bytes."""
    if len(value) > limit:
        raise ContractError(f"{what}: a text of {len(value)} bytes, limit is {limit}")
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ContractError(f"{what}: not UTF-8") from error
