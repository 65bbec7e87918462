"""Build `edge_runtime.native._er`. One rule: a header is the only place where a prototype is written.

What lies between the `cffi: begin` and `cffi: end` marks of csrc/er.h, call.h and ort.h goes to cffi as it is. Used by
setup.py (`cffi_modules`), and as a script for a build in place. Not imported by the package.
"""

import shutil
import tempfile
from pathlib import Path

import cffi

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
"""The determinism recipe (DESIGN.md); the same as in csrc/Makefile, a test compares."""
ZIG = ["-m", "ziglang", "cc", "-target", "x86_64-linux-gnu.2.28", "-mcpu=x86_64"]
"""The compiler of the x86-64 wheels, after `python`: any processor, any glibc since 2.28. So a wheel is
`CC="python -m ziglang cc -target x86_64-linux-gnu.2.28 -mcpu=x86_64" python -m build --wheel`."""


def declarations(header: Path) -> str:
    """The cffi section of `header`."""
    text = header.read_text(encoding="ascii")
    return text.split("cffi: begin", 1)[1].split("*/", 1)[1].split("/* cffi: end", 1)[0]


def relative(pattern: str) -> list[str]:
    """Files of the core, relative to the project root as setuptools wants them."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


NAME = "edge_runtime.native._er"
ffi = cffi.FFI()
OURS = [ROOT / "edge_runtime" / "native" / name for name in ("call.h", "ort.h")]
ffi.cdef(declarations(ROOT / "csrc" / "er.h"))
for ours in OURS:
    ffi.cdef(declarations(ours))
ffi.set_source(
    NAME,
    '#include "er.h"\n' + "".join(ours.read_text(encoding="ascii") for ours in OURS),
    sources=relative("csrc/er_*.c"),
    depends=relative("csrc/*.h"),
    include_dirs=["csrc"],
    extra_compile_args=FLAGS,
    libraries=["dl"],
    py_limited_api=True,
)


def build(folder: Path) -> Path:
    """The module, compiled in `folder` from a copy of the core by the compiler in the environment's `CC`."""
    shutil.copytree(ROOT / "csrc", folder / "csrc", ignore=shutil.ignore_patterns("out", "tests"))
    return Path(ffi.compile(tmpdir=str(folder)))


def build_in_place() -> None:
    """Compile outside the tree and put the module beside this file, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".build-") as folder:
        made = build(Path(folder))
        made.replace(Path(__file__).resolve().parent / made.name)


if __name__ == "__main__":
    build_in_place()
