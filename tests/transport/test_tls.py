"""The link over TLS, with certificates of both sides, against a real broker."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_runtime.transport import Endpoint, Letter, MqttLink, Tls
from tests.transport.mosquitto import Mosquitto, needs_mosquitto

pytestmark = needs_mosquitto
WILL = Letter(topic="t/gone", payload=b"")


@dataclass
class Authority:
    """A certificate authority of one test."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        self.certificate = self._sign(self.name, self.key.public_key(), is_authority=True)
        self.path = self._write("ca.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[str, str]:
        """Paths of a certificate for 127.0.0.1 and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), is_authority=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return self._write(f"{name}.pem", pem), self._write(f"{name}.key", private)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(here, critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)


def connects(port: int, tls: Tls) -> tuple[bool, str]:
    """Whether the link gets a session within some steps, and its trouble if not."""
    link = MqttLink(
        Endpoint(host="127.0.0.1", port=port, tls=tls, connect_timeout_s=5),
        client_id="el-lab-d", subscriptions=[], will=lambda: WILL, uniform=lambda _a, _b: 0.0,
    )  # fmt: skip
    trouble = ""
    for _ in range(40):
        link.receive(0.1)
        if link.session():
            link.close(2)
            return True, ""
        trouble = link.trouble or trouble
        if trouble:
            break
    link.close(0)
    return False, trouble


# paho drops the socket of a failed handshake unclosed; the interpreter closes it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_only_certificates_of_one_authority_connect(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    broker_pem, broker_key = ours.issue("broker")
    device = ours.issue("device")
    stranger = theirs.issue("stranger")
    extra = f"cafile {ours.path}\ncertfile {broker_pem}\nkeyfile {broker_key}\nrequire_certificate true\n"
    with Mosquitto(tmp_path, extra) as broker:
        assert connects(broker.port, Tls(ca=ours.path, cert=device[0], key=device[1])) == (True, "")
        for wrong in (
            Tls(ca=theirs.path, cert=device[0], key=device[1]),
            Tls(ca=ours.path, cert=stranger[0], key=stranger[1]),
            Tls(ca=ours.path),
        ):
            is_connected, trouble = connects(broker.port, wrong)
            assert not is_connected
            assert trouble
