"""The counters of a consumer for Prometheus. One rule: read when somebody asks, nothing on the way of a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from cloud_trainer.ingest.consumer import Consumer


class Counters:
    """A collector over one consumer."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it is now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        one = self._consumer
        rows = CounterMetricFamily("edgeloop_ingest_rows", "Rows stored, by table", labels=["table"])
        for table, count in sorted(one.rows_of.items()):
            rows.add_metric([table], count)
        yield rows
        yield CounterMetricFamily("edgeloop_ingest_commits", "Commits that were stored", one.commits)
        yield CounterMetricFamily("edgeloop_ingest_failed_commits", "Commits that were tried again", one.failed)
        yield CounterMetricFamily("edgeloop_ingest_commit_seconds", "Time spent in commits", one.commit_s_total)
        yield CounterMetricFamily("edgeloop_ingest_over_quota_rows", "Set aside in quarantine", one.quota.over_rows)
        yield CounterMetricFamily("edgeloop_ingest_rewrites", "Small files that became one", one.tidy.rewrites)
        yield CounterMetricFamily("edgeloop_ingest_refused_rewrites", "That the store refused", one.tidy.refused)
        yield CounterMetricFamily("edgeloop_ingest_rewrite_seconds", "Time spent in rewrites", one.tidy.seconds)
        yield from one.latencies.collect()
        yield GaugeMetricFamily("edgeloop_ingest_waiting_messages", "Messages not yet committed", one.waiting)


@contextmanager
def served(consumer: Consumer, port: int, *, host: str = "127.0.0.1") -> Iterator[int]:
    """Answer `GET /metrics` while the block runs; gives the port (0 takes a free one).

    Raises:
        UsageError: The port is taken.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(Counters(consumer))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as why:
        raise UsageError(f"--metrics-port {port}: {why.strerror}", hint="another port, or 0 for a free one") from why
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
