from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_trainer.ingest.broker import Broker, available, open_broker
from cloud_trainer.workspace import Workspace


@pytest.fixture(params=["mosquitto", "iotcore"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A running broker of each kind."""
    if request.param not in available():
        pytest.skip(f"SKIP: {request.param} is not installed")
    running = open_broker(prefer=request.param)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def any_broker() -> Iterator[Broker]:
    """A running broker of the preferred kind."""
    running = open_broker()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")
