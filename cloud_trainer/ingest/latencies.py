"""Times of the fleet's decisions by bundle, from the sketches of the summaries that were stored, for Prometheus.

Its one rule: bounded by what is deployed, never by the number of devices: `MOST` bundles have a histogram of their own,
and those that come later share one. A summary that arrives twice counts twice here; the reading view knows better.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from edge_runtime.contract.sketch import least_of, value_of

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MOST: Final = 16
OTHER: Final = "other"
LAST_BINS: Final = tuple(range(175, 596, 7))
"""Of the buckets: each ends where a bin of the sketch does, five of them in two octaves, from 1 us to 17 s."""
_LEAST_NS: Final = tuple(least_of(number + 1) for number in LAST_BINS)


class Latencies:
    """Histograms that only grow. Life: `add()` what was stored, `collect()` whenever somebody asks."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sum_ns: dict[str, float] = {}

    def add(self, summaries: Mapping[str, Any]) -> None:
        """Take the rows of a commit in.

        Args:
            summaries: Columns `bundle`, `latency_bins` and `latency_counts` of the table.
        """
        bins, many = summaries["latency_bins"], summaries["latency_counts"]
        end = 0
        for bundle, n in zip(summaries["bundle"], bins.lengths, strict=True):
            start, end = end, end + n
            name = bundle if bundle in self._counts or len(self._counts) < MOST else OTHER
            counts = self._counts.setdefault(name, [0] * (len(LAST_BINS) + 1))
            for number, count in zip(bins.flat[start:end], many.flat[start:end], strict=True):
                counts[bisect_left(LAST_BINS, number)] += count
                self._sum_ns[name] = self._sum_ns.get(name, 0.0) + count * value_of(number)

    def collect(self) -> Iterator[Metric]:
        """One histogram a bundle."""
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(
            "edgeloop_decision_seconds", "Last frame to decision on the devices, by bundle", labels=["bundle"]
        )
        ends = [*(repr(ns / 1e9) for ns in _LEAST_NS), "+Inf"]
        for bundle, counts in sorted(self._counts.items()):
            buckets = list(zip(ends, map(float, accumulate(counts)), strict=True))
            family.add_metric([bundle[:12]], buckets, sum_value=self._sum_ns.get(bundle, 0.0) / 1e9)
        yield family
