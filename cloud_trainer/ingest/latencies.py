"""Times of the fleet's decisions by bundle, from the sketches of the summaries that were stored, for Prometheus.

Its one rule: bounded, whatever devices send: the `MOST` bundles that were heard of last have a histogram of their own,
those before them share one. A summary that arrives twice counts twice here; the reading view knows better.
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
    """Histograms that only grow, but for a bundle's that went into `OTHER` and begins anew.

    Life: `add()` what was stored, `collect()` whenever somebody asks.
    """

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sum_ns: dict[str, float] = {}
        self._heard: dict[str, None] = {}  # bundles, the one heard of longest ago first

    def add(self, summaries: Mapping[str, Any]) -> None:
        """Take the rows of a commit in; of each no more times than it has windows.

        Args:
            summaries: Columns `bundle`, `n_windows`, `latency_bins` and `latency_counts` of the table.
        """
        bins, many = summaries["latency_bins"], summaries["latency_counts"]
        end = 0
        for bundle, n_windows, n in zip(summaries["bundle"], summaries["n_windows"], bins.lengths, strict=True):
            start, end = end, end + n
            counts, left = self._of(bundle), n_windows
            for number, told in zip(bins.flat[start:end], many.flat[start:end], strict=True):
                count = min(told, left)
                left -= count
                counts[bisect_left(LAST_BINS, number)] += count
                self._sum_ns[bundle] = self._sum_ns.get(bundle, 0.0) + count * value_of(number)

    def _of(self, bundle: str) -> list[int]:
        """The counts of a bundle, heard of now."""
        self._heard.pop(bundle, None)
        self._heard[bundle] = None
        if len(self._heard) > MOST:
            self._fold(next(iter(self._heard)))
        return self._counts.setdefault(bundle, [0] * (len(LAST_BINS) + 1))

    def _fold(self, bundle: str) -> None:
        del self._heard[bundle]
        whole = self._counts.get(OTHER, [0] * (len(LAST_BINS) + 1))
        self._counts[OTHER] = [a + b for a, b in zip(whole, self._counts.pop(bundle), strict=True)]
        self._sum_ns[OTHER] = self._sum_ns.get(OTHER, 0.0) + self._sum_ns.pop(bundle, 0.0)

    def collect(self) -> Iterator[Metric]:
        """One histogram a bundle."""
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(
            "edgeloop_decision_seconds", "Last frame to decision on the devices, by bundle", labels=["bundle"]
        )
        ends = [*(repr(ns / 1e9) for ns in _LEAST_NS), "+Inf"]
        for bundle, counts in sorted(self._counts.items()):
            buckets = list(zip(ends, map(float, accumulate(counts)), strict=True))
            family.add_metric([bundle], buckets, sum_value=self._sum_ns.get(bundle, 0.0) / 1e9)
        yield family
