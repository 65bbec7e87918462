"""`device.toml` as it is mostly written, one plain line a key. One rule: what it is not sure of, `tomllib` reads.

For that needs `re`, `typing` and `datetime`, and compiles long patterns: 10 ms and 0.8 MiB before each first decision.
"""

from __future__ import annotations

from edge_runtime.lean import Any

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_DIGITS = 18  # of a whole number: more may be beyond what a reader keeps


class _Unsure(Exception):  # noqa: N818  no error: another reader is asked
    pass


def plain_toml(text: str) -> dict[str, Any] | None:
    """What *text* says, as `tomllib.loads`; None where a line is more than a key with a plain value, or is wrong."""
    found: dict[str, Any] = {}
    into = found
    try:
        for line in text.replace("\r\n", "\n").split("\n"):
            words = line.strip(" ")
            if not words.isprintable():
                return None
            if words.startswith("["):
                into = _table(found, words)
            elif words and not words.startswith("#"):
                name, _, value = words.partition("=")
                into[_new(into, name)] = _whole(value)
    except _Unsure:
        return None
    return found


def _new(into: dict[str, Any], name: str) -> str:
    """The bare key *name*, which is not there yet."""
    name = name.strip(" ")
    if not name or not _NAME.issuperset(name) or name in into:
        raise _Unsure
    return name


def _table(found: dict[str, Any], words: str) -> dict[str, Any]:
    """The table, or one more of a list of them, that the line begins."""
    table: dict[str, Any] = {}
    if not words.startswith("[["):
        name, _, rest = words[1:].partition("]")
        found[_new(found, name)] = table
    else:
        name, _, rest = words[2:].partition("]]")
        tables = found.get(name.strip(" "))
        if not tables:
            tables = found[_new(found, name)] = []
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            raise _Unsure  # a list that stood there as a value, say
        tables.append(table)
    if "]" not in words or not _is_end(rest):
        raise _Unsure
    return table


def _is_end(rest: str) -> bool:
    return rest.strip(" ")[:1] in ("", "#")


def _whole(words: str) -> Any:
    value, rest = _value(words.strip(" "))
    if not _is_end(rest):
        raise _Unsure
    return value


def _value(words: str) -> tuple[Any, str]:
    """The value that *words* begin with, and what stands behind it."""
    if words.startswith('"'):
        text, end, rest = words[1:].partition('"')
        if not end or "\\" in text or (not text and rest.startswith('"')):
            raise _Unsure
        return text, rest
    if words.startswith("["):
        return _list(words[1:].lstrip(" "))
    end_at = min((at for at in map(words.find, ",]# ") if at >= 0), default=len(words))
    return _bare(words[:end_at]), words[end_at:]


def _list(words: str) -> tuple[list[Any], str]:
    values: list[Any] = []
    while not words.startswith("]"):
        value, rest = _value(words)
        values.append(value)
        rest = rest.lstrip(" ")
        if not rest.startswith((",", "]")):
            raise _Unsure
        words = rest.removeprefix(",").lstrip(" ")
    return values, words[1:]


def _bare(word: str) -> Any:
    if word in ("true", "false"):
        return word == "true"
    whole, point, part = word.removeprefix("-").partition(".")
    is_number = whole.isdecimal() and word.isascii() and len(whole) <= _DIGITS and (whole[0] != "0" or whole == "0")
    if not is_number or (point and not part.isdecimal()):
        raise _Unsure
    return float(word) if point else int(word)
