"""What an entry of a feature list means: steps of a draft.

One rule: an operator that can take several sources takes all that the entry names; any other is applied to each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import product

from edge_runtime import native
from edge_runtime.contract.program import MAX_FEATURES
from edge_runtime.errors import UsageError
from edge_runtime.features.draft import Draft, Step, operator
from edge_runtime.features.spec import Argument, Call, Spec, near

EACH_PARAMETER = frozenset({"one_hot"})
"""Given several parameters these are several features, one a category."""
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")


def add_features(draft: Draft, spec: Spec) -> list[str]:
    """The names of the features of the entry, in the order of its sources; a range "0..12" is each of its numbers.

    Raises:
        UsageError: Names the entry, what is wrong with it and what there is.
    """
    what = f"feature {spec.text!r}"
    is_row = _is_row(draft, spec)
    names = _sources(draft, spec, is_row=is_row, what=what)
    *before, last = spec.calls
    for call in before:
        names = _through(draft, call, names, is_row=is_row, what=what)
    op = operator(last.op, kinds=("row",) if is_row else ("window",), what=what)
    calls = [last] if is_row else _counted_out(last, what=what)  # in an entry of fields a range may be a word
    return [
        draft.feature(step)
        for sources in _together(op, names)
        for call in calls
        for step in _steps(draft, op, call, sources, what=what)
    ]


def add_derived(draft: Draft, name: str, spec: Spec, *, unit: str | None = None, taper: str = "none") -> None:
    """The derived channel, or derived field, `name`.

    Raises:
        UsageError: Names the entry, what is wrong with it and what there is.
    """
    what = f"derived {name} = {spec.text!r}"
    is_row = _is_row(draft, spec)
    names = _sources(draft, spec, is_row=is_row, what=what)
    *before, last = spec.calls
    for call in before:
        names = _through(draft, call, names, is_row=is_row, what=what)
    op = operator(last.op, kinds=("row",) if is_row else ("filter",), what=what)
    groups = _together(op, names)
    if len(groups) != 1:
        raise UsageError(
            f"{what}: {op.name} takes one source, got {len(names)}: {', '.join(names)}", hint="name one source"
        )
    (step,) = _steps(draft, op, last, groups[0], what=what)
    if is_row:
        draft.stage(step, kind=_kind_after(draft, op, step), name=name)
    else:
        draft.derive(step, name=name, unit=unit, taper=taper)


def _is_row(draft: Draft, spec: Spec) -> bool:
    """Whether the entry is about fields: only a field is like its sources, or only fields have such operators."""
    if not draft.fields or not draft.channels:
        return bool(draft.fields)
    of_channels, of_fields = (
        not spec.sources or any(fnmatchcase(name, glob) for glob in spec.sources for name in draft.named(is_row=is_row))
        for is_row in (False, True)
    )
    if of_channels != of_fields:
        return of_fields
    ops = {call.op for call in spec.calls}
    names = [{op.name for op in native.operators() if (op.kind == "row") == is_row} for is_row in (False, True)]
    return not ops <= names[0] and ops <= names[1]


def _sources(draft: Draft, spec: Spec, *, is_row: bool, what: str) -> list[str]:
    """Names like the entry's sources, each once: those that stand there, or (in the draft's order) those of a glob."""
    there = draft.named(is_row=is_row)
    found: dict[str, None] = {}
    for glob in spec.sources or ("*",):
        like = [name for name in there if fnmatchcase(name, glob)]
        if not like:
            noun = "field" if is_row else "channel"
            lists = f"channels: {', '.join(draft.named(is_row=False))}" if draft.channels else ""
            fields = f"fields: {', '.join(draft.named(is_row=True))}" if draft.fields else ""
            raise UsageError(
                f"{what}: no {noun} is like {glob!r}{near(glob, there)}", hint="; ".join(filter(None, (lists, fields)))
            )
        found.update(dict.fromkeys(like))
    return list(found)


def _through(draft: Draft, call: Call, names: Sequence[str], *, is_row: bool, what: str) -> list[str]:
    """The names of what a call before the last one makes of `names`."""
    op = operator(call.op, kinds=("row",) if is_row else ("filter",), what=what)
    steps = [step for sources in _together(op, names) for step in _steps(draft, op, call, sources, what=what)]
    return [draft.stage(step, kind=_kind_after(draft, op, step)) if is_row else draft.derive(step) for step in steps]


def _together(op: native.Operator, names: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(names)] if op.n_sources[1] > 1 else [(name,) for name in names]


def _kind_after(draft: Draft, op: native.Operator, step: Step) -> str:
    """What keeps the unit keeps the kind: an imputed text is a text."""
    return draft.kind_of(step.sources[0]) if op.unit == "x" else "number"


def _steps(draft: Draft, op: native.Operator, call: Call, sources: tuple[str, ...], *, what: str) -> Iterable[Step]:
    least, most = op.n_sources
    if not least <= len(sources) <= most:
        span = str(least) if least == most else f"{least}..{most}"
        raise UsageError(
            f"{what}: {op.name} takes {span} sources, got {len(sources)}: {', '.join(sources)}",
            hint=f'write e.g. "{",".join("abcdefgh"[:least])}:{op.name}"',
        )
    if op.kind != "row":
        params = _numbers(call, what=what)
        if len(params) != op.n_params:
            raise UsageError(
                f"{what}: {op.name} takes {op.n_params} parameter{'s' * (op.n_params != 1)}, got {len(params)}",
                hint=f"{op.name} wants {op.limits}" if op.limits else "leave them out",
            )
        return [Step(kind=op.kind, op=op.name, sources=sources, params=params)]
    is_text = draft.kind_of(sources[0]) == "text"
    if op.name in EACH_PARAMETER:
        return [_row_step(op, sources, [one], is_text=is_text, what=what) for one in call.arguments]
    return [replace(_row_step(op, sources, call.arguments, is_text=is_text, what=what), written=call.written)]


def _row_step(
    op: native.Operator, sources: tuple[str, ...], arguments: Sequence[Argument], *, is_text: bool, what: str
) -> Step:
    """Numbers first; for a text what is no number, or stands in quotes, is a word."""
    params: list[float] = []
    words: list[str] = []
    for argument in arguments:
        number = None if argument.is_quoted else _number(argument.text)
        if number is not None:
            params.append(number)
        elif is_text or argument.is_quoted:
            words.append(argument.text)
        else:
            raise UsageError(
                f"{what}: {argument.text!r} is no number, and {sources[0]} is a number field",
                hint=f"{op.name} wants {op.limits}" if op.limits else "",
            )
    return Step(kind="row", op=op.name, sources=sources, params=tuple(params), words=tuple(words))


def _counted_out(call: Call, *, what: str) -> list[Call]:
    """The calls that `call` is short for: mfcc(0..12,40,512,256) are 13; of two ranges the last one runs fastest."""
    lists: list[list[Argument]] = []
    for argument in call.arguments:
        found = None if argument.is_quoted else _RANGE.fullmatch(argument.text.strip())
        if not found:
            lists.append([argument])
            continue
        low, high = int(found[1]), int(found[2])
        if not low <= high < low + MAX_FEATURES:
            raise UsageError(
                f"{what}: {argument.text} is no range of 1..{MAX_FEATURES} numbers",
                hint=f"write the lesser number first; a program has at most {MAX_FEATURES} features",
            )
        lists.append([Argument(str(number)) for number in range(low, high + 1)])
    return [replace(call, arguments=arguments) for arguments in product(*lists)]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _numbers(call: Call, *, what: str) -> tuple[float, ...]:
    numbers = [None if a.is_quoted else _number(a.text) for a in call.arguments]
    found = tuple(number for number in numbers if number is not None)
    if len(found) != len(numbers):
        text = next(a.text for a, number in zip(call.arguments, numbers, strict=True) if number is None)
        raise UsageError(f"{what}: {text!r} is no number", hint="write e.g. band_power(0.5,4)")
    return found
