"""What kind of change an alarm speaks of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cloud_trainer.drift import DRIFTED, STEADY, triage
from cloud_trainer.drift.conversion import CONVERSIONS, is_conversion
from cloud_trainer.drift.periods import Period
from cloud_trainer.drift.show import show
from cloud_trainer.drift.triage import Case, Row, Stream
from tests.drift.causes import STORIES, sick_then_moved, told
from tests.drift.world import Array, bins, period


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


def test_of_three_thermometers_with_their_own_ranges_a_conversion_is_told_and_noise_is_not() -> None:
    """Also where it comes in the middle of a period, and few periods are there since."""
    converted = noisy = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        factor, added = list(CONVERSIONS.values())[seed % len(CONVERSIONS)]
        before = [[rng.normal(20 + 10 * d, 2 + d, (1, 100)) for _ in range(12)] for d in range(3)]
        since = [[factor * rng.normal(20 + 10 * d, 2 + d, (1, 100)) + added for _ in range(6)] for d in range(3)]
        for one in since:
            one[0][:, :50] = (one[0][:, :50] - added) / factor  # the old unit still
        converted += is_conversion([0], [(_periods(a), _periods(b)) for a, b in zip(before, since, strict=True)])
        wild = [[x * rng.lognormal(0.5, 0.8, x.shape) for x in one] for one in before]
        noisy += is_conversion([0], [(_periods(a), _periods(b[:6])) for a, b in zip(before, wild, strict=True)])
    assert converted >= 49
    assert noisy <= 1


def _periods(values: list[Array]) -> list[Period]:
    some = [bins(np.linspace(0, 1, 100))]
    return [period(x, some, number=i) for i, x in enumerate(values)]
