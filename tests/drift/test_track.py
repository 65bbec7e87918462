"""Streams side by side in the detector."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from cloud_trainer.drift import track as module
from cloud_trainer.drift.detector import Rule
from cloud_trainer.drift.periods import Period, Tallies
from cloud_trainer.drift.track import gains, learned, references, track, tracks
from edge_runtime.contract.baseline import Baseline
from tests.drift.world import baseline, bins, period

RULE = Rule()
LENGTHS = (5, 30, 12, 1, 30, 12, 2)


def fleet(*, strata: bool) -> tuple[Baseline, list[list[Period]]]:
    """Streams of LENGTHS periods, the second of which moves."""
    rng = np.random.default_rng(4)
    some = [bins(x, name) for x, name in zip(rng.normal(size=(3, 2000)), ("a.mean", "b.mean", "score"), strict=True)]
    whole = baseline(some[:2], some[2:])
    if strata:
        night = replace(whole.strata[0], name="hour 23 weekday", features=tuple(
            replace(b, counts=tuple(reversed(b.counts))) for b in some[:2]))  # fmt: skip
        whole = replace(whole, strata=(*whole.strata, night))
    return whole, [
        [
            period(rng.normal(size=(3, 80)) + (t > 15 and d == 1), some, number=t, device=f"d{d}")
            for t in range(length)
        ]
        for d, length in enumerate(LENGTHS)
    ]  # fmt: skip


@pytest.mark.parametrize("strata", [False, True])
@pytest.mark.parametrize("beside", [256, 2])
def test_a_stream_has_the_same_evidence_alone_and_beside_others(
    strata: bool, beside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SIDE_BY_SIDE", beside)
    base, streams = fleet(strata=strata)
    refs = references(RULE, base)
    together, alone = tracks(refs, RULE, streams), [track(refs, RULE, one) for one in streams]
    assert len({refs[name].p.tobytes() for name in refs}) == 1 + strata
    for one, other, series in zip(together, alone, streams, strict=True):
        assert one.periods == tuple(series)
        for name in ("log_e", "log_m", "log_rows"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for name in ("log_sr", "log_s", "past", "expected", "lag1", "log_e"):
            np.testing.assert_array_equal(getattr(one.state, name), getattr(other.state, name))
        assert one.state.periods == len(series)
    assert together[1].log_m[-1] > np.log(RULE.alarm_periods) > max(one.log_m[-1] for one in together[2:])


def test_what_was_learned_of_a_stream_says_the_same_of_it_period_by_period() -> None:
    base, streams = fleet(strata=True)
    refs = references(RULE, base)
    by = learned(RULE, track(refs, RULE, streams[1]), 25)
    assert by.state.periods == 26
    whole = gains(RULE, refs, streams[1], by)
    np.testing.assert_array_equal(whole, [gains(RULE, refs, [one], by)[0] for one in streams[1]])
    assert whole[16:].min() > 0 > whole[:16].max()
    assert gains(RULE, refs, [], by).shape == (0,)


def test_a_period_of_20_features_takes_6_kib_to_judge() -> None:
    """A thousand devices have 720,000 in a month."""
    rng = np.random.default_rng(1)
    some = [bins(x, f"f{i}") for i, x in enumerate(rng.normal(size=(22, 1000)))]
    refs = references(RULE, baseline(some[:20], some[20:]))
    one = period(rng.normal(size=(22, 50)), some, number=0)
    rows = list(one.tallies)
    n = 400
    tracemalloc.start()
    try:
        series = [replace(one, tallies=Tallies.of_rows(rows), period=number) for number in range(n)]
        run = track(refs, RULE, series)
        held = tracemalloc.get_traced_memory()[0] / n
    finally:
        tracemalloc.stop()
    assert len(run.periods) == n
    assert held < 6 * 1024
