"""The feature program: the one definition of features, in training and live. See FORMAT.md section "program".

One rule: its digest names it. What an operator id means is decided by the C core (`edge_runtime.native`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from edge_runtime.contract.checks import (
    count,
    integer,
    none_left,
    positive,
    real,
    take,
    text,
    unique,
    wrong,
)
from edge_runtime.contract.document import read_json, write_json

MAX_CHANNELS: Final = 64
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
    """

    name: str
    unit: str
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        text(self.name, "program.channels.name")
        text(self.unit, f"program.channels.{self.name}.unit", low=0, high=32)
        if real(self.scale, f"program.channels.{self.name}.scale") == 0:
            raise wrong(f"program.channels.{self.name}.scale", "number other than 0", self.scale)
        real(self.offset, f"program.channels.{self.name}.offset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One number of the feature vector.

    Attributes:
        name: 1..128 characters.
        op: Operator id 1..65535, append-only.
        channel: Position in `Program.channels`.
        params: 0..2 numbers; their meaning and unit belong to the operator.
    """

    name: str
    op: int
    channel: int
    params: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        text(self.name, "program.features.name", high=128)
        integer(self.op, f"program.features.{self.name}.op", low=1, high=65535)
        integer(self.channel, f"program.features.{self.name}.channel", high=MAX_CHANNELS - 1)
        count(len(self.params), f"program.features.{self.name}.params", high=2)
        for param in self.params:
            real(param, f"program.features.{self.name}.params")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Channels in, windows, features out.

    Attributes:
        rate_hz: Frames per second, > 0.
        channels: 1..64, names unique.
        window_frames: 2..4096.
        hop_frames: 1..window_frames.
        features: 1..1024, names unique.
        extra: Fields of a newer minor version.
    """

    rate_hz: float
    channels: tuple[Channel, ...]
    window_frames: int
    hop_frames: int
    features: tuple[Feature, ...]
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        positive(self.rate_hz, "program.rate_hz")
        count(len(self.channels), "program.channels", low=1, high=MAX_CHANNELS)
        unique([channel.name for channel in self.channels], "program.channels")
        integer(self.window_frames, "program.window_frames", low=2, high=MAX_WINDOW)
        integer(self.hop_frames, "program.hop_frames", low=1, high=self.window_frames)
        count(len(self.features), "program.features", low=1, high=MAX_FEATURES)
        unique([feature.name for feature in self.features], "program.features")
        for feature in self.features:
            integer(feature.channel, f"program.features.{feature.name}.channel", high=len(self.channels) - 1)

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, 64 hex digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Canonical JSON. Equal programs give equal bytes."""
        fields = {
            "rate_hz": self.rate_hz,
            "window_frames": self.window_frames,
            "hop_frames": self.hop_frames,
            "channels": [{"name": c.name, "unit": c.unit, "scale": c.scale, "offset": c.offset} for c in self.channels],
            "features": [{"name": f.name, "op": f.op, "channel": f.channel, "params": f.params} for f in self.features],
        }
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
            extra=fields,
        )


def _channel(value: object) -> Channel:
    what = "program.channels"
    if not isinstance(value, dict):
        raise wrong(what, "object", value)
    channel = Channel(
        name=take(value, "name", str, what=what),
        unit=take(value, "unit", str, what=what),
        scale=take(value, "scale", float, what=what),
        offset=take(value, "offset", float, what=what),
    )
    none_left(value, f"{what}.{channel.name}")
    return channel


def _feature(value: object) -> Feature:
    what = "program.features"
    if not isinstance(value, dict):
        raise wrong(what, "object", value)
    feature = Feature(
        name=take(value, "name", str, what=what),
        op=take(value, "op", int, what=what),
        channel=take(value, "channel", int, what=what),
        params=tuple(real(param, f"{what}.params") for param in take(value, "params", list, what=what, high=2)),
    )
    none_left(value, f"{what}.{feature.name}")
    return feature
