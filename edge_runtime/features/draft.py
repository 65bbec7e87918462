"""A program in the making. One rule: the builder and the text of a project both write here, so both give one program.

Sources are names until the end. Equal steps are made once: "acc_x:lowpass(5,1)|rms" and "acc_x:lowpass(5,1)|max" read
one derived channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_runtime import native
from edge_runtime.contract.program import Channel, Feature, Field, Filter
from edge_runtime.contract.timing import Timing
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.features.bands import check_bands
from edge_runtime.features.shown import FeatureProgram
from edge_runtime.features.spec import call, near
from edge_runtime.features.units import unit_of

MAX_NAME = 64
_NOUNS = {"window": "window operator", "filter": "stream filter", "row": "row operator"}
_PLACES = "filters make channels of channels, a window operator comes last, row operators are for fields"
KINDS = {"window": "feature", "filter": "derived channel", "row": "derived field"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operator applied.

    Attributes:
        kind: Of the operator: "window", "filter" or "row".
        op: Its name.
        sources: Names of channels and derived ones; of a row operator those of fields.
        params: Numbers.
        words: Texts.
        written: What stands in its name instead of operator, params and words, where these were fitted.
    """

    kind: str
    op: str
    sources: tuple[str, ...]
    params: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    written: str = ""

    @property
    def text(self) -> str:
        """As it stands in a name: "acc_x,acc_y.correlation", "acc_x.band_power(0.5,4)"."""
        return f"{','.join(self.sources)}.{self.written or call(self.op, self.params, self.words)}"


def operator(name: str, *, kinds: Sequence[str], what: str) -> native.Operator:
    """The operator `name` of one of `kinds`, the first that has it.

    Raises:
        UsageError: There is none: names those there are.
    """
    there = [op for kind in kinds for op in native.operators() if op.kind == kind]
    for op in there:
        if op.name == name:
            return op
    names = list(dict.fromkeys(op.name for op in there))
    for op in native.operators():
        if op.name == name:
            raise UsageError(
                f"{what}: no operator {name!r} here: it is a {_NOUNS[op.kind]}, wanted is a {_NOUNS[kinds[0]]}",
                hint=f"{_PLACES}; one of: {', '.join(names)}",
            )
    raise UsageError(f"{what}: no operator {name!r}{near(name, names)}", hint=f"one of: {', '.join(names)}")


class Draft:
    """Channels, derived channels, fields and features, in the order in which they were asked for."""

    def __init__(self, channels: Iterable[Channel] = (), fields: Iterable[Field] = ()) -> None:
        self.channels: list[Channel] = []
        self.fields: list[Field] = []
        self._filters: dict[str, tuple[Step, str | None, str]] = {}
        self._stages: dict[str, tuple[Step, str]] = {}
        self._features: dict[str, Step] = {}
        self._unnamed: set[str] = set()
        for channel in channels:
            self.add_channel(channel)
        for field in fields:
            self.add_field(field)

    # ---- what there is

    def series(self) -> list[str]:
        """Names of channels and derived channels."""
        return [*(each.name for each in self.channels), *self._filters]

    def values(self) -> list[str]:
        """Names of fields and derived fields."""
        return [*(each.name for each in self.fields), *self._stages]

    def named(self, *, is_row: bool) -> list[str]:
        """Those of `values` or `series` that somebody gave a name: what a glob sees."""
        return [name for name in (self.values() if is_row else self.series()) if name not in self._unnamed]

    def kind_of(self, value: str) -> str:
        """Of the field `value`: "number" or "text"."""
        return self._stages[value][1] if value in self._stages else {f.name: f.kind for f in self.fields}[value]

    # ---- what is added

    def add_channel(self, channel: Channel) -> str:
        """One more column of a frame; its name.

        Raises:
            UsageError: There is one of this name.
        """
        _new(channel.name, self.series(), what="channel")
        self.channels.append(channel)
        return channel.name

    def add_field(self, field: Field) -> str:
        """One more field of a record; its name.

        Raises:
            UsageError: There is one of this name.
        """
        _new(field.name, self.values(), what="field")
        self.fields.append(field)
        return field.name

    def derive(self, step: Step, *, name: str = "", unit: str | None = None, taper: str = "none") -> str:
        """The name of the derived channel.

        Raises:
            UsageError: No such filter, or its name is too long or taken.
        """
        made = step, unit, taper
        own = _name(name, step)
        if name or self._filters.get(own) != made:
            operator(step.op, kinds=("filter",), what=f"derived channel {own!r}")
            _new(own, self.series(), what="derived channel")
            self._filters[own] = made
            self._unnamed |= set() if name else {own}
        return own

    def stage(self, step: Step, *, kind: str, name: str = "") -> str:
        """The name of the derived field, whose values are of `kind`.

        Raises:
            UsageError: No such row operator, or its name is too long or taken.
        """
        made = step, kind
        own = _name(name, step)
        if name or self._stages.get(own) != made:
            operator(step.op, kinds=("row",), what=f"derived field {own!r}")
            _new(own, self.values(), what="derived field")
            self._stages[own] = made
            self._unnamed |= set() if name else {own}
        return own

    def go_on(self, name: str, step: Step) -> str:
        """The derived field that the row feature `name` becomes where another operator reads it."""
        if self._features.get(name) == step:
            del self._features[name]
        if self._stages.get(name) == (step, "number"):
            return name
        return self.stage(step, kind="number", name="" if name == step.text else name)

    def feature(self, step: Step, *, name: str = "") -> str:
        """One more feature; its name.

        Raises:
            UsageError: No such operator, or one feature twice.
        """
        own = name or step.text
        operator(step.op, kinds=(step.kind,), what=f"feature {own!r}")
        if own in self._features:
            raise UsageError(f"feature {own}: listed twice", hint="take one of the two entries away")
        self._features[own] = step
        return own

    # ---- the program

    def program(
        self, *, rate_hz: float, window_frames: int, hop_frames: int, timing: Timing | None = None
    ) -> FeatureProgram:
        """The program, checked against the core; what was derived and no feature reads is left out of it.

        Raises:
            UsageError: Names the feature, what is wrong with it and what there is.
        """
        filters = self._read({name: step for name, (step, *_) in self._filters.items()}, is_row=False)
        stages = self._read({name: step for name, (step, _) in self._stages.items()}, is_row=True)
        there = (
            [*(each.name for each in self.channels), *filters],
            [*(each.name for each in self.fields), *stages],
        )
        steps = sorted(self._features.items(), key=lambda item: item[1].kind == "row")
        try:
            program = FeatureProgram(
                rate_hz=rate_hz,
                channels=tuple(self.channels),
                window_frames=window_frames,
                hop_frames=hop_frames,
                features=tuple(_feature(name, step, there[step.kind == "row"]) for name, step in steps),
                filters=self._made_filters(there[0]),
                fields=(*self.fields, *(self._field(name, there[1]) for name in stages)),
                timing=timing or Timing(),
            )
            native.check_program(program)
            check_bands(program)
        except ContractError as why:
            raise UsageError(str(why), hint=why.hint) from why
        return program

    def _read(self, made: Mapping[str, Step], *, is_row: bool) -> list[str]:
        """Those of `made`, in their order, that features read: by themselves, or through others."""
        steps = [step for step in self._features.values() if (step.kind == "row") == is_row]
        wanted = {source for step in steps for source in step.sources}
        for name in reversed(list(made)):
            wanted |= set(made[name].sources) if name in wanted else set()
        return [name for name in made if name in wanted]

    def _made_filters(self, there: Sequence[str]) -> tuple[Filter, ...]:
        units = {channel.name: channel.unit for channel in self.channels}
        made = []
        for name, (step, unit, taper) in self._filters.items():
            if name not in there:
                continue
            op = operator(step.op, kinds=("filter",), what=name)
            units[name] = unit_of(op.unit, [units[source] for source in step.sources]) if unit is None else unit
            made.append(
                Filter(
                    name=name,
                    op=op.id,
                    sources=_places(step, there),
                    params=step.params,
                    unit=units[name],
                    taper=taper,
                )
            )
        return tuple(made)

    def _field(self, name: str, there: Sequence[str]) -> Field:
        step, kind = self._stages[name]
        op = operator(step.op, kinds=("row",), what=name)
        return Field(name=name, kind=kind, op=op.id, sources=_places(step, there), params=step.params, words=step.words)


def _feature(name: str, step: Step, there: Sequence[str]) -> Feature:
    channel, *rest = _places(step, there)
    return Feature(
        name=name,
        op=operator(step.op, kinds=(step.kind,), what=name).id,
        channel=channel,
        params=step.params,
        other=rest[0] if rest else None,
        words=step.words,
    )


def _places(step: Step, there: Sequence[str]) -> tuple[int, ...]:
    return tuple(there.index(source) for source in step.sources)


def _new(name: str, there: Sequence[str], *, what: str) -> None:
    if name in there:
        raise UsageError(f"{what} {name!r}: there is one of this name already", hint="give it another name")


def _name(given: str, step: Step) -> str:
    name = given or step.text
    if len(name) > MAX_NAME:
        raise UsageError(
            f"{KINDS[step.kind]} {name!r}: its name has {len(name)} characters, at most {MAX_NAME} are allowed",
            hint="choose a shorter one" if given else "give it a name of its own: features.derived, or .named()",
        )
    return name
