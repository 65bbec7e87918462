from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.ingest.pending import MAX_RANGES, Pending
from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from tests.ingest import samples
from tests.ingest.samples import DEVICE, EPOCH, SITE, STREAM


def topic(leaf: str, stream: str = "") -> str:
    return topics.up(SITE, DEVICE, leaf, stream)


def test_batches_become_columns_and_exact_ranges() -> None:
    pending = Pending()
    pending.add(topic("rec", STREAM), samples.records(1, 4).to_bytes(), now_ms=7)
    pending.add(topic("sum", STREAM), samples.summary(5).to_bytes(), now_ms=7)
    pending.add(topic("ev"), samples.event(6).to_bytes(), now_ms=7)
    pending.add(topic("rec", STREAM), samples.records(7, 2).to_bytes(), now_ms=7)
    pending.add(topic("rec", STREAM), samples.records(7, 2).to_bytes(), now_ms=8)
    commit = pending.take()
    assert commit.ranges == {(SITE, DEVICE, EPOCH): ((1, 4), (5, 5), (6, 6), (7, 8))}
    assert commit.tables["records"]["seq"] == [1, 2, 3, 4, 7, 8, 7, 8]
    assert commit.tables["records"]["reason"][:3] == ["class", "uncertain", "floor"]
    assert (commit.rows, pending.rows, pending.messages) == (10, 0, 0)
    [(to, payload)] = commit.acks()
    assert to == f"el/v1/{SITE}/{DEVICE}/ack"
    assert Ack.from_bytes(payload) == Ack(epoch=EPOCH, ranges=((1, 4), (5, 5), (6, 6), (7, 8)))


def test_birth_and_state_are_stored_and_not_acknowledged() -> None:
    pending = Pending()
    pending.add(topic("birth"), samples.birth().to_bytes(), now_ms=7)
    pending.add(topic("state"), samples.state(online=False).to_bytes(), now_ms=7)
    commit = pending.take()
    assert commit.acks() == []
    assert commit.tables["states"]["online"] == [False]
    assert samples.BUNDLE in commit.tables["births"]["streams"][0]


def test_many_ranges_make_several_acks() -> None:
    pending = Pending()
    for i in range(MAX_RANGES + 1):
        pending.add(topic("ev"), samples.event(i + 1).to_bytes(), now_ms=7)
    acks = [Ack.from_bytes(payload) for _, payload in pending.take().acks()]
    assert [len(ack.ranges) for ack in acks] == [MAX_RANGES, 1]


def test_a_payload_of_another_device_is_set_aside() -> None:
    pending = Pending()
    pending.add(topics.up(SITE, "other", "rec", STREAM), samples.records().to_bytes(), now_ms=7)
    commit = pending.take()
    assert "the payload fan-7/main" in commit.tables["quarantine"]["reason"][0]
    assert commit.acks() == []


@given(st.binary(max_size=200), st.sampled_from(["rec/main", "sum/main", "ev", "birth", "state", "dec/main", "x", ""]))
def test_any_bytes_are_set_aside_once_and_never_acknowledged(payload: bytes, leaf: str) -> None:
    pending = Pending()
    for _ in range(2):
        pending.add(f"el/v1/{SITE}/{DEVICE}/{leaf}", payload, now_ms=7)
    commit = pending.take()
    assert commit.tables["quarantine"]["payload"] == [payload]
    assert commit.acks() == []
