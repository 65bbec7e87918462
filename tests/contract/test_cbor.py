"""The CBOR subset against cbor2, and what it refuses."""

from __future__ import annotations

import contextlib
import math
import struct
from array import array
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract import cbor
from edge_runtime.errors import ContractError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)  # cbor2 shortens infinity
    | st.binary(max_size=300)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=12,
)
RANGES = {"B": (0, 255), "H": (0, 65535), "I": (0, 2**32 - 1), "Q": (0, 2**64 - 1),
          "b": (-128, 127), "h": (-32768, 32767), "i": (-(2**31), 2**31 - 1), "q": (-(2**63), 2**63 - 1)}  # fmt: skip


@st.composite
def typed(draw: st.DrawFn) -> array[Any]:
    code = draw(st.sampled_from(sorted(cbor.TAGS)))
    if code in RANGES:
        return array(code, draw(st.lists(st.integers(*RANGES[code]), max_size=20)))
    return array(code, draw(st.lists(st.floats(width=32, allow_nan=False), max_size=20)))


def in_order(value: Any) -> Any:
    """Maps sorted by encoded key, as cbor2 leaves the order to its caller."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value, key=cbor2.dumps)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


@given(VALUES)
def test_bytes_are_those_of_cbor2_and_are_read_back(value: Any) -> None:
    data = cbor.dumps(value)
    assert data == cbor2.dumps(in_order(value))
    assert cbor.loads(data, what="x") == value
    assert cbor2.loads(data) == value


@pytest.mark.parametrize("n", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_numbers_and_lengths_where_the_spelling_changes(n: int) -> None:
    values: list[Any] = [n, -n - 1]
    if n <= 65536:
        values += [b"x" * n, "x" * n, [0] * n]
    for value in values:
        data = cbor.dumps(value)
        assert data == cbor2.dumps(value)
        assert cbor.loads(data, what="x") == value


@given(typed())
def test_typed_arrays_are_what_rfc_8746_says(values: array[Any]) -> None:
    data = cbor.dumps({"a": values})
    tag = cbor2.loads(data)["a"]
    assert tag.tag == cbor.TAGS[values.typecode]
    form = {"B": "B", "H": "H", "I": "I", "Q": "Q", "b": "b", "h": "h", "i": "i", "q": "q", "f": "f", "d": "d"}
    assert tag.value == struct.pack(f"<{len(values)}{form[values.typecode]}", *values)
    back: Any = cbor.loads(cbor2.dumps({"a": cbor2.CBORTag(tag.tag, tag.value)}), what="x")
    assert back == {"a": values}
    assert back["a"].typecode == values.typecode


def test_tag_numbers_of_rfc_8746_little_endian() -> None:
    got = {array(code).typecode + str(8 * array(code).itemsize): tag for code, tag in cbor.TAGS.items()}
    assert got == {"B8": 64, "H16": 69, "I32": 70, "Q64": 71, "b8": 72, "h16": 77, "i32": 78, "q64": 79,
                   "f32": 85, "d64": 86}  # fmt: skip


def test_a_big_endian_machine_writes_and_reads_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the swap switched over, this machine plays one: what it holds in memory is byte-reversed."""
    values = array("I", [1, 2, 0x01020304])
    data = cbor.dumps(values)
    theirs = values[:]
    theirs.byteswap()
    monkeypatch.setattr(cbor, "_SWAP", not cbor._SWAP)
    assert cbor.dumps(theirs) == data
    assert cbor.loads(data, what="x") == theirs
    assert theirs[0] == 1 << 24, "encoding must not change the caller's array"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ((), "B"),
        ((0, 255), "B"),
        ((256,), "H"),
        ((65535,), "H"),
        ((65536,), "I"),
        ((2**32 - 1,), "I"),
        ((2**32,), "Q"),
        ((2**64 - 1,), "Q"),
        ((-1,), "b"),
        ((-128, 127), "b"),
        ((-1, 128), "h"),
        ((-129,), "h"),
        ((-32769,), "i"),
        ((-(2**31), 2**31 - 1), "i"),
        ((-(2**31) - 1,), "q"),
        ((-1, 2**31), "q"),
        ((-(2**63), 2**63 - 1), "q"),
    ],
)
def test_the_narrowest_column_is_chosen(values: tuple[int, ...], code: str) -> None:
    column = cbor.smallest(values)
    assert (column.typecode, tuple(column)) == (code, values)


@pytest.mark.parametrize("values", [(2**64,), (-1, 2**63), (-(2**63) - 1,)])
def test_a_column_that_fits_nothing_is_refused(values: tuple[int, ...]) -> None:
    with pytest.raises(ContractError, match="64-bit column"):
        cbor.smallest(values)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**64, "outside"),
        (-(2**64) - 1, "outside"),
        ("\ud800", "lone surrogate"),
        ({1: 2}, "a key is not text"),
        ({1, 2}, "set has no form"),
        (array("u", "x"), "array 'u'"),
    ],
)
def test_what_is_outside_the_subset_is_not_written(value: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        cbor.dumps([value])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "truncated at byte 0"),
        ("18", "truncated"),
        ("1817", "spelled longer"),
        ("1900ff", "spelled longer"),
        ("1a0000ffff", "spelled longer"),
        ("1b00000000ffffffff", "spelled longer"),
        ("3817", "spelled longer"),
        ("5801", "spelled longer"),
        ("0000", "1 bytes after the end"),
        ("1c", "outside the subset"),
        ("5f4100ff", "no indefinite lengths"),
        ("9fff", "no indefinite lengths"),
        ("bfff", "no indefinite lengths"),
        ("43aabb", "truncated: 3 bytes"),
        ("5bffffffffffffffff", "truncated"),
        ("9bffffffffffffffff", "bytes left"),
        ("bbffffffffffffffff", "bytes left"),
        ("61ff", "not UTF-8"),
        ("62eda0", "not UTF-8"),
        ("f7", "outside the subset"),
        ("f93c00", "floats are 64 bit"),
        ("fa3f800000", "floats are 64 bit"),
        ("f820", "outside the subset"),
        ("a10000", "key at byte 1 is not text"),
        ("a2616200616100", "out of order"),
        ("a2616100616100", "stands twice"),
        ("a262616100616200", "out of order"),
        ("c24101", "tag 2 at byte 1"),
        ("d84243aabbcc", "tag 66"),
        ("d84543aabbcc", "no whole number of 2-byte"),
        ("d84500", "outside the subset"),
        ("d8454400", "truncated"),
        ("81" * 9 + "00", "nested deeper than 8"),
        ("81" * 5000 + "00", "nested deeper than 8"),
    ],
)
def test_any_other_spelling_is_refused(data: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        cbor.loads(bytes.fromhex(data), what="x")


def test_depth_8_is_read_and_written_and_9_is_not() -> None:
    data = bytes.fromhex("81" * 8 + "00")
    value = cbor.loads(data, what="x")
    assert cbor.dumps(value) == data
    with pytest.raises(ContractError, match="nested deeper"):
        cbor.dumps([value])


def test_infinity_and_not_a_number_are_kept() -> None:
    assert cbor.loads(cbor.dumps([math.inf, -math.inf]), what="x") == [math.inf, -math.inf]
    back = cbor.loads(cbor.dumps(math.nan), what="x")
    assert isinstance(back, float)
    assert math.isnan(back)


@given(st.binary(max_size=80))
def test_any_bytes_give_a_contract_error_or_the_value_with_exactly_these_bytes(data: bytes) -> None:
    with contextlib.suppress(ContractError):
        assert cbor.dumps(cbor.loads(data, what="x")) == data
