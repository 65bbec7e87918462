"""Decides, and nothing else: a bundle, a source, lines on stdout. One rule: no state, no telemetry, no thread.

What it decides is what the daemon decides, by the same `advance`. It keeps nothing between two starts, is never updated
and counts nothing: for a device that has 4 MiB, or a pipe. A native model needs nothing else; onnxruntime is loaded for
a bundle that names it.
"""

from __future__ import annotations

import json
import time
from array import array

from edge_runtime.engines import advance, load_bundle, needed, open_engine, program_of, stream_for, told
from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING, Any
from edge_runtime.native import trim
from edge_runtime.sources import counts_of, is_live, open_source, times_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.contract.program import Program
    from edge_runtime.sources import Source

BLOCK_FRAMES = 256


def decide(bundle_path: str, spec: str, *, write: Callable[[bytes], object], log: Callable[[str], object]) -> int:
    """Write a line for each window of the source until it ends; return how many.

    Args:
        bundle_path: File (.elb).
        spec: As `source` in device.toml; files are found beside the working folder.
        write: Takes the lines of one block of frames; may wait for whoever reads them.
        log: Takes a line about what runs, and what the source lost.

    Raises:
        ContractError: A bundle or frame is malformed, or no engine here runs the bundle.
        TrustError: A byte of the bundle is not what its manifest says.
        TransportError: The source is gone. Nobody opens it again.
    """
    bundle = load_bundle(bundle_path, keep=needed)
    program, manifest, digest = program_of(bundle), bundle.manifest, bundle.digest[:12]
    engine = open_engine(bundle, program=program)
    stream = stream_for(bundle, engine, program=program, summary=False)
    log(f"bundle {manifest.name} version {manifest.version} engine {engine.name}: {engine.why}")
    del bundle  # what stands in it for others
    trim()
    source = _open(program, spec)
    live, n_windows = is_live(spec), 0
    frames: Any = memoryview(array("f", bytes(4 * BLOCK_FRAMES * len(program.channels))))
    try:
        while got := source.read(frames):
            times, records = _times(program, source, spec), getattr(source, "records", None)
            start, lines = 0, []
            while start < got:
                taken, decision = advance(stream, engine, frames, start, got - start, times=times, records=records)
                start += taken
                if decision is not None:
                    now_ms = time.time_ns() // 1_000_000 if live else round(stream.frames * 1000 / program.rate_hz)
                    line = {"window": decision.window, "time_ms": now_ms, **told(decision, stream, manifest)}
                    lines.append(json.dumps({**line, "bundle": digest}, separators=(",", ":")).encode() + b"\n")
            if lines:
                write(b"".join(lines))
            n_windows += len(lines)
    finally:
        source.close()
        for name, n in counts_of(source).items():
            log(f"lost {name} {n}")
    return n_windows


def _open(program: Program, spec: str) -> Source:
    if program.record or not program.channels:
        from edge_runtime.daemon.records import RecordSource

        return RecordSource(spec, program, {})
    names = [channel.name for channel in program.channels]
    return open_source(spec, rate_hz=program.rate_hz, channels=names)


def _times(program: Program, source: Source, spec: str) -> memoryview | None:
    """Of the block just read, where the program looks at them."""
    if not program.timing:
        return None
    times = times_of(source)
    if times is None:
        raise ContractError(
            f"source {spec!r} gives no times, and the program handles gaps ({program.timing.policy})",
            hint="name the time of a frame, as in: playback time_us=COLUMN FILE",
        )
    return times
