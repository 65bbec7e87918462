"""Messages that wait for the next commit: pure, no broker, no store.

Its one rule: a range is acknowledged only as part of the commit that holds its rows, named exactly as it came.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cloud_trainer.ingest import schema
from cloud_trainer.ingest.quota import Quota
from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from edge_runtime.contract.birth import Birth, State
from edge_runtime.contract.brief import read_summary
from edge_runtime.contract.event import Event
from edge_runtime.contract.packed import read_records
from edge_runtime.contract.records import REASONS, RecordBatch
from edge_runtime.contract.summary import SummaryBatch
from edge_runtime.contract.window import Window
from edge_runtime.errors import ContractError
from edge_runtime.lean import items_of

MAX_RANGES = 64  # in one Ack message
RECORD_VALUES = 20  # a raw window weighs in a quota as the records that have so many values
REMEMBERED = 1024  # bad payloads that are not stored a second time

Device = tuple[str, str, int]  # site, device, epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit: rows by table, and what may be acknowledged once they are stored."""

    tables: Mapping[str, Mapping[str, Any]]
    ranges: Mapping[Device, tuple[tuple[int, int], ...]]
    rows: int

    def acks(self) -> list[tuple[str, bytes]]:
        """Topic and payload of each message to publish after the commit."""
        out = []
        for (site, device, epoch), ranges in self.ranges.items():
            topic = topics.down(site, device, "ack")
            cuts = range(0, len(ranges), MAX_RANGES)
            out += [(topic, Ack(epoch=epoch, ranges=ranges[at : at + MAX_RANGES]).to_bytes()) for at in cuts]
        return out


class _OverQuotaError(Exception):
    def __init__(self, device: Device, named: tuple[int, int], rows_hour: int) -> None:
        super().__init__(f"quota: {named[1] - named[0] + 1} rows over {rows_hour} an hour and device")
        self.device, self.named = device, named


class Pending:
    """Rows of the messages since the last commit. Life: `add()` until it is time, then `take()`.

    Args:
        quota: What each device may have stored; None is no limit.
    """

    def __init__(self, quota: Quota | None = None) -> None:
        self._quota = quota or Quota(0)
        self.rows = 0
        self.messages = 0
        self.values = 0  # of raw windows: these are long
        self._tables: dict[str, dict[str, Any]] = {}
        self._ranges: dict[Device, list[tuple[int, int]]] = {}
        self._bad: dict[bytes, None] = {}

    def add(self, topic: str, payload: bytes, *, now_ms: int) -> None:
        """Take one message in; one that does not decode, or is over quota, becomes a row of `quarantine`."""
        self.messages += 1
        try:
            self._decode(topics.parse(topic), payload, now_ms)
        except ContractError as why:
            self._set_aside(topic, str(why), payload, now_ms)
        except _OverQuotaError as why:
            self._set_aside(topic, str(why), payload, now_ms)
            self._ranges.setdefault(why.device, []).append(why.named)

    def take(self) -> Commit:
        """Everything since the last `take()`, which starts anew."""
        ranges = {device: tuple(dict.fromkeys(named)) for device, named in self._ranges.items()}
        commit = Commit(tables=self._tables, ranges=ranges, rows=self.rows)
        self._tables, self._ranges, self.rows, self.messages, self.values = {}, {}, 0, 0, 0
        return commit

    def _decode(self, topic: topics.Topic, payload: bytes, now_ms: int) -> None:
        if topic.leaf == "rec":
            self._records(topic, read_records(payload), now_ms)
        elif topic.leaf == "raw":
            self._window(topic, Window.from_bytes(payload), now_ms)
        elif topic.leaf == "sum":
            self._summary(topic, read_summary(payload), now_ms)
        elif topic.leaf == "ev":
            self._event(topic, Event.from_bytes(payload), now_ms)
        elif topic.leaf == "birth":
            self._birth(topic, Birth.from_bytes(payload), now_ms)
        elif topic.leaf == "state":
            self._state(topic, State.from_bytes(payload), now_ms)
        else:
            raise ContractError(f"topic leaf {topic.leaf}: is not stored")

    def _columns(self, name: str, rows: int) -> dict[str, Any]:
        self.rows += rows
        return self._tables.setdefault(name, schema.columns(name))

    def _sealed(
        self, topic: topics.Topic, epoch: int, first: int, last: int, now_ms: int, *, cost_rows: int = 0
    ) -> None:
        """Name the batch for the acknowledgement, before its rows are taken; `cost_rows` where a row is a long one."""
        device, named = (topic.site, topic.device, epoch), (first, last)
        if not self._quota.admits(topic.device, max(cost_rows, last - first + 1), now_ms):
            raise _OverQuotaError(device, named, self._quota.rows_hour)
        self._ranges.setdefault(device, []).append(named)

    def _records(self, topic: topics.Topic, batch: RecordBatch, now_ms: int) -> None:
        head, rows = batch.header, len(batch)
        _same_sender(topic, head.device, head.stream)
        self._sealed(topic, head.epoch, batch.first_seq, batch.last_seq, now_ms)
        columns = self._columns("records", rows)
        same = {
            "site": topic.site, "device": head.device, "stream": head.stream, "epoch": str(head.epoch),
            "bundle": head.bundle, "program": head.program, "clock": batch.clock, "ingested_ms": now_ms,
        }  # fmt: skip
        for name, value in same.items():
            columns[name].extend([value] * rows)
        columns["seq"].extend(range(batch.first_seq, batch.last_seq + 1))
        columns["time_ms"].extend(batch.times_ms)
        columns["window"].extend(batch.windows)
        columns["label"].extend(batch.labels)
        columns["vote"].extend(batch.votes)
        columns["reason"].extend(REASONS[r] for r in batch.reasons)
        columns["probability"].extend(batch.probabilities)
        columns["latency_us"].extend(batch.latencies_us)
        columns["features"].extend(array("f", batch.features), rows=rows, width=batch.n_features)
        columns["scores"].extend(array("f", batch.scores), rows=rows, width=batch.n_scores)

    def _summary(self, topic: topics.Topic, batch: SummaryBatch, now_ms: int) -> None:
        head = batch.header
        _same_sender(topic, head.device, head.stream)
        self._sealed(topic, head.epoch, batch.seq, batch.seq, now_ms)
        columns = self._columns("summaries", 1)
        one = {
            "site": topic.site, "device": head.device, "stream": head.stream, "epoch": str(head.epoch),
            "seq": batch.seq, "period": batch.period, "start_ms": batch.start_ms, "end_ms": batch.end_ms,
            "clock": batch.clock, "first_window": batch.first_window, "last_window": batch.last_window,
            "n_windows": batch.n_windows, "drops": batch.drops, "label_counts": batch.label_counts,
            "latency_bins": batch.latency_bins, "latency_counts": batch.latency_counts,
            "bundle": head.bundle, "program": head.program, "ingested_ms": now_ms,
        }  # fmt: skip
        for name, value in one.items():
            columns[name].append(value)
        for name in ("n", "n_nan", "min", "max", "first", "last", "sum", "sum_sq", "sum_lag"):
            columns[name].append(getattr(row, name) for row in batch.rows)
        columns["counts"].append(count for row in batch.rows for count in row.counts)
        columns["n_counts"].append(len(row.counts) for row in batch.rows)

    def _window(self, topic: topics.Topic, one: Window, now_ms: int) -> None:
        head = one.header
        _same_sender(topic, head.device, head.stream)
        self._sealed(topic, head.epoch, one.seq, one.seq, now_ms, cost_rows=len(one.values) // RECORD_VALUES)
        self.values += len(one.values)
        self._row("windows", topic, head.epoch, {
            "stream": head.stream, "seq": one.seq, "time_ms": one.time_ms, "clock": one.clock, "window": one.window,
            "reason": REASONS[one.reason], "bundle": head.bundle, "program": head.program, "rate_hz": one.rate_hz,
            "channels": _text(one.names), "n_values": one.n_values, "values": one.values, "ingested_ms": now_ms,
        })  # fmt: skip

    def _event(self, topic: topics.Topic, event: Event, now_ms: int) -> None:
        _same_sender(topic, event.device)
        self._sealed(topic, event.epoch, event.seq, event.seq, now_ms)
        self._row("events", topic, event.epoch, {
            "stream": event.stream, "seq": event.seq, "time_ms": event.time_ms, "kind": event.kind,
            "fields": _text(event.fields), "ingested_ms": now_ms,
        })  # fmt: skip

    def _birth(self, topic: topics.Topic, birth: Birth, now_ms: int) -> None:
        _same_sender(topic, birth.device)
        streams = [
            {name: getattr(s, name) for name in
             ("name", "bundle", "program", "version", "window_frames", "hop_frames", "rate_hz", "source")}
            for s in birth.streams
        ]  # fmt: skip
        self._row("births", topic, birth.epoch, {
            "time_ms": birth.time_ms, "utc_offset_min": birth.utc_offset_min,
            "versions": _text(birth.versions), "streams": _text(streams), "raw": _allowed(birth), "ingested_ms": now_ms,
        })  # fmt: skip

    def _state(self, topic: topics.Topic, state: State, now_ms: int) -> None:
        _same_sender(topic, state.device)
        self._row("states", topic, state.epoch, {
            "time_ms": state.time_ms, "online": state.online, "streams": _text(state.streams),
            "order_version": state.order_version, "ingested_ms": now_ms,
        })  # fmt: skip

    def _row(self, name: str, topic: topics.Topic, epoch: int, values: dict[str, object]) -> None:
        columns = self._columns(name, 1)
        whose = {"site": topic.site, "device": topic.device, "epoch": str(epoch)}
        for column, value in (whose | values).items():
            columns[column].append(value)

    def _set_aside(self, topic: str, reason: str, payload: bytes, now_ms: int) -> None:
        """Store what does not decode, once: its device cannot know and sends it again and again."""
        digest = sha256(topic.encode() + b"\0" + payload).digest()
        if digest in self._bad:
            return
        self._bad[digest] = None
        while len(self._bad) > REMEMBERED:
            del self._bad[next(iter(self._bad))]
        columns = self._columns("quarantine", 1)
        row = {"topic": topic, "reason": reason, "payload": payload, "ingested_ms": now_ms}
        for name, value in row.items():
            columns[name].append(value)


def _same_sender(topic: topics.Topic, device: str, stream: str | None = None) -> None:
    if device != topic.device or (stream is not None and stream != topic.stream):
        raise ContractError(
            f"sender: the topic says {topic.device}/{topic.stream}, the payload {device}/{stream or ''}"
        )


def _allowed(birth: Birth) -> str | None:
    """What frames the device lets go; None where it does not say."""
    if birth.raw is None:
        return None
    streams = {name: items_of(rule) for name, rule in birth.raw.items()}
    return _text({"bytes_day": birth.raw_bytes_day, "streams": streams})


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=dict)
