"""The C core alone: its own tests, its recipe, and the same bits on another machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
RECIPE = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
BREAKING = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]


def need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def digest(out: Path, *compiler: str, runner: tuple[str, ...] = ()) -> list[str]:
    """The lines of csrc/tests/digest.c, built and run in the folder `out`."""
    binary = out / "digest"
    sources = sorted(CSRC.glob("er_*.c"))
    command = [*compiler, f"-I{CSRC}", str(CSRC / "tests" / "digest.c"), *map(str, sources), "-o", str(binary)]
    subprocess.run(command, check=True)
    done = subprocess.run([*runner, binary], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_make_check_is_green() -> None:
    """Every compiler found, warnings as errors, plain and under ASan+UBSan."""
    need("make", "gcc")
    done = subprocess.run(["make", "-C", CSRC, "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_both_builds_use_one_recipe() -> None:
    """setup.py and the Makefile: a flag changed in one only is caught."""
    makefile = re.search(r"^FLAGS = (.*)$", (CSRC / "Makefile").read_text(), re.M)
    script = re.search(r"^FLAGS = \[(.*)\]$", (ROOT / "edge_runtime/native/build.py").read_text(), re.M)
    assert makefile
    assert script
    assert makefile[1].split() == re.findall(r'"(.*?)"', script[1]) == RECIPE


def test_the_core_uses_no_allocation_and_no_libm() -> None:
    allowed = {"<float.h>", "<stddef.h>", "<stdint.h>", "<string.h>"}
    for path in CSRC.glob("er*.[ch]"):
        text = path.read_text()
        assert set(re.findall(r"#include (<.*?>)", text)) <= allowed, path.name
        assert not re.search(r"\b(malloc|calloc|realloc|free|printf|assert)\(", text), path.name


@pytest.mark.parametrize("flag", ["-ffast-math", "-m32 -mfpmath=387"])
def test_a_build_that_cannot_keep_the_bits_stops(flag: str, tmp_path: Path) -> None:
    need("gcc")
    command = ["gcc", *flag.split(), "-fsyntax-only", str(CSRC / "er_status.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized" in done.stderr or "not found" in done.stderr or "No such file" in done.stderr:
        pytest.skip(f"this gcc cannot do {flag}")
    assert done.returncode != 0
    assert "Edgeloop:" in done.stderr


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The digest of this machine."""
    need("gcc")
    return digest(tmp_path_factory.mktemp("here"), "gcc", *RECIPE)


def test_the_bits_are_those_that_shipped(here: list[str]) -> None:
    """The order of a sum, a rounding or a comparison that changed is a new operator id, not a new digest.golden.

    The saved state is not in it: it never leaves its device. An operator joins it when it ships.
    """
    shipped = (Path(__file__).parent / "digest.golden").read_text().splitlines()
    assert shipped
    assert [line for line in shipped if line not in here] == []


@pytest.mark.system
def test_aarch64_computes_the_same_bits(here: list[str], tmp_path: Path) -> None:
    """Every operator, the forest and a stream, on ordinary, constant, denormal, huge and NaN inputs."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64-static")
    there = digest(tmp_path, "aarch64-linux-gnu-gcc", *RECIPE, "-static", runner=("qemu-aarch64-static",))
    assert len(here) > 11
    assert there == here


@pytest.mark.planted
@pytest.mark.system
def test_the_digest_sees_a_planted_fused_multiply_add(here: list[str], tmp_path: Path) -> None:
    """The negative control: without the recipe the same comparison fails."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64-static")
    fused = digest(tmp_path, "aarch64-linux-gnu-gcc", *BREAKING, "-static", runner=("qemu-aarch64-static",))
    assert sum(a != b for a, b in zip(here, fused, strict=True)) >= 4


@pytest.mark.system
def test_clang_computes_the_same_bits(here: list[str], tmp_path: Path) -> None:
    need("clang")
    assert digest(tmp_path, "clang", *RECIPE) == here
