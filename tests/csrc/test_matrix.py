"""One digest on every machine: the operators, streams and forests of csrc/tests/digest.c, line by line.

Inputs are ordinary, constant, denormal, huge, NaN and arbitrary bits. The simulated boards take a shorter list of
windows (DIGEST_SMALL), compared with this machine on the same list.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.csrc.targets import AARCH64, BARE, CSRC, FUSED, HOST, M4, RECIPE, TARGETS, V3, Target, need

DIGEST = CSRC / "tests" / "digest.c"
SMALL = "-DDIGEST_SMALL"
Lines = Callable[..., list[str]]
pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
fused = [pytest.param(target, id=target.name) for target in (V3, AARCH64, M4)]


def promised(digest: list[str]) -> list[str]:
    """Without the saved state: it stays on its device, and NaNs in its ring keep what the hardware made of them."""
    return [line for line in digest if not line.startswith("stream.saved")]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lines]:
    """Wait for the digest of a target; what the chosen tests will ask for is started at once, on every core."""
    root = tmp_path_factory.mktemp("matrix")
    running: dict[tuple[str, ...], Future[list[str]]] = {}

    def job(target: Target, recipe: tuple[str, ...], more: tuple[str, ...], out: Path) -> list[str]:
        return promised(target.run(target.build(DIGEST, out, *more, recipe=recipe)))

    def started(target: Target, recipe: tuple[str, ...] = RECIPE, *, small: bool = False) -> Future[list[str]]:
        more = (SMALL,) if small or target.board else ()
        key = (target.name, *recipe, *more)
        if key not in running:
            running[key] = pool.submit(job, target, recipe, more, root / str(len(running)))
        return running[key]

    def result(target: Target, recipe: tuple[str, ...] = RECIPE, *, small: bool = False) -> list[str]:
        return started(target, recipe, small=small).result()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        chosen: list[tuple[Target, tuple[str, ...]]] = []
        for item in request.session.items:
            if isinstance(item, pytest.Function) and item.module is request.module and "lines" in item.fixturenames:
                target = item.callspec.params["target"]
                assert isinstance(target, Target)
                chosen.append((target, FUSED if item.get_closest_marker("planted") else RECIPE))
        for job_of in sorted(chosen, key=lambda job: job[0].board is None):  # the slow ones first
            started(*job_of)
        yield result


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_machine_computes_the_same_bits(lines: Lines, target: Target) -> None:
    there, here = lines(target), lines(HOST, small=target.board is not None)
    assert len(here) > 40
    assert there == here


@pytest.mark.planted
@pytest.mark.parametrize("target", fused)
def test_the_digest_sees_a_planted_fused_multiply_add(lines: Lines, target: Target) -> None:
    """The negative control: without the recipe the same comparison fails, on each machine that can fuse."""
    there, here = lines(target, FUSED), lines(HOST, small=target.board is not None)
    assert sum(a != b for a, b in zip(here, there, strict=True)) >= 4


# ---- the boards ----


def test_the_image_of_a_board_has_no_heap_and_no_libm(tmp_path: Path) -> None:
    """What is linked beside our own code: memory functions and arithmetic of libgcc."""
    need("arm-none-eabi-nm")
    image = M4.build(DIGEST, tmp_path, SMALL)
    archives = set(re.findall(r"^\S*/(lib\w+\.a)\((\S+?)\)", Path(f"{image}.map").read_text(), re.M))
    ours = {name for library, name in archives if library != "libgcc.a"}
    assert {library for library, _ in archives} == {"libc.a", "libgcc.a"}
    assert all(re.search(r"-(mem(cpy|move|set|cmp|chr)|strlen)\.o$", name) for name in ours), ours
    symbols = subprocess.run(["arm-none-eabi-nm", image], check=True, capture_output=True, text=True).stdout
    assert not re.search(r" (_sbrk|_?malloc\w*|free|sinf?|logf?|sqrt|expf?)$", symbols, re.M)


def test_a_board_reports_a_test_that_fails(tmp_path: Path) -> None:
    """The rig itself: an exit status and its text come back from the board."""
    need("arm-none-eabi-gcc", "qemu-system-arm")
    source = tmp_path / "fails.c"
    source.write_text('#include "tests/check.h"\nint main(void) { CHECK(sizeof(void *) == 8); return 0; }\n')
    image = M4.build(source, tmp_path / "out")
    done = subprocess.run([*M4.runner, image], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "not true: sizeof(void *) == 8" in done.stdout + done.stderr


def test_the_core_builds_for_boards_without_a_warning(tmp_path: Path) -> None:
    need("arm-none-eabi-gcc")
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Werror"]
    for source in [*sorted(CSRC.glob("er_*.c")), BARE / "board.c"]:
        command = [M4.compiler, *RECIPE, *M4.flags, *warnings, f"-I{CSRC}", f"-I{BARE}/include", "-c", str(source)]
        done = subprocess.run([*command, "-o", tmp_path / "x.o"], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
