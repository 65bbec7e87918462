from __future__ import annotations

import json

import pytest

from cloud_trainer.ingest import tail
from cloud_trainer.ingest.broker import Broker
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.errors import TransportError, UsageError
from tests.ingest import samples
from tests.ingest.mqtt import Client
from tests.ingest.samples import DEVICE, EPOCH, SITE, STREAM
from tests.ingest.test_view import store


def test_every_document_is_one_json_object() -> None:
    record = json.loads(tail.line(topics.up(SITE, DEVICE, "rec", STREAM), samples.records(1, 2).to_bytes()))
    assert (record["rec"]["header"]["epoch"], record["rec"]["windows"]) == (EPOCH, [10, 20])
    summary = json.loads(tail.line(topics.up(SITE, DEVICE, "sum", STREAM), samples.summary().to_bytes()))
    assert summary["sum"]["rows"][1]["min"] is None
    assert "extra" not in summary["sum"]
    for leaf, sample in (("ev", samples.event()), ("birth", samples.birth()), ("state", samples.state())):
        assert json.loads(tail.line(topics.up(SITE, DEVICE, leaf), sample.to_bytes()))[leaf]["device"] == DEVICE


def test_what_does_not_decode_is_shown_as_hex() -> None:
    shown = json.loads(tail.line(topics.up(SITE, DEVICE, "ev"), b"\xff"))
    assert shown["bytes"] == "ff"
    assert shown["error"]
    assert json.loads(tail.line("el/v1/lab/fan-7/desired", b"{}"))["text"] == "{}"


def test_tail_follows_the_broker(any_broker: Broker) -> None:
    with Client(any_broker.port, "d") as d:
        d.publish(topics.up(SITE, DEVICE, "birth"), samples.birth().to_bytes(), retain=True)
        lines = tail.tail(any_broker.host, any_broker.port, timeout_s=10)
        assert json.loads(next(lines))["birth"]["device"] == DEVICE
        d.publish(topics.up(SITE, DEVICE, "ev"), samples.event().to_bytes())
        assert json.loads(next(lines))["ev"]["kind"] == "gap"
        lines.close()


def test_a_broker_that_is_away_is_named() -> None:
    with pytest.raises(TransportError, match="broker 127"):
        next(tail.tail("127.0.0.1", 1))


@pytest.mark.parametrize("topic", ["", "a/#/b", "a+/b", "a#"])
def test_a_filter_that_is_none_is_named(topic: str) -> None:
    with pytest.raises(UsageError, match="is no filter"):
        next(tail.tail("127.0.0.1", 1, topic=topic))


def test_the_store_shows_its_newest_rows_once(ws: Workspace) -> None:
    store(ws, [samples.records(1, 4), samples.records(1, 4)])
    shown = [json.loads(text) for text in tail.from_store(ws, "records", count=3)]
    assert [row["seq"] for row in shown] == [2, 3, 4]
    with pytest.raises(UsageError, match=r"table recrods.*'records'"):
        list(tail.from_store(ws, "recrods", count=1))
