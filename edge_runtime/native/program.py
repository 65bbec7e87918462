"""Feature programs in the core: operators, the check, and all windows of a recording in one call."""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence

from edge_runtime.contract.program import MAX_WINDOW, Feature, Filter, Program
from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING, Any
from edge_runtime.native._er import ffi, lib
from edge_runtime.native.operators import Operator, operators
from edge_runtime.native.rows import checked_rows
from edge_runtime.native.status import Floats, floats, fpu_check, memory, text_of

if TYPE_CHECKING:
    from edge_runtime.contract.baseline import Bins
    from edge_runtime.contract.manifest import Policy

POLICIES = {
    "none": lib.ER_TIME_NONE,
    "hold": lib.ER_TIME_HOLD,
    "interpolate": lib.ER_TIME_INTERPOLATE,
    "mark": lib.ER_TIME_MARK,
    "reset": lib.ER_TIME_RESET,
}
TAPERS = {"none": lib.ER_TAPER_NONE, "hann": lib.ER_TAPER_HANN, "hamming": lib.ER_TAPER_HAMMING}


def bind(program: Program) -> tuple[Any, Any]:
    """(`er_program *`, what must live as long); not checked. The features on windows alone: rows have their own."""
    on_windows = [feature for feature in program.features if not feature.is_row]
    channels = ffi.new("er_channel[]", [(c.scale, c.offset, c.every, TAPERS[c.taper]) for c in program.channels])
    filters = ffi.new(
        "er_filter[]", [(f.op, TAPERS[f.taper], len(f.sources), f.sources, f.params) for f in program.filters]
    )
    features = ffi.new("er_feature[]", [(f.op, f.channel, f.other or 0, 0, f.params) for f in on_windows])
    bound = ffi.new(
        "er_program *",
        {
            "rate_hz": program.rate_hz,
            "n_channels": len(program.channels),
            "window": program.window_frames,
            "hop": program.hop_frames,
            "n_features": len(on_windows),
            "n_filters": len(program.filters),
            "channels": channels,
            "features": features,
            "filters": filters,
            "timing": {"policy": POLICIES[program.timing.policy], "most": program.timing.most_frames},
        },
    )
    return bound, (channels, filters, features)


def check_program(program: Program) -> None:
    """Check that this build can run `program`.

    Raises:
        ContractError: Names the feature, what it asks for and what there is.
    """
    checked(program)


def checked(program: Program) -> tuple[Any, Any]:
    """`bind(program)`, once `check_program` has nothing against it."""
    _check_calls(program)
    bound, keep = bind(program)
    where = ffi.new("uint32_t *")
    status = lib.er_program_check(bound, where)
    if status != lib.ER_OK:
        raise _refused(program, where[0], bound.n_features, status)
    return bound, keep


def _check_calls(program: Program) -> None:
    table = {op.id: op for op in operators()}
    for each in program.filters:
        _check_call(table, f"filter {each.name}", each, ("filter",), len(each.sources))
    for feature in program.features:
        kinds = ("row",) if feature.is_row else ("window",)
        _check_call(table, f"feature {feature.name}", feature, kinds, 1 + (feature.other is not None))
    checked_rows(program)


def _check_call(
    table: Mapping[int, Operator], what: str, call: Feature | Filter, kinds: tuple[str, ...], n_sources: int
) -> None:
    """The operator is there, of that kind, and gets as many parameters and sources as it takes."""
    op = table.get(call.op)
    if op is None:
        raise ContractError(
            f"{what}: operator {call.op} is not in this build ({min(table)}..{max(table)})",
            hint="install the edgeloop version that trained this program, or a newer one",
        )
    if op.kind not in kinds:
        raise ContractError(f"{what}: operator {call.op} {op.name} is a {op.kind} operator, want {' or '.join(kinds)}")
    if op.kind != "row" and len(call.params) != op.n_params:
        raise ContractError(f"{what}: {op.name} takes {op.n_params} parameters, got {len(call.params)}")
    least, most = op.n_sources
    if not least <= n_sources <= most:
        span = f"{least}" if least == most else f"{least}..{most}"
        raise ContractError(f"{what}: {op.name} takes {span} channels, got {n_sources}")


def channel_pace(program: Program, place: int) -> tuple[float, int]:
    """(samples per second, samples in a window) of the channel or derived channel at `place`.

    Raises:
        ContractError: The program is wrong before it.
    """
    bound, _keep = bind(program)
    rate, window = ffi.new("float *"), ffi.new("uint16_t *")
    if lib.er_program_channel(bound, place, rate, window) != lib.ER_OK:
        raise ContractError(f"program: channel {place} has no pace", hint="check the program: check_program()")
    return float(rate[0]), int(window[0])


def _refused(program: Program, where: int, n_features: int, status: int) -> ContractError:
    if where == n_features:
        return _refused_channel(program)
    if where < n_features:
        feature = program.features[where]
        sources = (feature.channel,) if feature.other is None else (feature.channel, feature.other)
        return _misplaced(program, f"feature {feature.name}", feature, sources, status)
    made = program.filters[where - n_features - 1]
    return _misplaced(program, f"filter {made.name}", made, made.sources, status)


def _refused_channel(program: Program) -> ContractError:
    window, hop = program.window_frames, program.hop_frames
    for channel in program.channels:
        if window % channel.every or hop % channel.every or window // channel.every < 2:
            return ContractError(
                f"channel {channel.name}: every {channel.every} does not divide window {window} and hop {hop} "
                "into whole samples, at least 2 a window",
                hint=f"make window and hop multiples of {channel.every}",
            )
    return ContractError(
        f"program: rate {program.rate_hz} Hz, or the scale or offset of a channel, is 0 or infinite as float32"
    )


def _misplaced(
    program: Program, what: str, call: Feature | Filter, sources: tuple[int, ...], status: int
) -> ContractError:
    """Which of parameters, rates and window is wrong, with the pace of the channels that it reads."""
    op = next(op for op in operators() if op.id == call.op)
    names = [c.name for c in program.channels] + [f.name for f in program.filters]
    rate, n = channel_pace(program, sources[0])
    if status != lib.ER_ERATE:
        limits = re.sub(r"rate/(\d+)", lambda m: f"{rate / int(m[1]):g}", op.limits).replace("window", str(n))
        return ContractError(
            f"{what}: parameters {call.params} are out of range at {rate:g} frames/s, window {n}",
            hint=f"{op.name} wants {limits}" if limits else "",
        )
    for other in sources[1:]:
        theirs, _n = channel_pace(program, other)
        if theirs != rate:
            return ContractError(
                f"{what}: {names[sources[0]]} has {rate:g} samples/s, {names[other]} {theirs:g}",
                hint=f"{op.name} wants channels of one rate: decimate or resample one of them",
            )
    if len(sources) > 1:
        return ContractError(
            f"{what}: {' and '.join(names[i] for i in sources)} have {rate:g} samples/s, but not with the same frames",
            hint=f"{op.name} wants channels that were resampled in the same steps",
        )
    params = ", ".join(f"{param:g}" for param in call.params)
    return ContractError(
        f"{what}: {op.name}({params}) makes no whole number of samples, 2..{MAX_WINDOW}, of {names[sources[0]]} "
        f"at {rate:g} frames/s, window {n} and hop {n * program.hop_frames // program.window_frames}",
        hint="the rate it makes must divide window and hop",
    )


def batch(program: Program, frames: Floats) -> array[float]:
    """The features on windows of one recording, row-major; the code that a stream runs, and its bits.

    Those on fields are not in it: `native.Rows` makes them of records.

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
    if not program.channels:
        raise ValueError("batch: the program has no channels, only fields: native.Rows makes its features")
    n_frames, rest = divmod(n, len(program.channels))
    if rest:
        raise ValueError(f"frames: {n} values are no whole number of frames of {len(program.channels)} channels")
    rows = lib.er_features_rows(bound, n_frames)
    out = array("f", bytes(4 * rows * bound.n_features))
    size = lib.er_features_size(bound)
    status = lib.er_features_batch(bound, data, n_frames, ffi.from_buffer("float[]", out), rows, memory(size), size)
    if status != lib.ER_OK:
        raise ContractError(f"program: {text_of(status)}")
    return out


def config_of(program: Program, policy: Policy, *, model: Any = ffi.NULL, bins: Sequence[Bins] = ()) -> tuple[Any, Any]:
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
    rows, kept_rows = checked_rows(program)
    parts = {
        "program": bound,
        "policy": rule,
        "bins": table if bins else ffi.NULL,
        "model": model,
        "rows": ffi.NULL if rows is None else rows,
    }
    return ffi.new("er_config *", parts), (bound, keep, rule, edges, table, model, rows, kept_rows)


def state_bytes(program: Program, policy: Policy | None = None, *, bins: Sequence[Bins] = ()) -> int:
    """Bytes that the core needs to run `program`: features alone, or (with a policy) a whole stream.

    Raises:
        ContractError: As `check_program`.
    """
    if policy is None:
        bound, _keep = checked(program)
        rows, _rows = checked_rows(program)
        return int(lib.er_features_size(bound) + (lib.er_row_size(rows) if rows else 0))
    config, _keep = config_of(program, policy, bins=bins)
    return int(lib.er_stream_size(config))
