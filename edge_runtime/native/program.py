"""Feature programs in the core: operators, the check, and all windows of a recording in one call."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from edge_runtime.contract.baseline import Bins
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Feature, Program
from edge_runtime.errors import ContractError
from edge_runtime.native._er import ffi, lib
from edge_runtime.native.status import Floats, floats, fpu_check, memory, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One row of the core's operator table.

    Attributes:
        id: Wire id, append-only.
        name: The word in a feature list.
        unit: "x" (that of the channel), "x^2", "x/s", "Hz", "1" or "count".
        n_params: 0..2.
        limits: The parameters allowed, in words; empty without any.
    """

    id: int
    name: str
    unit: str
    n_params: int
    limits: str


@cache
def operators() -> tuple[Operator, ...]:
    """Every operator of this build, in id order."""
    table: list[Operator] = []
    info = ffi.new("er_op_info *")
    while lib.er_op(len(table), info) == lib.ER_OK:
        name, unit, limits = (ffi.string(text).decode() for text in (info.name, info.unit, info.limits))
        table.append(Operator(id=info.id, name=name, unit=unit, n_params=info.n_params, limits=limits))
    return tuple(table)


def bind(program: Program) -> tuple[Any, Any]:
    """(`er_program *`, what must live as long); not checked."""
    channels = ffi.new("er_channel[]", [(c.scale, c.offset) for c in program.channels])
    features = ffi.new("er_feature[]", len(program.features))
    for slot, feature in zip(features, program.features, strict=True):
        slot.op, slot.channel = feature.op, feature.channel
        slot.param[0 : len(feature.params)] = feature.params
    bound = ffi.new(
        "er_program *",
        {
            "rate_hz": program.rate_hz,
            "n_channels": len(program.channels),
            "window": program.window_frames,
            "hop": program.hop_frames,
            "n_features": len(program.features),
            "channels": channels,
            "features": features,
        },
    )
    return bound, (channels, features)


def check_program(program: Program) -> None:
    """Check that this build can run `program`.

    Raises:
        ContractError: Names the feature, what it asks for and what there is.
    """
    checked(program)


def checked(program: Program) -> tuple[Any, Any]:
    """`bind(program)`, once `check_program` has nothing against it."""
    table = {op.id: op for op in operators()}
    for feature in program.features:
        op = table.get(feature.op)
        if op is None:
            raise ContractError(
                f"feature {feature.name}: operator {feature.op} is not in this build ({min(table)}..{max(table)})",
                hint="install the edgeloop version that trained this program, or a newer one",
            )
        if len(feature.params) != op.n_params:
            raise ContractError(
                f"feature {feature.name}: {op.name} takes {op.n_params} parameters, got {len(feature.params)}"
            )
    bound, keep = bind(program)
    where = ffi.new("uint32_t *")
    if lib.er_program_check(bound, where) != lib.ER_OK:
        raise _refused(program, where[0])
    return bound, keep


def _refused(program: Program, where: int) -> ContractError:
    if where == len(program.features):
        return ContractError(
            f"program: rate {program.rate_hz} Hz, or the scale or offset of a channel, is 0 or infinite as float32"
        )
    feature: Feature = program.features[where]
    op = next(op for op in operators() if op.id == feature.op)
    limits = op.limits.replace("rate/2", f"{program.rate_hz / 2:g}").replace("window", str(program.window_frames))
    return ContractError(
        f"feature {feature.name}: parameters {feature.params} are out of range at {program.rate_hz:g} frames/s, "
        f"window {program.window_frames}",
        hint=f"{op.name} wants {limits}",
    )


def batch(program: Program, frames: Floats) -> array[float]:
    """The features of every window of one recording, row-major; the code that a stream runs, and its bits.

    Args:
        program: Checked here.
        frames: float32, row-major, raw units, contiguous; the GIL is released while it is read.

    Raises:
        ContractError: This build cannot run the program, or this thread flushes denormals.
        ValueError: Not float32, not contiguous, or no whole number of frames.
    """
    bound, _keep = checked(program)
    fpu_check()
    data, n, _frames = floats(frames, what="frames")
    n_frames, rest = divmod(n, len(program.channels))
    if rest:
        raise ValueError(f"frames: {n} values are no whole number of frames of {len(program.channels)} channels")
    rows = lib.er_features_rows(bound, n_frames)
    out = array("f", bytes(4 * rows * len(program.features)))
    size = lib.er_features_size(bound)
    status = lib.er_features_batch(bound, data, n_frames, ffi.from_buffer("float[]", out), rows, memory(size), size)
    if status != lib.ER_OK:
        raise ContractError(f"program: {text_of(status)}")
    return out


def config_of(
    program: Program, policy: Policy, *, forest: Any = ffi.NULL, bins: Sequence[Bins] = ()
) -> tuple[Any, Any]:
    """(`er_config *`, what must live as long), each part checked.

    Raises:
        ContractError: A part is out of range, or two do not fit each other.
    """
    bound, keep = checked(program)
    n_rows = len(program.features) + len(policy.thresholds_ppm)
    if bins and len(bins) != n_rows:
        raise ContractError(f"baseline: {len(bins)} bins, want {n_rows} (features, then scores)")
    rule = ffi.new(
        "er_policy *",
        {
            "n_classes": len(policy.thresholds_ppm),
            "k": policy.k,
            "n": policy.n,
            "hold": policy.hold_windows,
            "threshold_ppm": list(policy.thresholds_ppm),
        },
    )
    edges = [ffi.new("float[]", row.edges) for row in bins]
    table = ffi.new("er_bins[]", [(b.centre, b.scale, len(b.edges) - 1, e) for b, e in zip(bins, edges, strict=True)])
    parts = {"program": bound, "policy": rule, "bins": table if bins else ffi.NULL, "forest": forest}
    return ffi.new("er_config *", parts), (bound, keep, rule, edges, table, forest)


def state_bytes(program: Program, policy: Policy | None = None, *, bins: Sequence[Bins] = ()) -> int:
    """Bytes that the core needs to run `program`: features alone, or (with a policy) a whole stream.

    Raises:
        ContractError: As `check_program`.
    """
    if policy is None:
        bound, _keep = checked(program)
        return int(lib.er_features_size(bound))
    config, _keep = config_of(program, policy, bins=bins)
    return int(lib.er_stream_size(config))
