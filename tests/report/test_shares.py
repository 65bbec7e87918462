"""No device says alone how fast a fleet is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.report.telemetry import Where, latencies
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.sketch import value_of
from tests.ingest import samples

FAST, SLOW = 250, 350
WHERE = Where(bundle=samples.BUNDLE, from_ms=0, to_ms=2**52)


def told(ws: Workspace, devices: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """p50 and p99 of a fleet whose devices counted so many decisions in a bin."""
    pending = Pending()
    for device, (number, n) in devices.items():
        one = replace(samples.summary(device=device), latency_bins=(number,), latency_counts=(n,))
        pending.add(topics.up(samples.SITE, device, "sum", samples.STREAM), one.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    fleet = latencies(ws, WHERE)[0]
    assert (fleet.where, fleet.decisions) == ("", sum(n for _, n in devices.values())), "what was counted is told"
    return fleet.p50, fleet.p99


@pytest.fixture
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("ws"))


def test_a_device_that_decides_a_thousand_times_as_often_does_not_say_the_median(ws: Workspace) -> None:
    fleet = {f"d{i}": (FAST, 1000) for i in range(9)} | {"busy": (SLOW, 1_000_000)}
    p50, p99 = told(ws, fleet)
    assert p50 == round(value_of(FAST) / 1000)
    assert p99 == round(value_of(SLOW) / 1000), "two tenths of the fleet is what it may be"


def test_devices_that_are_about_alike_count_as_they_are(ws: Workspace) -> None:
    p50, p99 = told(ws, {"a": (FAST, 60), "b": (SLOW, 50), "c": (SLOW, 40)})
    assert (p50, p99) == (round(value_of(SLOW) / 1000), round(value_of(SLOW) / 1000))
