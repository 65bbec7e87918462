"""A device for the tests that kill it: connects, greets, and stays."""

from __future__ import annotations

import sys

from edge_runtime.transport import Courier, Endpoint, Letter, MqttLink
from tests.sim.broker import SimSpool


def state(word: bytes) -> Letter:
    return Letter(topic="el/v1/x/d/state", payload=word, retain=True)


def make(endpoint: Endpoint, *, subscriptions: tuple[str, ...] = ()) -> MqttLink:
    return MqttLink(
        endpoint, client_id="el-x-d", subscriptions=subscriptions, will=lambda: state(b"offline"),
        uniform=lambda low, high: min(high, 0.05),
    )  # fmt: skip


def greeting() -> list[Letter]:
    return [Letter(topic="el/v1/x/d/birth", payload=b"born", retain=True), state(b"online")]


def main(port: int) -> None:
    courier = Courier(
        make(Endpoint(host="127.0.0.1", port=port)), SimSpool(epoch=1, store=set()),
        site="x", device="d", greeting=greeting, on_desired=lambda _: None,
    )  # fmt: skip
    while True:
        courier.step(0.1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
