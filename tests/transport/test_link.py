"""The link against a broker that is away, mute or talks nonsense, and against a real mosquitto."""

from __future__ import annotations

import datetime
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.spool import Draft, SpoolWorker
from edge_runtime.transport import Courier, Endpoint, Letter, LinkThread, MqttLink, Tls
from edge_runtime.transport.link import BACKOFF_CAP_S, client_id
from tests.sim.broker import SimSpool, payload_of
from tests.sim.clock import SimClock
from tests.spool.common import open_spool, until
from tests.transport.child import greeting, make
from tests.transport.mosquitto import Consumer, Mosquitto, free_port, needs_mosquitto
from tests.transport.oldbroker import OldBroker

ROOT = Path(__file__).parents[2]
# paho drops the socket of a failed handshake unclosed; the interpreter closes it, and says so.
handshake_fails = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
ACK, DESIRED = "el/v1/x/d/ack", "el/v1/x/d/desired"


def stepped(courier: Courier) -> bool:
    courier.step(0.01)
    return True


# ---- no broker


def test_importing_the_transport_loads_neither_paho_nor_numpy() -> None:
    code = (
        "import sys, edge_runtime.transport, edge_runtime.spool, edge_runtime.sampling\n"
        "print([m for m in ('paho', 'numpy', 'cffi', 'ssl') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)
    assert out.stdout == b"[]\n"


def test_the_client_id_names_site_and_device() -> None:
    assert client_id("plant-a", "fan-7") == "el-plant-a-fan-7"


def test_a_broker_that_is_away_is_no_error() -> None:
    link = make(Endpoint(host="127.0.0.1", port=free_port(), connect_timeout_s=1.0))
    assert link.receive(0.01) == []
    assert (link.session(), link.backlog()) == (0, 0)
    assert "ConnectionRefusedError" in link.trouble
    assert not link.send(Letter(topic="t", payload=b""))
    link.close(0.1)


def test_attempts_are_apart_by_a_full_jitter_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, limits = SimClock(), list[float]()

    def uniform(low: float, high: float) -> float:
        assert low == 0.0
        limits.append(high)
        return high

    link = MqttLink(
        Endpoint(host="127.0.0.1", port=free_port()), client_id="c", subscriptions=(),
        will=lambda: Letter(topic="t", payload=b""), clock=clock, uniform=uniform,
    )  # fmt: skip
    monkeypatch.setattr("edge_runtime.transport.link.time.sleep", clock.advance)
    while len(limits) < 10:
        link.receive(0.5)
    assert limits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, BACKOFF_CAP_S, BACKOFF_CAP_S, BACKOFF_CAP_S, BACKOFF_CAP_S]
    assert clock() >= sum(limits[:-1])


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


@handshake_fails
@pytest.mark.parametrize("tls", [None, Tls()])
def test_a_mute_broker_is_given_up_in_time(listener: socket.socket, tls: Tls | None) -> None:
    link = make(Endpoint(host="127.0.0.1", port=listener.getsockname()[1], connect_timeout_s=0.2, tls=tls))
    begin = time.monotonic()
    assert until(lambda: bool(link.receive(0.05) or link.trouble))
    assert time.monotonic() - begin < 5
    assert ("no answer" if tls is None else "timed out") in link.trouble
    link.close(0.1)


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\xff", bytes(64)])
def test_a_broker_that_talks_nonsense_does_not_hurt(listener: socket.socket, noise: bytes) -> None:
    def answer() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(noise)

    thread = threading.Thread(target=answer)
    thread.start()
    link = make(Endpoint(host="127.0.0.1", port=listener.getsockname()[1], connect_timeout_s=0.3))
    assert until(lambda: bool(link.receive(0.05) or link.trouble))
    assert link.session() == 0
    thread.join(10)
    link.close(0.1)


# ---- a real one


@pytest.mark.system
@needs_mosquitto
def test_birth_and_state_are_retained_and_a_goodbye_says_offline(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        link = make(Endpoint(host="127.0.0.1", port=broker.port), subscriptions=(ACK, DESIRED))
        courier = Courier(
            link, SimSpool(epoch=1, store=set()), site="x", device="d", greeting=greeting,
            on_desired=lambda _: None,
        )  # fmt: skip
        assert until(lambda: stepped(courier) and link.session() > 0 and not link.backlog())
        assert link._client is not None
        sock = link._client.socket()
        assert isinstance(sock, socket.socket)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        late = Consumer(broker.port)
        assert until(lambda: len(late.seen) == 2)
        assert sorted(late.seen) == [
            ("el/v1/x/d/birth", b"born", True), ("el/v1/x/d/state", b"online", True)
        ]  # fmt: skip
        link.close(5)
        assert until(lambda: late.payloads("state") == [b"online", b"offline"])
        late.close()


@pytest.mark.system
@needs_mosquitto
@pytest.mark.parametrize(("says_why", "asked"), [(True, [5, 4, 4]), (False, [5, 4, 5, 4])])
def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(tmp_path: Path, says_why: bool, asked: list[int]) -> None:
    """Records, acknowledgements, retained letters and the last will go their way; a new connection asks again."""
    with Mosquitto(tmp_path) as broker, OldBroker(broker.port, says_why=says_why) as door:
        consumer = Consumer(broker.port)
        consumer.client.publish(DESIRED, b"order 1", qos=1, retain=True).wait_for_publish(10)
        link, got = make(Endpoint(host="127.0.0.1", port=door.port), subscriptions=(ACK, DESIRED)), list[bytes]()
        spool = SimSpool(epoch=1, store=consumer.committed)  # type: ignore[arg-type]
        courier = Courier(link, spool, site="x", device="d", greeting=greeting, on_desired=got.append)
        spool.seal(4)
        assert until(lambda: stepped(courier) and courier.is_drained() and got == [b"order 1"]), link.trouble
        assert (spool.lost, spool.batches) == ([], {})
        door.hang_up()
        assert until(lambda: stepped(courier) and link.session() == 2), link.trouble
        assert door.levels == asked
        assert until(lambda: stepped(courier) and consumer.payloads("state") == [b"online", b"offline", b"online"])
        link.close(5)
        consumer.close()


@pytest.mark.system
@needs_mosquitto
def test_a_killed_device_is_reported_by_its_last_will(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        consumer = Consumer(broker.port)
        with subprocess.Popen([sys.executable, "-m", "tests.transport.child", str(broker.port)], cwd=ROOT) as child:
            assert until(lambda: consumer.payloads("state") == [b"online"])
            child.kill()
        assert until(lambda: consumer.payloads("state") == [b"online", b"offline"])
        later = Consumer(broker.port)
        assert until(lambda: later.payloads("state") == [b"offline"])
        consumer.close()
        later.close()


@pytest.mark.system
@needs_mosquitto
def test_desired_arrives_again_on_each_connection(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        consumer = Consumer(broker.port)
        consumer.client.publish(DESIRED, b"order 1", qos=1, retain=True).wait_for_publish(10)
        got: list[bytes] = []
        link = make(Endpoint(host="127.0.0.1", port=broker.port), subscriptions=(ACK, DESIRED))
        courier = Courier(
            link, SimSpool(epoch=1, store=set()), site="x", device="d", greeting=greeting, on_desired=got.append
        )
        assert until(lambda: stepped(courier) and got == [b"order 1"])
        assert link._client is not None
        link._client.loop = lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
        courier.step(0.01)  # whatever breaks inside paho ends that client
        assert (link.session(), link.trouble) == (0, "ZeroDivisionError: division by zero")
        assert until(lambda: stepped(courier) and got == [b"order 1"] * 2)
        link.close(5)
        consumer.close()


def _names(worker: SpoolWorker, n: int) -> list[Draft]:
    def draft(rows: int) -> Draft:
        return Draft(
            kind="rec", stream="s", rows=rows,
            encode=lambda first: payload_of((worker.epoch, first, first + rows - 1)),
        )  # fmt: skip

    return [draft(1 + i % 5) for i in range(n)]


@pytest.mark.system
@needs_mosquitto
def test_a_broker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    worker = SpoolWorker(lambda: open_spool(tmp_path / "spool"), commit_interval_s=0.02)
    worker.start()
    link = make(Endpoint(host="127.0.0.1", port=broker.port), subscriptions=(ACK, DESIRED))
    courier = Courier(link, worker, site="x", device="d", greeting=greeting, on_desired=lambda _: None, resend_s=0.5)
    thread = LinkThread(lambda: (courier, link), step_s=0.02)
    thread.start()
    made = 0

    def submit(n: int) -> None:
        nonlocal made
        made += n
        assert worker.submit(_names(worker, n), wait_s=10)

    submit(20)  # the broker is away at first
    broker.start()
    consumer = Consumer(broker.port)
    for _ in range(3):
        submit(60)
        assert until(lambda: len(consumer.committed) > made // 2)
        broker.kill()
        submit(20)
        broker.start()
    worker.flush()
    assert thread.wait_drained(30)
    worker.flush()
    assert worker.stats().batches == 0
    assert len(consumer.committed) == made
    assert sum(last - first + 1 for _, first, last in consumer.committed) == worker.last_seq
    thread.stop()
    worker.stop()
    consumer.close()
    broker.kill()


@pytest.mark.system
@needs_mosquitto
def test_without_a_consumer_nothing_leaves_the_spool(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        consumer = Consumer(broker.port, acks=False)
        worker = SpoolWorker(lambda: open_spool(tmp_path / "spool"), commit_interval_s=0.02)
        worker.start()
        link = make(Endpoint(host="127.0.0.1", port=broker.port), subscriptions=(ACK,))
        courier = Courier(
            link, worker, site="x", device="d", greeting=greeting, on_desired=lambda _: None, max_batches=8
        )
        worker.submit(_names(worker, 20))
        worker.flush()
        # Every PUBACK is in (no backlog), and still all of it is here.
        assert until(lambda: stepped(courier) and len(consumer.payloads("rec")) == 8 and not link.backlog())
        worker.flush()
        assert worker.stats().batches == 20
        assert not courier.is_drained()
        link.close(5)
        worker.stop()
        consumer.close()


# ---- TLS


def _certificates(folder: Path) -> None:
    """An authority and, signed by it, a broker for 127.0.0.1 and a device."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])
    for name in ("ca", "broker", "device"):
        key = authority if name == "ca" else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(address, critical=False)
            .sign(authority, hashes.SHA256())
        )  # fmt: skip
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{name}.crt").write_bytes(certificate.public_bytes(pem))
        (folder / f"{name}.key").write_bytes(private)


@handshake_fails
@pytest.mark.system
@needs_mosquitto
def test_tls_both_ways_connects_and_refuses_a_stranger(tmp_path: Path) -> None:
    _certificates(tmp_path)
    extra = (
        f"cafile {tmp_path}/ca.crt\ncertfile {tmp_path}/broker.crt\nkeyfile {tmp_path}/broker.key\n"
        "require_certificate true\n"
    )
    mine = Tls(ca=str(tmp_path / "ca.crt"), cert=str(tmp_path / "device.crt"), key=str(tmp_path / "device.key"))
    with Mosquitto(tmp_path, extra) as broker:
        link = make(Endpoint(host="127.0.0.1", port=broker.port, tls=mine))
        assert until(lambda: bool(link.receive(0.01) or link.session()))
        assert link._client is not None
        assert isinstance(link._client.socket(), ssl.SSLSocket)
        link.close(5)
        for tls in (Tls(ca=mine.ca), Tls(cert=mine.cert, key=mine.key)):
            stranger = make(Endpoint(host="127.0.0.1", port=broker.port, tls=tls))
            assert until(lambda stranger=stranger: bool(stranger.receive(0.01) or stranger.trouble))  # type: ignore[misc]
            assert stranger.session() == 0
            stranger.close(0.1)
