"""The feature program: the one definition of features, in training and live. See FORMAT.md section "program".

One rule: its digest names it. What an operator id means is decided by the C core (`edge_runtime.native`).
"""

from __future__ import annotations

from edge_runtime.contract.checks import (
    count,
    integer,
    integers,
    none_left,
    one_of,
    positive,
    real,
    reals,
    take,
    text,
    unique,
    wrong,
)
from edge_runtime.contract.document import read_json, write_json
from edge_runtime.contract.timing import Timing, read_timing
from edge_runtime.lean import Any, Final, TypeVar, dataclass, field, sha256

T = TypeVar("T")

MAX_CHANNELS: Final = 64
MAX_FILTERS: Final = 64
MAX_FIELDS: Final = 1024
MAX_SOURCES: Final = 8
MAX_PARAMS: Final = 256
MAX_WORDS: Final = 1024
FIRST_ROW_OP: Final = 2000
"""Operator ids of this and the next 999 read fields of a record, all others read channels."""
TAPERS: Final = ("none", "hann", "hamming")
FIELD_KINDS: Final = ("number", "text")
MAX_FEATURES: Final = 1024
MAX_WINDOW: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One column of a frame; value = raw * scale + offset [unit].

    Attributes:
        name: 1..64 characters.
        unit: 0..32 characters.
        scale: [unit per raw unit], finite, not 0.
        offset: [unit], finite.
        every: Frames 0, every, 2*every .. hold a value, what stands in the others is ignored: its own rate is
            rate_hz / every. 1..2048, divides window and hop.
        taper: Window function of its spectrum, of `TAPERS`.
    """

    name: str
    unit: str
    scale: float = 1.0
    offset: float = 0.0
    every: int = 1
    taper: str = "none"

    def __post_init__(self) -> None:
        text(self.name, "program.channels.name")
        text(self.unit, f"program.channels.{self.name}.unit", low=0, high=32)
        if real(self.scale, f"program.channels.{self.name}.scale") == 0:
            raise wrong(f"program.channels.{self.name}.scale", "number other than 0", self.scale)
        real(self.offset, f"program.channels.{self.name}.offset")
        integer(self.every, f"program.channels.{self.name}.every", low=1, high=MAX_WINDOW // 2)
        one_of(self.taper, f"program.channels.{self.name}.taper", TAPERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A derived channel: a stream filter over channels before it, its state kept across windows.

    Attributes:
        name: 1..64 characters, unique among channels and filters.
        op: Operator id of a filter.
        sources: 1..8 positions in channels + filters, each before this one.
        params: 0..4 numbers.
        unit: 0..32 characters.
        taper: As of a channel.
    """

    name: str
    op: int
    sources: tuple[int, ...]
    params: tuple[float, ...] = ()
    unit: str = ""
    taper: str = "none"

    def __post_init__(self) -> None:
        text(self.name, "program.filters.name")
        integer(self.op, f"program.filters.{self.name}.op", low=1, high=65535)
        count(len(self.sources), f"program.filters.{self.name}.sources", low=1, high=MAX_SOURCES)
        integers(self.sources, f"program.filters.{self.name}.sources", high=MAX_CHANNELS + MAX_FILTERS - 1)
        count(len(self.params), f"program.filters.{self.name}.params", high=4)
        reals(self.params, f"program.filters.{self.name}.params")
        text(self.unit, f"program.filters.{self.name}.unit", low=0, high=32)
        one_of(self.taper, f"program.filters.{self.name}.taper", TAPERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of a record or fact of a device's context; or, with an operator, what is derived from one.

    Attributes:
        name: 1..64 characters.
        kind: Of `FIELD_KINDS`; a time is a number, Unix milliseconds UTC.
        op: 0: it comes with the record. Else the row operator that derives it from fields before it.
        sources: Derived: positions in fields, one or two as the operator says.
        params: Derived: 0..256 numbers.
        words: Derived: 0..1024 texts.
    """

    name: str
    kind: str = "number"
    op: int = 0
    sources: tuple[int, ...] = ()
    params: tuple[float, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        what = f"program.fields.{self.name}"
        text(self.name, "program.fields.name")
        one_of(self.kind, f"{what}.kind", FIELD_KINDS)
        if self.op:
            integer(self.op, f"{what}.op", low=FIRST_ROW_OP, high=65535)
        count(len(self.sources), f"{what}.sources", low=1 if self.op else 0, high=2 if self.op else 0)
        integers(self.sources, f"{what}.sources", high=MAX_FIELDS - 1)
        _check_lists(self.params, self.words, what)
        if not self.op and (self.params or self.words):
            raise wrong(what, "no params and no words without op", self.params or self.words)

    @property
    def is_derived(self) -> bool:
        """An operator makes it; it does not come with the record."""
        return self.op != 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One number of the feature vector.

    Attributes:
        name: 1..128 characters.
        op: Operator id 1..65535, append-only.
        channel: Position in channels + filters; of a row operator (`is_row`) the position in fields.
        params: 0..256 numbers; their meaning and unit belong to the operator.
        other: A second channel or field, where the operator takes two.
        words: 0..1024 texts, where the operator takes some (the category of a one-hot).
    """

    name: str
    op: int
    channel: int
    params: tuple[float, ...] = ()
    other: int | None = None
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        text(self.name, "program.features.name", high=128)
        integer(self.op, f"program.features.{self.name}.op", low=1, high=65535)
        integer(self.channel, f"program.features.{self.name}.channel", high=MAX_FIELDS - 1)
        _check_lists(self.params, self.words, f"program.features.{self.name}")
        if self.other is not None:
            integer(self.other, f"program.features.{self.name}.other", high=MAX_FIELDS - 1)

    @property
    def is_row(self) -> bool:
        """It reads fields, not a window."""
        return FIRST_ROW_OP <= self.op < FIRST_ROW_OP + 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Channels in, windows, features out; and fields of a record, which stand beside them in one vector.

    Attributes:
        rate_hz: Frames per second, > 0.
        channels: 0..64; at least one, or else one field.
        window_frames: 2..4096; 1 without channels: every record is decided.
        hop_frames: 1..window_frames.
        features: 1..1024, names unique; those on windows first, then those on fields.
        filters: 0..64 derived channels; their names are unique among those of channels.
        fields: 0..1024, names unique; those of the record first, then derived ones, each from fields before it.
        timing: What the times of frames mean; a policy needs channels and 0.001..100000 Hz.
        extra: Fields of a newer minor version.
    """

    rate_hz: float
    channels: tuple[Channel, ...]
    window_frames: int
    hop_frames: int
    features: tuple[Feature, ...]
    filters: tuple[Filter, ...] = ()
    fields: tuple[Field, ...] = ()
    timing: Timing = Timing()
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        positive(self.rate_hz, "program.rate_hz")
        count(len(self.channels), "program.channels", low=0 if self.fields else 1, high=MAX_CHANNELS)
        count(len(self.filters), "program.filters", high=MAX_FILTERS)
        unique([c.name for c in self.channels] + [f.name for f in self.filters], "program.channels")
        count(len(self.fields), "program.fields", high=MAX_FIELDS)
        unique([each.name for each in self.fields], "program.fields")
        low, high = (2, MAX_WINDOW) if self.channels else (1, 1)
        integer(self.window_frames, "program.window_frames", low=low, high=high)
        integer(self.hop_frames, "program.hop_frames", low=1, high=self.window_frames)
        count(len(self.features), "program.features", low=1, high=MAX_FEATURES)
        unique([feature.name for feature in self.features], "program.features")
        self._check_places()
        self.timing.check_rate(self.rate_hz)
        if self.timing and not self.channels:
            raise wrong("program.timing", "none where there are no channels", self.timing.policy)

    @property
    def record(self) -> tuple[Field, ...]:
        """The fields that a record brings, in its order."""
        return tuple(each for each in self.fields if not each.is_derived)

    def _check_places(self) -> None:
        n_record = len(self.record)
        for i, field_ in enumerate(self.fields):
            if field_.is_derived != (i >= n_record):
                raise wrong(f"program.fields.{field_.name}", "fields of the record before derived ones", field_.op)
            integers(field_.sources, f"program.fields.{field_.name}.sources", high=i - 1)
        for i, each in enumerate(self.filters):
            integers(each.sources, f"program.filters.{each.name}.sources", high=len(self.channels) + i - 1)
        is_row = False
        for feature in self.features:
            if is_row and not feature.is_row:
                raise wrong(
                    f"program.features.{feature.name}", "features on windows before those on fields", feature.op
                )
            is_row = feature.is_row
            there = len(self.fields) if is_row else len(self.channels) + len(self.filters)
            for place in (feature.channel, feature.other):
                if place is not None:
                    integer(place, f"program.features.{feature.name}.channel", high=there - 1)

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, 64 hex digits."""
        return sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Canonical JSON. Equal programs give equal bytes; what has its default is left out."""
        fields = {
            "rate_hz": self.rate_hz,
            "window_frames": self.window_frames,
            "hop_frames": self.hop_frames,
            "channels": [
                {"name": c.name, "unit": c.unit, "scale": c.scale, "offset": c.offset}
                | _set({"every": (c.every, 1), "taper": (c.taper, "none")})
                for c in self.channels
            ],
            "features": [
                {"name": f.name, "op": f.op, "channel": f.channel, "params": f.params}
                | _set({"other": (f.other, None), "words": (f.words, ())})
                for f in self.features
            ],
        }
        if self.filters:
            fields["filters"] = [
                {"name": f.name, "op": f.op, "sources": f.sources, "params": f.params, "unit": f.unit}
                | _set({"taper": (f.taper, "none")})
                for f in self.filters
            ]
        if self.fields:
            fields["fields"] = [
                {"name": each.name, "kind": each.kind}
                | _set(
                    {
                        "op": (each.op, 0),
                        "sources": (each.sources, ()),
                        "params": (each.params, ()),
                        "words": (each.words, ()),
                    }
                )
                for each in self.fields
            ]
        if self.timing:
            fields["timing"] = {"policy": self.timing.policy, "most_frames": self.timing.most_frames}
        return write_json("program", fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = read_json(data, "program")
        return cls(
            rate_hz=take(fields, "rate_hz", float, what="program"),
            channels=tuple(map(_channel, take(fields, "channels", list, what="program", high=MAX_CHANNELS))),
            window_frames=take(fields, "window_frames", int, what="program"),
            hop_frames=take(fields, "hop_frames", int, what="program"),
            features=tuple(map(_feature, take(fields, "features", list, what="program", high=MAX_FEATURES))),
            filters=tuple(map(_filter, _some(fields, "filters", MAX_FILTERS))),
            fields=tuple(map(_field, _some(fields, "fields", MAX_FIELDS))),
            timing=read_timing(fields),
            extra=fields,
        )


def _set(values: dict[str, tuple[object, object]]) -> dict[str, object]:
    """Those that do not have their default."""
    return {key: value for key, (value, default) in values.items() if value != default}


def _some(fields: dict[str, Any], key: str, high: int) -> list[object]:
    """The list, empty where it is left out; an empty one is not canonical."""
    if key not in fields:
        return []
    return take(fields, key, list, what="program", low=1, high=high)


def _optional(fields: dict[str, Any], key: str, kind: type[T], default: T, *, what: str) -> T:
    """The value, or `default` where it is left out; to spell the default out is not canonical."""
    if key not in fields:
        return default
    value = take(fields, key, kind, what=what)
    if value == default:
        raise wrong(f"{what}.{key}", "to be left out where it has its default", value)
    return value


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(what, "object", value)
    return value


def _params(value: dict[str, Any], what: str, high: int, *, low: int = 0) -> tuple[float, ...]:
    return reals(take(value, "params", list, what=what, low=low, high=high), f"{what}.params")


def _words(value: dict[str, Any], what: str) -> tuple[str, ...]:
    """The texts of "words"; an empty list is left out."""
    words = take(value, "words", list, what=what, low=1, high=MAX_WORDS) if "words" in value else []
    return tuple(text(word, f"{what}.words", low=0, high=256) for word in words)


def _check_lists(params: tuple[float, ...], words: tuple[str, ...], what: str) -> None:
    count(len(params), f"{what}.params", high=MAX_PARAMS)
    reals(params, f"{what}.params")
    count(len(words), f"{what}.words", high=MAX_WORDS)
    for word in words:
        text(word, f"{what}.words", low=0, high=256)


def _channel(given: object) -> Channel:
    what = "program.channels"
    value = _object(given, what)
    channel = Channel(
        name=take(value, "name", str, what=what),
        unit=take(value, "unit", str, what=what),
        scale=take(value, "scale", float, what=what),
        offset=take(value, "offset", float, what=what),
        every=_optional(value, "every", int, 1, what=what),
        taper=_optional(value, "taper", str, "none", what=what),
    )
    none_left(value, f"{what}.{channel.name}")
    return channel


def _filter(given: object) -> Filter:
    what = "program.filters"
    value = _object(given, what)
    made = Filter(
        name=take(value, "name", str, what=what),
        op=take(value, "op", int, what=what),
        sources=tuple(integer(i, f"{what}.sources") for i in take(value, "sources", list, what=what, high=MAX_SOURCES)),
        params=_params(value, what, 4),
        unit=take(value, "unit", str, what=what),
        taper=_optional(value, "taper", str, "none", what=what),
    )
    none_left(value, f"{what}.{made.name}")
    return made


def _field(given: object) -> Field:
    what = "program.fields"
    value = _object(given, what)
    sources = take(value, "sources", list, what=what, low=1, high=2) if "sources" in value else []
    made = Field(
        name=take(value, "name", str, what=what),
        kind=take(value, "kind", str, what=what),
        op=_optional(value, "op", int, 0, what=what),
        sources=tuple(integer(i, f"{what}.sources") for i in sources),
        params=_params(value, what, MAX_PARAMS, low=1) if "params" in value else (),
        words=_words(value, what),
    )
    none_left(value, f"{what}.{made.name}")
    return made


def _feature(given: object) -> Feature:
    what = "program.features"
    value = _object(given, what)
    feature = Feature(
        name=take(value, "name", str, what=what),
        op=take(value, "op", int, what=what),
        channel=take(value, "channel", int, what=what),
        params=_params(value, what, MAX_PARAMS),
        other=take(value, "other", int, what=what) if "other" in value else None,
        words=_words(value, what),
    )
    none_left(value, f"{what}.{feature.name}")
    return feature
