"""Latencies for Prometheus: counted exactly from sketches, and as many series as there are bundles, up to a limit."""

from __future__ import annotations

from dataclasses import replace

from cloud_trainer.ingest.latencies import MOST, Latencies
from cloud_trainer.ingest.pending import Commit, Pending
from edge_runtime.contract import topics
from edge_runtime.contract.brief import BriefBatch
from edge_runtime.contract.sketch import bin_of
from edge_runtime.lean import items_of
from tests.ingest import samples
from tests.ingest.samples import BUNDLE, DEVICE, SITE, STREAM


def commit(*timed: tuple[str, dict[int, int]], n_windows: int = 1000) -> Commit:
    """One summary each of (bundle, how often by time [ns]); all of them as devices send them."""
    pending = Pending()
    for seq, (bundle, times) in enumerate(timed, start=1):
        bins = dict(sorted((bin_of(ns), n) for ns, n in times.items()))
        summary = samples.summary(seq)
        one = BriefBatch(**items_of(replace(
            summary, header=replace(summary.header, bundle=bundle), n_windows=n_windows,
            latency_bins=tuple(bins), latency_counts=tuple(bins.values()),
        )))  # fmt: skip
        pending.add(topics.up(SITE, DEVICE, "sum", STREAM), one.to_bytes(), now_ms=7)
    return pending.take()


def told(latencies: Latencies) -> dict[tuple[str, str], float]:
    """Value by (bundle, upper end of a bucket, or "count" or "sum")."""
    [family] = latencies.collect()
    return {
        (one.labels["bundle"], one.labels.get("le", one.name.rpartition("_")[2])): one.value for one in family.samples
    }


def test_buckets_hold_what_the_devices_counted() -> None:
    latencies = Latencies()
    latencies.add(
        commit((BUNDLE, {900: 5, 15_000: 100, 70_000: 3}), (BUNDLE, {15_000: 50, 2**39: 1})).tables["summaries"]
    )
    latencies.add(commit((BUNDLE, {15_000: 1}), ("12" * 32, {})).tables["summaries"])
    values = told(latencies)
    ends = [float(end) for bundle, end in values if bundle == BUNDLE and end not in ("+Inf", "count", "sum")]
    assert ends == sorted(ends)
    for seconds, wanted in (
        (1e-6, 0),
        (1.03e-6, 5),
        (10e-6, 5),
        (21e-6, 156),
        (60e-6, 156),
        (100e-6, 159),
        (17.0, 159),
    ):
        under = max((end for end in ends if end <= seconds), default=0.0)
        assert (values[BUNDLE, repr(under)] if under else 0) == wanted, seconds
    assert values[BUNDLE, "+Inf"] == values[BUNDLE, "count"] == 160
    assert abs(values[BUNDLE, "sum"] / (5 * 900e-9 + 151 * 15e-6 + 3 * 70e-6 + 2**39 / 1e9) - 1) < 0.02
    assert values["12" * 32, "count"] == 0


def counted(latencies: Latencies) -> dict[str, float]:
    """Decisions by bundle."""
    return {bundle: value for (bundle, end), value in told(latencies).items() if end == "count"}


def digest(number: int) -> str:
    """Of a bundle; all of them begin alike."""
    return f"{number:064x}"


def test_bundles_that_were_heard_of_longest_ago_share_one_histogram() -> None:
    """A rollout is what somebody looks at: the newest bundle has its own, and so has one that is still heard of."""
    latencies = Latencies()
    for number in range(3 * MOST):
        latencies.add(commit((digest(number), {15_000: 1}), (BUNDLE, {70_000: 1})).tables["summaries"])
    kept = [digest(number) for number in range(2 * MOST + 1, 3 * MOST)]
    assert counted(latencies) == {BUNDLE: 3 * MOST, "other": 2 * MOST + 1} | dict.fromkeys(kept, 1)
    sums = {bundle: value for (bundle, end), value in told(latencies).items() if end == "sum"}
    assert abs(sums["other"] / ((2 * MOST + 1) * 15e-6) - 1) < 0.02
    assert abs(sums[BUNDLE] / (3 * MOST * 70e-6) - 1) < 0.02


def test_a_summary_has_no_more_times_than_windows() -> None:
    """Else one device could be the fleet with a single message."""
    latencies = Latencies()
    latencies.add(commit((BUNDLE, {15_000: 4, 70_000: 2**32 - 1, 2**39: 2**32 - 1}), n_windows=6).tables["summaries"])
    values = told(latencies)
    assert values[BUNDLE, "count"] == 6
    assert abs(values[BUNDLE, "sum"] / (4 * 15e-6 + 2 * 70e-6) - 1) < 0.02
