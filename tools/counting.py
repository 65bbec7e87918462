"""Instructions that the core executes for one window, or one record, counted by valgrind.

One rule: a count is exact; a time would not be.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.contract.program import TAPERS, Program
from edge_runtime.native.build import FLAGS
from edge_runtime.native.rows import KINDS

ROOT = Path(__file__).resolve().parents[1]
WINDOWS = 8
"""More windows in the second recording than in the first; a whole number of the core's moves of its rows."""


RECORDS, TIMES = 8, 8
"""Of count_rows.c: different records, and how often each is run."""


def missing() -> str:
    """What `count` needs and is not here; empty if all is."""
    return next((f"{tool} is not installed" for tool in ("valgrind", "gcc") if not shutil.which(tool)), "")


def count(programs: Sequence[Program]) -> list[float]:
    """Instructions a window of each program, the first windows and what is made once left out."""
    totals = _run("count.c", "\n".join(map(_text, programs)))
    return [(totals[i, 1] - totals[i, 0]) / _more(each) for i, each in enumerate(programs)]


def count_records(programs: Sequence[Program], records: Sequence[Sequence[Sequence[float | str]]]) -> list[float]:
    """Instructions a record of the row features of each program, the mean over eight records of its fields."""
    text = "\n".join(map(_row_text, programs, records))
    totals = _run("count_rows.c", text)
    return [totals[i, 0] / (RECORDS * TIMES) for i in range(len(programs))]


def _run(source: str, text: str) -> dict[tuple[int, int], int]:
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "count"
        sources = [ROOT / "tools" / source, *sorted((ROOT / "csrc").glob("er_*.c"))]
        subprocess.run(["gcc", *FLAGS, "-g0", f"-I{ROOT / 'csrc'}", *map(str, sources), "-o", binary], check=True)
        out = Path(folder) / "callgrind.out"
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", str(binary)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"valgrind: {done.stderr.strip()}")
        return _totals(Path(folder))


def _more(program: Program) -> int:
    """Windows after which the rows of the core stand where they stood."""
    moves = program.window_frames // program.hop_frames + 1
    return max(1, round(WINDOWS / moves)) * moves


def _text(program: Program) -> str:
    parts: list[object] = [program.rate_hz, program.window_frames, program.hop_frames, len(program.channels)]
    for channel in program.channels:
        parts += [channel.every, TAPERS.index(channel.taper)]
    parts.append(len(program.filters))
    for each in program.filters:
        parts += [each.op, TAPERS.index(each.taper), len(each.sources), *each.sources, *_four(each.params)]
    parts.append(len(program.features))
    for feature in program.features:
        parts += [feature.op, feature.channel, feature.other or 0, *_four(feature.params)]
    first = program.window_frames + 2 * program.hop_frames
    parts += [first, first + _more(program) * program.hop_frames]
    return " ".join(map(str, parts))


def _row_text(program: Program, records: Sequence[Sequence[float | str]]) -> str:
    fields = program.record
    stages = [each for each in program.fields if each.is_derived]
    cells = [each for each in program.features if each.is_row]
    parts: list[object] = [len(fields), *(KINDS[each.kind] for each in fields), len(stages), len(cells)]
    for stage in stages:
        parts += [stage.op, *(*stage.sources, 0)[:2], len(stage.params), len(stage.words), *stage.params, *stage.words]
    for cell in cells:
        parts += [cell.op, cell.channel, cell.other or 0, len(cell.params), len(cell.words), *cell.params, *cell.words]
    for record in records:
        parts += record
    return " ".join(map(str, parts))


def _four(params: Sequence[float]) -> list[float]:
    return [*params, *[0.0] * (4 - len(params))]


def _totals(folder: Path) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for path in folder.glob("callgrind.out.*"):
        text = path.read_text(encoding="utf-8", errors="replace")
        name = re.search(r"^desc: Trigger: Client Request: count (\d+) (\d+)", text, re.M)
        total = re.search(r"^(?:summary|totals): (\d+)", text, re.M)
        if name and total:
            found[int(name[1]), int(name[2])] = int(total[1])
    return found
