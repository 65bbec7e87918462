"""Protocol buffers, read with a table and never trusted. One rule: what the table does not name is refused.

A real parser merges a message that stands twice and keeps the last of two numbers, so a walker that took the first
would look at another model than the engine runs: here every singular field stands once. Nothing recurses.

Source: protobuf encoding guide (wire types 0, 1, 2, 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from edge_runtime.errors import ContractError


class Kind(Enum):
    """What a field holds."""

    INT = "one integer"
    BYTES = "one text, message or fixed-width number"
    INTS = "integers, packed or not"
    MANY = "texts or messages"
    FIXED = "numbers of 4 or 8 bytes, packed or not; kept as pieces of bytes"
    SKIPPED = "looked at by nobody"
    REFUSED = "never allowed"


Table = Mapping[int, tuple[str, Kind]]


def _varint(data: memoryview, at: int, what: str) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, at + i + 1
    raise ContractError(f"{what}: byte {at} starts no integer of 64 bits")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def ints(packed: memoryview, what: str) -> list[int]:
    """Return the integers of a packed field."""
    found, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at, what)
        found.append(_signed(value))
    return found


def _fields(data: memoryview, what: str) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (number, value) of each field: an integer, or the bytes of anything else."""
    at = 0
    while at < len(data):
        key, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at, what)
        match key & 7:
            case 0:
                value, at = (data[at], at + 1) if at < len(data) and data[at] < 0x80 else _varint(data, at, what)
                yield key >> 3, _signed(value)
                continue
            case 2:
                size, at = _varint(data, at, what)
            case 1 | 5 as width:
                size = 8 if width == 1 else 4
            case other:
                raise ContractError(f"{what}: wire type {other} in field {key >> 3}")
        if size > len(data) - at:
            raise ContractError(f"{what}: field {key >> 3} of {size} bytes, {len(data) - at} are left")
        yield key >> 3, data[at : at + size]
        at += size


def message(data: memoryview, table: Table, what: str) -> dict[str, Any]:
    """Return the fields of one message by name; repeated ones are lists, absent singular ones are missing.

    Raises:
        ContractError: cut bytes, a field the table does not name or refuses, a singular field that stands twice.
    """
    found: dict[str, Any] = {name: [] for name, kind in table.values() if kind in (Kind.INTS, Kind.MANY, Kind.FIXED)}
    for number, value in _fields(data, what):
        name, kind = table.get(number, (f"field {number}", Kind.REFUSED))
        if kind is Kind.SKIPPED:
            continue
        if kind is Kind.REFUSED:
            raise ContractError(f"{what}.{name} is not allowed", hint="export the model with cloud-trainer")
        if kind is Kind.INTS:
            found[name].extend([value] if isinstance(value, int) else ints(value, f"{what}.{name}"))
            continue
        if isinstance(value, int) != (kind is Kind.INT):
            raise ContractError(f"{what}.{name}: want {kind.value}")
        if kind in (Kind.MANY, Kind.FIXED):
            found[name].append(value)
            continue
        if name in found:
            raise ContractError(f"{what}.{name} stands twice")
        found[name] = value
    return found


def text(value: memoryview | bytes, what: str) -> str:
    """Return a text field."""
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ContractError(f"{what}: not UTF-8") from error
