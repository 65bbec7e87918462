"""Canonical JSON against the vectors of RFC 8785, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import math
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_runtime.contract import canonical
from edge_runtime.errors import ContractError

RFC_8785_APPENDIX_B = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), RFC_8785_APPENDIX_B)
def test_numbers_print_as_ecmascript_prints_them(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical.number(value) == text
    assert canonical.loads(text.encode(), what="x") == value


def test_layout_of_numbers_changes_where_ecmascript_changes_it() -> None:
    assert [canonical.number(v) for v in (1e20, 1e21, 1e-6, 1e-7, 1.5, -0.0, 333333333.33333329, 4.5, 2e-3)] == [
        "100000000000000000000", "1e+21", "0.000001", "1e-7", "1.5", "0", "333333333.3333333", "4.5", "0.002",
    ]  # fmt: skip


def test_example_of_rfc_8785_section_3_2() -> None:
    source = (
        rb'{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
        rb'"string":"\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}'
    )
    want = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical.dumps(canonical.loads(source, what="x")) == want.encode()


def test_keys_sort_by_utf_16_code_units() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    fields = dict.fromkeys(keys, 0)
    found = list(json.loads(canonical.dumps(fields)))
    assert found == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("aé\U0001f600\ufb33", max_size=3), inner),
    max_leaves=12,
)


@given(JSON)
def test_canonical_bytes_read_back_to_the_value_and_print_to_the_same_bytes(value: Any) -> None:
    data = canonical.dumps(value)
    assert canonical.loads(data, what="x") == value
    assert json.loads(data, parse_int=float) == value
    assert canonical.dumps(canonical.loads(data, what="x")) == data


@given(st.dictionaries(st.text("aé\U0001f600\ufb33", max_size=3), JSON, max_size=4))
@example({"a": 1e-5, "b": [1e-7, 1e16, 1.5, -3, 0.1]})
def test_what_is_known_to_be_canonical_is_what_the_slow_reader_reads(value: dict[str, Any]) -> None:
    data = canonical.dumps(value)
    found, _ = canonical.loads_spelt(data, what="x")
    assert repr(found) == repr(canonical.loads(data, what="x"))


PLAIN = {"a": [0.1, -0.25, 3, 1e-5, 1e-7, 1e300], "b": {"c": "1e-07", "d": None, "°": True}}


def test_plain_documents_are_known_to_be_canonical() -> None:
    """Else each is read by the slow reader, and a device's start takes 10 ms longer."""
    assert canonical.loads_spelt(canonical.dumps(PLAIN), what="x") == (PLAIN, True)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}', '{"b":1,"a":2}', '{"a":1,"a":1}', '{"a":1.0}', '{"a":[5.0]}', '{"a":-0}', '{"a":-0.0}',
        '{"a":1e-07}', '{"a":1e5}', '{"a":1E-7}', '{"a":1e+16}', '{"a":0.10}', '{"a":9007199254740993}',
        '{"a":"\\u0041"}',
        '{"\ufb33":1,"\U0001f600":2}', '{"a":NaN}', '{"a":1e999}', '{"a":00}', '{"a":1}\n', "5.0", "[1.0]",
        '{"a":' + 32 * "[" + 32 * "]" + "}", '{"a":"\\ud800"}', '{"a":"\x7f\\/"}',
    ],
)  # fmt: skip
def test_nothing_else_is_known_to_be_canonical(text: str) -> None:
    is_known = False
    with contextlib.suppress(ContractError):
        _, is_known = canonical.loads_spelt(text.encode(), what="x")
    assert not is_known


@given(
    st.lists(st.sampled_from([*'{}[]",:.-+eE01 5', "\\", '"a"', "1e-07", "1.0", "null", "\n"]), max_size=10).map(
        "".join
    )
)
def test_what_is_known_to_be_canonical_is_written_so(inner: str) -> None:
    data = ('{"a":' + inner + "}").encode()
    try:
        value, is_known = canonical.loads_spelt(data, what="x")
    except ContractError:
        return
    if is_known:
        assert canonical.dumps(value) == data


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back_to_the_same_bits(value: float) -> None:
    back = canonical.loads(canonical.number(value).encode(), what="x")
    assert isinstance(back, int | float)
    assert float(back) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "nan has no JSON form"),
        (-math.inf, "inf has no JSON form"),
        (2**53, "outside"),
        (-(2**53), "outside"),
        ("\ud800", "lone surrogate"),
        ({"\udc00": 1}, "lone surrogate"),
        ({1: 2}, "a key is not text"),
        (b"x", "bytes has no JSON form"),
    ],
)
def test_what_has_no_single_form_is_not_written(value: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        canonical.dumps([value])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x: not JSON"),
        (b"[1,]", "x: not JSON"),
        (b"[NaN]", "NaN is not a JSON number"),
        (b"[-Infinity]", "Infinity is not a JSON number"),
        (b"[1e999]", "beyond a 64-bit float"),
        (b"9007199254740993", "outside"),
        (b"1" + b"0" * 5000, "outside"),
        (b'{"a":1,"a":1}', "x: key 'a' stands twice"),
        (b'{"b":{"a":1,"c":0,"a":1}}', "x: key 'a' stands twice"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\udc00":1}', "lone surrogate"),
        (b"\xff", "x: not JSON"),
        (b"\xef\xbb\xbf1", "x: not JSON"),
        (b"[" * 40 + b"]" * 40, "deeper than 32"),
        (b"[" * 200_000, "x: "),
        (b'{"a":' * 200_000, "x: "),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        canonical.loads(data, what="x")


def test_depth_32_is_read_and_written_and_33_is_not() -> None:
    data = b"[" * 32 + b"]" * 32
    assert canonical.dumps(canonical.loads(data, what="x")) == data
    with pytest.raises(ContractError, match="deeper"):
        canonical.loads(b"[" + data + b"]", what="x")
    value: Any = canonical.loads(data, what="x")
    with pytest.raises(ContractError, match="deeper"):
        canonical.dumps([value])


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_contract_error(data: bytes) -> None:
    with contextlib.suppress(ContractError):
        value = canonical.loads(data, what="x")
        assert canonical.loads(canonical.dumps(value), what="x") == value


def test_towers_of_brackets_are_not_read_to_their_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """A depth is told by turns over the whole text: 33 of them say all that is asked."""
    turns = 0

    class Counted(bytes):
        def replace(self, *found: Any) -> Counted:
            nonlocal turns
            turns += 1
            return Counted(super().replace(*found))

    class Text(str):
        def encode(self, *_: Any) -> Counted:
            return Counted(super().encode())

    tower = "[" * 900 + "]" * 900
    assert canonical._depth(Text(tower)) > canonical.MAX_DEPTH
    assert canonical._depth(tower) == canonical.MAX_DEPTH + 1
