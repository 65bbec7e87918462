"""Tail: the fleet's messages as JSON lines, for eyes and for `jq`.

Its one rule: it changes nothing. It takes no share of a shared subscription and acknowledges nothing.
"""

from __future__ import annotations

import dataclasses
import json
import math
import queue
import re
from array import array
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from cloud_trainer.section import did_you_mean
from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from edge_runtime.contract.birth import Birth, State
from edge_runtime.contract.brief import read_summary
from edge_runtime.contract.event import Event
from edge_runtime.contract.packed import read_records
from edge_runtime.contract.window import Window
from edge_runtime.errors import ContractError, TransportError, UsageError

if TYPE_CHECKING:
    from cloud_trainer.workspace import Workspace

DOCUMENTS: dict[str, Callable[[bytes], Any]] = {
    "rec": read_records, "raw": Window.from_bytes, "sum": read_summary, "ev": Event.from_bytes,
    "birth": Birth.from_bytes, "state": State.from_bytes, "ack": Ack.from_bytes,
}  # fmt: skip
_LEVEL = r"(?:\+|[^+#/\0]*)"
_FILTER = re.compile(rf"(?!\Z)(?:{_LEVEL}/)*(?:#|{_LEVEL})")


def tail(
    host: str, port: int, *, topic: str = f"{topics.ROOT}/#", timeout_s: float | None = None
) -> Generator[str, None, None]:
    """A JSON line for every message that arrives, retained ones first.

    Args:
        host: The broker.
        port: Its TCP port.
        topic: Filter.
        timeout_s: End when nothing arrives for so long [s]; None waits for ever.

    Raises:
        TransportError: The broker does not answer.
        UsageError: `topic` is no filter.
    """
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    if not _FILTER.fullmatch(topic):
        raise UsageError(f"topic {topic!r}: is no filter", hint="+ is one level, # at the end is all: el/v1/+/pump-7/#")
    arrived: queue.Queue[tuple[str, bytes]] = queue.Queue(maxsize=10_000)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda c, _user, _flags, _reason, _properties: c.subscribe(topic, qos=1)
    client.on_message = lambda _c, _user, message: arrived.put((message.topic, bytes(message.payload)))
    try:
        client.connect(host, port)
    except OSError as why:
        raise TransportError(f"broker {host}:{port}: {why}", hint="start it: cloud-trainer broker") from why
    client.loop_start()
    try:
        while True:
            yield line(*arrived.get(timeout=timeout_s))
    except queue.Empty:
        return
    finally:
        client.disconnect()
        client.loop_stop()


def line(topic: str, payload: bytes) -> str:
    """One message as a JSON object: topic and document, or topic, error and bytes in hex."""
    try:
        leaf = topics.parse(topic).leaf
        if leaf in DOCUMENTS:
            return _dumps({"topic": topic, leaf: dataclasses.asdict(DOCUMENTS[leaf](payload))})
    except ContractError as why:
        return _dumps({"topic": topic, "error": str(why), "bytes": payload})
    return _dumps({"topic": topic, "text": _text(payload)})


def from_store(ws: Workspace, table: str, *, count: int) -> Iterator[str]:
    """The last `count` rows of a telemetry table through the reading view, oldest first."""
    from cloud_trainer.ingest import schema, view

    if table not in schema.TABLES:
        raise UsageError(
            f"table {table}: there is none{did_you_mean(table, schema.TABLES)}",
            hint=f"one of {', '.join(schema.TABLES)}",
        )
    order = ", ".join(("ingested_ms", *schema.KEYS[table]))
    reverse = ", ".join(f"{name} desc" for name in order.split(", "))
    newest = f"select * from {table} order by {reverse} limit $count"
    found = view.sql(ws, f"select * from ({newest}) order by {order}", {"count": count})
    for row in found.fetchall():
        yield _dumps(dict(zip(found.columns, row, strict=True)))


def _text(payload: bytes) -> str | bytes:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload


def _dumps(value: Any) -> str:
    return json.dumps(_plain(value), separators=(",", ":"))


def _plain(value: Any) -> Any:
    """JSON's own types: bytes as hex, NaN and infinities as null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "extra" or item}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple | array):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value
