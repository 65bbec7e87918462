"""A feature program in Python, one line a feature. One rule: what it builds is what the same words in a project build.

    p = ProgramBuilder(rate_hz=100, window_s=2.56, hop_s=1.28)
    acc = p.channels("acc_x", "acc_y", "acc_z", unit="m/s^2")
    slow = acc.x.lowpass(5, 0.7071)
    slow.rms()
    acc.mean()
    program = p.build()

A series, group or field never changes: an operator gives a new one. Only the builder remembers, in order, the features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from edge_runtime.contract.program import Channel, Field
from edge_runtime.contract.timing import Timing
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.features.draft import Draft, Step
from edge_runtime.features.expand import add_features
from edge_runtime.features.operators import GroupOperators, NumberOperators, SeriesOperators, TextOperators
from edge_runtime.features.shown import FeatureProgram
from edge_runtime.features.spec import near, parse


@dataclass(frozen=True, slots=True)
class Series(SeriesOperators):
    """A channel, or one that a stream filter derived.

    A window operator adds a feature and gives its name; a filter gives a new series.
    """

    name: str
    _draft: Draft = field(repr=False, compare=False)

    def _feature(self, op: str, params: tuple[float, ...], name: str, others: tuple[Series, ...] = ()) -> str:
        sources = (self.name, *(_own(self._draft, other, op=op) for other in others))
        return self._draft.feature(Step(kind="window", op=op, sources=sources, params=_floats(params)), name=name)

    def _derived(self, op: str, params: tuple[float, ...], name: str, unit: str | None, taper: str) -> Series:
        return Group((self,))._joined(op, params, name, unit, taper)

    def _repr_html_(self) -> str:
        return f"<code>{self.name}</code>"


@dataclass(frozen=True, slots=True)
class Group(GroupOperators):
    """Several series; an operator is for each of them, one that takes several gets all.

    `acc.x` is the one whose name is "x" or ends with "_x"; `acc[0]` the first.
    """

    members: tuple[Series, ...]

    def __getattr__(self, name: str) -> Series:
        found = [each for each in self.members if each.name == name or each.name.endswith(f"_{name}")]
        if len(found) != 1 or name.startswith("_"):
            names = [each.name for each in self.members]
            raise AttributeError(f"group of {', '.join(names)}: none, or more than one, is {name!r}{near(name, names)}")
        return found[0]

    def __getitem__(self, place: int) -> Series:
        return self.members[place]

    def __iter__(self) -> Iterator[Series]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def _each(self) -> tuple[Series, ...]:
        return self.members

    def _group(self, members: tuple[Series, ...]) -> Group:
        return Group(members)

    def _joined(self, op: str, params: tuple[float, ...], name: str, unit: str | None, taper: str) -> Series:
        """One series of all members."""
        draft = self.members[0]._draft
        sources = tuple(_own(draft, each, op=op) for each in self.members)
        step = Step(kind="filter", op=op, sources=sources, params=_floats(params))
        return Series(draft.derive(step, name=name, unit=unit, taper=taper), draft)


@dataclass(frozen=True, slots=True)
class Number(NumberOperators):
    """A field that holds a number, or what an operator made of fields: a feature, unless another operator goes on."""

    name: str
    _draft: Draft = field(repr=False, compare=False)
    _made_by: Step | None = field(default=None, repr=False, compare=False)

    def _row(
        self,
        op: str,
        params: tuple[float, ...],
        words: tuple[str, ...],
        name: str,
        others: tuple[Number, ...] = (),
    ) -> Number:
        sources = tuple(each._as_source(self._draft, op=op) for each in (self, *others))
        step = Step(kind="row", op=op, sources=sources, params=_floats(params), words=words)
        return Number(self._draft.feature(step, name=name), self._draft, step)

    def _as_source(self, draft: Draft, *, op: str) -> str:
        """Its name as a field; a feature becomes a step on the way."""
        _own(draft, self, op=op)
        return draft.go_on(self.name, self._made_by) if self._made_by else self.name


@dataclass(frozen=True, slots=True)
class Text(TextOperators):
    """A field that holds a text, or a text that an operator made of one."""

    name: str
    _draft: Draft = field(repr=False, compare=False)

    def _row(self, op: str, params: tuple[float, ...], words: tuple[str, ...], name: str) -> Number:
        step = Step(kind="row", op=op, sources=(self.name,), params=_floats(params), words=words)
        return Number(self._draft.feature(step, name=name), self._draft, step)

    def _text(self, op: str, params: tuple[float, ...], words: tuple[str, ...], name: str) -> Text:
        step = Step(kind="row", op=op, sources=(self.name,), params=_floats(params), words=words)
        return Text(self._draft.stage(step, kind="text", name=name), self._draft)


class ProgramBuilder:
    """Collects channels, fields and features.

    Args:
        rate_hz: Frames per second, > 0 [Hz]; of records alone it says nothing.
        window_s: Length of a window [s], a whole number of frames, 2..4096; or say `window_frames`. Of records alone
            (fields, no channel) neither: each is decided by itself.
        hop_s: From one window to the next [s], a whole number of frames, at most a window; or say `hop_frames`.
        timing: What gaps in the times of frames mean, as Timing(policy="hold", most_frames=5).

    Raises:
        UsageError: A time is no whole number of frames, or is missing.
    """

    def __init__(
        self,
        *,
        rate_hz: float = 1.0,
        window_s: float | None = None,
        hop_s: float | None = None,
        window_frames: int | None = None,
        hop_frames: int | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._rate_hz, self._timing = rate_hz, timing
        is_said = window_s is not None or window_frames is not None
        self._window = _frames("window", window_s, window_frames, rate_hz) if is_said else 1
        self._hop = self._window if hop_s is hop_frames is None else _frames("hop", hop_s, hop_frames, rate_hz)
        self._draft = Draft()

    # ---- what comes in

    def channel(
        self,
        name: str,
        *,
        unit: str = "",
        scale: float = 1.0,
        offset: float = 0.0,
        every: int = 1,
        taper: str = "none",
    ) -> Series:
        """One more column of a frame.

        Args:
            name: 1..64 characters, unique.
            unit: 0..32 characters, of raw * scale + offset.
            scale: [unit per raw unit], not 0.
            offset: [unit].
            every: Frames 0, every, 2*every .. hold a value of it; divides window and hop.
            taper: Window function of its spectrum: "none", "hann" or "hamming".

        Raises:
            UsageError: A value is outside its range, or the name is taken.
        """
        made = _checked(Channel, name=name, unit=unit, scale=scale, offset=offset, every=every, taper=taper)
        return Series(self._draft.add_channel(made), self._draft)

    def channels(
        self,
        *names: str,
        unit: str = "",
        scale: float = 1.0,
        offset: float = 0.0,
        every: int = 1,
        taper: str = "none",
    ) -> Group:
        """Several columns that differ in their names alone; see `channel`."""
        more = {"unit": unit, "scale": scale, "offset": offset, "every": every, "taper": taper}
        made = [_checked(Channel, name=name, **more) for name in names]
        return Group(tuple(Series(self._draft.add_channel(each), self._draft) for each in made))

    def group(self, *series: Series) -> Group:
        """Series of this builder, to ask something of each, or of all together."""
        return Group(series)

    def number(self, name: str) -> Number:
        """One more field of a record: a number; a time is Unix milliseconds UTC.

        Raises:
            UsageError: The name is none, or taken.
        """
        return Number(self._draft.add_field(_checked(Field, name=name, kind="number")), self._draft)

    def text(self, name: str) -> Text:
        """One more field of a record: a text.

        Raises:
            UsageError: The name is none, or taken.
        """
        return Text(self._draft.add_field(_checked(Field, name=name, kind="text")), self._draft)

    def features(self, *entries: str) -> tuple[str, ...]:
        """The names of the features that the entries add, as `features.list` of a project has them.

        Args:
            entries: Such as "mic:mfcc(0..12,40,512,256)" or "acc_*:rms".

        Raises:
            UsageError: Names the entry, what is wrong with it and what there is.
        """
        return tuple(name for entry in entries for name in add_features(self._draft, parse(entry)))

    # ---- what comes out

    def build(self) -> FeatureProgram:
        """The program, checked against the core.

        Raises:
            UsageError: Names the feature, the value, the limit and what to do.
        """
        return self._draft.program(
            rate_hz=self._rate_hz, window_frames=self._window, hop_frames=self._hop, timing=self._timing
        )

    def describe(self) -> str:
        """What it is so far: a table with units, state and cost."""
        return self.build().describe()

    def _repr_html_(self) -> str:
        return self.build()._repr_html_()


def _own(draft: Draft, series: Series | Number, *, op: str) -> str:
    if series._draft is not draft:
        raise UsageError(f"{op}: {series.name} belongs to another builder", hint="make all channels with one builder")
    return series.name


def _floats(params: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(param) for param in params)


def _frames(what: str, seconds: float | None, frames: int | None, rate_hz: float) -> int:
    if (seconds is None) == (frames is None):
        raise UsageError(f"{what}: want one of {what}_s and {what}_frames", hint=f"write e.g. {what}_s=1.28")
    if frames is not None:
        return frames
    exact = float(seconds or 0.0) * rate_hz
    whole = round(exact)
    if abs(exact - whole) > 1e-6 * max(1.0, exact):
        raise UsageError(
            f"{what}_s: {seconds:g} s at {rate_hz:g} Hz are {exact:g} frames, want a whole number",
            hint=f"write {what}_s={whole / rate_hz:g}, or {what}_frames={whole}",
        )
    return whole


def _checked(made: type[Any], /, **values: Any) -> Any:
    try:
        return made(**values)
    except ContractError as why:
        raise UsageError(str(why), hint=why.hint) from why
