from __future__ import annotations

import pytest

from cloud_trainer.ingest.broker import available


@pytest.fixture(params=["mosquitto", "iotcore"])
def broker_name(request: pytest.FixtureRequest) -> str:
    """Each kind of broker."""
    name: str = request.param
    if name not in available():
        pytest.skip(f"SKIP: {name} is not installed")
    return name


@pytest.fixture
def sharing_broker() -> str:
    """One with shared subscriptions."""
    if "mosquitto" not in available():
        pytest.skip("SKIP: several consumers share the work on mosquitto alone, and it is not installed")
    return "mosquitto"
