"""Frames of kept decisions: none but what is allowed, the best of a period, the same after a restart."""

from __future__ import annotations

import contextlib
import math

import pytest

from edge_runtime.errors import ContractError
from edge_runtime.sampling import FrameKeeper, FrameRule, Sampled

RULE = FrameRule(channels=((0, "acc"), (2, "temp")), reasons=(2, 3), most=2)


def record(window: int, reason: int = 2) -> Sampled:
    return Sampled(
        window=window, time_ms=0, label=0, vote=0, reason=reason, probability=1.0, latency_us=0, features=b"",
        scores=b"",
    )  # fmt: skip


def frames(window: int) -> list[bytes]:
    return [b"%d of %d" % (window, position) for position in (0, 2)]


def offer(keeper: FrameKeeper, window: int, priority: float, reason: int = 2) -> None:
    keeper.offer(window, reason, priority, lambda position: b"%d of %d" % (window, position))


def test_the_channels_of_the_rule_are_kept_for_the_records_that_are() -> None:
    keeper = FrameKeeper(RULE)
    offer(keeper, 5, 1.0)
    offer(keeper, 6, 2.0)
    taken = keeper.take([record(4), record(5)])
    assert [(one.window, kept) for one, kept in taken] == [(5, frames(5))], "6 was given up by the sampler"
    assert keeper.take([record(5)]) == [], "the next period begins empty"


def test_a_reason_that_is_not_allowed_is_never_asked_for_its_frames() -> None:
    keeper = FrameKeeper(RULE)
    keeper.offer(5, 4, math.inf, lambda _: pytest.fail("frames were copied"))
    assert keeper.take([record(5, reason=4)]) == []


def test_of_more_than_may_go_those_with_the_highest_priority_stay_and_certain_ones_first() -> None:
    keeper = FrameKeeper(RULE)
    for window, priority in enumerate((3.0, 1.0, 2.0, 9.0)):
        offer(keeper, window, priority)
    assert [one.window for one, _ in keeper.take(map(record, range(9)))] == [0, 3]
    for window, priority in enumerate((math.inf, 100.0, math.inf, math.inf)):
        offer(keeper, window, priority, reason=3)
    assert [one.window for one, _ in keeper.take(map(record, range(9)))] == [0, 2], "the first that came"


def test_a_saved_period_goes_on_and_under_another_rule_it_has_no_frames() -> None:
    keeper, again = FrameKeeper(RULE), FrameKeeper(RULE)
    offer(keeper, 1, 3.0)
    offer(keeper, 2, math.inf)
    again.restore(keeper.save())
    offer(again, 3, 4.0)
    assert [one.window for one, _ in again.take(map(record, range(9)))] == [2, 3]
    narrower = FrameKeeper(FrameRule(channels=((0, "acc"),), reasons=(2, 3), most=2))
    narrower.restore(keeper.save())
    assert narrower.take(map(record, range(9))) == []


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\xa2dkept\x81\x80drule@", b"\xa2dkept\x81\x83\x00\x00\x80drule@"])
def test_any_bytes_are_a_contract_error_or_another_rule(data: bytes) -> None:
    keeper = FrameKeeper(RULE)
    with contextlib.suppress(ContractError):
        keeper.restore(data)
    assert keeper.take(map(record, range(9))) == []
