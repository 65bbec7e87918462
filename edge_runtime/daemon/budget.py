"""What a device needs, added up before anything starts.

One rule: exact where it can be counted, stated where it was measured.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

from edge_runtime import native
from edge_runtime.contract.needs import Need
from edge_runtime.contract.traffic import DAY_S, bytes_day, period_seconds, raw_bytes
from edge_runtime.daemon import raw
from edge_runtime.daemon.config import BudgetConfig, Config, StreamConfig
from edge_runtime.daemon.decide import BLOCK_FRAMES, Loaded
from edge_runtime.lean import dataclass
from edge_runtime.sampling import APART
from edge_runtime.sources import kind_of, needed_bytes, short_name

MIB = 1 << 20
# Resident memory of what is imported, measured on x86-64 with Python 3.11 (bytes).
LINK_BYTES = 16 * MIB  # paho, ssl and their buffers
SPOOL_BYTES = 4 * MIB  # sqlite3 and its page cache
ORT_BYTES = 32 * MIB  # onnxruntime by its C API, and a small session
ORT_PACKAGE_BYTES = 48 * MIB  # by its package, which brings numpy
RING = 64  # submissions that may wait for the spool, see `SpoolWorker`
FLIGHT_BYTES = 1 * MIB  # sealed batches on their way, see `Courier`
LESS_MEMORY = "export a forest (native engine), use a shorter window, or raise budget.memory_bytes"
CHILD_BYTES = 24 * MIB  # the update child without an engine: cryptography, urllib, the bundle


def needs(config: Config, loaded: Mapping[str, Loaded], shadows: Mapping[str, int] | None = None) -> list[Need]:
    """Return what the device needs, part by part, beside its `[budget]`; `shadows` are bytes by stream."""
    return [*memory(config, loaded, shadows), *latency(config, loaded), *traffic(config, loaded)]


def memory(config: Config, loaded: Mapping[str, Loaded], shadows: Mapping[str, int] | None = None) -> list[Need]:
    """Return a row for every part of the daemon; their sum is what must fit into `budget.memory_bytes`."""
    rows = [Need(what="interpreter and program", value=_resident_bytes(), how="measured now")]
    child = 0
    for stream in config.streams:
        one = loaded[stream.name]
        n_channels, n_features = len(one.program.channels), len(one.program.features)
        sampled = (stream.sample_k + APART) * (8 * (n_features + len(one.labels)) + 400)
        frames = raw.bytes_of(stream, one.program)
        rows += [
            Need(what=f"{stream.name}: windows, features, counts", value=one.stream.nbytes, how="exact"),
            Need(
                what=f"{stream.name}: model and engine ({one.engine.name})",
                value=one.engine.nbytes,  # what the engine brought is resident by now
                how="exact",
            ),
            Need(
                what=f"{stream.name}: source ({short_name(stream.source)})",
                value=needed_bytes(stream.source),
                how="bound",
            ),
            Need(what=f"{stream.name}: frames in hand", value=4 * BLOCK_FRAMES * n_channels, how="exact"),
            Need(what=f"{stream.name}: sampled records", value=sampled, how="bound"),
            Need(
                what=f"{stream.name}: waiting for the spool",
                value=RING * (sampled + frames + one.stream.nbytes + 120 * (n_features + len(one.labels))),
                how="bound",
            ),
        ]
        if shadows and stream.name in shadows:
            rows.append(Need(what=f"{stream.name}: shadow's model", value=shadows[stream.name], how="exact"))
        if frames:
            rows.append(Need(what=f"{stream.name}: raw windows", value=frames, how="exact"))
        child = max(child, CHILD_BYTES + _fresh_bytes(one))
    if not _imported("_sqlite3"):
        rows.append(Need(what="spool", value=SPOOL_BYTES, how="measured before"))
    is_linked = config.broker is not None or any(kind_of(stream.source).broker for stream in config.streams)
    if is_linked and not _imported("paho.mqtt.client"):
        rows.append(Need(what="link", value=LINK_BYTES, how="measured before"))
    if config.broker is not None:
        rows.append(Need(what="batches on their way", value=FLIGHT_BYTES, how="bound"))
        rows.append(Need(what="update child, while it runs", value=child, how="measured before"))
        rows.append(Need(what="a new bundle in its hands", value=config.budget.bundle_bytes, how="bound"))
    total = sum(row.value for row in rows)
    rows.append(Need(what="all together", value=total, limit=config.budget.memory_bytes, how="sum", hint=LESS_MEMORY))
    return rows


def latency(config: Config, loaded: Mapping[str, Loaded]) -> list[Need]:
    """Return what each bundle declares for a decision; a row a stream, where this device has a limit."""
    limit = config.budget.latency_us
    return [
        Need(
            what=f"{name}: latency of a decision",
            value=one.bundle.manifest.budget.latency_us,
            limit=limit,
            unit="µs",
            how=f"declared by bundle {one.bundle.manifest.name}, measured where it was exported",
            hint="choose a smaller model, or raise budget.latency_us",
        )
        for name, one in loaded.items()
        if limit
    ]


def traffic(config: Config, loaded: Mapping[str, Loaded]) -> list[Need]:
    """Return what each stream's telemetry sends, and all of it beside `budget.record_bytes_day`."""
    limit = config.budget.record_bytes_day
    if not limit or config.broker is None:
        return []
    rows = [
        Need(
            what=f"{stream.name}: telemetry",
            value=_bytes_day(stream, loaded[stream.name]),
            unit="bytes/day",
            how="encoded: the most records and the summary of a period",
        )
        for stream in config.streams
    ]
    frames = sum(_raw_bytes_day(stream, loaded[stream.name]) for stream in config.streams)
    if frames:
        most = config.budget.raw_bytes_day or frames
        rows.append(Need(what="raw windows", value=min(frames, most), unit="bytes/day", how="bound"))
    total = sum(row.value for row in rows)
    hint = "lower sample_k or lengthen period_s of the stream that sends most"
    return [*rows, Need(what="all telemetry", value=total, limit=limit, unit="bytes/day", how="sum", hint=hint)]


def fence(budget: BudgetConfig) -> None:
    """Let this process take no more data memory than its budget on top of what it has, so a leak ends it alone."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = _status_bytes("VmData") + budget.memory_bytes
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Memory of this process [bytes]; 0 where /proc does not tell.

    Attributes:
        peak_bytes: The most that was ever resident.
        data_bytes: Data memory now.
        data_limit_bytes: The fence that it may not cross; 0 is none.
    """

    peak_bytes: int
    data_bytes: int
    data_limit_bytes: int

    def is_news(self, told: Used | None) -> bool:
        """A high-water mark worth telling: the first, and then each that is higher by a sixteenth."""
        return self.peak_bytes > (told.peak_bytes * 17 // 16 if told else 0)


def used() -> Used:
    """Return what this process uses."""
    soft = resource.getrlimit(resource.RLIMIT_DATA)[0]
    limit = 0 if soft == resource.RLIM_INFINITY else soft
    return Used(peak_bytes=_status_bytes("VmHWM"), data_bytes=_status_bytes("VmData"), data_limit_bytes=limit)


def _bytes_day(stream: StreamConfig, loaded: Loaded) -> int:
    program = loaded.program
    return bytes_day(
        n_features=len(program.features),
        n_labels=len(loaded.labels),
        sample_k=stream.sample_k,
        period_s=stream.period_s,
        period_windows=stream.period_windows,
        window_s=program.hop_frames / program.rate_hz,
        apart=APART,
    )


def _raw_bytes_day(stream: StreamConfig, loaded: Loaded) -> int:
    """Every period with as many windows as it may have."""
    rule, program = raw.rule_of(stream, loaded.program), loaded.program
    if rule is None:
        return 0
    one = raw_bytes([(name, program.window_frames // program.channels[at].every) for at, name in rule.channels])
    period_s = period_seconds(
        period_s=stream.period_s,
        period_windows=stream.period_windows,
        window_s=program.hop_frames / program.rate_hz,
    )
    return round(DAY_S / period_s * rule.most * one)


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


def _status_bytes(name: str) -> int:
    """A figure of this process now [bytes]; 0 where /proc does not tell."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0
