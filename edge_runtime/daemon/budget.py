"""What a device needs, added up before anything starts.

One rule: exact where it can be counted, stated where it was measured.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_runtime import native
from edge_runtime.daemon.config import BudgetConfig, Config
from edge_runtime.daemon.decide import BLOCK_FRAMES, Loaded
from edge_runtime.errors import BudgetError
from edge_runtime.lean import dataclass
from edge_runtime.sources import kind_of, needed_bytes, short_name

MIB = 1 << 20
# Resident memory of what is imported, measured on x86-64 with Python 3.11 (bytes).
LINK_BYTES = 16 * MIB  # paho, ssl and their buffers
SPOOL_BYTES = 4 * MIB  # sqlite3 and its page cache
ORT_BYTES = 32 * MIB  # onnxruntime by its C API, and a small session
ORT_PACKAGE_BYTES = 48 * MIB  # by its package, which brings numpy
RING = 64  # submissions that may wait for the spool, see `SpoolWorker`
FLIGHT_BYTES = 1 * MIB  # sealed batches on their way, see `Courier`
CHILD_BYTES = 24 * MIB  # the update child without an engine: cryptography, urllib, the bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one part needs [bytes]."""

    part: str
    n_bytes: int
    how: str


def needs(config: Config, loaded: Mapping[str, Loaded]) -> list[Need]:
    """Return a row for every part of the daemon; their sum is what must fit into `budget.memory_bytes`."""
    rows = [Need(part="interpreter and program", n_bytes=_resident_bytes(), how="measured now")]
    child = 0
    for stream in config.streams:
        one = loaded[stream.name]
        n_channels, n_features = len(one.program.channels), len(one.program.features)
        sampled = stream.sample_k * (8 * (n_features + len(one.labels)) + 400)
        rows += [
            Need(part=f"{stream.name}: windows, features, counts", n_bytes=one.stream.nbytes, how="exact"),
            Need(
                part=f"{stream.name}: model and engine ({one.engine.name})",
                n_bytes=one.engine.nbytes,  # what the engine brought is resident by now
                how="exact",
            ),
            Need(
                part=f"{stream.name}: source ({short_name(stream.source)})",
                n_bytes=needed_bytes(stream.source),
                how="bound",
            ),
            Need(part=f"{stream.name}: frames in hand", n_bytes=4 * BLOCK_FRAMES * n_channels, how="exact"),
            Need(part=f"{stream.name}: sampled records", n_bytes=sampled, how="bound"),
            Need(
                part=f"{stream.name}: waiting for the spool",
                n_bytes=RING * (sampled + one.stream.nbytes + 120 * (n_features + len(one.labels))),
                how="bound",
            ),
        ]
        child = max(child, CHILD_BYTES + _fresh_bytes(one))
    if not _imported("sqlite3"):
        rows.append(Need(part="spool", n_bytes=SPOOL_BYTES, how="measured before"))
    is_linked = config.broker is not None or any(kind_of(stream.source).broker for stream in config.streams)
    if is_linked and not _imported("paho.mqtt.client"):
        rows.append(Need(part="link", n_bytes=LINK_BYTES, how="measured before"))
    if config.broker is not None:
        rows.append(Need(part="batches on their way", n_bytes=FLIGHT_BYTES, how="bound"))
        rows.append(Need(part="update child, while it runs", n_bytes=child, how="measured before"))
        rows.append(Need(part="a new bundle in its hands", n_bytes=config.budget.bundle_bytes, how="bound"))
    return rows


def table(rows: Sequence[Need], budget: BudgetConfig) -> str:
    """Return the rows and their sum beside the budget, as text."""
    total = sum(row.n_bytes for row in rows)
    lines = [f"{row.part:<44} {row.n_bytes / 1024:>10.1f} KiB  {row.how}" for row in rows]
    lines.append(f"{'all together':<44} {total / 1024:>10.1f} KiB  budget {budget.memory_bytes / 1024:.1f} KiB")
    return "\n".join(lines)


def check(rows: Sequence[Need], budget: BudgetConfig, *, name: str) -> None:
    """Refuse what does not fit.

    Raises:
        BudgetError: with the whole table.
    """
    total = sum(row.n_bytes for row in rows)
    if total > budget.memory_bytes:
        raise BudgetError(
            f"{name} needs {total / 1024:.0f} KiB, budget.memory_bytes is {budget.memory_bytes / 1024:.0f} KiB\n"
            + table(rows, budget),
            hint="export a forest (native engine), use a shorter window, or raise budget.memory_bytes",
        )


def fence(budget: BudgetConfig) -> None:
    """Let this process take no more data memory than its budget on top of what it has, so a leak ends it alone."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = _data_bytes() + budget.memory_bytes
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def check_latency(loaded: Loaded, budget: BudgetConfig) -> None:
    """Refuse a bundle that declares more time a decision than this device allows.

    Raises:
        BudgetError: names both figures.
    """
    declared = loaded.bundle.manifest.budget.latency_us
    if budget.latency_us and declared > budget.latency_us:
        raise BudgetError(
            f"bundle {loaded.bundle.manifest.name} declares {declared} µs a decision, "
            f"budget.latency_us is {budget.latency_us}",
            hint="choose a smaller model or raise budget.latency_us",
        )


def check_traffic(config: Config, loaded: Mapping[str, Loaded]) -> None:
    """Refuse streams whose telemetry would exceed the bytes a day that this device may send.

    Raises:
        BudgetError: names the bytes and the stream that sends most.
    """
    limit = config.budget.record_bytes_day
    if not limit or config.broker is None:
        return
    bytes_day = {s.name: _bytes_day(s.period_windows, s.period_s, s.sample_k, loaded[s.name]) for s in config.streams}
    total = sum(bytes_day.values())
    if total > limit:
        most = max(bytes_day, key=bytes_day.__getitem__)
        raise BudgetError(
            f"telemetry would send {total} bytes a day, budget.record_bytes_day is {limit} (most of it: stream {most})",
            hint="lower sample_k or lengthen period_s of that stream",
        )


def _bytes_day(period_windows: int, period_s: float, sample_k: int, loaded: Loaded) -> int:
    program = loaded.program
    period = max(period_s, period_windows * program.hop_frames / program.rate_hz)
    n_rows = len(program.features) + len(loaded.labels)
    record, summary = 4 * n_rows + 20, 200 + 100 * n_rows
    return round(86400 / period * (sample_k * record + summary))


def _fresh_bytes(loaded: Loaded) -> int:
    """Of the engine and its model in a process of its own."""
    heavy = ORT_BYTES if native.ort_library() else ORT_PACKAGE_BYTES
    return loaded.engine.nbytes + (0 if loaded.engine.name == "native" else heavy)


def _imported(module: str) -> bool:
    return module in sys.modules


def _resident_bytes() -> int:
    """Resident memory of this process now [bytes]; 0 where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _data_bytes() -> int:
    """Data memory of this process now [bytes]; 0 where /proc does not tell."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0
