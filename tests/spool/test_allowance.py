"""Bytes a day by kind: what is over them is dropped, counted, and named by gap events."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.spool.allowance import DAY_MS, full
from tests.spool.common import draft, gap_of, open_spool


def test_what_is_over_its_bytes_a_day_is_named_and_other_kinds_are_not_touched(tmp_path: Path) -> None:
    """Batches of 200 bytes each quarter of a day, 400 a day: the first two from the bucket, then every other one."""
    with open_spool(tmp_path / "spool", bytes_day={"rec": 400, "sum": 0}) as spool:
        for quarter in range(12):
            spool.commit([draft(), draft(1, kind="sum")], now_ms=DAY_MS + quarter * DAY_MS // 4)
        kept = spool.pending(100)
        dropped = spool.stats().dropped_rows
    gaps = [gap for gap in map(gap_of, kept) if gap]
    records = [one for one in kept if one.kind == "rec"]
    assert sum(one.kind == "sum" for one in kept) == 12
    assert len(records) == 7  # two days and three quarters at two a day, and the bucket
    assert {gap.kind for gap in gaps} == {"rec"}
    assert sum(gap.rows for gap in gaps) == dropped == 4 * (12 - len(records))
    assert not any(g.first_seq == r.first_seq for g in gaps for r in records)


def test_a_clock_that_jumps_gives_a_day_at_most_and_a_clock_set_back_nothing() -> None:
    spent = full({"rec": 100, "ev": 0}).at(10 * DAY_MS).less("rec", 100)
    assert spent is not None
    assert spent.less("rec", 1) is None
    assert spent.less("ev", 10**9) is spent
    assert spent.at(DAY_MS).less("rec", 1) is None
    assert spent.at(10**15).left == {"rec": 100}
    half = spent.at(10 * DAY_MS + DAY_MS // 2)
    assert half.left == {"rec": 50}
