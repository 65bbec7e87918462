"""The C core, built for a benchmark by the compiler in `CC`; `make bench NAME=features CC=zig` is what a wheel holds.

One rule: the tree's own build is left as it is; a core built here is loaded in its place, in this process alone.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType


def module(name: str, path: Path) -> ModuleType:
    """The file as a module, without the packages around it: `edge_runtime.native` loads the core at once."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


build = module("build", Path(__file__).resolve().parents[1] / "edge_runtime" / "native" / "build.py")


def compiler() -> list[str]:
    """The command in `CC`; "zig" is the one that wheels are built with; nothing: `cc`."""
    cc = os.environ.get("CC", "")
    return [sys.executable, *build.ZIG] if cc == "zig" else shlex.split(cc or "cc")


def version() -> str:
    """What `compiler()` says it is, and its target where it is told one."""
    done = subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=True)
    return f"{done.stdout.splitlines()[0]} for {platform.machine()}, {' '.join(build.FLAGS)}"


def load(folder: Path) -> None:
    """Build the core in `folder` and load it, before anything else imports it. Without `CC`: the tree's own."""
    if "CC" not in os.environ:
        return
    assert build.NAME not in sys.modules
    os.environ["CC"] = shlex.join(compiler())
    sys.modules[build.NAME] = module(build.NAME, build.build(folder))


def library(source: Path, folder: Path) -> Path:
    """`source` and the whole core as a shared library, by the same compiler and flags."""
    out = folder / f"{source.stem}.so"
    csrc = build.ROOT / "csrc"
    files = [str(source), *map(str, sorted(csrc.glob("er_*.c")))]
    subprocess.run([*compiler(), *build.FLAGS, "-shared", "-fPIC", f"-I{csrc}", *files, "-o", out], check=True)
    return out
