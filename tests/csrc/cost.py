"""What the core costs on each target: code, stack, state and instructions of one standard window.

One rule: nothing is estimated from another target. Code and data are those of the object files; the worst stack is the
longest chain of gcc's call graph (-fcallgraph-info); instructions are counted by valgrind or the simulator, each one.
`python -m tests.csrc.cost` measures all targets, then writes the gates (bench/budgets.toml), docs/targets.md and the
table of README.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.csrc.targets import AARCH64, ARMV7, CLANG, CSRC, HOST, M4, M33, RECIPE, ROOT, Target, need
from tools import budgets_md

COSTS = (HOST, CLANG, AARCH64, ARMV7, M4, M33)
BUDGETS = ROOT / "bench" / "budgets.toml"
DOC = ROOT / "docs" / "targets.md"
README = ROOT / "README.md"
PROGRAM = CSRC / "tests" / "cost.c"
EXTERNAL_STACK_BYTES = 64
"""What a function of libgcc or the C library is taken to use; the boards' own measurement stands against it."""
NS_PER_INSTRUCTION = 64
"""-icount shift=6: the simulator's clock moves by 2^6 ns with every instruction."""
TICK_NS = {"cortex-m4f": 40, "cortex-m33": 50}
"""Of SysTick: 25 MHz on mps2-an386, 20 MHz on mps2-an505."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one target.

    Attributes:
        code_bytes: Code and constants of the whole core; an image that leaves operators away has less.
        static_bytes: Variables of the core: none, so all RAM is what the caller gives.
        frame_bytes: Greatest stack frame of one function.
        stack_bytes: Longest chain of calls from any public function; 0 where the compiler draws no call graph.
        state_bytes: Stream of the standard program.
        instructions: Of one window of it.
    """

    code_bytes: int
    static_bytes: int
    frame_bytes: int
    stack_bytes: int
    state_bytes: int
    instructions: int


def measure(target: Target, out: Path) -> Cost:
    """Everything about `target`, of what is `built` in the folder `out`."""
    code, static = sizes(target, out)
    state, count = window(target, out)
    return Cost(
        code_bytes=code,
        static_bytes=static,
        frame_bytes=greatest_frame(out),
        stack_bytes=worst_stack(out),
        state_bytes=state,
        instructions=count,
    )


# ---- code and stack: the core's object files


def built(target: Target, out: Path, sources: Sequence[Path] = ()) -> Path:
    """`out` with the objects of the core and their reports, those of `sources` alone where some are named."""
    need(target.compiler)
    out.mkdir(parents=True, exist_ok=True)
    graph = () if target.compiler == "clang" else ("-fcallgraph-info=su",)
    flags = [flag for flag in target.flags if flag != "-static"]
    command = [target.compiler, *RECIPE, *flags, *graph, "-fstack-usage", "-fno-asynchronous-unwind-tables"]
    command += [f"-I{CSRC}", "-c", *map(str, sources or sorted(CSRC.glob("er_*.c")))]
    subprocess.run(command, check=True, cwd=out)
    return out


def sizes(target: Target, out: Path) -> tuple[int, int]:
    """(code and constants, variables) of the objects in `out` [bytes]."""
    tool = target.compiler.replace("gcc", "size") if target.compiler.endswith("-gcc") else "size"
    need(tool)
    objects = sorted(out.glob("er_*.o"))
    listed = subprocess.run([tool, "-A", *objects], check=True, capture_output=True, text=True).stdout
    code = static = 0
    for section, size in re.findall(r"^(\.\S+)\s+(\d+)", listed, re.M):
        code += int(size) * section.startswith((".text", ".rodata", ".data.rel.ro"))
        static += int(size) * section.startswith((".data", ".bss")) * (not section.startswith(".data.rel.ro"))
    return code, static


def greatest_frame(out: Path) -> int:
    """Of the functions in `out` [bytes]."""
    rows = [line.split("\t") for path in out.glob("er_*.su") for line in path.read_text().splitlines()]
    assert rows
    assert {row[2] for row in rows} <= {"static", "dynamic,bounded"}, "a frame of unknown size"
    return max(int(row[1]) for row in rows)


def worst_stack(out: Path) -> int:
    """The longest chain of calls among the functions in `out` [bytes]; 0 without a call graph.

    A call through a pointer may reach every static function of its own file that does not lead back to it; in a file
    that looks operators up (er_..._find), also every function that nobody calls by name of the files that hold them.
    """
    frame: dict[str, int] = {}
    home: dict[str, str] = {}
    calls: dict[str, set[str]] = defaultdict(set)
    by_pointer: set[str] = set()
    for path in out.glob("er_*.ci"):
        text = path.read_text()
        for title, label in re.findall(r'^node: \{ title: "(.*?)" label: "(.*?)"', text, re.M):
            if size := re.search(r"(\d+) bytes", label):
                frame[title], home[title] = int(size[1]), path.stem
        for source, called in re.findall(r'sourcename: "(.*?)" targetname: "(.*?)"', text):
            if called == "__indirect_call":
                by_pointer.add(source)
            else:
                calls[source].add(called)
    if not frame:
        return 0
    named = {name for called in calls.values() for name in called}
    operators = {name for name in frame if re.match(r"er_(ops|filters|row|model_)", home[name]) and name not in named}
    looking = {home[name] for name in calls if any(re.fullmatch(r"er_\w+_find", called) for called in calls[name])}
    plain = {name: called.copy() for name, called in calls.items()}
    for name in by_pointer:
        own = {other for other in frame if ":" in other and home[other] == home[name]}
        calls[name] |= {other for other in own if not _leads(other, by_pointer, plain)}
        calls[name] |= {other for other in operators if ":" in other} if home[name] in looking else set()
    return max(_deepest(name, frame, calls, ()) for name in frame)


def _leads(name: str, to: set[str], calls: Mapping[str, set[str]]) -> bool:
    return name in to or any(_leads(other, to, calls) for other in calls.get(name, ()))


def _deepest(name: str, frame: Mapping[str, int], calls: Mapping[str, set[str]], above: tuple[str, ...]) -> int:
    assert name not in above, f"recursion has no worst stack: {' -> '.join((*above, name))}"
    below = [_deepest(other, frame, calls, (*above, name)) for other in calls.get(name, ())]
    return frame.get(name, EXTERNAL_STACK_BYTES) + max(below, default=0)


# ---- one window


def window(target: Target, out: Path) -> tuple[int, int]:
    """(state bytes, instructions of one window) of the standard program, with the objects in `out`."""
    if target.board:
        state = _said(target, _program(target, out, windows=0))["state_bytes"]
        return state, on_board(target, out, state, ram_bytes=target.ram_bytes)["instructions"]
    once, twice = (_program(target, out, windows=n) for n in (1, 2))
    return _said(target, once)["state_bytes"], _counted(target, twice) - _counted(target, once)


def on_board(target: Target, out: Path, state: int, *, ram_bytes: int) -> dict[str, int]:
    """Run one window on a board of `ram_bytes`, the stream's memory fixed by the linker: what the board measured."""
    small = replace(target, ram_bytes=ram_bytes, stack_bytes=1024)
    runner = (*target.runner[:1], "-icount", "shift=6", *target.runner[1:])
    said = _said(replace(small, runner=runner), _program(small, out, windows=1, state=state))
    assert said["state_bytes"] == state
    return said | {"instructions": round(said["ticks"] * TICK_NS[target.name] / NS_PER_INSTRUCTION)}


def _program(target: Target, out: Path, *, windows: int, state: int = 1 << 16) -> Path:
    more = ["-DBOARD"] if target.board and windows else []
    core = sorted(out.glob("er_*.o"))
    assert core
    folder = out / f"windows{windows}"
    return target.build(PROGRAM, folder, *more, f"-DSTATE_BYTES={state}", f"-DWINDOWS={windows}", core=core)


def _said(target: Target, binary: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in target.run(binary))}


def _counted(target: Target, binary: Path) -> int:
    """Instructions of a whole run."""
    if not target.runner:
        need("valgrind")
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(binary)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = re.search(r"Collected : (\d+)", done.stderr)
        assert found
        return int(found[1])
    need(target.runner[0])
    traced = [*target.runner, "-singlestep", "-d", "exec,nochain", str(binary)]  # one line an instruction
    with subprocess.Popen(traced, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as run:
        assert run.stderr
        count = sum(line.startswith(b"Trace ") for line in run.stderr)
    assert run.returncode == 0
    return count


# ---- gates and the document


def budgets() -> dict[str, Cost]:
    """The gates by target."""
    return {name: Cost(**gates) for name, gates in tomllib.loads(BUDGETS.read_text(encoding="utf-8")).items()}


def budgets_toml(costs: Mapping[str, Cost]) -> str:
    """The file of gates."""
    head = "# Gates of tests/csrc/test_cost.py, all exact but for the slack stated there. Written by\n"
    head += "# `python -m tests.csrc.cost`, which measures all of it anew; docs/targets.md is made from this file.\n"
    tables = [
        f"\n[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in asdict(cost).items()) for name, cost in costs.items()
    ]
    return head + "".join(tables)


def targets_md(costs: Mapping[str, Cost]) -> str:
    """The document."""
    columns = ("target", "code", "variables", "greatest frame", "worst stack", "state", "instructions a window")
    rows = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    for name, c in costs.items():
        stack = f"{c.stack_bytes:,}" if c.stack_bytes else "no call graph"
        numbers = (f"{c.code_bytes:,}", f"{c.static_bytes}", f"{c.frame_bytes:,}", stack, f"{c.state_bytes:,}")
        rows.append(f"| {name} | " + " | ".join((*numbers, f"{c.instructions:,}")) + " |")
    return HEAD + "\n".join(rows) + "\n" + TAIL


HEAD = """# What the core costs on each target

Made by `python -m tests.csrc.cost` from `bench/budgets.toml`; `tests/csrc/test_cost.py` holds every number as a gate.
Sizes in bytes, with the flags of `csrc/Makefile` (`-O3`). State and instructions are those of the standard program: 26
features of each of 6 channels, a window of 256 frames at 128 Hz (`csrc/tests/standard.h`).

"""
TAIL = """
- *Code* is the whole core with its constants; a linker with `--gc-sections` leaves out what a device does not call.
- *Variables*: the core has none. All RAM is the stream's state, which the caller places, and the stack.
- *Worst stack*: the longest chain of calls by gcc's own call graph, 64 bytes for each function of libgcc or the C
  library on it. The boards paint their stack and find less.
- *Instructions*: counted one by one. x86-64: valgrind; aarch64, armv7: each instruction that qemu runs; Cortex-M:
  SysTick of qemu-system-arm under `-icount`, whose clock moves with the instructions alone. A Cortex-M4F or M33
  computes in float by its FPU and in double by libgcc.
- armv7-gcc is built for any ARMv7-A with an FPU (`-march=armv7-a+fp`), so without NEON.
- The bits are the same on all of them, and on riscv64 and x86-64 at `-O0`, v3 and v4
  (`tests/csrc/test_matrix.py`).
"""


def main() -> None:
    """Measure all, write the gates and what is made of them."""
    with tempfile.TemporaryDirectory() as folder:
        costs = {target.name: measure(target, built(target, Path(folder) / target.name)) for target in COSTS}
    BUDGETS.write_text(budgets_toml(costs), encoding="utf-8")
    DOC.parent.mkdir(exist_ok=True)
    DOC.write_text(targets_md(costs), encoding="utf-8")
    README.write_text(budgets_md.readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(DOC.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
