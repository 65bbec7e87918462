"""Signed orders: made here, kept by the broker (retained), obeyed by the device.

One rule: a new order, a new version.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge_runtime.contract.order import Order, OrderStream, Signed
from edge_runtime.contract.topics import down
from edge_runtime.errors import TransportError

if TYPE_CHECKING:
    from cloud_trainer.rollout.keys import Signer

TIMEOUT_S = 10.0


def make_order(site: str, device: str, *, version: int, rollout: str, streams: Mapping[str, OrderStream]) -> Order:
    """Return the order for one device."""
    return Order(site=site, device=device, version=version, rollout=rollout, streams=dict(streams))


def sign_order(order: Order, sign: Signer) -> Signed:
    """Return *order* in its envelope, signed over its bytes."""
    payload = order.to_bytes()
    return Signed(payload=payload, signatures=(sign(payload),))


def publish(orders: Mapping[str, bytes], *, host: str, port: int, timeout_s: float = TIMEOUT_S) -> None:
    """Publish each payload retained on its topic (QoS 1) and return when the broker has acknowledged all.

    Raises:
        TransportError: the broker is away, refuses, or does not acknowledge in *timeout_s*.
    """
    from paho.mqtt import client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect_timeout = timeout_s
    late_s = time.monotonic() + timeout_s
    try:
        client.connect(host, port)
    except (OSError, ValueError) as error:
        raise TransportError(f"broker {host}:{port}: {error}", hint="is it running? see [broker]") from error
    client.loop_start()
    try:
        for topic, payload in orders.items():
            info = client.publish(topic, payload, qos=1, retain=True)
            info.wait_for_publish(max(0.0, late_s - time.monotonic()))
            if not info.is_published():
                raise TransportError(
                    f"broker {host}:{port}: no acknowledgement of {topic} in {timeout_s:g} s",
                    hint="publish again: the same order is harmless",
                )
    except (RuntimeError, ValueError) as error:
        raise TransportError(f"broker {host}:{port}: {error}", hint="publish again") from error
    finally:
        client.disconnect()
        client.loop_stop()


def topic_of(order: Order) -> str:
    """Return the topic the device of *order* listens on."""
    return down(order.site, order.device, "desired")
