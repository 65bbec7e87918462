"""Plain lines of a device.toml are read without tomllib, as tomllib reads them; all else is left to it."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_runtime.daemon.toml import plain_toml

PLAIN = """
# a device
[device]
site = "lab" # where
id = "d-1"
utc_offset_min = -60
[trust]
release_keys = ["aa", "bb"]
none = [ ]
[budget]
[[stream]]
name = "motor"
source = "exec ./a.sh # 5"
period_s = 0.5
is-it = true
[[stream]]
"""
PIECES = (
    "[", "]", "[[", "]]", "a", "b", '"', '""', "x y", "=", " ", "\n", "\n", "\n", "1", "0", "-", ".", "5", "#", ",",
    "true", '"t"', "a = 1", 'b = "x"', "[a]", "[[a]]", "[b]", "\t", "\r\n", "\\", "é", "_", "+", "e3", "= [1, 2]",
    '= ["a", "b",]', "= 'x'", "00", "1.0", " # c", "{", "}", "a = []", "a = [[1],[2]]", "\u3000", "\x85",
    "12345678901234567890",
)  # fmt: skip


def test_a_device_toml_as_it_is_written_needs_no_tomllib() -> None:
    assert plain_toml(PLAIN) == tomllib.loads(PLAIN)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example("a = 1\na = 2")
@example("[a]\n[a]")
@example("[a]\n[[a]]")
@example("a = []\n[[a]]")
@example("[[a]]\n[a]")
@example('a = "x" "y"')
@example('a = """x"""')
@example("a = 01")
def test_it_says_what_tomllib_says_or_nothing(text: str) -> None:
    found = plain_toml(text)
    if found is not None:
        assert repr(found) == repr(tomllib.loads(text)), "of the same types too"


@pytest.mark.parametrize(
    "text",
    [
        "a.b = 1",
        "'a' = 1",
        "a = 1e3",
        "a = 0x10",
        "a = 1979-05-27",
        "a = {b = 1}",
        'a = "\\n"',
        "a = '''x'''",
        "a =",
        "[a",
    ],
)
def test_what_is_more_than_plain_is_left_to_tomllib(text: str) -> None:
    assert plain_toml(text) is None
