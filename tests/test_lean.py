"""`edge_runtime.lean` gives what `dataclasses`, `typing` and `hashlib` give, as far as a device uses them."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import lean
from edge_runtime.sampling import sampler


def made_by(dataclass: Any, field: Any) -> tuple[Any, Any, Any]:
    """The same three classes by either module."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Frozen:
        """A value."""

        a: int
        b: str = "x"
        c: dict[str, int] = field(default_factory=dict, hash=False)

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError("a")

        @property
        def double(self) -> int:
            return 2 * self.a

    @dataclass(slots=True)
    class Loose:
        a: int
        b: float = 1.5

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Nested:
        inner: Any
        rest: tuple[int, ...] = ()
        none: None = None

    return Frozen, Loose, Nested


ROOT = Path(__file__).parents[1]
OURS, THEIRS = made_by(lean.dataclass, lean.field), made_by(dataclasses.dataclass, dataclasses.field)
BOTH = pytest.mark.parametrize("classes", [OURS, THEIRS], ids=["lean", "dataclasses"])


@BOTH
def test_fields_defaults_and_checks(classes: Any) -> None:
    frozen, loose, _ = classes
    assert (frozen(a=1).a, frozen(a=1).b, frozen(a=1).c, frozen(a=2).double) == (1, "x", {}, 4)
    assert frozen(a=1).c is not frozen(a=1).c
    assert (loose(3).a, loose(3, 4.0).b, loose(a=3).b) == (3, 4.0, 1.5)
    for wrong in ({}, {"a": 1, "d": 2}):
        with pytest.raises(TypeError):
            frozen(**wrong)
    with pytest.raises(TypeError):
        frozen(1)
    for wrong_call in (loose, lambda: loose(1, 2.0, 3), lambda: loose(1, a=1), lambda: loose(1, 2.0, b=2.0)):
        with pytest.raises(TypeError):
            wrong_call()
    with pytest.raises(ValueError, match="a"):
        frozen(a=-1)
    assert frozen.__doc__ == "A value."
    assert not hasattr(frozen(a=1), "__dict__")
    with pytest.raises(AttributeError):
        loose(1).c = 1
    assert (frozen.__module__, frozen.__qualname__) == (__name__, "made_by.<locals>.Frozen")


@BOTH
def test_frozen_stays_and_loose_changes(classes: Any) -> None:
    frozen, loose, _ = classes
    with pytest.raises(FrozenInstanceError):
        frozen(a=1).a = 2
    with pytest.raises(FrozenInstanceError):
        del frozen(a=1).a
    one = loose(1)
    one.a = 5
    assert one == loose(5)
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@BOTH
def test_equality_hash_and_repr(classes: Any) -> None:
    frozen, loose, nested = classes
    assert frozen(a=1) == frozen(a=1)
    assert frozen(a=1) != frozen(a=2)
    assert frozen(a=1) != frozen(a=1, b="y")
    assert frozen(a=1) != (1, "x", {})
    assert frozen(a=1) == ANY, "whom it does not know may say"
    assert hash(frozen(a=1, c={"k": 1})) == hash(frozen(a=1)) == hash((1, "x"))
    assert repr(loose(b=1.5, a=1)).endswith("made_by.<locals>.Loose(a=1, b=1.5)")
    assert repr(frozen(a=1)).endswith("Frozen(a=1, b='x', c={})")
    assert len({nested(inner=1), nested(inner=1), nested(inner=2)}) == 2


@BOTH
def test_the_functions_of_dataclasses_take_it(classes: Any) -> None:
    frozen, loose, nested = classes
    value = nested(inner=frozen(a=1, c={"k": 2}), rest=(1, 2))
    assert dataclasses.asdict(value) == {"inner": {"a": 1, "b": "x", "c": {"k": 2}}, "rest": (1, 2), "none": None}
    changed: Any = dataclasses.replace(frozen(a=1), b="y")
    assert changed == frozen(a=1, b="y")
    assert [f.name for f in dataclasses.fields(loose)] == ["a", "b"]
    assert [(f.hash, f.type, f.default, f.default_factory) for f in dataclasses.fields(frozen)][1:] == [
        (None, "str", "x", dataclasses.MISSING),
        (False, "dict[str, int]", dataclasses.MISSING, dict),
    ]
    with pytest.raises(ValueError, match="a"):
        lean.replace(frozen(a=1), a=-1)
    renamed: Any = lean.replace(frozen(a=1), b="y")
    assert renamed == frozen(a=1, b="y")
    assert lean.items_of(loose(1)) == {"a": 1, "b": 1.5}
    assert dataclasses.is_dataclass(frozen)


@BOTH
def test_copies_are_equal(classes: Any) -> None:
    frozen, loose, _ = classes
    for value in (frozen(a=1, c={"k": 1}), loose(2)):
        assert copy.copy(value) == value
        assert copy.deepcopy(value) == value


def test_values_travel_between_processes() -> None:
    from edge_runtime.contract.manifest import Policy

    policy = Policy(thresholds_ppm=(1, 2))
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301


def test_required_are_those_without_a_default() -> None:
    assert lean.required(OURS[0]) == ("a",)
    assert lean.required(OURS[2]) == ("inner",)


def test_a_named_tuple_is_one_of_typing() -> None:
    ours: Any = lean.NamedTuple

    class Ours(ours):  # type: ignore[misc]
        """Two."""

        a: int
        b: str

    class Theirs(NamedTuple):
        """Two."""

        a: int
        b: str

    kinds: list[Any] = [Ours, Theirs]
    for kind in kinds:
        assert kind(1, "x") == (1, "x")
        assert kind.__module__ == __name__
        assert kind._fields == ("a", "b")
        assert kind.__doc__ == "Two."
        assert kind._make((1, "y")).b == "y"


@given(st.binary(max_size=300))
def test_the_hash_is_sha256(data: bytes) -> None:
    assert lean.sha256(data).hexdigest() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [16, 32])
def test_the_short_hash_is_blake2(size: int) -> None:
    own = vars(sampler)["blake2b"]
    assert own(b"a", digest_size=size).digest() == hashlib.blake2b(b"a", digest_size=size).digest()


def test_a_random_number_is_in_its_range_and_takes_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for byte, want in ((0x00, 3.0), (0x80, 4.0), (0xFF, 5.0)):
        monkeypatch.setattr(lean.os, "urandom", lambda n, byte=byte: bytes([byte]) * n)  # type: ignore[attr-defined]
        assert lean.uniform(3.0, 5.0) == pytest.approx(want, abs=0.01)
        assert lean.uniform(0.0, 1.0) == lean.uniform(0.0, 1.0) < 1.0


def test_none_of_what_it_stands_for_is_loaded() -> None:
    ask = "import sys, edge_runtime.lean; print({'dataclasses', 'typing', 'hashlib', 'random'} & set(sys.modules))"
    command = [sys.executable, "-S", "-c", ask]  # without the packages that a venv loads
    assert subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout == b"set()\n"


def test_a_class_of_one_without_fields_of_its_own_has_its_fields() -> None:
    """Dask asks `dataclasses` about a feature program, which is a program and shows itself."""
    frozen = made_by(lean.dataclass, lean.field)[0]

    class Shown(frozen):  # type: ignore[misc,valid-type]
        pass

    one = Shown(a=3, c={"k": 1})
    assert lean.items_of(one) == {"a": 3, "b": "x", "c": {"k": 1}}
    again = lean.replace(one, b="y")
    assert isinstance(again, Shown)
    assert (again.a, again.b) == (3, "y")
    assert [each.name for each in dataclasses.fields(one)] == ["a", "b", "c"]
