"""Ingest: telemetry from the broker into the store, and the one view through which it is read."""

from cloud_trainer.ingest.broker import Broker, available, open_broker
from cloud_trainer.ingest.consumer import Consumer
from cloud_trainer.ingest.view import births, compact, events, records, sql, summaries, windows

__all__ = [
    "Broker",
    "Consumer",
    "available",
    "births",
    "compact",
    "events",
    "open_broker",
    "records",
    "sql",
    "summaries",
    "windows",
]
