from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.drift.periods import Tally, lag1_of, periods
from edge_runtime.contract.strata import strata_over
from tests.drift.world import tally
from tests.ingest import samples

EDGES = (-1.0, 0.0, 1.0)


@given(st.lists(st.floats(-40, 40) | st.just(float("nan")), max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_parts_merge_to_the_bits_of_the_whole(values: list[float], cuts: list[int]) -> None:
    x = np.array(values)
    marks = [0, *sorted(min(c, len(x)) for c in cuts), len(x)]
    parts = [tally(x[a:b], EDGES) for a, b in pairwise(marks)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    assert whole == tally(x, EDGES)


def test_the_autocorrelation_of_a_known_series_is_recovered() -> None:
    from tests.drift.world import bins, period

    rng = np.random.default_rng(4)
    x = np.zeros((3, 4000))
    for t in range(1, 4000):
        x[:, t] = np.array([0.0, 0.5, 0.9]) * x[:, t - 1] + rng.normal(size=3)
    x[:, 0] = 1.0
    features = [bins(row, f"f{i}") for i, row in enumerate(x)]
    assert np.allclose(lag1_of([period(x, features, number=0)]), [0.0, 0.5, 0.9, 0.9], atol=0.05)
    still = [bins(np.full(50, 2.0))]
    assert np.isnan(lag1_of([period(np.full((1, 50), 2.0), still, number=0)])).all()


def row(
    seq: int,
    *,
    period: int,
    first_window: int,
    n_windows: int,
    epoch: str = "1",
    counts: tuple[int, ...],
    clock: int = 1,
    offset_min: int | None = 60,
) -> dict[str, object]:
    n = sum(counts)
    return {
        "bundle": "b", "device": samples.DEVICE, "stream": "main", "epoch": epoch, "seq": seq, "period": period,
        "start_ms": 1000 * first_window, "end_ms": 1000 * (first_window + n_windows), "first_window": first_window,
        "n_windows": n_windows, "n": [n], "n_nan": [0], "min": [-1.0 * seq], "max": [1.0 * seq],
        "first": [1], "last": [2], "sum": [n], "sum_sq": [n],
        "sum_lag": [n], "counts": list(counts), "n_counts": [len(counts)], "label_counts": [n, 0], "clock": clock,
        "utc_offset_min": offset_min,
    }  # fmt: skip


def test_parts_of_a_period_are_one_and_epochs_are_apart() -> None:
    rows = [
        row(9, period=0, first_window=90, n_windows=2, epoch="0", counts=(2, 0, 0)),
        row(3, period=1, first_window=20, n_windows=4, counts=(0, 1, 3)),
        row(1, period=0, first_window=0, n_windows=10, counts=(5, 5, 0)),
        row(4, period=2, first_window=24, n_windows=0, counts=()),
        row(2, period=1, first_window=10, n_windows=10, counts=(1, 9, 0)),
    ]
    found = periods(rows)
    assert [(p.epoch, p.period, p.n_windows, p.start_ms, p.end_ms) for p in found] == [
        ("1", 0, 10, 0, 10_000), ("1", 1, 14, 10_000, 24_000), ("0", 0, 2, 90_000, 92_000),
    ]  # fmt: skip
    assert tuple(found[1].tallies) == (
        Tally(n=14, n_nan=0, min=-3.0, max=3.0, first=1, last=2, sum=14, sum_sq=14, sum_lag=16, counts=(1, 10, 3)),
    )


def test_a_period_belongs_to_the_hour_of_its_start_where_the_device_stands() -> None:
    """1970-01-01 was a Thursday; in the last hour of Friday a device 2 h ahead is in its weekend."""
    start = (24 + 23) * 3600
    rows = [
        row(1, period=0, first_window=start, n_windows=5, counts=(5, 0, 0), offset_min=0),
        row(2, period=1, first_window=start + 10, n_windows=5, counts=(5, 0, 0), offset_min=120),
        row(3, period=2, first_window=start + 20, n_windows=5, counts=(5, 0, 0), clock=0),
        row(4, period=3, first_window=start + 30, n_windows=5, counts=(5, 0, 0), offset_min=None),
    ]
    assert [p.strata for p in periods(rows)] == [
        (("hour 23 weekday", 1.0), ("month 01", 1.0)), (("hour 01 weekend", 1.0), ("month 01", 1.0)), (), (),
    ]  # fmt: skip


def test_a_period_over_several_hours_has_its_part_in_each() -> None:
    """From 23:40 on the last day of a month, 80 minutes, and from there back."""
    start = 1_740_786_000_000  # 2025-02-28, a Friday
    over = strata_over(start, start + 80 * 60_000, 0)
    assert dict(over) == {
        "hour 23 weekday": 0.25, "hour 00 weekend": 0.75, "month 02": 0.25, "month 03": 0.75
    }  # fmt: skip
    assert strata_over(start, start - 5, 0) == (("hour 23 weekday", 1.0), ("month 02", 1.0))
    assert dict(strata_over(start, start + 1000, 30)) == {"hour 00 weekend": 1.0, "month 03": 1.0}
    hours = [part for name, part in strata_over(start, start + 10**10, 345) if name.startswith("hour")]
    assert math.isclose(sum(hours), 1.0, rel_tol=1e-12)


def test_counts_that_a_device_claims_beyond_32_bits_stay_at_their_end() -> None:
    """Each part is within its bounds; their sum need not be, and one device must not end what judges all."""
    many = 2**32 - 1
    rows = [row(seq, period=0, first_window=10 * seq, n_windows=10, counts=(0, many, 0)) for seq in (1, 2)]
    [whole] = periods(rows)
    assert whole.tallies[0].counts == (0, many, 0)
