"""Runs `bench/bench_<name>.py` by pytest-benchmark, prints a table, writes `bench/results/<name>.json` (flat keys).

One rule: the figures are ratios of medians of CPU time in one run; a time by itself says more of the machine than of
the code, and wall time on a busy machine favours whatever is short.
The core is the tree's own build, or with `CC=zig` (or another compiler) one made for this run alone.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from bench import core

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run one benchmark and return the exit status."""
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    if len(names) != 1 or names[0] not in known:
        print(f"error: bench: want one of {', '.join(known)}, got {' '.join(names) or 'nothing'}")
        print(f"hint: make bench NAME={known[0]}")
        return 2
    name = names[0]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        compiled_by = core.version()
        core.load(Path(folder) / "core")
        module = importlib.import_module(f"bench.bench_{name}")
        results = timed(name, folder) if any(each.startswith("test_") for each in vars(module)) else {}
        if isinstance(results, int):
            return results
    more = getattr(module, "figures", None)
    results |= more(results) if more else {}
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results | machine(compiled_by), indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}")
    return 0


def timed(name: str, folder: str) -> dict[str, float] | int:
    """The table of the module's tests, by pytest-benchmark; the exit status where they fail."""
    raw = Path(folder) / "raw.json"
    options = ["-q", "--no-header", "--timeout=0", "--benchmark-only", "-p", "no:cacheprovider"]
    # CPU time: what else a shared machine does is nobody's. Rounds of 50 µs, as reading that clock costs 1.
    options += ["--benchmark-timer=time.process_time", "--benchmark-min-time=0.00005"]
    status = pytest.main([str(HERE / f"bench_{name}.py"), *options, "--benchmark-save-data", f"--benchmark-json={raw}"])
    return int(status) or table(json.loads(raw.read_text(encoding="utf-8"))["benchmarks"])


def table(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Print median and p99 of every contestant and how many times longer than ours (`core`) it takes; return both."""
    out: dict[str, float] = {}
    print(f"{'':<40}{'median µs':>12}{'p99 µs':>12}{'x core':>9}")
    for group, members in groupby(sorted(rows, key=lambda r: str(r["group"])), key=lambda r: r["group"]):
        medians: dict[str, tuple[float, float]] = {}
        keys: dict[str, str] = {}
        print(group)
        slug = re.sub(r"[^a-z0-9]+", "_", str(group).lower()).strip("_") + "_"
        for row in members:
            name = row["name"].removeprefix("test_").partition("[")[0]
            rival = re.sub("_(monitor|shared|ranks|call|columns|cold|batch|int8)$", "", name)
            slug = row["extra_info"].get("prefix", slug)  # "" for the figures that the gates read
            data = sorted(row["stats"]["data"])
            per_unit = 1e6 / row["extra_info"].get("rows", 1)
            medians[rival] = (row["stats"]["median"] * per_unit, data[int(0.99 * (len(data) - 1))] * per_unit)
            keys[rival] = row["extra_info"].get("key", "")  # the name under which a gate reads it
        core = medians["core"][0]
        for rival, (median, p99) in sorted(medians.items(), key=lambda item: item[1]):
            print(f"  {rival:<38}{median:>12.2f}{p99:>12.2f}{median / core:>9.1f}")
            out |= {f"{slug}{rival}_us": round(median, 3), f"{slug}{rival}_p99_us": round(p99, 3)}
            if rival != "core":
                out[f"{slug}x_{rival}"] = round(median / core, 2)
            if keys[rival]:
                out[keys[rival]] = round(median / core, 2) if keys[rival].startswith("x_") else round(median, 3)
    return out


def machine(compiled_by: str) -> dict[str, str]:
    """Return what the figures were measured on."""
    return {"python": platform.python_version(), "machine": platform.machine(), "compiler": compiled_by}


if __name__ == "__main__":
    sys.exit(main([name for name in sys.argv[1:] if name]))
