"""Strata of a baseline, from the times of recordings to verdicts."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cloud_trainer.datasets import freeze
from cloud_trainer.drift import DRIFTED, STEADY, judge
from cloud_trainer.export.baseline import baseline_of
from cloud_trainer.export.exporter import Exported, export
from cloud_trainer.export.strata import Rows, strata_of
from cloud_trainer.features import materialise
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.project import load
from cloud_trainer.seasons import SeasonSpec
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.baseline import Stratum
from edge_runtime.contract.header import Header
from edge_runtime.contract.strata import ALL, MEMBER, Strata, matched, strata_at
from edge_runtime.contract.summary import SummaryBatch
from edge_runtime.engines import load_bundle, needed_to_run, open_engine, stream_for
from edge_runtime.errors import ContractError, UsageError
from tests.contract.samples import BASELINE, STRATA
from tests.datasets.sample import edit
from tests.export.made import policy, trained
from tests.ingest import samples

MONDAY_S: Final = 1_699_833_600  # 2023-11-13 00:00 UTC
DAY_S: Final = 86400
MINUTES: Final = 1440
TOML: Final = """
[project]
name = "hall"

[data]
files = ["rec/*.csv"]
rate_hz = 0.016666666666666666
time_s = "t"

[[channel]]
name = "temp"
unit = "C"

[labels]
column = "state"

[features]
window_frames = 4
hop_frames = 4
list = ["mean", "std"]

[train]
estimators = ["logistic"]

[drift]
least_windows = 50
"""


def minutes(day: int, rng: random.Random) -> Iterator[tuple[int, float, str]]:
    """(second, temperature, state) of a day: warm at noon, and rough while the hall is busy."""
    state = "idle"
    for minute in range(MINUTES):
        if minute % 4 == 0:
            state = rng.choice(("idle", "busy"))
        warm = 3 * math.sin(2 * math.pi * minute / MINUTES)
        yield MONDAY_S + day * DAY_S + 60 * minute, warm + rng.gauss(0, 1 if state == "idle" else 4), state


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Exported]:
    """Two weeks of a hall, a file a day, and the bundle of a model trained on them."""
    folder = tmp_path_factory.mktemp("hall")
    (folder / "rec").mkdir()
    for day in range(14):
        rows = [f"{t},{x:.4f},{state}" for t, x, state in minutes(day, random.Random(day))]
        (folder / "rec" / f"day{day:02}.csv").write_text("\n".join(["t,temp,state", *rows]) + "\n", encoding="utf-8")
    (folder / "edgeloop.toml").write_text(TOML, encoding="utf-8")
    project, ws = load(folder / "edgeloop.toml"), Workspace(folder / "ws")
    made = materialise(ws, freeze(project, ws), project.program())
    assert made.time_us[:2].tolist() == [(MONDAY_S + 180) * 1_000_000, (MONDAY_S + 420) * 1_000_000]
    run, table = trained(
        LogisticRegression(), made.x, made.y, recording=made.recording, window=made.window, time_us=made.time_us,
        program=made.program,
    )  # fmt: skip
    return ws, export(
        run, table=table, name="hall", version=1, policy=policy(2), seasons=project.seasons, out_dir=ws.bundles
    )


def device(path: Path, header: Header, *, n_days: int, n_windows: int) -> Iterator[SummaryBatch]:
    """Summaries of a device that lives in the same season, from half past three on, as its core counts them."""
    bundle = load_bundle(path, keep=needed_to_run)
    assert MEMBER not in bundle.members
    engine = open_engine(bundle)
    stream = stream_for(bundle, engine)
    rows = [row for day in range(35, 35 + n_days) for row in minutes(day, random.Random(day))][210:]
    times = [1000 * t for t, _, _ in rows]
    flat = memoryview(array("f", [x for _, x, _ in rows]))
    for number in range(len(rows) // (4 * n_windows)):
        at, end = number * 4 * n_windows, (number + 1) * 4 * n_windows
        first, last = at + 3, end - 1
        while at < end:
            at += stream.step(flat, at, end - at)
        counted, label_counts = stream.summary()
        yield SummaryBatch(
            header=header, seq=number + 1, period=number, start_ms=times[first], end_ms=times[last], clock=1,
            first_window=number * n_windows, last_window=(number + 1) * n_windows - 1, n_windows=n_windows,
            label_counts=label_counts, drops=0, rows=counted,
        )  # fmt: skip
        stream.reset_summary()


def test_a_season_is_steady_with_the_strata_of_a_project_with_times_and_told_as_season(
    hall: tuple[Workspace, Exported],
) -> None:
    """Periods of 25 windows, 100 minutes each: none of them begins with an hour or ends with one."""
    ws, made = hall
    assert made.why["strata"].startswith("strata: 48 by hour (UTC) of 60..150 windows; they explain up to ")
    assert made.manifest.extra["why"]["strata"] == made.why["strata"]
    pending = Pending()
    birth = replace(samples.birth(), device="d0", time_ms=1000 * MONDAY_S, utc_offset_min=0)
    pending.add(topics.up(birth.site, "d0", "birth"), birth.to_bytes(), now_ms=7)
    header = Header(device="d0", stream="main", epoch=1, bundle=made.digest, program=made.manifest.program_digest)
    for batch in device(made.path, header, n_days=14, n_windows=25):
        pending.add(topics.up(birth.site, "d0", "sum", "main"), batch.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    matched_hours, stream = judge(ws)
    assert (matched_hours.verdict, matched_hours.cause, stream.verdict) == (STEADY, "season", STEADY)
    assert matched_hours.periods == 199
    all_hours = judge(ws, baseline_of=lambda _: load_bundle(made.path).baseline())[0]
    assert (all_hours.verdict, all_hours.evidence[0]["device"]) == (DRIFTED, "d0")


def test_strata_are_the_windows_of_the_local_hour(hall: tuple[Workspace, Exported]) -> None:
    """Noon is warm; all strata together are the baseline."""
    _, made = hall
    whole, *strata = load_bundle(made.path).matched_baseline().strata
    assert {s.name for s in strata} == {strata_at(1000 * (MONDAY_S + 3600 * h), 0)[0] for h in range(7 * 24)}
    assert sum(s.n_windows for s in strata) == whole.n_windows
    for i, bins in enumerate(whole.features):
        assert np.array([s.features[i].counts for s in strata]).sum(axis=0).tolist() == list(bins.counts)
    for i, bins in enumerate(whole.scores):
        assert np.array([s.scores[i].counts for s in strata]).sum(axis=0).tolist() == list(bins.counts)
    assert np.array([s.label_counts for s in strata]).sum(axis=0).tolist() == list(whole.label_counts)
    warm, cold = (next(s for s in strata if s.name == f"hour {h} weekday").features[0].counts for h in ("05", "18"))
    assert sum(warm[:4]) < 0.05 * sum(warm)
    assert sum(cold[:4]) > 0.5 * sum(cold)


HOUR_US: Final = 3_600_000_000
HOURLY: Final = np.arange(2000, dtype=np.int64) * HOUR_US + 1_000_000 * MONDAY_S


def strata_with(spec: SeasonSpec, time_us: NDArray[np.int64], *, warm: object = 0.0) -> tuple[list[Stratum], str]:
    """The strata of two features that a season adds `warm` to, and why."""
    rng = np.random.default_rng(0)
    n, none = len(time_us), np.zeros(len(time_us), dtype=np.int64)
    x = (rng.normal(size=(n, 2)) + np.asarray(warm).reshape(-1, 1)).astype(np.float32)
    rows = Rows(values=x, recording=none, window=np.arange(n), time_us=time_us)
    whole = baseline_of(
        features=x, feature_names=["a", "b"], recording=["r"] * n, window=np.arange(n), scores=x.astype(np.float64),
        score_names=["idle", "busy"], score_rows=np.arange(n), label_counts=[n, 0, 0],
    )  # fmt: skip
    strata, why = strata_of(whole, spec, features=rows, scores=rows, decided=none)
    return list(matched(whole, strata).strata[1:]) if strata else [], why


@pytest.mark.parametrize(
    ("spec", "time_us", "why"),
    [
        (SeasonSpec(), np.full(2000, -1), "the recordings have no times ([data] time_us"),
        (SeasonSpec(strata="none"), HOURLY, "as [drift] strata asks"),
        (SeasonSpec(strata="hour"), HOURLY, "no two hours have 200 windows of two days"),
        (SeasonSpec(least_windows=20), HOURLY // 3600, "no two hours or months have 20 windows of two days"),
        (SeasonSpec(least_windows=20), HOURLY, "hours and months explain less than 1% of any feature"),
    ],
    ids=["no times", "not asked for", "too few windows", "one day", "no season"],
)
def test_without_strata_the_reason_is_told(spec: SeasonSpec, time_us: NDArray[np.int64], why: str) -> None:
    strata, said = strata_with(spec, time_us)
    assert not strata
    assert said.startswith("strata: all hours are one")
    assert why in said


def test_months_are_taken_where_they_explain_more() -> None:
    strata, why = strata_with(SeasonSpec(least_windows=20), HOURLY, warm=3.0 * (np.arange(2000) > 700))
    assert " by month (UTC) " in why
    assert [s.name for s in strata] == ["month 01", "month 02", "month 11", "month 12"]


@pytest.mark.parametrize(
    ("zone", "hour"), [("UTC", "00"), ("+05:30", "05"), ("-03:00", "21"), ("America/New_York", "19")]
)
def test_hours_are_those_of_the_place(zone: str, hour: str) -> None:
    at_midnight = 3.0 * (HOURLY // HOUR_US % 24 == 0)
    strata, _ = strata_with(SeasonSpec(least_windows=20, timezone=zone), HOURLY, warm=at_midnight)
    warmest = max(strata, key=lambda s: s.features[0].counts[-1] / s.n_windows)
    assert warmest.name.startswith(f"hour {hour}")


def test_hours_without_enough_windows_stay_with_all_the_others() -> None:
    """Weekends have 23 or 24 windows an hour, weekdays 59 or 60; one window has no time."""
    some = HOURLY.copy()
    some[7] = -1
    strata, why = strata_with(SeasonSpec(strata="hour", least_windows=30), some)
    assert {s.name.split()[2] for s in strata} == {"weekday"}
    assert "24 with less left to all hours" in why
    assert next(s.n_windows for s in strata if s.name == "hour 07 weekday") == 59


def test_strata_of_another_baseline_are_refused() -> None:
    assert [s.name for s in matched(BASELINE, STRATA).strata] == [ALL, "weekend-07", "hour 07 weekend"]
    one = STRATA.strata[0]
    for rows in (one.rows[:3], (*one.rows[:3], replace(one.rows[3], counts=(7, 0, 0)))):
        with pytest.raises(ContractError, match="hour 07 weekend: its rows are not the 4 of the baseline"):
            matched(BASELINE, Strata(strata=(replace(one, rows=rows),)))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('strata = "week"', r"drift\.strata: want one of auto, hour, month, none"),
        ('timezone = "Middle/Earth"', r'drift\.timezone: want a name such as "Europe/Berlin", or "\+02:00"'),
        ('timezone = "Europe"', r"drift\.timezone: want a name"),
        ("least_windows = 5", r"drift\.least_windows: want a whole number 20\.\."),
        ("hours = 3", r"drift\.hours: unknown key"),
    ],
)
def test_what_is_no_drift_section_is_refused(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "edgeloop.toml"
    path.write_text(TOML, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        load(edit(path, "least_windows = 50", line))
