"""The sizes in docs/firmware.md: `python -m tools.firmware_md` builds the images anew and writes them.

One rule: what is counted is what is linked: an exported bundle that opens and steps, the core, dead code left away.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import monitor
from edge_runtime import firmware
from edge_runtime.contract.bundle import Bundle, unpack
from tests.csrc.targets import CSRC, M4, M33, Target

PATH = Path(__file__).resolve().parents[1] / "docs" / "firmware.md"
BEGIN, END = "<!-- sizes: begin -->\n", "<!-- sizes: end -->\n"
MAIN = """#include "monitor.c"
_Alignas(8) static unsigned char memory[MONITOR_BYTES];
static float frame[MONITOR_CHANNELS];
int main(void)
{
    er_stream *s;
    er_decision d;
    uint32_t taken;
    if (monitor_open(&s, memory, sizeof memory) != ER_OK) return 1;
    return er_step(s, frame, 1, &taken, &d) < 0;
}
"""
KINDS = {".text": "code", ".rodata": "read-only", ".data": "RAM", ".bss": "RAM"}
PARTS = ("core", "bundle", "C library and start")


def compiler() -> str:
    """The first line of what it says it is."""
    said = subprocess.run([M4.compiler, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


def section() -> str:
    """The text between the marks."""
    bundle, lines = unpack(monitor.bundle()), []
    for target in (M4, M33):
        for summary, sizes in both(target, bundle):
            what = f"{target.name}, {'with' if summary else 'without'} counts"
            lines += [
                f"| {what if part == PARTS[0] else ''} | {part} | "
                + " | ".join(str(sizes[part, kind]) for kind in ("code", "read-only", "RAM"))
                + " |"
                for part in PARTS
            ]
    head = "| image | part | code [bytes] | read-only [bytes] | RAM [bytes] |\n|---|---|---|---|---|\n"
    return f"{BEGIN}Built by {compiler()}, `-O3`:\n\n{head}" + "\n".join(lines) + f"\n{END}"


def both(target: Target, bundle: Bundle) -> Iterator[tuple[bool, dict[tuple[str, str], int]]]:
    """(whether it counts, sizes) of the two images, with one library."""
    ar = target.compiler.removesuffix("gcc") + "ar"
    with tempfile.TemporaryDirectory() as name:
        words = [f"LIB={name}", f"CC={target.compiler}", f"AR={ar}", f"MACHINE={' '.join(target.flags)}"]
        subprocess.run(["make", "-s", "-C", str(CSRC), "lib", *words], check=True, stdout=subprocess.DEVNULL)
        for summary in (True, False):
            yield summary, measured(target, Path(name), firmware.export_c(bundle, summary=summary))


def measured(target: Target, folder: Path, files: dict[str, str]) -> dict[tuple[str, str], int]:
    """Bytes by part and kind."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="ascii")
    (folder / "main.c").write_text(MAIN, encoding="ascii")
    more = (f"-I{folder}", "-Wno-unused-function")
    image = target.build(folder / "main.c", folder / "out", *more, core=[folder / "libedge.a"])
    placed = sections(Path(f"{image}.map"))
    ours = next(file for section, _, file in placed if section.startswith((".text.main", ".text.startup.main")))
    sizes = dict.fromkeys([(part, kind) for part in PARTS for kind in KINDS.values()], 0)
    for section, size, file in placed:
        part = PARTS[0] if "libedge.a" in file else PARTS[1] if file == ours else PARTS[2]
        kind = KINDS.get("." + section.split(".")[1])
        if kind:
            sizes[part, kind] += size
    return sizes


def sections(linked: Path) -> list[tuple[str, int, str]]:
    """(input section, bytes, file) of all that the linker placed, by its map."""
    text = linked.read_text(encoding="utf-8").partition("Linker script and memory map")[2]
    found = re.findall(r"^ (\.[\w.]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S.*)$", text, re.M)
    return [(section, int(size, 16), file) for section, size, file in found]


def updated(text: str) -> str:
    """The page with its sizes as they are now."""
    before, _, rest = text.partition(BEGIN)
    return before + section() + rest.partition(END)[2]


if __name__ == "__main__":
    PATH.write_text(updated(PATH.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(print(f"written: {PATH}"))
