"""A feature list as people write it. One rule: it is read here, what its words mean is looked up elsewhere.

    [SOURCE,...:]OPERATOR[(PARAMETER,...)][|OPERATOR[(PARAMETER,...)]]...

A source is the name of a channel or field, or a glob. "acc_x:lowpass(5,0.7071)|rms": the rms of acc_x behind a lowpass.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edge_runtime.errors import UsageError

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_CALL = re.compile(rf"\s*([a-z][a-z_0-9]*)\s*(?:\(((?:[^()\"]|{_QUOTED})*)\))?\s*")
_ARGUMENT = re.compile(rf"\s*(?:({_QUOTED})|([^,\"]*?))\s*(?:,|$)")


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter: a number, or a word; one in quotes is always a word."""

    text: str
    is_quoted: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One operator with its parameters.

    `written` is how it stood where its numbers were fitted: "standardise"; names then do not change with the data.
    """

    op: str
    arguments: tuple[Argument, ...] = ()
    written: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """One entry: every source goes through the calls, from left to right; without a source, every channel."""

    text: str
    sources: tuple[str, ...]
    calls: tuple[Call, ...]


def parse(text: str, *, what: str = "feature") -> Spec:
    """The entry that `text` spells.

    Raises:
        UsageError: It cannot be read.
    """
    head, colon, tail = text.partition(":")
    has_sources = bool(colon) and not set(head) & set('()"|')
    sources = tuple(part.strip() for part in head.split(",")) if has_sources else ()
    rest = tail if has_sources else text
    calls: list[Call] = []
    at = 0
    while match := _CALL.match(rest, at):
        calls.append(Call(match[1], _arguments(match[2])))
        at = match.end()
        if rest[at : at + 1] != "|":
            break
        at += 1
    if not match or at != len(rest) or not all(sources if has_sources else (True,)):
        raise UsageError(
            f"{what} {text!r}: cannot be read",
            hint='write e.g. "rms", "acc_*:band_power(0.5,4)", "acc_x:lowpass(5,1)|rms" or "acc_x,acc_y:correlation"',
        )
    return Spec(text, sources, tuple(calls))


def _arguments(text: str | None) -> tuple[Argument, ...]:
    if text is None or not text.strip():
        return ()
    found: list[Argument] = []
    at = 0
    while at <= len(text):
        match = _ARGUMENT.match(text, at)
        if match is None:  # a quote in the middle of a word: all of it is one word
            return (*found, Argument(text[at:]))
        found.append(Argument(json.loads(match[1]), is_quoted=True) if match[1] else Argument(match[2]))
        if match.end() == len(text) and not match[0].endswith(","):
            break
        at = match.end()
    return tuple(found)


def near(word: str, known: Collection[str]) -> str:
    """What to add to a message: the known word that is near, if there is one."""
    found = difflib.get_close_matches(word, sorted(known), n=1)
    return f", did you mean {found[0]!r}?" if found else ""


def short(value: float) -> str:
    """4.0 -> 4, 0.5 -> 0.5: shortest text that reads back."""
    return repr(float(value)).removesuffix(".0")


def call(op: str, params: Sequence[float], words: Sequence[str] = ()) -> str:
    """As people write it: "band_power(0.5,4)", or the name alone."""
    parts = [short(param) for param in params] + [_word(word) for word in words]
    return f"{op}({','.join(parts)})" if parts else op


def _word(word: str) -> str:
    is_plain = word and not set(word) & set(',"()') and word == word.strip()
    return word if is_plain else json.dumps(word, ensure_ascii=False)
