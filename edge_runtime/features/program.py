"""From a feature list as people write it to a feature program, and back to a table they can read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from edge_runtime import native
from edge_runtime.contract.program import Channel, Feature, Program
from edge_runtime.errors import ContractError, UsageError

_SPEC = re.compile(r"(?:(?P<glob>[^:()]+):)?(?P<op>[a-z_0-9]+)(?:\((?P<params>[^()]*)\))?")


def build_program(
    channels: Sequence[Channel], *, rate_hz: float, window_frames: int, hop_frames: int, features: Sequence[str]
) -> Program:
    """The program of `features` over `channels`, checked against the core.

    Args:
        channels: Columns of a frame.
        rate_hz: Frames per second, > 0 [Hz].
        window_frames: 2..4096.
        hop_frames: 1..window_frames.
        features: Each `op`, `op(param,...)`, or with `glob:` before it for the channels it is for (without: every
            channel). "acc_*:band_power(0.5,4)" gives "acc_x.band_power(0.5,4)", one a channel, in the channels' order.

    Raises:
        UsageError: Names the entry, what is wrong with it and what there is.
    """
    made = [feature for spec in features for feature in _expand(spec, channels)]
    for i, feature in enumerate(made):
        if any(feature.name == other.name for other in made[:i]):
            raise UsageError(f"feature {feature.name}: listed twice", hint="take one of the two entries away")
    try:
        program = Program(
            rate_hz=rate_hz,
            channels=tuple(channels),
            window_frames=window_frames,
            hop_frames=hop_frames,
            features=tuple(made),
        )
        native.check_program(program)
    except ContractError as why:
        raise UsageError(str(why), hint=why.hint) from why
    return program


def _expand(spec: str, channels: Sequence[Channel]) -> Iterator[Feature]:
    match = _SPEC.fullmatch(spec.strip())
    if not match:
        raise UsageError(f"feature {spec!r}: cannot be read", hint='write e.g. "rms" or "acc_*:band_power(0.5,4)"')
    table = {op.name: op for op in native.operators()}
    op = table.get(match["op"])
    if op is None:
        raise UsageError(f"feature {spec!r}: no operator {match['op']!r}", hint=f"one of: {', '.join(table)}")
    params = _numbers(spec, match["params"])
    if len(params) != op.n_params:
        raise UsageError(f"feature {spec!r}: {op.name} takes {op.n_params} parameters, got {len(params)}")
    text = f"{op.name}({','.join(_short(p) for p in params)})" if params else op.name
    glob = match["glob"] or "*"
    meant = [i for i, channel in enumerate(channels) if fnmatchcase(channel.name, glob)]
    if not meant:
        names = ", ".join(channel.name for channel in channels)
        raise UsageError(f"feature {spec!r}: no channel is like {glob!r}", hint=f"channels: {names}")
    for i in meant:
        yield Feature(name=f"{channels[i].name}.{text}", op=op.id, channel=i, params=params)


def _numbers(spec: str, text: str | None) -> tuple[float, ...]:
    if not text:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"feature {spec!r}: {text!r} are no numbers", hint="write e.g. band_power(0.5,4)") from None


def _short(value: float) -> str:
    """4.0 -> 4, 0.5 -> 0.5: shortest text that reads back."""
    return repr(value).removesuffix(".0")


def describe(program: Program) -> str:
    """A table of the program for people: one line a feature, and what the core needs for it."""
    table = {op.id: op for op in native.operators()}
    seconds = program.window_frames / program.rate_hz, program.hop_frames / program.rate_hz
    rows = [("feature", "operator", "channel", "unit")]
    for feature in program.features:
        op, channel = table[feature.op], program.channels[feature.channel]
        rows.append((feature.name, f"{op.id} {op.name}", channel.name, _unit(op.unit, channel.unit)))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(
        [
            f"program {program.digest[:12]}: {len(program.channels)} channels at {program.rate_hz:g} Hz, "
            f"window {program.window_frames} frames ({seconds[0]:g} s), hop {program.hop_frames} ({seconds[1]:g} s), "
            f"{len(program.features)} features, {native.state_bytes(program)} bytes of state",
            *lines,
        ]
    )


def _unit(of_op: str, of_channel: str) -> str:
    if of_op == "x":
        return of_channel
    if of_op.startswith("x"):  # "x^2", "x/s"
        return f"({of_channel}){of_op[1:]}"
    return of_op
