"""A consumer at a production broker: TLS with certificates of both sides, a name and a password."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cloud_trainer.ingest.consumer import Consumer
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import TransportError, UsageError
from edge_runtime.transport import Tls
from tests.transport.mosquitto import Mosquitto, needs_mosquitto
from tests.transport.test_tls import Authority

pytestmark = needs_mosquitto


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_consumer_shows_its_certificate_and_logs_in(tmp_path: Path) -> None:
    """As device and consumer do in production: each with a certificate; here the consumer has a password, too."""
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    broker_pem, broker_key = ours.issue("broker")
    (cert, key), stranger = ours.issue("ingest"), theirs.issue("stranger")
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "ingest", "secret"], check=True)
    extra = (
        f"cafile {ours.path}\ncertfile {broker_pem}\nkeyfile {broker_key}\nrequire_certificate true\n"
        f"password_file {passwords}\n"
    )
    with Mosquitto(tmp_path, extra) as broker:

        def consumer(tls: Tls, password: str) -> Consumer:
            tables = Workspace(tmp_path / "ws").tables
            return Consumer(tables, "127.0.0.1", broker.port, tls=tls, login=("ingest", password), commit_s=0.05)

        right = consumer(Tls(ca=ours.path, cert=cert, key=key), "secret")
        right.start()
        right.stop()
        with pytest.raises(TransportError, match=r"(?i)not authorized"):
            consumer(Tls(ca=ours.path, cert=cert, key=key), "guess").start(timeout_s=1)
        with pytest.raises(TransportError, match="no subscription"):
            consumer(Tls(ca=ours.path, cert=stranger[0], key=stranger[1]), "secret").start(timeout_s=1)
        with pytest.raises(UsageError, match="No such file"):
            consumer(Tls(ca=str(tmp_path / "none.pem")), "secret")
