"""The timing of a program: its limits, its bytes, and that a program without it has the bytes it always had."""

from __future__ import annotations

import dataclasses

import pytest

from edge_runtime.contract import canonical
from edge_runtime.contract.program import Field, Program
from edge_runtime.contract.timing import MAX_GAP, TIME_POLICIES, Timing
from edge_runtime.errors import ContractError
from tests.contract.samples import PROGRAM


def test_every_policy_comes_back_from_bytes() -> None:
    for policy in TIME_POLICIES[1:]:
        for most in (1, MAX_GAP):
            program = dataclasses.replace(PROGRAM, timing=Timing(policy=policy, most_frames=most))
            assert Program.from_bytes(program.to_bytes()) == program
            assert program.digest != PROGRAM.digest


def test_no_policy_is_left_out_of_the_bytes() -> None:
    assert b"timing" not in PROGRAM.to_bytes()
    assert dataclasses.replace(PROGRAM, timing=Timing()).digest == PROGRAM.digest


@pytest.mark.parametrize(
    ("policy", "most", "says"),
    [
        ("guess", 1, "program.timing.policy: want none | hold"),
        ("hold", 0, "program.timing.most_frames: want int 1..65535, got 0"),
        ("mark", 65536, "program.timing.most_frames: want int 1..65535, got 65536"),
        ("none", 1, "program.timing.most_frames: want int 0..0, got 1"),
    ],
)
def test_what_is_no_timing_is_refused(policy: str, most: int, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        Timing(policy=policy, most_frames=most)


def test_a_rate_that_times_cannot_carry_is_refused() -> None:
    timing = Timing(policy="hold", most_frames=1)
    for rate_hz in (0.0009, 100_001.0):
        with pytest.raises(ContractError, match=r"\(with a timing policy\): want finite number 0\.001"):
            dataclasses.replace(PROGRAM, rate_hz=rate_hz, timing=timing)
    with pytest.raises(ContractError, match=r"program\.timing: want none where there are no channels"):
        Program(
            rate_hz=1.0,
            channels=(),
            window_frames=1,
            hop_frames=1,
            fields=(Field(name="site"),),
            features=(dataclasses.replace(PROGRAM.features[0], op=2000),),
            timing=timing,
        )


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"policy": "none", "most_frames": 0}, "program.timing: want to be left out"),
        ({"policy": "hold"}, "program.timing.most_frames"),
        ({"policy": "hold", "most_frames": 1, "more": 1}, "program.timing"),
        ([], "program.timing"),
    ],
)
def test_bytes_that_spell_it_otherwise_are_refused(value: object, says: str) -> None:
    fields = canonical.loads(PROGRAM.to_bytes(), what="program")
    assert isinstance(fields, dict)
    with pytest.raises(ContractError, match=says):
        Program.from_bytes(canonical.dumps({**fields, "timing": value}))
