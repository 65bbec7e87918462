"""The rule that moves a rollout, as a table; and that it fails closed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.rollout.rings import Plan, Report, advance, by_hash, outcomes, report_of
from edge_runtime.errors import UsageError

BUNDLE = "b" * 64
PLAN = Plan(
    rollout="fan-7",
    stream="main",
    bundle=BUNDLE,
    url="http://depot/b.elb",
    length=1,
    rings=(("s/one",), ("s/two", "s/three")),
    timeout_ms=1000,
)
RING_0, RING_1 = replace(PLAN, ring=0, since_ms=5000), replace(PLAN, ring=1, since_ms=9000)


def said(device: str, kind: str, *, rollout: str = "fan-7", bundle: str = BUNDLE, at: int = 5500) -> Report:
    return Report(device=device, kind=kind, rollout=rollout, bundle=bundle, time_ms=at)


ONE, TWO, THREE = (said(f"s/{name}", "confirmed") for name in ("one", "two", "three"))

TABLE: list[tuple[str, Plan, list[Report], int, str, int]] = [
    ("nothing sent yet", PLAN, [], 0, "next", 0),
    ("the canary is silent", RING_0, [], 5999, "wait", 0),
    ("the canary is silent too long", RING_0, [], 6000, "halt", 0),
    ("staged is no outcome", RING_0, [said("s/one", "staged")], 5999, "wait", 0),
    ("fault is no outcome", RING_0, [said("s/one", "fault")], 5999, "wait", 0),
    ("the canary confirmed", RING_0, [ONE], 5600, "next", 1),
    ("the canary confirmed late, but did", RING_0, [ONE], 99999, "next", 1),
    ("the canary refused", RING_0, [said("s/one", "refused")], 5600, "halt", 0),
    ("the canary fell back", RING_0, [said("s/one", "fell-back")], 5600, "halt", 0),
    ("confirmed, then fell back", RING_0, [ONE, said("s/one", "fell-back")], 5600, "halt", 0),
    ("fell back, then confirmed", RING_0, [said("s/one", "fell-back"), ONE], 5600, "halt", 0),
    ("confirmed another bundle", RING_0, [said("s/one", "confirmed", bundle="c" * 64)], 5600, "wait", 0),
    ("confirmed for another rollout", RING_0, [said("s/one", "confirmed", rollout="old")], 5600, "wait", 0),
    ("confirmed for nobody", RING_0, [said("s/one", "confirmed", rollout="")], 5600, "wait", 0),
    ("refused an order it did not trust", RING_0, [said("s/one", "refused", rollout="", bundle="")], 5600, "halt", 0),
    ("refused another one long ago", RING_0, [said("s/one", "refused", rollout="", at=4999)], 5600, "wait", 0),
    ("refused for an older rollout", RING_0, [said("s/one", "refused", rollout="old")], 5600, "wait", 0),
    ("a stranger refused", RING_0, [ONE, said("s/nine", "refused")], 5600, "next", 1),
    ("a device of the next ring refused something else", RING_0, [ONE, said("s/two", "refused")], 5600, "next", 1),
    ("half of ring 1", RING_1, [ONE, TWO], 9500, "wait", 1),
    ("half of ring 1, too long", RING_1, [ONE, TWO], 10000, "halt", 1),
    ("all confirmed", RING_1, [ONE, TWO, THREE], 9500, "done", 1),
    ("the canary fell back later", RING_1, [ONE, TWO, THREE, said("s/one", "fell-back")], 9500, "halt", 1),
    ("the canary's report is gone", RING_1, [TWO, THREE], 9500, "halt", 1),
    ("halted by hand", replace(RING_1, halted="by hand"), [ONE, TWO, THREE], 9500, "halt", 1),
    ("one may fail", replace(RING_1, max_failures=1), [ONE, TWO, said("s/three", "refused")], 9500, "done", 1),
]


@pytest.mark.parametrize("why", [row[0] for row in TABLE])
def test_decision(why: str) -> None:
    _, plan, reports, now_ms, kind, ring = next(row for row in TABLE if row[0] == why)
    decision = advance(plan, reports, now_ms)
    assert (decision.kind, decision.ring) == (kind, ring), decision.reason
    assert decision.reason


@given(st.lists(st.sampled_from(["confirmed", "refused", "fell-back", "staged", "swapped"]), max_size=6))
def test_nothing_goes_on_without_a_confirmation_of_each(kinds: list[str]) -> None:
    """Whatever else a ring says, "next" needs every device's own confirmation and no failure."""
    decision = advance(RING_0, [said("s/one", kind) for kind in kinds], 5600)
    is_clean = "confirmed" in kinds and not {"refused", "fell-back"} & set(kinds)
    assert (decision.kind == "next") == is_clean


@given(st.permutations([ONE, TWO, said("s/three", "refused"), said("s/two", "staged")]))
def test_the_order_of_reports_does_not_matter(reports: list[Report]) -> None:
    assert advance(RING_1, reports, 9500) == advance(RING_1, sorted(reports, key=str), 9500)
    assert outcomes(RING_1, reports, 9500)["s/three"] == ("failed", "refused")


def test_halt_names_the_devices() -> None:
    decision = advance(RING_1, [ONE, said("s/two", "fell-back")], 10000)
    assert "s/three no outcome in 1 s" in decision.reason
    assert "s/two fell-back" in decision.reason


def test_cohort_by_hash_is_stable_and_fair() -> None:
    devices = [f"s/d{i}" for i in range(2000)]
    rings = by_hash(devices, (0.05, 0.3, 1.0), salt="fan-7")
    assert rings == by_hash(devices[::-1], (0.05, 0.3, 1.0), salt="fan-7")
    assert Counter(device for ring in rings for device in ring) == Counter(devices)
    for ring, share in zip(rings, (0.05, 0.25, 0.7), strict=True):
        assert len(ring) / 2000 == pytest.approx(share, abs=0.03)
    assert by_hash(devices, (0.05, 0.3, 1.0), salt="fan-8")[0] != rings[0]


def test_a_device_stays_in_its_ring_when_others_join() -> None:
    devices = [f"s/d{i}" for i in range(100)]
    small, large = (by_hash(devices[:n], (0.2, 1.0), salt="x") for n in (50, 100))
    for i, j in product(range(2), range(2)):
        assert not set(small[i]) & set(large[j]) or i == j


@pytest.mark.parametrize("shares", [(), (0.5,), (1.0, 0.5), (0.0, 1.0), (0.5, 1.5)])
def test_shares_that_leave_devices_out_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="shares"):
        by_hash(["s/one"], shares, salt="")


@pytest.mark.parametrize("rings", [(), ((),), (("s/one",), ("s/one",)), (("one",),)])
def test_rings_that_are_none_are_refused(rings: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(UsageError):
        replace(PLAN, rings=rings)


def test_report_of_an_event() -> None:
    fields: dict[str, str | int] = {"rollout": "fan-7", "bundle": BUNDLE, "order_version": 3}
    assert report_of("s", "one", kind="confirmed", fields=fields, time_ms=5500) == ONE
