"""The counters of a Linux machine as channels: /proc text in, numbers out. One rule: pure, no IO (that is `host`).

A counter that the kernel does not have is left out of the answer, never made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from edge_runtime.lean import dataclass

USER_HZ = 100  # ticks per second in /proc/stat: part of the kernel's ABI on x86, arm, riscv, mips and power
_NOT_A_DISK = re.compile(r"(loop|ram|zram|dm-|md|sr|fd)\d|mmcblk\d+(boot\d|rpmb|gp\d)")
"""Names that are no disk, or stand on disks that are counted themselves (device mapper, RAID)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel of the host source: a level, or the rate of a counter."""

    name: str
    unit: str
    doc: str
    file: str  # below /proc
    is_rate: bool = True  # else the number is taken as it is
    most: float | None = None  # a fraction is held below this: ticks of 10 ms overshoot in a short frame


CHANNELS: tuple[Channel, ...] = (
    Channel(name="cpu_user", unit="1", file="stat", most=1.0,
            doc="time in programs, nice included, as a fraction 0..1 of all cores together"),
    Channel(name="cpu_system", unit="1", file="stat", most=1.0,
            doc="time in the kernel, interrupts included, as a fraction 0..1 of all cores together"),
    Channel(name="cpu_iowait", unit="1", file="stat", most=1.0,
            doc="time idle while a disk was waited for, as a fraction 0..1 of all cores together"),
    Channel(name="context_switches", unit="1/s", file="stat", doc="switches between tasks, all cores"),
    Channel(name="interrupts", unit="1/s", file="stat", doc="interrupts served, all cores"),
    Channel(name="process_starts", unit="1/s", file="stat", doc="processes and threads started"),
    Channel(name="runnable", unit="1", file="stat", is_rate=False,
            doc="tasks running or ready at the instant, the sampler itself not counted, per core: 1 = all busy"),
    Channel(name="page_faults", unit="1/s", file="vmstat", doc="page faults, minor and major"),
    Channel(name="major_faults", unit="1/s", file="vmstat", doc="page faults that had to read a disk"),
    Channel(name="sectors_read", unit="1/s", file="diskstats", doc="512-byte sectors read, all whole disks"),
    Channel(name="sectors_written", unit="1/s", file="diskstats", doc="512-byte sectors written, all whole disks"),
    Channel(name="io_time", unit="1", file="diskstats",
            doc="time with a request under way, a fraction per disk, summed over whole disks"),
    Channel(name="net_rx_bytes", unit="1/s", file="net/dev", doc="bytes received, all interfaces, loopback too"),
    Channel(name="net_tx_bytes", unit="1/s", file="net/dev", doc="bytes sent, all interfaces, loopback too"),
    Channel(name="net_rx_packets", unit="1/s", file="net/dev", doc="packets received, all interfaces, loopback too"),
    Channel(name="net_tx_packets", unit="1/s", file="net/dev", doc="packets sent, all interfaces, loopback too"),
    Channel(name="memory_used", unit="1", file="meminfo", is_rate=False,
            doc="(MemTotal - MemAvailable) / MemTotal, 0..1"),
)  # fmt: skip


def _first_number(text: str, key: str) -> float | None:
    """The number after `key` at a line's start, None if there is no such line. Searching costs a third of splitting."""
    at = 0 if text.startswith(key) else text.find("\n" + key) + 1
    if at == 0 and not text.startswith(key):
        return None
    at += len(key)
    return float(text[at : at + 40].split(None, 1)[0])


def parse_stat(text: str) -> dict[str, float]:
    """CPU seconds per core, and the counters of /proc/stat. A kernel without iowait counts it as idle: 0 here."""
    ticks = [float(v) for v in text[: text.index("\n")].split()[1:8]] + [0.0] * 7
    user, nice, system, _idle, iowait, irq, softirq = ticks[:7]
    cores = max(1, text.count("\ncpu"))
    seconds = 1.0 / (USER_HZ * cores)
    found = {
        "cpu_user": (user + nice) * seconds,
        "cpu_system": (system + irq + softirq) * seconds,
        "cpu_iowait": iowait * seconds,
    }
    for key, name in (("ctxt ", "context_switches"), ("intr ", "interrupts"), ("processes ", "process_starts")):
        if (value := _first_number(text, key)) is not None:
            found[name] = value
    if (running := _first_number(text, "procs_running ")) is not None:
        found["runnable"] = max(0.0, running - 1.0) / cores
    return found


def parse_vmstat(text: str) -> dict[str, float]:
    """Page faults since the start of the machine."""
    values = {"page_faults": _first_number(text, "pgfault "), "major_faults": _first_number(text, "pgmajfault ")}
    return {name: value for name, value in values.items() if value is not None}


def parse_diskstats(text: str) -> dict[str, float]:
    """Sectors and busy seconds since the start, summed over whole disks; no disk gives zeros.

    Source: the kernel's Documentation/admin-guide/iostats.rst (fields 3, 7 and 10 after the name).
    """
    rows = [line.split(None, 14) for line in text.splitlines()]
    # Before 2.6.25 a partition's line had four fields after the name; a disk's always had eleven or more.
    rows = [row for row in rows if len(row) >= 14]
    disks = whole_disks(tuple(row[2] for row in rows))
    rows = [row for row in rows if row[2] in disks]
    return {
        "sectors_read": sum(float(row[5]) for row in rows),
        "sectors_written": sum(float(row[9]) for row in rows),
        "io_time": sum(float(row[12]) for row in rows) / 1000.0,
    }


@lru_cache(maxsize=4)
def whole_disks(names: Sequence[str]) -> frozenset[str]:
    """Those of `names` that are disks: no partition of another name, nothing in memory or stacked on disks."""
    every = set(names)

    def is_part(name: str) -> bool:
        stem = name.rstrip("0123456789")
        if stem == name:
            return False
        # sda1 is part of sda; nvme0n1p2 and mmcblk0p1 are parts of a name that ends in a digit.
        return stem in every or (stem.endswith("p") and stem[-2:-1].isdigit() and stem[:-1] in every)

    return frozenset(n for n in every if not is_part(n) and not _NOT_A_DISK.match(n))


def parse_net_dev(text: str) -> dict[str, float]:
    """Bytes and packets since the start, summed over all interfaces of this network namespace, loopback too."""
    # An old kernel prints no space after the colon ("eth0:123"); a name may have colons of its own ("eth0:1:").
    rows = [line.rpartition(":")[2].split(None, 10) for line in text.splitlines() if ":" in line]
    at = {"net_rx_bytes": 0, "net_rx_packets": 1, "net_tx_bytes": 8, "net_tx_packets": 9}
    return {name: sum(float(row[i]) for row in rows) for name, i in at.items()}


def parse_meminfo(text: str) -> dict[str, float]:
    """The fraction of memory in use. Before Linux 3.14 "available" is taken as free + buffers + cached."""
    total = _first_number(text, "MemTotal:")
    free = _first_number(text, "MemAvailable:")
    if free is None:
        parts = (_first_number(text, key) for key in ("MemFree:", "Buffers:", "Cached:"))
        free = sum(part for part in parts if part is not None)
    return {"memory_used": (total - free) / total} if total else {}


PARSERS: dict[str, Callable[[str], dict[str, float]]] = {
    "stat": parse_stat,
    "vmstat": parse_vmstat,
    "diskstats": parse_diskstats,
    "net/dev": parse_net_dev,
    "meminfo": parse_meminfo,
}


def frame(
    channels: Sequence[Channel], before: Mapping[str, float], *, now: Mapping[str, float], elapsed_s: float
) -> list[float]:
    """One frame: the levels of `now`, and the rates from `before` to `now` over `elapsed_s` > 0 [s].

    A counter that went back (an interface is gone, 32 bits ran over, iowait was corrected) gives 0.
    """
    values = []
    for channel in channels:
        value = now[channel.name]
        if channel.is_rate:
            value = max(0.0, value - before[channel.name]) / elapsed_s
        values.append(value if channel.most is None else min(value, channel.most))
    return values
