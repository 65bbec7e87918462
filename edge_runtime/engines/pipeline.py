"""From a bundle to decisions. One rule: whoever decides, decides through `advance`."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime import native
from edge_runtime.contract.bundle import MAX_BUNDLE_BYTES, PIECE_BYTES, Bundle, Unpacker, unpack
from edge_runtime.engines.engine import Engine, open_engine, program_of
from edge_runtime.errors import ContractError, TrustError
from edge_runtime.lean import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.contract.baseline import Bins
    from edge_runtime.contract.bundle import Keep
    from edge_runtime.contract.manifest import Manifest
    from edge_runtime.contract.program import Program
    from edge_runtime.native import Decision, Stream
    from edge_runtime.native.rows import Value


def load_bundle(
    source: Path | str | bytes,
    *,
    max_bytes: int = MAX_BUNDLE_BYTES,
    keep: Keep | None = None,
) -> Bundle:
    """The bundle in a file or in bytes, every hash checked. Signatures are not this function's matter.

    Args:
        source: A file, or all its bytes.
        max_bytes: Greatest file [bytes].
        keep: Names the members that the bundle shall hold, as `needed`; None: all. All are checked.

    Raises:
        ContractError: Unreadable or malformed.
        TrustError: A byte is not what the manifest says.
    """
    if isinstance(source, bytes):
        return unpack(source, max_bytes=max_bytes, keep=keep)
    reader = Unpacker(None, max_bytes=max_bytes, keep=keep)
    try:
        with open(source, "rb") as file:  # noqa: PTH123  pathlib is not loaded for it
            while piece := file.read(PIECE_BYTES):
                reader.feed(piece)
        return reader.finish()
    except OSError as why:
        raise ContractError(f"bundle {source}: {why.strerror or why}", hint="give the path of an .elb file") from why
    except (ContractError, TrustError) as why:
        raise type(why)(f"{source}: {why}", hint=why.hint or "fetch or export the file again") from why


def stream_for(bundle: Bundle, engine: Engine, *, program: Program | None = None, summary: bool = True) -> Stream:
    """A stream at frame 0 with the bundle's program, policy and frozen bins; a native model runs inside it.

    Args:
        bundle: As loaded.
        engine: Its engine.
        program: Its program, where that was read already.
        summary: False: without the bins, so nothing is counted.

    Raises:
        ContractError: A member is malformed, or an operator is not in this build.
    """
    bins: tuple[Bins, ...] = ()
    if summary:
        stratum = bundle.baseline().strata[0]  # edges are the same in all
        bins = (*stratum.features, *stratum.scores)
    return native.Stream(program or program_of(bundle), bundle.manifest.policy, model=engine.model, bins=bins)


def advance(
    stream: Stream,
    engine: Engine,
    frames: memoryview[Any],
    start: int,
    n: int,
    *,
    times: memoryview[Any] | None = None,
    records: Sequence[Sequence[Value]] | None = None,
) -> tuple[int, Decision | None]:
    """Push up to `n` frames, from frame `start` of `frames` on, until one window is decided.

    Args:
        stream: Where they go.
        engine: Asked where no native model runs inside the stream.
        frames: float32, row-major.
        start: First frame to take.
        n: Frames that may be taken.
        times: int64 [µs], one a frame of `frames`, for a program with a timing policy.
        records: One a frame of `frames`, for a program whose fields change with the frames.

    Returns:
        (frames taken, the decision or None where no window is complete).
    """
    if records is not None:
        return _advance_records(stream, engine, frames, start, records[start : start + n], times=times)
    taken = stream.step(frames, start, n, times)
    status = stream.status
    if status == "more":
        return taken, None
    if status == "scores":
        return taken, stream.decide(engine.scores(stream.features))
    return taken, stream.decision


def told(decision: Decision, stream: Stream, manifest: Manifest) -> dict[str, object]:
    """What a line says of a decision: label, vote and margin; or values, None where the model was not asked."""
    names = manifest.labels
    if manifest.task == "values":
        return {"values": dict(zip(names, stream.scores, strict=True)) if decision.vote >= 0 else None}
    return {
        "label": names[decision.label] if decision.label >= 0 else None,
        "vote": names[decision.vote] if decision.vote >= 0 else None,
        "margin": round(decision.margin, 6),
    }


def _advance_records(
    stream: Stream,
    engine: Engine,
    frames: memoryview[Any],
    start: int,
    records: Sequence[Sequence[Value]],
    *,
    times: memoryview[Any] | None,
) -> tuple[int, Decision | None]:
    done = 0
    while done < len(records):
        stream.record(records[done])
        taken, decision = advance(stream, engine, frames, start + done, 1, times=times)
        done += taken
        if decision is not None:
            return done, decision
    return done, None


def blank_record(program: Program) -> tuple[Value, ...]:
    """A record to measure with: every number is 1, every text empty."""
    return tuple("" if field.kind == "text" else 1.0 for field in program.record)


def decide_all(
    bundle: Bundle,
    frames: memoryview[Any],
    times: memoryview[Any] | None = None,
    *,
    records: Sequence[Sequence[Value]] | None = None,
) -> list[Decision]:
    """Every decision of one recording, as a device at its first frame makes them.

    Args:
        bundle: As loaded.
        frames: float32, row-major, one frame after the other, C-contiguous.
        times: int64 [µs], one a frame, for a program with a timing policy.
        records: One a frame, for a program with fields; without channels `frames` is empty.
    """
    engine = open_engine(bundle)
    stream = stream_for(bundle, engine)
    flat = frames.cast("B").cast("f") if frames.ndim > 1 or frames.format != "f" else frames
    n_channels = len(program_of(bundle).channels)
    n, at = len(flat) // n_channels if n_channels else len(records or ()), 0
    out = []
    while at < n:
        taken, decision = advance(stream, engine, flat, at, n - at, times=times, records=records)
        at += taken
        if decision is not None:
            out.append(decision)
    return out
