"""An order reaches a running device: it fetches, proves and swaps without losing a window, or refuses and runs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_trainer.ingest import open_broker
from cloud_trainer.rollout import Depot, make_order, publish, sign_order, signer
from cloud_trainer.rollout.order import topic_of
from edge_runtime.contract.bundle import unpack
from edge_runtime.contract.event import Event
from edge_runtime.contract.order import OrderStream
from tests.daemon.rig import KEYS, Rig, ended, recording
from tests.spool.common import until
from tests.update.bundles import forest, members, packed_bundle


@dataclass
class Field:
    """A broker, a depot and one device that plays a long recording."""

    rig: Rig
    depot: Path
    url: str
    host: str
    port: int

    def order(self, data: bytes, *, version: int, served: bytes | None = None) -> str:
        """Serve a bundle (or *served* in its place), order it, and return its digest."""
        digest = unpack(data).digest
        (self.depot / f"{digest}.elb").write_bytes(data if served is None else served)
        wanted = OrderStream(bundle=digest, url=f"{self.url}/{digest}.elb", length=len(data))
        order = make_order("lab", self.rig.id, version=version, rollout=f"r{version}", streams={"m": wanted})
        payload = sign_order(order, signer(KEYS.rollout)).to_bytes()
        publish({topic_of(order): payload}, host=self.host, port=self.port)
        return digest

    def events(self) -> list[str]:
        """Kinds of the events in the spool; the daemon must be down."""
        return [Event.from_bytes(s.payload).kind for s in self.rig.sealed() if s.kind == "ev"]


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    broker = open_broker()
    broker.start()
    (tmp_path / "depot").mkdir()
    depot = Depot(tmp_path / "depot")
    url = depot.start()
    rig = Rig(tmp_path / "device")
    rig.folder.mkdir()
    recording(rig.folder / "run.csv", frames=60_000)
    rig.write(
        top=f'[broker]\nhost = "{broker.host}"\nport = {broker.port}\nresend_s = 1.0\n',
        speed=60.0,
        probation_windows=10,
        sample_k=2,
    )
    yield Field(rig, tmp_path / "depot", url, broker.host, broker.port)
    depot.stop()
    broker.stop()


def test_swap_loses_and_repeats_no_window(field: Field) -> None:
    device = field.rig.start()
    try:
        assert until(lambda: (field.rig.folder / "out.ndjson").exists() and len(field.rig.decisions()) > 20, 30)
        new = field.order(packed_bundle(2, signer=signer(KEYS.release)), version=1)
        assert until(lambda: "confirmed device" in field.rig.log(), 60), field.rig.log()
    finally:
        ended(device)
    decisions = field.rig.decisions()
    assert [d["window"] for d in decisions] == list(range(len(decisions)))
    bundles = [d["bundle"] for d in decisions]
    swap = bundles.index(new[:12])
    assert set(bundles[:swap]) == {bundles[0]}
    assert set(bundles[swap:]) == {new[:12]}
    # The tiny bundles decide alike, so a window built of the wrong frames would show as another label.
    calm = Rig(field.rig.folder.parent / "calm")
    calm.folder.mkdir()
    (calm.folder / "run.csv").symlink_to(field.rig.folder / "run.csv")
    calm.write()
    calm.start().wait(60)
    assert [d["label"] for d in decisions] == [d["label"] for d in calm.decisions()[: len(decisions)]]


def test_one_changed_byte_is_refused_and_the_device_runs_on(field: Field) -> None:
    data = packed_bundle(2, signer=signer(KEYS.release))
    altered = bytearray(data)
    altered[len(data) // 2] ^= 1
    device = field.rig.start()
    try:
        assert until(lambda: (field.rig.folder / "out.ndjson").exists() and len(field.rig.decisions()) > 20, 30)
        field.order(data, version=1, served=bytes(altered))
        assert until(lambda: "refused device" in field.rig.log(), 60), field.rig.log()
        seen = len(field.rig.decisions())
        assert until(lambda: len(field.rig.decisions()) > seen + 20, 30)
    finally:
        ended(device)
    assert len({d["bundle"] for d in field.rig.decisions()}) == 1
    kinds = field.events()
    assert "refused" in kinds
    assert "swapped" not in kinds


def test_a_bundle_that_fails_its_own_golden_vectors_never_runs(field: Field) -> None:
    """Preflight: the model in the file is not the one whose answers stand beside it."""
    wrong = members() | {"model.erf": forest(threshold=0.1)}
    device = field.rig.start()
    try:
        assert until(lambda: (field.rig.folder / "out.ndjson").exists() and len(field.rig.decisions()) > 5, 30)
        field.order(packed_bundle(2, files=wrong, signer=signer(KEYS.release)), version=1)
        assert until(lambda: "refused device" in field.rig.log(), 60), field.rig.log()
    finally:
        ended(device)
    assert len({d["bundle"] for d in field.rig.decisions()}) == 1


def test_a_native_bundle_gives_way_to_one_that_onnxruntime_runs(field: Field) -> None:
    """Another engine, the same windows: nothing lost, nothing repeated."""
    device = field.rig.start()
    try:
        assert until(lambda: (field.rig.folder / "out.ndjson").exists() and len(field.rig.decisions()) > 5, 30)
        new = field.order(packed_bundle(2, engine="onnxruntime", signer=signer(KEYS.release)), version=1)
        assert until(lambda: "confirmed device" in field.rig.log(), 60), field.rig.log()
    finally:
        ended(device)
    decisions = field.rig.decisions()
    assert [d["window"] for d in decisions] == list(range(len(decisions)))
    assert decisions[-1]["bundle"] == new[:12]


def test_a_device_killed_in_its_trial_falls_back(field: Field) -> None:
    path = field.rig.folder / "device.toml"
    path.write_text(path.read_text().replace("probation_windows = 10", "probation_windows = 100000"))
    device = field.rig.start()
    try:
        assert until(lambda: (field.rig.folder / "out.ndjson").exists() and len(field.rig.decisions()) > 5, 30)
        new = field.order(packed_bundle(2, signer=signer(KEYS.release)), version=1)
        assert until(lambda: "swapped device" in field.rig.log(), 60), field.rig.log()
        device.kill()
        device.wait(10)
        seen = len(field.rig.decisions())
        device = field.rig.start()
        assert until(lambda: len(field.rig.decisions()) > seen + 20, 30), field.rig.log()
    finally:
        ended(device)
    assert "fell-back device" in field.rig.log()
    assert field.rig.decisions()[-1]["bundle"] != new[:12]
