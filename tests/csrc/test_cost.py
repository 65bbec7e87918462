"""The gates of bench/budgets.toml: what the core costs on each target may not move unseen.

Slack: code 10 % (new operators), all else 5 % (another patch level of a compiler). Both ways, so that docs/targets.md,
which is made from the gates, stays true. `python -m tests.csrc.cost` measures anew.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.csrc import cost
from tests.csrc.targets import ARMV7, CSRC, HOST, M4, M33, Target, need

SLACK = {"code_bytes": 0.10}
ELSE = 0.05
Built = Callable[[Target], Path]
pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Target], Path]:
    """The folder of a target's objects and their reports, built once."""

    @functools.cache
    def made(target: Target) -> Path:
        return cost.built(target, tmp_path_factory.mktemp(target.name))

    return made


@pytest.mark.parametrize("target", cost.COSTS, ids=lambda target: target.name)
def test_a_target_costs_what_its_gates_say(built: Built, target: Target) -> None:
    gate, found = cost.budgets()[target.name], cost.measure(target, built(target))
    off = {
        name: f"{getattr(found, name)}, gate {getattr(gate, name)}"
        for name in cost.Cost.__dataclass_fields__
        if abs(getattr(found, name) - getattr(gate, name)) > SLACK.get(name, ELSE) * getattr(gate, name)
    }
    assert not off, f"{target.name}: {off}. If it is meant: python -m tests.csrc.cost"


@pytest.mark.parametrize("target", [ARMV7, M4, M33], ids=lambda target: target.name)
def test_this_machine_knows_what_a_stream_takes_where_pointers_have_32_bits(target: Target, tmp_path: Path) -> None:
    """Of the standard program, of records, and of one program of every operator: to the byte."""

    def lines(of: Target) -> list[list[str]]:
        return [line.split() for line in of.run(of.build(CSRC / "tests" / "sizes.c", tmp_path / of.name, "-O0"))]

    here, there = lines(HOST), lines(target)
    assert len(here) > 70
    assert [(name, small) for name, _, small in here] == [(name, small) for name, small, _ in there]
    assert all(int(wide) > int(small) for _, wide, small in here)


def test_the_document_is_made_from_the_gates() -> None:
    assert cost.DOC.read_text(encoding="utf-8") == cost.targets_md(cost.budgets())


@pytest.mark.parametrize("target", [M4, M33], ids=lambda target: target.name)
def test_a_board_runs_in_the_ram_that_the_linker_knew(built: Built, target: Target) -> None:
    """State, frames and the worst stack and not a byte more; and the painted stack stays below what was computed."""
    need("arm-none-eabi-nm")
    gate = cost.budgets()[target.name]
    out = built(target)
    state, _ = cost.window(target, out)
    image = out / "windows1" / "cost"
    symbols = subprocess.run(["arm-none-eabi-nm", image], check=True, capture_output=True, text=True).stdout
    places = {name: int(at, 16) for at, name in re.findall(r"^(\w+) . (data_start|bss_end)$", symbols, re.M)}
    fixed = places["bss_end"] - places["data_start"]
    assert state <= fixed <= state + 8192
    worst = cost.worst_stack(out)
    said = cost.on_board(target, out, state, ram_bytes=fixed + (worst + 512) // 8 * 8)  # main() and the text: 512
    assert said["stack_used"] <= worst
    assert abs(said["instructions"] - gate.instructions) <= ELSE * gate.instructions
    with pytest.raises(subprocess.CalledProcessError):  # no room for the stack
        cost.on_board(target, out, state, ram_bytes=fixed + 512)


VARIABLE = "static int calls;\nint er_calls(void);\nint er_calls(void) { return ++calls; }\n"
FRAME = "    volatile char big[8192];\n    big[0] = 0;\n"
RECURSION = "    if (y < -1e9) return er_exp2(y + 1) + 1;\n"
INTO = "double er_exp2(double y)\n{\n"


def planted(out: Path, folder: Path, right: str, wrong: str) -> Path:
    """A copy of `out` where er_math.c has a bug."""
    text = (CSRC / "er_math.c").read_text()
    assert text.count(right) == 1
    source = folder / "er_math.c"
    source.write_text(text.replace(right, wrong))
    return cost.built(HOST, shutil.copytree(out, folder / "out"), [source])


@pytest.mark.planted
def test_a_planted_variable_is_seen(built: Built, tmp_path: Path) -> None:
    out = planted(built(HOST), tmp_path, INTO, VARIABLE + INTO)
    assert cost.sizes(HOST, out)[1] > cost.budgets()[HOST.name].static_bytes == 0


@pytest.mark.planted
def test_a_planted_frame_is_seen(built: Built, tmp_path: Path) -> None:
    out = planted(built(HOST), tmp_path, INTO, INTO + FRAME)
    assert cost.worst_stack(out) > cost.greatest_frame(out) > 8000 > cost.budgets()[HOST.name].stack_bytes


@pytest.mark.planted
def test_a_planted_recursion_is_refused(built: Built, tmp_path: Path) -> None:
    out = planted(built(HOST), tmp_path, INTO, INTO + RECURSION)
    with pytest.raises(AssertionError, match="recursion has no worst stack"):
        cost.worst_stack(out)
