"""Instructions of any piece of C over the core, counted on any target: valgrind, qemu or a simulated board.

One rule: a case runs a few times and a few times more, and the difference counts; so what it makes once is left out.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.csrc.cost import TICK_NS
from tests.csrc.targets import CSRC, RECIPE, Target, need

FEW, MORE = 2, 4
SHIFT = 4
"""The simulator's clock moves by 2^4 ns with every instruction: SysTick, of 24 bits, counts 40 million of them."""
HEAD = """
#include <string.h>
#include "er.h"
extern uint64_t counted_memory[65536];
extern float counted_frames[65536], counted_out[8192];
"""
MAIN = """
#include <stdint.h>
#include <stdio.h>
uint64_t counted_memory[65536];
float counted_frames[65536]; /* noise on an offset, -0.5..1.5 */
float counted_out[8192];
#if defined(BOARD)
static volatile uint32_t *const systick = (volatile uint32_t *)0xE000E010u;
static uint32_t began;
static void start(void) { systick[1] = 0xffffffu; systick[2] = 0; systick[0] = 5; while (!systick[2]) {} }
static void begin(void) { start(); began = systick[2]; }
static void end(void)
{
    const uint32_t took = began - systick[2];
    printf("%u %u\\n", (unsigned)took, (unsigned)(systick[0] >> 16 & 1u));
}
#elif defined(VALGRIND)
#include <valgrind/callgrind.h>
static void begin(void) { CALLGRIND_ZERO_STATS; }
static void end(void) { CALLGRIND_DUMP_STATS; }
#else
static volatile int marks;
__attribute__((noinline)) void counted_mark(void) { marks++; }
static void begin(void) { counted_mark(); }
static void end(void) { counted_mark(); }
#endif
PROTOTYPES
int main(void)
{
    uint64_t rng = 1;
    int status = 0;
    for (int i = 0; i < 65536; i++) {
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        counted_frames[i] = (float)(rng >> 40) / 8388608.0f - 0.5f;
    }
CALLS
    return status != 0;
}
"""


def count(target: Target, cases: Sequence[str], out: Path) -> list[float]:
    """Instructions of one more time of each case.

    Args:
        target: Where.
        cases: C that defines `int CASE(unsigned times)`, 0 = well; it may use `counted_memory`,
            `counted_frames` and `counted_out`.
        out: Folder for what is built.
    """
    need(target.compiler)
    objects = [*_compiled(target, sorted(CSRC.glob("er_*.c")), out / "core"), *_cases(target, cases, out)]
    names = [f"case_{i}" for i in range(len(cases))]
    calls = ["    status |= case_0(1); /* what is bound at a first call is bound */"]
    calls += [f"    begin(); status |= {name}({n}); end();" for name in names for n in (FEW, MORE)]
    main = out / "main.c"
    text = MAIN.replace("PROTOTYPES", "\n".join(f"int {name}(unsigned times);" for name in names))
    main.write_text(text.replace("CALLS", "\n".join(calls)), encoding="ascii")
    binary = target.build(main, out / "built", _how(target), core=objects)
    totals = _totals(target, binary)
    assert len(totals) == 2 * len(cases), f"{target.name}: {len(totals)} counts of {len(cases)} cases"
    return [(more - few) / (MORE - FEW) for few, more in zip(totals[::2], totals[1::2], strict=True)]


def _how(target: Target) -> str:
    return "-DBOARD" if target.board else "-DCOUNTED" if target.runner else "-DVALGRIND"


def _compiled(target: Target, sources: Sequence[Path], out: Path, *more: str) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    flags = [flag for flag in target.flags if flag != "-static"]
    command = [target.compiler, *RECIPE, *flags, *more, f"-I{CSRC}", "-ffunction-sections", "-c", *map(str, sources)]
    subprocess.run(command, check=True, cwd=out)
    return [out / f"{source.stem}.o" for source in sources]


def _cases(target: Target, cases: Sequence[str], out: Path) -> list[Path]:
    folder = out / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    sources = [folder / f"case_{i}.c" for i in range(len(cases))]
    for source, text in zip(sources, cases, strict=True):
        source.write_text(HEAD + text.replace("CASE", source.stem), encoding="ascii")
    return _compiled(target, sources, out / "objects", "-O1")


def _totals(target: Target, binary: Path) -> list[float]:
    """Instructions between each begin() and end(), in order."""
    if target.board:
        runner = [*target.runner[:1], "-icount", f"shift={SHIFT}", *target.runner[1:], str(binary)]
        lines = subprocess.run(runner, check=True, capture_output=True, text=True).stdout.split()
        assert not any(map(int, lines[1::2])), "SysTick wrapped: run the case less often"
        return [int(ticks) * TICK_NS[target.name] / 2**SHIFT for ticks in lines[::2]]
    if not target.runner:
        need("valgrind")
        out = binary.parent / "callgrind.out"
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", str(binary)]
        subprocess.run(command, check=True, capture_output=True)
        dumps = sorted(binary.parent.glob("callgrind.out.*"), key=lambda path: int(path.suffix[1:]))
        found = [re.search(r"^(?:summary|totals): (\d+)", path.read_text(errors="replace"), re.M) for path in dumps]
        return [float(each[1]) for each in found if each]
    return _traced(target, binary)


def _traced(target: Target, binary: Path) -> list[float]:
    """One line an instruction; those of `counted_mark` stand between the counts."""
    need(target.runner[0])
    command = [*target.runner, "-singlestep", "-d", "exec,nochain", str(binary)]
    counts, n, is_open, in_mark = [], 0, False, False
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as run:
        assert run.stderr
        for line in run.stderr:
            if not line.startswith(b"Trace "):
                continue
            if line.endswith(b" counted_mark\n"):
                if not in_mark:
                    if is_open:
                        counts.append(float(n))
                    is_open, in_mark, n = not is_open, True, 0
            else:
                in_mark = False
                n += 1
    assert run.returncode == 0
    return counts
