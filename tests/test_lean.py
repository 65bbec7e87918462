"""`edge_runtime.lean` gives what `dataclasses`, `typing` and `hashlib` give, as far as a device uses them."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import pickle
from dataclasses import FrozenInstanceError
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import lean


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

    return Frozen, Loose, Nested


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
    with pytest.raises(TypeError):
        loose(1, 2.0, 3)
    with pytest.raises(ValueError, match="a"):
        frozen(a=-1)
    assert frozen.__doc__ == "A value."
    assert not hasattr(frozen(a=1), "__dict__")


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
    assert frozen(a=1) != (1, "x", {})
    assert hash(frozen(a=1, c={"k": 1})) == hash(frozen(a=1)) == hash((1, "x"))
    assert repr(loose(1)).endswith("Loose(a=1, b=1.5)")
    assert len({nested(inner=1), nested(inner=1), nested(inner=2)}) == 2


@BOTH
def test_the_functions_of_dataclasses_take_it(classes: Any) -> None:
    frozen, loose, nested = classes
    value = nested(inner=frozen(a=1, c={"k": 2}), rest=(1, 2))
    assert dataclasses.asdict(value) == {"inner": {"a": 1, "b": "x", "c": {"k": 2}}, "rest": (1, 2)}
    changed: Any = dataclasses.replace(frozen(a=1), b="y")
    assert changed == frozen(a=1, b="y")
    assert [f.name for f in dataclasses.fields(loose)] == ["a", "b"]
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
        assert kind._fields == ("a", "b")
        assert kind.__doc__ == "Two."
        assert kind._make((1, "y")).b == "y"


@given(st.binary(max_size=300))
def test_the_hash_is_sha256(data: bytes) -> None:
    assert lean.sha256(data).hexdigest() == hashlib.sha256(data).hexdigest()


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
