from __future__ import annotations

import numpy as np
import pytest

from cloud_trainer.drift.detector import Rule
from cloud_trainer.drift.periods import Period
from cloud_trainer.drift.show import show
from cloud_trainer.drift.verdict import DRIFTED, STEADY, WATCH, judge_model
from edge_runtime.contract.baseline import Bins
from edge_runtime.errors import ContractError
from tests.drift.world import Array, bins, period

RULE = Rule()
NAMES = ("temp", "rms", "score:idle")


def features(rng: np.random.Generator) -> list[Bins]:
    return [bins(x, name) for x, name in zip(rng.normal(size=(3, 2000)), NAMES, strict=True)]


def fleet(
    rng: np.random.Generator,
    some: list[Bins],
    *,
    devices: int,
    n_periods: int = 40,
    sick: dict[str, float] | None = None,
    at: int = 25,
) -> list[Period]:
    """Periods of 60 windows; feature "rms" of the sick devices moves by so many sd at period `at`."""
    out = []
    for d in range(devices):
        name = f"d{d}"
        for number in range(n_periods):
            x: Array = rng.normal(size=(3, 60))
            if number >= at:
                x[1] += (sick or {}).get(name, 0.0)
            out.append(period(x, some, number=number, device=name))
    return out


def test_a_steady_fleet_is_steady() -> None:
    rng = np.random.default_rng(1)
    some = features(rng)
    verdicts = judge_model(RULE, some, fleet(rng, some, devices=4))
    assert [v.verdict for v in verdicts] == [STEADY] * 5
    assert [v.device for v in verdicts] == ["", "d0", "d1", "d2", "d3"]
    assert verdicts[1].evidence == ()


def test_the_sick_device_is_named_with_its_feature_period_and_size() -> None:
    rng = np.random.default_rng(2)
    some = features(rng)
    verdicts = judge_model(RULE, some, fleet(rng, some, devices=4, sick={"d2": 1.5}))
    assert {v.device: v.verdict for v in verdicts} == {
        "": DRIFTED, "d0": STEADY, "d1": STEADY, "d2": DRIFTED, "d3": STEADY,
    }  # fmt: skip
    [sick] = [v for v in verdicts if v.device == "d2"]
    assert sick.onset_period == 25
    assert 25 <= sick.alarm_period <= 28
    assert sick.ongoing
    strongest = sick.evidence[0]
    assert (strongest["feature"], strongest["named"]) == ("rms", True)
    assert abs(strongest["mean_since"] - 1.5) < 0.3
    assert abs(strongest["mean_before"]) < 0.2
    assert strongest["bins"][0]["now"] > 3 * strongest["bins"][0]["baseline"]
    assert verdicts[0].evidence[0]["device"] == "d2"
    assert "d2/main: drifted" in show(sick)
    assert "rms: log M" in show(sick)


def test_a_moved_world_names_every_device() -> None:
    rng = np.random.default_rng(3)
    some = features(rng)
    everyone = {f"d{d}": 1.0 for d in range(4)}
    verdicts = judge_model(RULE, some, fleet(rng, some, devices=4, sick=everyone))
    assert [v.verdict for v in verdicts] == [DRIFTED] * 5


def test_a_slight_change_is_watched_and_not_an_alarm() -> None:
    rng = np.random.default_rng(4)
    some = features(rng)
    series = fleet(rng, some, devices=1, n_periods=29, sick={"d0": 0.75})
    verdicts = judge_model(RULE, some, series)
    assert [v.verdict for v in verdicts] == [WATCH, WATCH]
    assert verdicts[1].alarm_period == -1
    assert verdicts[1].evidence[0]["feature"] == "rms"


def test_an_alarm_stays_when_the_change_is_over() -> None:
    rng = np.random.default_rng(5)
    some = features(rng)
    series = fleet(rng, some, devices=1, n_periods=30, sick={"d0": 2.0})
    series += [period(rng.normal(size=(3, 60)), some, number=n, device="d0") for n in range(30, 120)]
    [_, one] = judge_model(RULE, some, series)
    assert (one.verdict, one.ongoing) == (DRIFTED, False)


def test_the_order_of_the_periods_on_arrival_does_not_matter() -> None:
    rng = np.random.default_rng(6)
    some = features(rng)
    series = fleet(rng, some, devices=3, sick={"d1": 1.0})
    shuffled = [series[i] for i in rng.permutation(len(series))]
    assert judge_model(RULE, some, series) == judge_model(RULE, some, shuffled)


def test_bins_that_are_not_the_bundles_are_refused() -> None:
    rng = np.random.default_rng(7)
    some = features(rng)
    series = fleet(rng, some, devices=1, n_periods=2)
    with pytest.raises(ContractError, match="period 0: 3 rows"):
        judge_model(RULE, some[:2], series)
