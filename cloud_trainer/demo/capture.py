"""Captures labelled takes of this machine at work. One rule: takes of one label are spread over the whole time.

The order is take 0 of every label, then take 1 of every label, each time begun at another label, so that what
drifts slowly in the machine does not look like a label.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cloud_trainer.demo.workloads import WORKLOADS, running
from edge_runtime.errors import ContractError, EdgeloopError
from edge_runtime.sources.capture import capture
from edge_runtime.sources.host import HostSource

INDEX = "takes.csv"
SETTLE_S = 0.5
REST_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """One line of the index: one captured file."""

    file: str
    label: str
    take: int
    rate_hz: float
    frames: int
    machine: str  # tells nothing of who or where


def describe_machine() -> str:
    """Such as "2 cores, Linux 6.18"."""
    release = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count() or 1} cores, {platform.system()} {release}"


def plan(labels: Sequence[str], *, takes: int, first_take: int = 0) -> list[tuple[str, int]]:
    """The order of the takes: all labels of a take number before the next, begun at another label each time."""
    order = []
    for take in range(first_take, first_take + takes):
        at = take % len(labels)
        order += [(label, take) for label in (*labels[at:], *labels[:at])]
    return order


def capture_takes(
    out_dir: Path | str,
    *,
    labels: Sequence[str] = tuple(WORKLOADS),
    takes: int,
    seconds: float,
    first_take: int = 0,
    rate_hz: float = 20.0,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda _line: None,
) -> list[Take]:
    """The takes captured; each also a file `<label>-<take>.csv.gz` and a line in `takes.csv`, which keeps its others.

    Args:
        out_dir: Made if it is not there.
        labels: Names of `WORKLOADS`.
        takes: How many of each, >= 1.
        seconds: Length of one [s].
        first_take: The number of the first, >= 0; it also seeds the workload.
        rate_hz: Frames per second, 1..50 [Hz].
        overwrite: Replace files that exist.
        progress: Called with a line about each take.

    Raises:
        ValueError: A label is no workload, or there is none.
        UsageError: A file exists, or this is no Linux.
        RuntimeError: A workload failed; its take is not kept.
    """
    unknown = sorted(set(labels) - set(WORKLOADS))
    if unknown or not labels:
        raise ValueError(f"labels {unknown or 'none'}: want some of {', '.join(WORKLOADS)}")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    done: list[Take] = []
    order = plan(labels, takes=takes, first_take=first_take)
    for number, (label, take) in enumerate(order, 1):
        progress(f"{number}/{len(order)} {label} take {take}")
        done.append(_one(folder, label, take=take, seconds=seconds, rate_hz=rate_hz, overwrite=overwrite))
        write_index(folder, done)
    return done


def _one(folder: Path, label: str, *, take: int, seconds: float, rate_hz: float, overwrite: bool) -> Take:
    # What the take before left to be written would be seen in this one.
    os.sync()
    time.sleep(REST_S)
    name = f"{label}-{take}.csv.gz"
    source = HostSource(rate_hz=rate_hz)
    try:
        with running(label, take=take):
            time.sleep(SETTLE_S)
            frames = capture(source, folder / name, seconds=seconds, overwrite=overwrite)
    except RuntimeError:
        # The workload broke off, so the file shows something else than its label says.
        (folder / name).unlink(missing_ok=True)
        raise
    finally:
        source.close()
    return Take(file=name, label=label, take=take, rate_hz=rate_hz, frames=frames, machine=describe_machine())


def read_index(folder: Path | str) -> list[Take]:
    """The takes of a folder, by label and number; none if it has no index.

    Raises:
        ContractError: The index is not one.
    """
    path = Path(folder) / INDEX
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return [
                Take(
                    file=row["file"],
                    label=row["label"],
                    take=int(row["take"]),
                    rate_hz=float(row["rate_hz"]),
                    frames=int(row["frames"]),
                    machine=row["machine"],
                )
                for row in csv.DictReader(file)
            ]
        except (KeyError, TypeError, ValueError) as why:
            raise ContractError(f"{path}: not an index of takes: {why}", hint="capture the takes again") from None


def write_index(folder: Path, takes: Iterable[Take]) -> None:
    """Put `takes` into the index of `folder`; lines of other files stay."""
    by_file = {take.file: take for take in (*read_index(folder), *takes)}
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Take)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(take) for take in sorted(by_file.values(), key=lambda t: (t.label, t.take)))
    part = folder / f".{INDEX}.part"
    part.write_text(text.getvalue(), encoding="utf-8")
    part.replace(folder / INDEX)


def main(arguments: list[str] | None = None) -> int:
    """Captures labelled takes of this machine; leave it alone meanwhile."""
    parser = argparse.ArgumentParser(prog="python -m cloud_trainer.demo.capture", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--labels", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="LABEL")
    parser.add_argument("--takes", type=int, default=6, help="of each label (default 6)")
    parser.add_argument("--seconds", type=float, default=16.0, help="of one take (default 16)")
    parser.add_argument("--first-take", type=int, default=0, help="number of the first (default 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    asked = parser.parse_args(arguments)
    try:
        capture_takes(
            asked.out,
            labels=asked.labels,
            takes=asked.takes,
            seconds=asked.seconds,
            first_take=asked.first_take,
            overwrite=asked.overwrite,
            progress=lambda line: print(line, flush=True),
        )
    except EdgeloopError as why:
        print(f"error: {why}\nhint: {why.hint}", file=sys.stderr)
        return why.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
