"""Device, broker and consumer are SIGKILLed at random moments: every record is in the store, once; planted bugs fail.

Two kills of each here; `EDGELOOP_KILLS=50` asks for 50 of each (about two minutes a broker).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.durability.rig import Count, Sitting, events

KILLS = int(os.environ.get("EDGELOOP_KILLS", "2"))
SITTINGS = 4
"""A planted bug hides where no kill meets its moment: then the same is done once more."""


@pytest.mark.timeout(180 + 20 * KILLS)
def test_kills_at_random_moments_lose_and_repeat_nothing(tmp_path: Path, broker_name: str) -> None:
    consumers = 3 if broker_name == "mosquitto" else 1  # iotcore cannot share
    with Sitting(tmp_path / "sitting", broker_name, consumers=consumers, seed=5) as sitting:
        sitting.kill_at_random(events(KILLS))
        counted = sitting.finish()
    print(f"{broker_name}: {counted}")
    assert min(counted.kills[part] for part in ("device", "broker", "consumer")) >= KILLS
    assert counted.made > 20 * KILLS
    assert (counted.lost, counted.duplicated, counted.left) == (0, 0, 0), counted


@pytest.mark.planted
@pytest.mark.parametrize(
    ("variant", "consumers"), [("delete-on-puback", 1), ("ack-before-commit", 1), ("watermark", 3)]
)
def test_the_sitting_catches(tmp_path: Path, sharing_broker: str, variant: str, consumers: int) -> None:
    def sit(number: int) -> Count:
        folder = tmp_path / f"sitting{number}"
        with Sitting(folder, sharing_broker, variant=variant, consumers=consumers, seed=number) as sitting:
            sitting.kill_at_random(["dark"] * 3)
            return sitting.finish()

    assert any(sit(number).lost for number in range(SITTINGS))
