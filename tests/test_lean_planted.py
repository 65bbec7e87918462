"""Planted bugs in `edge_runtime.lean`: for each promise one that breaks it, and the test that must see it."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime import lean
from tests import test_lean

BUGS = [  # (test, right, wrong)
    ("fields_defaults_and_checks", "if self._is_kw_only or len(values) >", "if len(values) >"),
    ("fields_defaults_and_checks", "or len(values) > len(self._given)", ""),
    ("fields_defaults_and_checks", "if named.keys() & given:", "if False:"),
    ("fields_defaults_and_checks", "strict=False))\n", "strict=False)) if False else {}\n"),
    ("fields_defaults_and_checks", "wanted = {}\n", "wanted = {}\n        return\n"),
    ("fields_defaults_and_checks", "    _set(self, name, given.pop(name))", "    given.pop(name)"),
    ("fields_defaults_and_checks", "_set(self, name, one.factory())", "_set(self, name, one.made or one.factory())"),
    ("fields_defaults_and_checks", "_set(self, name, one.default)", "_set(self, name, None)"),
    ("fields_defaults_and_checks", 'raise TypeError(f"{what}: {name} is missing")', "_set(self, name, None)"),
    ("fields_defaults_and_checks", "    if given:\n        raise", "    if False:\n        raise"),
    ("fields_defaults_and_checks", "    self.__post_init__()\n", ""),
    ("fields_defaults_and_checks", '"__slots__": tuple(names)', '"__slots__": (*names, "__dict__")'),
    ("fields_defaults_and_checks", '"__qualname__": cls.__qualname__', '"__qualname__": cls.__name__'),
    ("frozen_stays_and_loose_changes", '"__setattr__": _refuse, ', ""),
    ("frozen_stays_and_loose_changes", ', "__delattr__": _refuse', ""),
    ("frozen_stays_and_loose_changes", "(_FROZEN if frozen else {})", "_FROZEN"),
    ("equality_hash_and_repr", "if other.__class__ is self.__class__ else NotImplemented", ""),
    ("equality_hash_and_repr", "else NotImplemented", "else False"),
    (
        "equality_hash_and_repr",
        "return _values(self) == _values(other)",
        "return _values(self)[:1] == _values(other)[:1]",
    ),
    ("equality_hash_and_repr", "for name, one in self._given.items() if one.is_hashed", "for name in self._given"),
    ("equality_hash_and_repr", '_FROZEN = {"__hash__": _hash, ', '_FROZEN = {"__hash__": object.__hash__, '),
    ("equality_hash_and_repr", "{getattr(self, name)!r}", "{getattr(self, name)}"),
    ("equality_hash_and_repr", '"__eq__": _eq, ', ""),
    ("equality_hash_and_repr", "type(self).__qualname__}(", "type(self).__name__}("),
    ("the_functions_of_dataclasses_take_it", '{} if one.default is _NOTHING else {"default": one.default}', "{}"),
    ("the_functions_of_dataclasses_take_it", '{"default_factory": one.factory} if one.factory else {}', "{}"),
    ("the_functions_of_dataclasses_take_it", "hashed = None if one.is_hashed else False", "hashed = None"),
    ("the_functions_of_dataclasses_take_it", ', "__dataclass_fields__": _Fields()', ""),
    ("the_functions_of_dataclasses_take_it", "(**items_of(value) | changes)", "(**changes | items_of(value))"),
    ("copies_are_equal", '"__setstate__": _restore, ', ""),
    ("copies_are_equal", "        _set(self, name, value)\n", "        setattr(self, name, value)\n"),
    ("required_are_those_without_a_default", " and not one.factory)", ")"),
    ("required_are_those_without_a_default", "if one.default is _NOTHING and", "if one.default is None and"),
    ("a_named_tuple_is_one_of_typing", 'made.__doc__ = own["__doc__"]', "pass"),
    ("a_named_tuple_is_one_of_typing", ', module=own["__module__"]', ""),
    ("a_random_number_is_in_its_range_and_takes_all_of_it", "(high - low) * ", "(high - low) / 2 * "),
    ("a_random_number_is_in_its_range_and_takes_all_of_it", " >> 3) / 2**53", ") / (2**56 - 1)"),
    ("a_class_of_one_without_fields_of_its_own_has_its_fields", '    more |= {"_annotated": names}', "    pass"),
]


@pytest.mark.planted
@pytest.mark.parametrize(("test", "right", "wrong"), BUGS, ids=[f"{b[1].strip()} -> {b[2].strip()}" for b in BUGS])
def test_a_planted_bug_fails_its_test(test: str, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same test passes without the bug."""
    text = Path(lean.__file__).read_text(encoding="utf-8")
    assert text.count(right) == 1
    passes(test, text, monkeypatch)
    with pytest.raises(BaseException):  # noqa: B017, PT011  an assertion, what `raises` did not get, or an error
        passes(test, text.replace(right, wrong), monkeypatch)


def passes(test: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one test of test_lean.py on a module of this text."""
    module = ModuleType(lean.__name__)
    exec(compile(text, lean.__file__, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  our own
    ours = test_lean.made_by(vars(module)["dataclass"], vars(module)["field"])
    monkeypatch.setattr(test_lean, "lean", module)
    monkeypatch.setattr(test_lean, "OURS", ours)
    run = getattr(test_lean, f"test_{test}")
    known = {"classes": ours, "monkeypatch": monkeypatch}
    run(**{name: known[name] for name in inspect.signature(run).parameters})
