"""What the child refuses, by the class of the error; and that a refusal changes nothing on the device."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.contract.bundle import unpack
from edge_runtime.contract.order import Signed
from edge_runtime.errors import BudgetError, ContractError, EdgeloopError, TransportError, TrustError
from edge_runtime.update import Updater, child, slots
from edge_runtime.update.request import Request
from tests.engines.onnx.attacks import loop
from tests.update.bundles import PROGRAM, forest, members, packed_bundle
from tests.update.fleet import Cloud, give_factory, make_cloud, make_updater
from tests.update.served import Server, serving


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    return make_cloud(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def device(tmp_path: Path, cloud: Cloud) -> Updater:
    made = make_updater(tmp_path, cloud)
    give_factory(made, cloud.bundle(1))
    slots.keep(made.disk, order_version=5)
    return made


@pytest.fixture
def server(cloud: Cloud) -> Iterator[Server]:
    with serving(cloud.bundle(2)) as running:
        yield running


def ask(device: Updater, cloud: Cloud, order: bytes, **more: Any) -> dict[str, Any]:
    """The child's answer, without the process around it."""
    state = slots.load(device.disk)
    fields: dict[str, Any] = {
        "mode": "order",
        "folder": str(device.disk.root),
        "site": "plant",
        "device": "fan",
        "stream": "main",
        "order": base64.b64encode(order).decode(),
        "last_version": state.order_version,
        "confirmed": state.confirmed or "",
        "release_keys": cloud.trust.release_keys,
        "rollout_keys": cloud.trust.rollout_keys,
        "max_bytes": 1 << 20,
        "latency_us": 1_000_000,
    }
    answer: dict[str, Any] = {}
    child.run(Request(**{**fields, **more}), answer)
    return answer


def files(device: Updater) -> dict[str, bytes]:
    """Everything the device keeps."""
    root = device.disk.root
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def refused(device: Updater, cloud: Cloud, order: bytes, **more: Any) -> EdgeloopError:
    """The error; nothing on the device has changed."""
    before = files(device)
    with pytest.raises(EdgeloopError) as caught:
        ask(device, cloud, order, **more)
    assert files(device) == before
    return caught.value


def test_good_order_stages_the_bundle(device: Updater, cloud: Cloud, server: Server) -> None:
    answer = ask(device, cloud, cloud.order(server.data, server.url, version=6))
    digest = unpack(server.data).digest
    assert (answer["kind"], answer["digest"]) == ("staged", digest)
    assert (answer["order_version"], answer["rollout"]) == (6, "r-1")
    assert answer["report"]["golden"] == 3
    assert answer["report"]["worst_score"] == 0.0
    assert device.disk.read(slots.bundle_name(digest)) == server.data
    assert not [name for name in device.disk.names("bundles") if name.endswith(".part")]


def test_bundle_that_is_there_is_checked_again_and_not_fetched(device: Updater, cloud: Cloud, server: Server) -> None:
    order = cloud.order(server.data, server.url, version=6)
    ask(device, cloud, order)
    server.asked.clear()
    assert ask(device, cloud, order)["kind"] == "staged"
    assert server.asked == []


def test_bundle_that_rotted_here_is_fetched_anew(device: Updater, cloud: Cloud, server: Server) -> None:
    """Else one bad block would refuse its order for ever."""
    order = cloud.order(server.data, server.url, version=6)
    ask(device, cloud, order)
    name = slots.bundle_name(unpack(server.data).digest)
    device.disk.write(name, server.data[:-512])
    assert ask(device, cloud, order)["kind"] == "staged"
    assert device.disk.read(name) == server.data


def test_order_that_changes_nothing_is_kept(device: Updater, cloud: Cloud, server: Server) -> None:
    running = slots.load(device.disk).confirmed
    for order, digest in (
        (cloud.order(server.data, server.url, version=5), ""),  # acted on before
        (cloud.order(server.data, server.url, version=6, stream="other"), ""),
        (cloud.order(server.data, server.url, version=6, digest=running or ""), running),
    ):
        answer = ask(device, cloud, order)
        assert (answer["kind"], answer["digest"]) == ("kept", digest)
    assert server.asked == []


def test_every_altered_byte_is_refused(device: Updater, cloud: Cloud, server: Server) -> None:
    """One byte changed on the way, anywhere: in the manifest, a member, the padding, the signatures."""
    good = server.data
    order = cloud.order(good, server.url, version=6)
    at = random.Random(7)
    for position in [0, *at.sample(range(len(good)), 40), len(good) - 1]:
        altered = bytearray(good)
        altered[position] ^= at.randint(1, 255)
        server.data = bytes(altered)
        error = refused(device, cloud, order)
        assert isinstance(error, TrustError | ContractError), (position, error)


@pytest.mark.parametrize("length", [0, 1, 511, 512, 3000, -1025, -1])
def test_truncated_bundle_is_refused(device: Updater, cloud: Cloud, server: Server, length: int) -> None:
    """Short of the order's length the link is at fault; an order that says so itself breaks the format."""
    good = server.data
    server.data = good[:length]
    with pytest.raises(TransportError, match="nothing comes after"):
        ask(device, cloud, cloud.order(good, server.url, version=6))
    running, part = f"{slots.load(device.disk).confirmed}.elb", f"{unpack(good).digest}.part"
    assert set(device.disk.names("bundles")) <= {running, part}
    for name in device.disk.names("bundles"):
        if name.endswith(".part"):
            device.disk.remove(f"bundles/{name}")
    if server.data:
        error = refused(device, cloud, cloud.order(good, server.url, version=6, length=len(server.data)))
        assert isinstance(error, ContractError)


def test_bytes_after_the_end_are_refused(device: Updater, cloud: Cloud, server: Server) -> None:
    good, server.data = server.data, server.data + bytes(512)
    error = refused(device, cloud, cloud.order(good, server.url, version=6, length=len(server.data)))
    assert isinstance(error, ContractError)


Refusal = tuple[Callable[[Cloud, Server], bytes], type[EdgeloopError], str]
ORDERS: dict[str, Refusal] = {
    "signed by a stranger": (
        lambda c, s: c.order(s.data, s.url, version=6, sign=c.stranger), TrustError, "order: no valid signature",
    ),
    "signed by the release key": (
        lambda c, s: c.order(s.data, s.url, version=6, sign=c.release), TrustError, "order: no valid signature",
    ),
    "not signed": (
        lambda c, s: Signed(
            payload=Signed.from_bytes(c.order(s.data, s.url, version=6)).payload, signatures=()
        ).to_bytes(),
        TrustError,
        "signed by nobody",
    ),
    "altered after signing": (
        lambda c, s: Signed(
            payload=Signed.from_bytes(c.order(s.data, s.url, version=6)).payload.replace(b'sion":6', b'sion":9'),
            signatures=Signed.from_bytes(c.order(s.data, s.url, version=6)).signatures,
        ).to_bytes(),
        TrustError,
        "order: no valid signature",
    ),
    "for another device": (
        lambda c, s: c.order(s.data, s.url, version=6, device="pump"), TrustError, "order is for plant/pump",
    ),
    "of an older version": (lambda c, s: c.order(s.data, s.url, version=4), TrustError, "version 4 is older than 5"),
    "no order at all": (lambda c, s: b"\xff{", ContractError, "signed"),
    "a longer bundle than allowed": (
        lambda c, s: c.order(s.data, s.url, version=6, length=1 << 21), BudgetError, "limit is 1048576",
    ),
    "a file url": (lambda c, s: c.order(s.data, "file:///etc/passwd", version=6), ContractError, "want http"),
    "another digest": (
        lambda c, s: c.order(s.data, s.url, version=6, digest="0" * 64), TrustError, "want 0000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDERS)
def test_order_is_refused(device: Updater, cloud: Cloud, server: Server, name: str) -> None:
    make, kind, message = ORDERS[name]
    error = refused(device, cloud, make(cloud, server))
    assert type(error) is kind
    assert message in str(error)


def test_order_of_a_newer_format_is_refused(device: Updater, cloud: Cloud, server: Server) -> None:
    payload = Signed.from_bytes(cloud.order(server.data, server.url, version=6)).payload
    newer = payload.replace(b'"format":"0.1"', b'"format":"1.0"')
    order = Signed(payload=newer, signatures=(cloud.rollout(newer),)).to_bytes()
    assert "this build reads 0" in str(refused(device, cloud, order))


def with_members(cloud: Cloud, changed: dict[str, bytes]) -> bytes:
    return cloud.bundle(2, files={**members(), **changed})


def golden(old: bytes, new: bytes) -> dict[str, bytes]:
    good = members()["golden.json"]
    assert old in good
    return {"golden.json": good.replace(old, new)}


BUNDLES: dict[str, tuple[Callable[[Cloud], bytes], type[EdgeloopError], str]] = {
    "not signed": (lambda _: packed_bundle(2), TrustError, "bundle tiny: no valid signature"),
    "signed by a stranger": (lambda c: packed_bundle(2, signer=c.stranger), TrustError, "no valid signature"),
    "signed by the rollout key": (lambda c: packed_bundle(2, signer=c.rollout), TrustError, "no valid signature"),
    "with a hostile model": (lambda c: with_members(c, {"model.onnx": loop()}), ContractError, "not allowed"),
    "with a broken forest": (lambda c: with_members(c, {"model.erf": forest()[:-8]}), ContractError, "forest"),
    "with an unknown operator": (
        lambda c: with_members(c, {"program.json": PROGRAM.to_bytes().replace(b'"op":2', b'"op":7777')}),
        ContractError,
        "operator 7777 is not in this build",
    ),
    # The golden answers are those of another model: this CPU (or file) computes something else.
    "with other scores": (
        lambda c: with_members(c, golden(b"[0.125,0.875]", b"[0.125,0.8750000000000001]")),
        ContractError,
        "golden vector 2: scores",
    ),
    "with other labels": (
        lambda c: with_members(c, golden(b'"labels":[0,0,1]', b'"labels":[0,0,0]')),
        ContractError,
        "golden vector 2: label 1, the exporter had 0",
    ),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_bundle_is_refused(device: Updater, cloud: Cloud, server: Server, name: str) -> None:
    make, kind, message = BUNDLES[name]
    server.data = make(cloud)
    error = refused(device, cloud, cloud.order(server.data, server.url, version=6))
    assert type(error) is kind
    assert message in str(error)


def test_bundle_of_a_newer_format_is_refused(device: Updater, cloud: Cloud, server: Server) -> None:
    """A manifest of the next major format, whole and rightly hashed."""
    good = packed_bundle(2)
    manifest = unpack(good).manifest_bytes
    newer = manifest.replace(b'"format":"0.1"', b'"format":"1.0"')
    server.data = good.replace(manifest, newer)
    digest = hashlib.sha256(newer).hexdigest()
    error = refused(device, cloud, cloud.order(good, server.url, version=6, digest=digest))
    assert type(error) is ContractError
    assert "this build reads 0" in str(error)


def test_bundle_that_is_too_slow_here_is_refused(device: Updater, cloud: Cloud, server: Server) -> None:
    error = refused(device, cloud, cloud.order(server.data, server.url, version=6), latency_us=-1)
    assert type(error) is BudgetError
    assert "µs p99 on this device, limit is -1" in str(error)
