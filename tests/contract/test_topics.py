"""Topics are made and read by one rule."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract import topics
from edge_runtime.contract.topics import Topic
from edge_runtime.errors import ContractError

IDS = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)


def test_topics_as_written_in_format_md() -> None:
    assert topics.up("plant-2", "pump-7", "rec", "motor") == "el/v1/plant-2/pump-7/rec/motor"
    assert topics.up("plant-2", "pump-7", "birth") == "el/v1/plant-2/pump-7/birth"
    assert topics.down("plant-2", "pump-7", "ack") == "el/v1/plant-2/pump-7/ack"
    assert topics.down("plant-2", "pump-7", "cmd/flush") == "el/v1/plant-2/pump-7/cmd/flush"


@given(IDS, IDS, IDS)
def test_what_is_made_is_read_back(site: str, device: str, stream: str) -> None:
    for leaf in topics.STREAM_LEAFS:
        made = topics.up(site, device, leaf, stream)
        assert topics.parse(made) == Topic(site=site, device=device, leaf=leaf, stream=stream)
    for leaf in topics.DEVICE_LEAFS:
        assert topics.parse(topics.up(site, device, leaf)) == Topic(site=site, device=device, leaf=leaf)
    for leaf in (*topics.DOWN_LEAFS, *(f"cmd/{verb}" for verb in topics.VERBS)):
        assert topics.parse(topics.down(site, device, leaf)) == Topic(site=site, device=device, leaf=leaf)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "el/v1",
        "el/v2/a/b/birth",
        "el/v1/a/b",
        "el/v1/a/b/x",
        "el/v1/A/b/birth",
        "el/v1/a//birth",
        "el/v1/a/b/birth/",
        "el/v1/a/b/birth/x",
        "el/v1/a/b/rec",
        "el/v1/a/b/rec/",
        "el/v1/a/b/rec/+",
        "el/v1/a/b/rec/x/y",
        "el/v1/a/b/cmd",
        "el/v1/a/b/cmd/reboot",
        "el/v1/a/b/ack/x",
        "el/v1/+/b/birth",
        "el/v1/a/b/birth\n",
        "$share/ingest/el/v1/a/b/birth",
        "/el/v1/a/b/birth",
        "el/v1/" + "a" * 65 + "/b/birth",
    ],
)
def test_any_other_topic_is_refused(topic: str) -> None:
    with pytest.raises(ContractError, match="topic"):
        topics.parse(topic)


@given(st.text(max_size=40) | st.from_regex(r"el/v1/[a-c/+#]{0,12}", fullmatch=True))
def test_any_text_is_a_topic_or_a_contract_error(topic: str) -> None:
    with contextlib.suppress(ContractError):
        topics.parse(topic)


@pytest.mark.parametrize(
    ("leaf", "stream"), [("rec", ""), ("birth", "motor"), ("ack", ""), ("rec", "a/b"), ("x", ""), ("rec", "+")]
)
def test_a_device_publishes_nothing_else(leaf: str, stream: str) -> None:
    with pytest.raises(ContractError, match="topic"):
        topics.up("a", "b", leaf, stream)


def test_the_cloud_publishes_nothing_else() -> None:
    for leaf in ("birth", "cmd", "cmd/", "cmd/reboot"):
        with pytest.raises(ContractError, match=r"topic\.leaf"):
            topics.down("a", "b", leaf)


def test_consumers_share_every_topic_that_the_store_keeps() -> None:
    assert topics.INGEST == (
        "$share/ingest/el/v1/+/+/rec/+",
        "$share/ingest/el/v1/+/+/raw/+",
        "$share/ingest/el/v1/+/+/sum/+",
        "$share/ingest/el/v1/+/+/ev",
        "$share/ingest/el/v1/+/+/birth",
        "$share/ingest/el/v1/+/+/state",
    )
