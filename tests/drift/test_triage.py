"""What kind of change an alarm speaks of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_trainer.drift import DRIFTED, STEADY, triage
from cloud_trainer.drift.show import show
from cloud_trainer.drift.triage import Case, Row, Stream
from tests.drift.causes import STORIES, sick_then_moved, told


@pytest.mark.parametrize("cause", STORIES)
def test_the_cause_is_told_of_fleets_to_which_one_thing_happens(cause: str) -> None:
    for seed in range(2):
        model, *streams = told(cause, seed)
        assert (model.verdict, model.cause) == (DRIFTED, cause)
        assert {v.cause for v in streams if v.verdict == DRIFTED} == {cause}
        assert {v.cause for v in streams if v.verdict == STEADY} <= {""}
        assert f"drifted ({cause})" in show(model)


def test_a_sick_sensor_does_not_hide_that_the_world_moves() -> None:
    model, sick, *others = sick_then_moved(3)
    assert model.causes == (triage.SICK_SENSOR, triage.MOVED_WORLD)
    assert sick.cause == triage.SICK_SENSOR
    assert {v.cause for v in others if v.verdict == DRIFTED} == {triage.MOVED_WORLD}
    assert sum(v.verdict == DRIFTED for v in others) > len(others) / 2
    assert all(triage.ADVICE[cause] in show(model) for cause in model.causes)


def test_a_new_fleet_has_no_release_before_to_blame() -> None:
    """The same fleet whose devices did not run another bundle before: the baseline does not fit the world."""
    case = Case(rows=(Row(index=0, name="a.mean", grown=()),), named=(Stream(before=(), since=(), was_steady=True),),
                n_streams=1, n_changed=1, n_sources=1)  # fmt: skip
    assert triage.cause(case) == triage.BAD_RELEASE
    new = replace(case, named=(replace(case.named[0], was_steady=False),))
    assert triage.cause(new) == triage.MOVED_WORLD


def test_of_a_single_stream_one_channel_of_several_is_a_sick_sensor() -> None:
    one = Stream(before=(), since=(), was_steady=False)
    rows = tuple(Row(index=i, name=name, grown=()) for i, name in enumerate(("a.mean", "a.std")))
    case = Case(rows=rows, named=(one,), n_streams=1, n_changed=1, n_sources=2)
    assert triage.cause(case) == triage.SICK_SENSOR
    assert triage.cause(replace(case, n_sources=1)) == triage.MOVED_WORLD
    both = (*rows, Row(index=2, name="a,b.correlation", grown=()))
    assert triage.cause(replace(case, rows=both)) == triage.MOVED_WORLD
