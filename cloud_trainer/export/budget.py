"""What a bundle needs, beside what the target has. One rule: a table says of each figure how it was got.

Exact: counted. Measured: on this machine, which is not the device. Estimated: by the formula in the table.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge_runtime.contract import needs
from edge_runtime.contract.bundle import Bundle
from edge_runtime.contract.manifest import Budget
from edge_runtime.contract.needs import Need
from edge_runtime.contract.traffic import bytes_day
from edge_runtime.engines import Engine, advance, blank_record, open_engine, program_of, stream_for
from edge_runtime.errors import UsageError
from edge_runtime.native import Stream

MIB: Final = 1 << 20
# Private memory over a bare interpreter on x86-64, Python 3.11.
NATIVE_BYTES: Final = MIB // 2
ORT_BYTES: Final = 24 * MIB
ORT_COPIES: Final = 4  # of the model file while a session is made
# The device's defaults (edge_runtime.daemon.config): one summary and a bounded sample of records a period.
PERIOD_S: Final = 3600
PERIOD_WINDOWS: Final = 200
RECORDS: Final = 32
WINDOWS: Final = 300  # timed in a round
ROUNDS: Final = 3
TREES: Final = "use fewer or shallower trees (n_estimators, max_depth, max_leaf_nodes), or another estimator"
WINDOW: Final = "use a shorter window (features.window_frames), fewer channels or features"
FIGURES: Final = {
    "state_bytes": ("bytes", "exact", WINDOW),
    "model_bytes": ("bytes", "exact", TREES),
    "memory_bytes": ("bytes", "estimated: over a bare interpreter", f"{TREES}; {WINDOW}"),
    "latency_us": ("µs", "measured on this machine, p99, rounded up to 1-2-5", f"{TREES}; {WINDOW}"),
    "record_bytes_day": (
        "bytes/day",
        f"encoded: {RECORDS} records and one summary every {PERIOD_S} s",
        "use fewer features; on the device, stream.sample_k and stream.period_s",
    ),
}
"""Of a `Budget` field: its unit, how it comes about, and what makes it smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Last frame of a window to its decision, features included [µs]."""

    median_us: float
    p99_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the bundle declares, and how the latency came about."""

    budget: Budget
    latency: Latency


def needs_of(bundle: Bundle) -> Needs:
    """Count, measure and estimate what `bundle` needs; its manifest's own budget is not looked at."""
    engine = open_engine(bundle)
    stream = stream_for(bundle, engine)
    native = engine.name == "native"
    memory = stream.nbytes + (engine.nbytes + NATIVE_BYTES if native else ORT_BYTES + ORT_COPIES * engine.nbytes)
    latency, program = latency_of(bundle), program_of(bundle)
    budget = Budget(
        state_bytes=stream.nbytes,
        model_bytes=engine.nbytes,
        memory_bytes=memory,
        latency_us=_step(latency.p99_us),
        record_bytes_day=bytes_day(
            n_features=len(program.features),
            n_labels=len(bundle.manifest.labels),
            sample_k=RECORDS,
            period_s=PERIOD_S,
            period_windows=PERIOD_WINDOWS,
            window_s=program.hop_frames / program.rate_hz,
        ),
    )
    return Needs(budget=budget, latency=latency)


def latency_of(bundle: Bundle) -> Latency:
    """Times of `advance` over whole hops of a made-up signal; of the quietest of some rounds.

    What makes a round slow is the other work of this machine, and never the bundle.
    """
    engine = open_engine(bundle)
    stream, program = stream_for(bundle, engine), program_of(bundle)
    n = program.window_frames + WINDOWS * program.hop_frames
    noise = (((i * 2654435761) >> 8 & 0xFFFF) / 65536 for i in range(n * len(program.channels)))
    frames = memoryview(array("f", noise))
    if program.record:
        stream.record(blank_record(program))
    rounds = [_round(stream, engine, frames, n=n, hop=program.hop_frames) for _ in range(ROUNDS)]
    return min(rounds, key=lambda each: each.p99_us)


def _round(stream: Stream, engine: Engine, frames: memoryview[Any], *, n: int, hop: int) -> Latency:
    at, times = 0, []
    while at < n:
        before = time.perf_counter_ns()
        taken, decision = advance(stream, engine, frames, at, min(hop, n - at))
        passed = time.perf_counter_ns() - before
        at += taken
        if decision is not None:
            times.append(passed / 1000)
    times.sort()
    return Latency(median_us=times[len(times) // 2], p99_us=times[int(0.99 * (len(times) - 1))])


def _step(value: float) -> int:
    """The next of 1, 2, 5, 10, ...: a measured figure that does not change with every export."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if value <= factor * step:
                return factor * step
        step *= 10


def needs_table(
    budget: Budget, target: Mapping[str, int], *, latency: Latency | None = None, bundle_bytes: int = 0
) -> list[Need]:
    """A row a figure, beside the limits of the target."""
    rows = [
        Need(what=key, value=getattr(budget, key), limit=target.get(key), unit=unit, how=how, hint=hint)
        for key, (unit, how, hint) in FIGURES.items()
    ]
    if latency is not None:
        how = f"median {latency.median_us:.1f}, p99 {latency.p99_us:.1f}"
        rows.append(Need(what="latency now", value=round(latency.median_us), unit="µs", how=how))
    if bundle_bytes:
        rows.append(Need(what="bundle", value=bundle_bytes, how="exact, the file as shipped"))
    return rows


def table_text(
    budget: Budget, target: Mapping[str, int], *, latency: Latency | None = None, bundle_bytes: int = 0
) -> str:
    """Figures beside limits, one a line."""
    return needs.table(needs_table(budget, target, latency=latency, bundle_bytes=bundle_bytes))


def check(found: Needs, target: Mapping[str, int], *, name: str) -> None:
    """Refuse what is over a limit of the target.

    Raises:
        UsageError: The target limits something that there is not.
        BudgetError: With every excess and the table.
    """
    for key in target:
        if key not in FIGURES:
            raise UsageError(f"target.{key}: no such limit", hint=f"limits: {', '.join(FIGURES)}")
    needs.check(needs_table(found.budget, target, latency=found.latency), name=f"bundle {name}, for its [target],")
