"""What a device's code takes from `dataclasses`, `typing`, `hashlib` and `random`. One rule: none of them is loaded.

The first brings `inspect`, `ast` and `dis` and compiles code for each class, the last OpenSSL: 7 MiB and 50 ms, where
all of a device that only decides is promised 4 MiB. Type checkers see the real ones, and the functions of
`dataclasses` take what is made here. Only what is used is here: slots, no bases with fields, no `compare`.
"""

from __future__ import annotations

import os
import sys

__all__ = [
    "TYPE_CHECKING", "Any", "Final", "Literal", "NamedTuple", "NoReturn", "Protocol", "TypeAlias", "TypeVar",
    "dataclass", "field", "items_of", "replace", "required", "sha256", "uniform",
]  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass, field
    from hashlib import sha256
    from typing import Any, Final, Literal, NamedTuple, NoReturn, Protocol, TypeAlias, TypeVar

    T = TypeVar("T")
else:
    try:  # the interpreter's own, in plain C
        if sys.version_info >= (3, 12):
            from _sha2 import sha256
        else:
            from _sha256 import sha256
    except ImportError:  # one that was built to have OpenSSL's alone
        from hashlib import sha256

    Any = Final = Literal = NoReturn = TypeAlias = None  # of annotations, which nobody evaluates
    Protocol = object

    def TypeVar(_name: str) -> None:  # noqa: N802
        """Of annotations too."""

    class _Named(type):
        def __new__(cls, name: str, bases: tuple[type, ...], own: dict[str, Any]) -> type:
            from collections import namedtuple

            if not bases:
                return super().__new__(cls, name, bases, own)
            made = namedtuple(name, own["__annotations__"], module=own["__module__"])
            made.__doc__ = own["__doc__"]
            return made

    class NamedTuple(metaclass=_Named):
        """As of `typing`: fields alone."""

    def dataclass(*, slots: bool, frozen: bool = False, kw_only: bool = False) -> Callable[[type], type]:
        """As of `dataclasses`; what is frozen can be hashed."""
        assert slots  # noqa: S101  the only kind there is

        def made(cls: type) -> type:
            own = {key: value for key, value in vars(cls).items() if key not in ("__dict__", "__weakref__")}
            names = own.get("__annotations__", {})
            given = {name: own.pop(name, _NOTHING) for name in names}
            fields = {name: one if isinstance(one, _Field) else _Field(one) for name, one in given.items()}
            more = {"__slots__": tuple(names), "__match_args__": (), "_given": fields, "_is_kw_only": kw_only}
            more |= {"_annotated": names}  # a class of it without fields of its own has no annotations
            more |= {"__qualname__": cls.__qualname__}
            return type(cls)(cls.__name__, cls.__bases__, _COMMON | more | (_FROZEN if frozen else {}) | own)

        return made

    def field(*, default_factory: Callable[[], Any], hash: bool = True) -> Any:  # noqa: A002
        """As of `dataclasses`."""
        return _Field(_NOTHING, default_factory, hash)


def replace(value: T, **changes: Any) -> T:
    """A copy of *value* with *changes*."""
    return type(value)(**items_of(value) | changes)


def items_of(value: object) -> dict[str, Any]:
    """The fields of *value* by name, as they are."""
    kind: Any = type(value)
    return {name: getattr(value, name) for name in getattr(kind, "_annotated", None) or kind.__annotations__}


def required(kind: type[Any]) -> tuple[str, ...]:
    """The fields of *kind* that have no default."""
    return tuple(name for name, one in kind._given.items() if one.default is _NOTHING and not one.factory)


def uniform(low: float, high: float) -> float:
    """A random number of the system's, low <= it <= high."""
    return low + (high - low) * (int.from_bytes(os.urandom(7)) >> 3) / 2**53


_NOTHING: Any = object()  # no default
_set = object.__setattr__


class _Field:
    """What `field`, or the class, says of one."""

    def __init__(self, default: Any, factory: Callable[[], Any] | None = None, is_hashed: bool = True) -> None:
        self.default, self.factory, self.is_hashed = default, factory, is_hashed


class _Fields:
    """`__dataclass_fields__`, made when the real module asks for it."""

    def __get__(self, _value: object, cls: type[Any]) -> dict[str, Any]:
        import dataclasses

        items: list[Any] = []
        for name, one in cls._given.items():
            more = {} if one.default is _NOTHING else {"default": one.default}
            more |= {"default_factory": one.factory} if one.factory else {}
            hashed = None if one.is_hashed else False
            items.append((name, cls._annotated[name], dataclasses.field(hash=hashed, kw_only=True, **more)))
        made: Any = dataclasses.make_dataclass(cls.__name__, items, eq=False)
        found: dict[str, Any] = made.__dataclass_fields__
        return found


def _init(self: Any, *values: Any, **given: Any) -> None:
    what = type(self).__name__
    if values:
        if self._is_kw_only or len(values) > len(self._given):
            raise TypeError(f"{what}: {len(values)} values without a name")
        named = dict(zip(self._given, values, strict=False))
        if named.keys() & given:
            raise TypeError(f"{what}: {', '.join(named.keys() & given)} is given twice")
        given |= named
    wanted: dict[str, _Field] = self._given
    if given.keys() == wanted.keys():  # as nearly all are made: nothing to look for
        wanted = {}
        for name in given:
            _set(self, name, given[name])
        given = {}
    for name, one in wanted.items():
        if name in given:
            _set(self, name, given.pop(name))
        elif one.factory:
            _set(self, name, one.factory())
        elif one.default is not _NOTHING:
            _set(self, name, one.default)
        else:
            raise TypeError(f"{what}: {name} is missing")
    if given:
        raise TypeError(f"{what}: {', '.join(given)} is no field of it")
    self.__post_init__()


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self._given])


def _restore(self: Any, values: tuple[Any, ...]) -> None:
    for name, value in zip(self._given, values, strict=True):
        _set(self, name, value)


def _eq(self: Any, other: Any) -> Any:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(tuple([getattr(self, name) for name, one in self._given.items() if one.is_hashed]))


def _repr(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join([f'{name}={getattr(self, name)!r}' for name in self._given])})"


def _refuse(self: Any, name: str, *_value: Any) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot set {name} of a {type(self).__name__}")


_COMMON = {
    "__init__": _init, "__repr__": _repr, "__eq__": _eq, "__post_init__": lambda _self: None,
    "__getstate__": _values, "__setstate__": _restore, "__dataclass_fields__": _Fields(),
}  # fmt: skip
_FROZEN = {"__hash__": _hash, "__setattr__": _refuse, "__delattr__": _refuse}
