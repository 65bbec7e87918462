"""Outside data: sensors that age for months, and a city whose seasons are no fault."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from cloud_trainer.drift import DRIFTED, STEADY, Rule
from cloud_trainer.drift.periods import Period
from cloud_trainer.drift.verdict import judge_model
from cloud_trainer.export.baseline import bins_of, counts_of
from edge_runtime.contract.baseline import Baseline, Bins, Stratum
from edge_runtime.contract.strata import strata_at, strata_over
from tests.drift.world import Array, period

DATA = Path(os.environ.get("EDGELOOP_DATA", ""))
GAS, BEIJING = DATA / "gas_drift", DATA / "beijing_pm25" / "prsa_2010_2014.csv.gz"
RULE = Rule()
NO_PAIRS = np.zeros((2, 0), np.int64)

# ---- gas_drift: 128 features of 16 sensors, five batches within 16 months ----

N_GASES, BY = 6, 40  # windows a period


def batch(number: int) -> tuple[Array, NDArray[np.int64]]:
    """Rows in random order: in the file they stand sorted by gas."""
    x, gas = [], []
    for line in gzip.decompress((GAS / f"batch{number}.dat.gz").read_bytes()).decode().splitlines():
        first, *rest = line.split()
        gas.append(int(first.partition(";")[0]))
        x.append([float(value.partition(":")[2]) for value in rest])
    order = np.random.default_rng(number).permutation(len(gas))
    return np.array(x)[order], np.array(gas)[order]


@pytest.mark.skipif(not GAS.is_dir(), reason="EDGELOOP_DATA names no folder with gas_drift")
def test_ageing_gas_sensors_are_drifted_in_every_later_batch_and_retraining_recovers() -> None:
    batches = {number: batch(number) for number in range(1, 6)}
    x, gas = batches[1]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    own = cross_val_predict(model, x, gas, method="predict_proba", cv=5)
    model.fit(x, gas)
    bins = [bins_of(f"f{i}", row.astype(np.float32), NO_PAIRS) for i, row in enumerate(np.concatenate([x, own], 1).T)]
    counts = np.bincount(own.argmax(axis=1), minlength=N_GASES + 1).tolist()
    base = Baseline(strata=(Stratum(name="all", n_windows=len(x), features=tuple(bins[:-N_GASES]),
                                    scores=tuple(bins[-N_GASES:]), label_counts=tuple(counts)),))  # fmt: skip
    table = []
    for number, (later, truth) in batches.items():
        scores = model.predict_proba(later)
        verdict = judge_model(RULE, base, list(periods_of(later, scores, bins)))[0]
        accuracy = float((model.classes_[scores.argmax(axis=1)] == truth).mean())
        again = retrained(batches, number).score(later, truth) if number > 1 else float("nan")
        table.append((number, verdict.verdict, accuracy, again))
    print("batch, verdict, accuracy of the model of batch 1, of one retrained on all earlier batches")
    print("\n".join(f"{n} {v} {a:.3f} {b:.3f}" for n, v, a, b in table))
    assert [row[1] for row in table] == [STEADY, *[DRIFTED] * 4]
    assert all(again > 0.85 > old for _, _, old, again in table[2:])


def retrained(batches: dict[int, tuple[Array, NDArray[np.int64]]], number: int) -> Pipeline:
    earlier = [batches[n] for n in range(1, number)]
    model = make_pipeline(StandardScaler(), SVC(C=10))
    return model.fit(np.concatenate([x for x, _ in earlier]), np.concatenate([gas for _, gas in earlier]))


def periods_of(x: Array, scores: Array, bins: list[Bins]) -> Iterator[Period]:
    for at in range(0, len(x) - BY + 1, BY):
        rows = slice(at, at + BY)
        one = period(np.concatenate([x[rows], scores[rows]], axis=1).T, bins, number=at // BY)
        labels = np.bincount(scores[rows].argmax(axis=1), minlength=N_GASES + 1).tolist()
        yield replace(one, label_counts=tuple(labels))


# ---- beijing_pm25: five years by the hour ----

NAMES = ("pm2.5", "DEWP", "TEMP", "PRES", "Iws")
WEEK = 7 * 24


@pytest.mark.skipif(not BEIJING.is_file(), reason="EDGELOOP_DATA names no folder with beijing_pm25")
def test_the_seasons_of_a_city_are_no_alarm_in_matched_months_and_reported_as_season() -> None:
    """Baseline: odd weeks; judged: the even weeks of the same months, a day a period."""
    x, start_ms = beijing()
    months = np.array([strata_at(ms, 0)[1] for ms in start_ms.tolist()])
    odd = np.arange(len(start_ms)) // WEEK % 2 == 1
    whole = stratum("all", x, np.flatnonzero(odd))
    frozen = [*whole.features, *whole.scores]
    parts = [stratum(name, x, np.flatnonzero(odd & (months == name)), frozen) for name in sorted({*months.tolist()})]
    series = []
    for number, hours in groupby(np.flatnonzero(~odd).tolist(), key=lambda hour: hour // 24):
        rows = list(hours)
        one = period(x[:, rows], frozen, number=number)
        first, last = int(start_ms[rows[0]]), int(start_ms[rows[-1]])
        series.append(replace(one, start_ms=first, end_ms=last, strata=strata_over(first, last + 3_600_000, 0)))
    model, stream = judge_model(RULE, Baseline(strata=(whole, *parts)), series)
    assert {model.alarm_period, stream.alarm_period} == {-1}
    assert model.cause == "season"
    assert judge_model(RULE, Baseline(strata=(whole,)), series)[0].verdict == DRIFTED


def beijing() -> tuple[Array, NDArray[np.int64]]:
    """Values [5, hours], NaN where the file says NA; start of each hour, taken as UTC [ms]."""
    with gzip.open(BEIJING, "rt") as lines:
        rows = list(csv.DictReader(lines))
    x = np.array([[np.nan if row[name] == "NA" else float(row[name]) for row in rows] for name in NAMES])
    parts = ("year", "month", "day", "hour")
    hours = [datetime(*(int(row[part]) for part in parts), tzinfo=UTC) for row in rows]  # type: ignore[arg-type,misc]
    return x, np.array([int(hour.timestamp()) * 1000 for hour in hours])


def stratum(name: str, x: Array, hours: NDArray[np.int64], frozen: list[Bins] | None = None) -> Stratum:
    """The counts of some hours, into bins of their own or the frozen ones; the last row is the score."""
    beside = np.flatnonzero(np.diff(hours) == 1)
    made = [
        bins_of(n, row[hours].astype(np.float32), np.stack([beside, beside + 1]))
        for n, row in zip(NAMES, x, strict=True)
    ]
    if frozen:
        made = [replace(own, edges=b.edges, centre=b.centre, scale=b.scale, counts=into(b, row[hours]))
                for own, b, row in zip(made, frozen, x, strict=True)]  # fmt: skip
    return Stratum(name=name, n_windows=len(hours), features=tuple(made[:-1]), scores=tuple(made[-1:]),
                   label_counts=(len(hours), 0))  # fmt: skip


def into(bins: Bins, values: Array) -> tuple[int, ...]:
    known = values[~np.isnan(values)].astype(np.float32)
    return tuple(counts_of(known, np.array(bins.edges, np.float32)).tolist())
