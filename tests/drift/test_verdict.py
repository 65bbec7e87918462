from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cloud_trainer.drift.detector import Rule
from cloud_trainer.drift.periods import Period
from cloud_trainer.drift.show import pick, show
from cloud_trainer.drift.verdict import DRIFTED, STEADY, WATCH, judge_model
from edge_runtime.contract.baseline import Baseline, Bins, Stratum
from edge_runtime.contract.strata import strata_at, strata_over
from edge_runtime.errors import ContractError
from tests.drift.world import PERIOD_MS, START_MS, Array, baseline, bins, period, tally

RULE = Rule()
START_HOUR = START_MS // PERIOD_MS % 24
NAMES = ("temp", "rms", "score:idle")


def features(rng: np.random.Generator) -> list[Bins]:
    return [bins(x, name) for x, name in zip(rng.normal(size=(3, 2000)), NAMES, strict=True)]


def whole(some: list[Bins]) -> Baseline:
    return baseline(some[:2], some[2:])


def stratum(name: str, x: Array, some: list[Bins]) -> Stratum:
    """The counts of some rows [3, n] in the frozen bins."""
    counted = [replace(b, counts=tally(row, b.edges).counts) for row, b in zip(x, some, strict=True)]
    return replace(whole(counted).strata[0], name=name)


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
    verdicts = judge_model(RULE, whole(some), fleet(rng, some, devices=4))
    assert [(v.verdict, v.cause) for v in verdicts] == [(STEADY, "")] * 5
    assert [v.device for v in verdicts] == ["", "d0", "d1", "d2", "d3"]
    assert verdicts[1].evidence == ()


def test_the_sick_device_is_named_with_its_feature_period_and_size() -> None:
    rng = np.random.default_rng(2)
    some = features(rng)
    verdicts = judge_model(RULE, whole(some), fleet(rng, some, devices=4, sick={"d2": 1.5}))
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


def test_of_a_thousand_streams_the_twenty_with_most_evidence_are_told_and_the_others_counted() -> None:
    rng = np.random.default_rng(3)
    some = features(rng)
    model, one, other = judge_model(RULE, whole(some), fleet(rng, some, devices=2, sick={"d1": 1.5}))
    calm = [replace(one, device=f"calm-{i}", log_top=i / 1000) for i in range(970)]
    loud = [replace(other, device=f"loud-{i}", log_top=10 + i) for i in range(30)]
    told, lines = pick([model, *calm, *loud])
    assert [v.device for v in told] == ["", *(f"loud-{i}" for i in range(10, 30))]
    assert lines == [
        "  10 streams more not steady, log M 19.0 at most (--all lists them)",
        "  970 streams steady, log M 1.0 at most (--all lists them)",
    ]
    assert pick([model, other]) == ([model, other], [])


def test_a_moved_world_names_every_device() -> None:
    rng = np.random.default_rng(3)
    some = features(rng)
    everyone = {f"d{d}": 1.0 for d in range(4)}
    verdicts = judge_model(RULE, whole(some), fleet(rng, some, devices=4, sick=everyone))
    assert [v.verdict for v in verdicts] == [DRIFTED] * 5


def test_a_slight_change_is_watched_and_not_an_alarm() -> None:
    rng = np.random.default_rng(4)
    some = features(rng)
    series = fleet(rng, some, devices=1, n_periods=29, sick={"d0": 0.75})
    verdicts = judge_model(RULE, whole(some), series)
    assert [v.verdict for v in verdicts] == [WATCH, WATCH]
    assert verdicts[1].alarm_period == -1
    assert verdicts[1].evidence[0]["feature"] == "rms"


def test_an_alarm_stays_when_the_change_is_over() -> None:
    rng = np.random.default_rng(5)
    some = features(rng)
    series = fleet(rng, some, devices=1, n_periods=30, sick={"d0": 2.0})
    series += [period(rng.normal(size=(3, 60)), some, number=n, device="d0") for n in range(30, 120)]
    [_, one] = judge_model(RULE, whole(some), series)
    assert (one.verdict, one.ongoing) == (DRIFTED, False)


def test_the_order_of_the_periods_on_arrival_does_not_matter() -> None:
    rng = np.random.default_rng(6)
    some = features(rng)
    series = fleet(rng, some, devices=3, sick={"d1": 1.0})
    shuffled = [series[i] for i in rng.permutation(len(series))]
    assert judge_model(RULE, whole(some), series) == judge_model(RULE, whole(some), shuffled)


def test_bins_that_are_not_the_bundles_are_refused() -> None:
    rng = np.random.default_rng(7)
    some = features(rng)
    series = fleet(rng, some, devices=1, n_periods=2)
    with pytest.raises(ContractError, match="period 0: 3 rows"):
        judge_model(RULE, baseline(some[:1], some[1:2]), series)


def test_a_world_that_follows_its_hours_is_steady_in_matched_strata_and_not_against_all_of_them() -> None:
    """Each feature moves by 1.5 sd over the day; the baseline knows the hours, or only their mix."""
    rng = np.random.default_rng(8)
    season = 1.5 * np.sin(np.arange(24) / 24 * 2 * np.pi)

    def day(hour: int, n: int) -> Array:
        return np.asarray(rng.normal(size=(3, n)) + season[hour])

    hours = {hour: day(hour, 1000) for hour in range(24)}
    some = [bins(x, name) for x, name in zip(np.concatenate(list(hours.values()), axis=1), NAMES, strict=True)]
    pooled = whole(some)
    named = {strata_at(START_MS + PERIOD_MS * t, 0)[0]: (START_HOUR + t) % 24 for t in range(7 * 24)}
    matched = Baseline(strata=(*pooled.strata, *(stratum(n, hours[h], some) for n, h in named.items())))
    series = [period(day((START_HOUR + t) % 24, 60), some, number=t) for t in range(240)]
    calm = judge_model(RULE, matched, series)
    assert [(v.verdict, v.cause) for v in calm] == [(STEADY, "season"), (STEADY, "")]
    assert "model abababababab: steady (season)" in show(calm[0])
    assert [v.verdict for v in judge_model(RULE, pooled, series)] == [DRIFTED] * 2
    for t in range(200, 240):
        series[t] = period(day((START_HOUR + t) % 24, 60) + np.array([[0.0], [0.8], [0.0]]), some, number=t)
    [_, moved] = judge_model(RULE, matched, series)
    assert (moved.verdict, moved.evidence[0]["feature"]) == (DRIFTED, "rms")
    assert 198 <= moved.onset_period <= 202 < moved.alarm_period < 212
    # A device that does not know the time, or a baseline without that hour: all of them.
    lost = [replace(p, strata=()) for p in series[:200]]
    assert judge_model(RULE, matched, lost) == judge_model(RULE, pooled, lost)


def test_a_period_over_several_hours_is_compared_with_all_of_them() -> None:
    """Periods of a day, from half past ten in the evening on: nothing like the hour that they begin in."""
    rng = np.random.default_rng(10)
    season = 1.5 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    hours = {h: np.asarray(rng.normal(size=(3, 1000)) + season[h]) for h in range(24)}
    some = [bins(x, name) for x, name in zip(np.concatenate(list(hours.values()), axis=1), NAMES, strict=True)]
    pooled = whole(some)
    named = {strata_at(START_MS + PERIOD_MS * t, 0)[0]: (START_HOUR + t) % 24 for t in range(7 * 24)}
    matched = Baseline(strata=(*pooled.strata, *(stratum(n, hours[h], some) for n, h in named.items())))
    series = []
    for t in range(40):
        start_ms = START_MS + PERIOD_MS // 2 + 24 * PERIOD_MS * t
        when = start_ms + np.arange(240) * PERIOD_MS // 10
        x = rng.permuted(rng.normal(size=(3, 240)) + season[when // PERIOD_MS % 24], axis=1)
        over = strata_over(start_ms, start_ms + 24 * PERIOD_MS, 0)
        series.append(replace(period(x, some, number=t), start_ms=start_ms, strata=over))
    assert [v.verdict for v in judge_model(RULE, matched, series)] == [STEADY] * 2
    first_hour = [replace(p, strata=strata_over(p.start_ms, p.start_ms, 0)) for p in series]
    assert [v.verdict for v in judge_model(RULE, matched, first_hour)] == [DRIFTED] * 2


def test_what_the_model_decides_is_judged_too() -> None:
    """The features and scores are as ever, but one label comes twice as often."""
    rng = np.random.default_rng(9)
    some = features(rng)
    base = whole(some).strata[0]
    two = replace(base, scores=(some[2], replace(some[1], name="score:run")), label_counts=(1500, 500, 0))
    series = []
    for t in range(60):
        x = rng.normal(size=(4, 60))
        runs = int(rng.binomial(60, 0.25 if t < 30 else 0.5))
        one = period(x, [*some, some[1]], number=t)
        series.append(replace(one, label_counts=(60 - runs, runs, 0)))
    [_, verdict] = judge_model(RULE, Baseline(strata=(two,)), series)
    assert (verdict.verdict, verdict.evidence[0]["feature"]) == (DRIFTED, "label")
    assert {share["bin"] for share in verdict.evidence[0]["bins"][:2]} == {"score:idle", "score:run"}
    assert "label: log M" in show(verdict)
