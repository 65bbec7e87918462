"""The machines that the core is proven on: how each builds a C program of csrc/tests and runs it.

One rule: a missing tool or CPU is a printed skip, never a pass. The boards have no C library, no heap and no operating
system (bare/); their images also say how much memory the core takes, known when they are linked.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
BARE = Path(__file__).parent / "bare"
RECIPE = ("-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
FUSED = ("-std=c11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
V4 = frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One compiler for one machine.

    Attributes:
        name: As in bench/budgets.toml.
        compiler: Its command.
        flags: Beside the recipe.
        runner: What runs its programs; empty: this machine.
        cpu: Flags that /proc/cpuinfo must name to run them here.
        board: (code, RAM) start addresses of a bare board, or None.
        code_bytes: Room for code there.
        ram_bytes: Room for data and stack there.
        stack_bytes: Of those, what must be left for the stack, or the image does not link.
    """

    name: str
    compiler: str
    flags: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    cpu: frozenset[str] = frozenset()
    board: tuple[int, int] | None = None
    code_bytes: int = 4 << 20
    ram_bytes: int = 2 << 20
    stack_bytes: int = 8192

    def build(
        self, source: Path, out: Path, *more: str, recipe: tuple[str, ...] = RECIPE, core: Sequence[Path] = ()
    ) -> Path:
        """`source` with the whole core (or its objects), in the folder `out` (made here); `more` flags come last."""
        need(self.compiler)
        out.mkdir(parents=True, exist_ok=True)
        binary = out / source.stem
        parts = map(str, [source, *(core or sorted(CSRC.glob("er_*.c")))])
        command = [self.compiler, *recipe, *self.flags, f"-I{CSRC}", *parts, "-o", str(binary)]
        if self.board:
            places = {"CODE_AT": self.board[0], "CODE_BYTES": self.code_bytes, "RAM_AT": self.board[1]}
            places |= {"RAM_BYTES": self.ram_bytes, "STACK_BYTES": self.stack_bytes}
            command += [f"-I{BARE}/include", "-ffunction-sections", "-fdata-sections", str(BARE / "board.c")]
            command += ["-nostdlib", "-Wl,--gc-sections", f"-Wl,-Map={binary}.map", "-T", str(BARE / "board.ld")]
            command += [f"-Wl,--defsym={name}={value:#x}" for name, value in places.items()]
            command += ["-lc", "-lgcc"]  # memcpy and its kin, arithmetic in double; libm is not there
        subprocess.run([*command, *more], check=True)
        return binary

    def can_run(self) -> str:
        """Why its programs cannot run here, or ''."""
        if self.runner and shutil.which(self.runner[0]) is None:
            return f"not installed: {self.runner[0]}"
        missing = self.cpu - cpu_flags()
        return f"this CPU has no {', '.join(sorted(missing))}" if missing else ""

    def run(self, binary: Path) -> list[str]:
        """Its lines."""
        reason = self.can_run()
        if reason:
            pytest.skip(reason)
        done = subprocess.run([*self.runner, binary], check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{self.name}: status {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}"
        return done.stdout.splitlines()


def need(*tools: str) -> None:
    """Skip the test, with the reason, unless every tool is installed."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def cpu_flags() -> frozenset[str]:
    """What this CPU says it can do."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return frozenset(next((line.split(":")[1].split() for line in lines if line.startswith("flags")), ()))


def board(name: str, machine: str, places: tuple[int, int], *flags: str) -> Target:
    """A Cortex-M of qemu-system-arm, its text by semihosting on stdout."""
    runner = ["qemu-system-arm", "-M", machine, "-display", "none", "-monitor", "none", "-serial", "none"]
    runner += ["-chardev", "stdio,id=text", "-semihosting-config", "enable=on,target=native,chardev=text", "-kernel"]
    return Target(
        name=name,
        compiler="arm-none-eabi-gcc",
        flags=("-mthumb", "-mfloat-abi=hard", *flags),
        runner=tuple(runner),
        board=places,
    )


HOST = Target(name="x86-64-gcc", compiler="gcc")
CLANG = Target(name="x86-64-clang", compiler="clang")
V3 = Target(name="x86-64-v3-gcc", compiler="gcc", flags=("-march=x86-64-v3",), cpu=frozenset({"avx2", "fma"}))
AARCH64 = Target(
    name="aarch64-gcc", compiler="aarch64-linux-gnu-gcc", flags=("-static",), runner=("qemu-aarch64-static",)
)
ARMV7 = Target(
    name="armv7-gcc",
    compiler="arm-linux-gnueabihf-gcc",
    flags=("-march=armv7-a+fp", "-mfloat-abi=hard", "-static"),
    runner=("qemu-arm-static",),
)
M4 = board("cortex-m4f", "mps2-an386", (0, 0x20000000), "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16")
M33 = board("cortex-m33", "mps2-an505", (0x10000000, 0x38000000), "-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16")
TARGETS = (
    HOST,
    Target(name="x86-64-gcc-O0", compiler="gcc", flags=("-O0",)),
    V3,
    Target(name="x86-64-v4-gcc", compiler="gcc", flags=("-march=x86-64-v4",), cpu=V4),
    CLANG,
    Target(name="x86-64-v3-clang", compiler="clang", flags=("-march=x86-64-v3",), cpu=V3.cpu),
    AARCH64,
    ARMV7,
    Target(name="riscv64-gcc", compiler="riscv64-linux-gnu-gcc", flags=("-static",), runner=("qemu-riscv64-static",)),
    M4,
    M33,
)
