"""The C core alone: its own tests, its recipe, and the bits that shipped. Other machines: test_matrix.py."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.csrc.targets import CSRC, HOST, RECIPE, ROOT, need


def test_make_check_is_green() -> None:
    """Every compiler found, warnings as errors, plain and under ASan+UBSan."""
    need("make", "gcc")
    command = ["make", f"-j{os.cpu_count()}", "-C", str(CSRC), "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_both_builds_use_one_recipe() -> None:
    """setup.py and the Makefile: a flag changed in one only is caught."""
    makefile = re.search(r"^FLAGS = (.*)$", (CSRC / "Makefile").read_text(), re.M)
    script = re.search(r"^FLAGS = \[(.*)\]$", (ROOT / "edge_runtime/native/build.py").read_text(), re.M)
    assert makefile
    assert script
    assert makefile[1].split() == re.findall(r'"(.*?)"', script[1]) == list(RECIPE)


def test_the_core_uses_no_allocation_and_no_libm() -> None:
    allowed = {"<float.h>", "<stddef.h>", "<stdint.h>", "<string.h>"}
    for path in CSRC.glob("er*.[ch]"):
        # SSE2's instructions are asked for only where the compiler has them
        text = path.read_text().replace("#ifdef __SSE2__\n#include <emmintrin.h>\n#endif\n", "")
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
    return HOST.run(HOST.build(CSRC / "tests" / "digest.c", tmp_path_factory.mktemp("here")))


def test_the_bits_are_those_that_shipped(here: list[str]) -> None:
    """The order of a sum, a rounding or a comparison that changed is a new operator id, not a new digest.golden.

    The saved state is not in it: it never leaves its device. An operator joins it when it ships.
    """
    shipped = (Path(__file__).parent / "digest.golden").read_text().splitlines()
    assert shipped
    assert [line for line in shipped if line not in here] == []
