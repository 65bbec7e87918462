"""Which frames may leave the device: its own file says so, and nothing that comes from outside can say more.

One rule: an allow-list, of channels and reasons by name. A bundle with other channels has fewer that are on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_runtime.contract.birth import RawRule
from edge_runtime.contract.program import Program
from edge_runtime.contract.records import REASONS
from edge_runtime.contract.window import MAX_VALUES
from edge_runtime.daemon.config import Config, StreamConfig
from edge_runtime.errors import UsageError
from edge_runtime.lean import Final
from edge_runtime.sampling import FrameRule

MARK: Final = ""
"""Name of the checkpoint that says under which rules raw windows were sealed; no stream has it."""
_KEYS: Final = {name: key for key, name in REASONS.items()}


def rule_of(stream: StreamConfig, program: Program) -> FrameRule | None:
    """What of this program's frames may be kept; None for nothing, or a window of more than a document holds."""
    channels = tuple((at, one.name) for at, one in enumerate(program.channels) if one.name in stream.raw_channels)
    if not channels or not stream.raw_reasons or _n_values(stream, program) > MAX_VALUES:
        return None
    return FrameRule(
        channels=channels, reasons=tuple(_KEYS[name] for name in stream.raw_reasons), most=stream.raw_windows
    )


def bytes_of(stream: StreamConfig, program: Program) -> int:
    """Frames that one period holds at most [bytes]."""
    rule = rule_of(stream, program)
    return 0 if rule is None else 4 * rule.most * _n_values(stream, program)


def refuse_unknown(stream: StreamConfig, program: Program, *, is_strict: bool) -> Sequence[str]:
    """The channels on the list that this program does not have; with `is_strict` they are refused.

    Raises:
        UsageError: One is unknown, or a window of them is more than a message holds.
    """
    names = [channel.name for channel in program.channels]
    unknown = [name for name in stream.raw_channels if name not in names]
    if unknown and is_strict:
        raise UsageError(
            f"stream {stream.name}: raw_channels names {unknown[0]!r}, its bundle has no such channel",
            hint=f"channels: {', '.join(names) or 'none, it reads records'}",
        )
    n_values = _n_values(stream, program)
    if n_values > MAX_VALUES and is_strict:
        raise UsageError(
            f"stream {stream.name}: a raw window has {n_values} values, a message holds {MAX_VALUES}",
            hint="name fewer channels in raw_channels",
        )
    return unknown


def told(config: Config) -> dict[str, RawRule]:
    """What the birth says of it."""
    return {
        stream.name: RawRule(
            channels=tuple(dict.fromkeys(stream.raw_channels)),
            reasons=tuple(dict.fromkeys(stream.raw_reasons)),
            windows=stream.raw_windows,
        )
        for stream in config.streams
        if stream.raw_channels
    }


def mark_of(config: Config) -> bytes:
    """The rules, to know by whether what waits was sealed under them; b"" where nothing may leave."""
    return repr(sorted(told(config).items(), key=lambda item: item[0])).encode() if told(config) else b""


def is_changed(config: Config, checkpoints: Mapping[str, bytes]) -> bool:
    """Whether raw windows that wait were sealed under other rules: those must not leave any more."""
    return checkpoints.get(MARK, b"") != mark_of(config)


def _n_values(stream: StreamConfig, program: Program) -> int:
    """Of a window of the allowed channels."""
    return sum(
        program.window_frames // channel.every for channel in program.channels if channel.name in stream.raw_channels
    )
