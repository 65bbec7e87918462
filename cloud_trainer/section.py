"""A section of a TOML file, read key by key. One rule: an error names the key, the value, what was wanted."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from edge_runtime.errors import UsageError


class Section:
    """One section; notes which keys were asked for, so that `done` can refuse the others."""

    def __init__(self, path: Path, where: str, values: Mapping[str, object]) -> None:
        self.path = path
        self._where = where
        self._values = values
        self._known: set[str] = set()

    def key(self, name: str) -> str:
        """The whole name of the key, such as "labels.index.file"."""
        return f"{self._where}.{name}" if self._where else name

    def wrong(self, name: str, want: str) -> UsageError:
        """The error that the value of `name` is not `want`."""
        got = f"got {self._values[name]!r}" if name in self._values else "it is missing"
        return UsageError(f"{self.path.name}: {self.key(name)}: want {want}, {got}", hint=f"edit {self.path}")

    def has(self, name: str) -> bool:
        """Whether the file has the key; it counts as known from now on."""
        self._known.add(name)
        return name in self._values

    def section(self, name: str, *, optional: bool = False) -> Section:
        """The section below this one; an empty one if it is optional and missing."""
        value = self._values[name] if self.has(name) else {} if optional else None
        if not isinstance(value, dict):
            raise self.wrong(name, f"a section [{self.key(name)}]")
        return Section(self.path, self.key(name), value)

    def sections(self, name: str) -> list[Section]:
        """The sections `[[name]]`, at least one."""
        value = self._values.get(name) if self.has(name) else None
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            raise self.wrong(name, f"one or more sections [[{self.key(name)}]]")
        return [Section(self.path, f"{self.key(name)}[{i}]", item) for i, item in enumerate(value)]

    def text(
        self,
        name: str,
        default: str | None = None,
        *,
        match: re.Pattern[str] | None = None,
        want: str = "text",
    ) -> str:
        """A text; not empty unless the default is."""
        value = self._values.get(name) if self.has(name) else default
        is_empty = value == "" and default is None
        if not isinstance(value, str) or is_empty or (match and not match.fullmatch(value)):
            raise self.wrong(name, want)
        return value

    def choice(self, name: str, default: str, *, of: Sequence[str]) -> str:
        """One of the words in `of`."""
        value = self.text(name, default)
        if value not in of:
            raise self.wrong(name, f"one of {', '.join(of)}{did_you_mean(value, of)}")
        return value

    def texts(self, name: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one, and a number is its text."""
        value = self._values.get(name) if self.has(name) else default
        items = list(value) if isinstance(value, list | tuple) else [value]
        if any(type(item) not in {str, int} or item == "" for item in items):
            raise self.wrong(name, "a list of text")
        if not items and default is None:
            raise self.wrong(name, "a list with at least one entry")
        return tuple(str(item) for item in items)

    def number(
        self, name: str, default: float | None = None, *, low: float, high: float, open_low: bool = False
    ) -> float:
        """A number in low..high, low itself left out if `open_low`."""
        value = self._values.get(name) if self.has(name) else default
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not (low <= value <= high) or (open_low and value == low):  # type: ignore[operator]
            raise self.wrong(name, f"a number {'above' if open_low else 'from'} {low:g}, up to {high:g}")
        return float(value)  # type: ignore[arg-type]

    def integer(self, name: str, default: int | None = None, *, low: int, high: int) -> int:
        """A whole number in low..high."""
        value = self._values.get(name) if self.has(name) else default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"a whole number {low}..{high}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A truth value."""
        value = self._values.get(name) if self.has(name) else default
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def rest(self) -> dict[str, object]:
        """Every key that nobody asked for; they count as known from now on."""
        rest = {name: value for name, value in self._values.items() if name not in self._known}
        self._known.update(rest)
        return rest

    def done(self) -> None:
        """Raise the error of the first key that nobody asked for."""
        for name in self._values:
            if name not in self._known:
                raise UsageError(
                    f"{self.path.name}: {self.key(name)}: unknown key{did_you_mean(name, self._known)}",
                    hint=f"known here: {', '.join(sorted(self._known))}",
                )


def did_you_mean(word: str, known: Collection[str]) -> str:
    """What to add to a message: the known word that is near, if there is one."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""
