"""The embedded broker: an MQTT 5 broker of this workstation on 127.0.0.1, for the demo, the tests and small fleets.

Its one rule: it keeps nothing. The store is the truth; what a broker forgets is resent or published again.
`mosquitto` where it is installed, else `iotcore` (rumqttd as a wheel), each in a process of its own that ends
with ours. Both do what the loop asks of a broker (tests run one suite on both): QoS 1, retained, last
will, a session that outlives its connection. Three rules make that true of iotcore 0.4 (rumqttd 0.20):
- a client never connects with clean start, else it loses what arrives while it is away;
- PUBACKs go out in the order of arrival;
- nobody uses `$share` (`shares` is False): only one of a group's filters gets messages, and the whole broker hangs
  ("group must exists") when the last member leaves with messages that it has not acknowledged. Without it every
  consumer stores everything, and the reading view drops the copies.
It sends 100 messages before it waits for a PUBACK, whatever its configuration says: the consumer commits then.
Not for production: no TLS, no accounts.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Protocol

from edge_runtime.errors import TransportError, UsageError

PROGRAM = Path(__file__).with_name("broker_process.py")
MAX_PAYLOAD_BYTES = 1 << 20
INFLIGHT = 1000  # messages a broker sends before the first PUBACK; they wait for one commit

MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages {inflight}
max_queued_messages 100000
message_size_limit {payload}
log_type error
log_type warning
"""

# Segments are the log of one topic filter in memory, 16 MiB here; with the default it grew to 312 MB. What falls out of
# it before it was read is gone: 64 devices with a full window of 256 KiB each fit, and whoever did not resends.
IOTCORE = """\
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 16
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {payload}
max_inflight_count = {inflight}
dynamic_filters = true
"""


class Broker(Protocol):
    """What the loop needs of a broker that it starts itself."""

    @property
    def name(self) -> str: ...  # noqa: D102 - "mosquitto" or "iotcore"
    @property
    def host(self) -> str: ...  # noqa: D102
    @property
    def port(self) -> int: ...  # noqa: D102
    @property
    def shares(self) -> bool: ...  # noqa: D102 - whether shared subscriptions can be used
    def start(self) -> None: ...  # noqa: D102
    def stop(self) -> None: ...  # noqa: D102


def mosquitto_program() -> str:
    """Path of the installed mosquitto, or "" (Debian puts it in /usr/sbin, which is not on every user's PATH)."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin") or ""


def available() -> tuple[str, ...]:
    """Names of the brokers that can start here, the preferred one first."""
    names = ("mosquitto",) if mosquitto_program() else ()
    return (*names, "iotcore") if importlib.util.find_spec("iotcore") else names


def open_broker(*, prefer: str = "", port: int = 0) -> Broker:
    """A broker that is not started yet.

    Args:
        prefer: "mosquitto" or "iotcore"; "" takes mosquitto where it is installed.
        port: TCP port on 127.0.0.1; 0 takes a free one at each start.

    Raises:
        UsageError: No such broker here.
    """
    names = available()
    if prefer and prefer not in ("mosquitto", "iotcore"):
        raise UsageError(f"broker: {prefer!r} is unknown", hint="mosquitto or iotcore")
    if not names or (prefer and prefer not in names):
        raise UsageError(
            f"broker: {prefer or 'mosquitto or iotcore'} is not installed",
            hint="apt install mosquitto, or pip install 'edgeloop[cloud]'",
        )
    return ProcessBroker(prefer or names[0], port=port)


class ProcessBroker:
    """A broker in a child process, with its configuration in a temporary folder."""

    def __init__(self, name: str, *, port: int = 0) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.port = port
        self.shares = name == "mosquitto"
        self._any_port = port == 0
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self, *, timeout_s: float = 10.0) -> None:
        """Return when the broker takes connections.

        Raises:
            TransportError: It did not come up; the message holds what it said.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="edgeloop-broker-", ignore_cleanup_errors=True)
        for attempt in range(3 if self._any_port else 1):  # another process may take the free port first
            if self._any_port:
                self.port = _free_port()
            elif _takes_connections(self.host, self.port):
                self.stop()
                raise TransportError(f"port {self.port} is taken", hint="give another port, or 0 for a free one")
            said = self._launch(timeout_s)
            if not said:
                return
            if attempt == 2 or not self._any_port:
                self.stop()
                raise TransportError(f"{self.name} did not start on port {self.port}: {said}")

    def _launch(self, timeout_s: float) -> str:
        """Start the process; "" when it takes connections, else what went wrong."""
        assert self._folder is not None  # noqa: S101 - start() made it
        folder = Path(self._folder.name)
        template = MOSQUITTO if self.name == "mosquitto" else IOTCORE
        config = folder / ("mosquitto.conf" if self.name == "mosquitto" else "iotcore.toml")
        config.write_text(template.format(port=self.port, payload=MAX_PAYLOAD_BYTES, inflight=INFLIGHT))
        log = folder / "log"
        with log.open("wb") as out:
            program = mosquitto_program() or "-"
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), self.name, program, str(config)],
                stdin=subprocess.PIPE, stdout=out if self.name == "mosquitto" else subprocess.DEVNULL,
                # rumqttd writes a line a packet: as a file that would grow without bound.
                stderr=out if self.name == "mosquitto" else subprocess.DEVNULL,
            )  # fmt: skip
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if _takes_connections(self.host, self.port):
                return ""
            try:
                status = self._process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
            return f"exit status {status}: {log.read_text(errors='replace')[-300:].strip()}"
        return f"no connection within {timeout_s:g} s"

    def stop(self) -> None:
        """End the process and wait for it; harmless when it is not running."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None  # noqa: S101 - PIPE above
            process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _takes_connections(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False
