"""The bundle on this very CPU, before it may run: the golden vectors, peak memory, latency.

One rule: the engine and the path are those that will decide (`engines`). Runs inside the update child, after `inspect`.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_runtime import native
from edge_runtime.contract.bundle import Bundle
from edge_runtime.contract.golden import Golden
from edge_runtime.contract.program import Channel, Feature, Program
from edge_runtime.engines import Engine, advance, blank_record, open_engine, program_of, stream_for
from edge_runtime.errors import BudgetError, ContractError

SCORE_TOLERANCE = 1e-6
"""Of an engine whose arithmetic we do not own; the native one gives the exporter's bits."""
SLACK_BYTES = 16 << 20
"""What this check takes itself (documents, made-up frames, the allocator's rounding) on top of what the bundle says."""
MIN_WINDOWS = 100  # for a p99
MAX_ROUNDS = 20
MAX_MEASURE_S = 2.0


def preflight(bundle: Bundle, *, latency_us: int) -> dict[str, int | float]:
    """Return what was measured: golden vectors, worst score difference, p99 [µs], peak private memory [bytes].

    Args:
        bundle: verified and inspected.
        latency_us: p99 of a decision that this device allows [µs]. 0: the time between two windows, as a slower one
            never catches up. The manifest's own figure was measured on the exporter's machine and only informs.

    Raises:
        ContractError: a label or a score is not the exporter's.
        BudgetError: memory is over what the manifest says, or latency over the limit.
    """
    before = _memory(reset=True)
    engine = open_engine(bundle)
    worst, n = check_golden(bundle, engine)
    found_us = measure_p99_us(bundle, engine)
    after, program = _memory(), program_of(bundle)
    peak = max(0, after["VmHWM"] - after["RssFile"] - before["RssAnon"])
    _within(peak, bundle.manifest.budget.memory_bytes + SLACK_BYTES, "bytes of memory", bundle)
    _within(found_us, latency_us or int(1e6 * program.hop_frames / program.rate_hz), "µs p99", bundle)
    return {"golden": n, "worst_score": worst, "latency_us": found_us, "memory_bytes": peak}


def _within(found: int, limit: int, unit: str, bundle: Bundle) -> None:
    if found > limit:
        manifest = bundle.manifest
        raise BudgetError(
            f"bundle {manifest.name} {manifest.version} takes {found} {unit} on this device, limit is {limit}",
            hint="export a smaller model, or raise [budget] of device.toml",
        )


def check_golden(bundle: Bundle, engine: Engine) -> tuple[float, int]:
    """Return (worst score difference, number of vectors).

    Raises:
        ContractError: naming the vector, the label or score wanted and the one found.
    """
    golden = Golden.from_bytes(bundle.members["golden.json"])
    tolerance = 0.0 if bundle.manifest.engine == "native" else SCORE_TOLERANCE
    votes, worst = _Votes(bundle), 0.0
    for i, (features, label, wanted) in enumerate(zip(golden.features, golden.labels, golden.scores, strict=True)):
        scores = engine.scores(memoryview(array("f", features)))
        if len(scores) != len(wanted):
            raise ContractError(f"golden vector {i}: {len(scores)} scores, the exporter had {len(wanted)}")
        off = max(abs(a - b) for a, b in zip(scores, wanted, strict=True))
        if not off <= tolerance:
            raise ContractError(
                f"golden vector {i}: scores {list(scores)} differ by {off:g} from the exporter's {list(wanted)}",
                hint="this engine does not compute here what it computed there: do not run it on this device",
            )
        vote = votes.of(scores)
        if vote != label:
            raise ContractError(f"golden vector {i}: label {vote}, the exporter had {label}")
        worst = max(worst, off)
    return worst, len(golden.labels)


_PROBE = Program(
    rate_hz=1.0,
    channels=(Channel(name="x", unit="1"),),
    window_frames=2,
    hop_frames=2,
    features=(Feature(name="x.mean", op=1, channel=0),),
)
"""A program for whose windows anybody may give the scores."""


class _Votes:
    """The decision policy of the core, one window a question."""

    def __init__(self, bundle: Bundle) -> None:
        self._stream = native.Stream(_PROBE, bundle.manifest.policy, model=None)
        self._frames, self._n = noise(_PROBE.window_frames), _PROBE.window_frames

    def of(self, scores: Sequence[float]) -> int:
        """Return the label of *scores* alone, -1 where it is below its threshold."""
        for at in range(self._n):  # frame by frame, until a window waits for its scores
            self._stream.step(self._frames, at, 1)
            if self._stream.status == "scores":
                return self._stream.decide(scores).vote
        raise ContractError("preflight: a window of noise gave no decision")


def noise(n: int) -> memoryview:
    """Return *n* float32 values in -1..1 that are the same everywhere (a linear congruential generator)."""
    values, state = array("f", bytes(4 * n)), 1
    for i in range(n):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = state / 2**31 - 1.0
    return memoryview(values)


def _latencies_ns(bundle: Bundle, engine: Engine) -> Iterator[int]:
    """Yield the time of each decision, from its last frame on, over noise without end."""
    program = program_of(bundle)
    stream, frames, at = stream_for(bundle, engine), noise(program.window_frames * len(program.channels)), 0
    if program.record:
        stream.record(blank_record(program))
    to_go = program.window_frames
    while True:
        while to_go:  # the last frame of the window is a step of its own, whose time counts
            n = min(max(1, to_go - 1), program.window_frames - at)
            began = time.perf_counter_ns()
            taken, decision = advance(stream, engine, frames, at, n)
            spent = time.perf_counter_ns() - began
            to_go, at = to_go - taken, (at + taken) % program.window_frames
        if decision is None:
            raise ContractError("preflight: a whole window gave no decision")
        yield spent
        to_go = program.hop_frames


def measure_p99_us(bundle: Bundle, engine: Engine) -> int:
    """Return the p99 of a decision in the quietest round [µs, rounded up]: busy neighbours are not the bundle's."""
    latencies = _latencies_ns(bundle, engine)
    began, best = time.monotonic(), 0
    for i in range(MAX_ROUNDS):
        spent = sorted(next(latencies) for _ in range(MIN_WINDOWS))
        p99 = spent[MIN_WINDOWS * 99 // 100 - 1]
        best = p99 if i == 0 else min(best, p99)
        if time.monotonic() - began > MAX_MEASURE_S:
            break
    return -(-best // 1000)


def _memory(*, reset: bool = False) -> dict[str, int]:
    """Return resident memory: its peak since the last reset, its private and its file pages [bytes]; 0 if unknown."""
    found = dict.fromkeys(("VmHWM", "RssAnon", "RssFile"), 0)
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        for line in Path("/proc/self/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in found:
                found[key] = int(value.split()[0]) << 10
    except OSError:
        pass  # not Linux, or /proc is closed: RLIMIT_DATA is still there
    return found
