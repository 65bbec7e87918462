"""A device on this machine: its folder, a signed tiny bundle, a recording, and its daemon as a real process."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_trainer.rollout.keys import Keys, public_keys, signer
from edge_runtime.contract.brief import read_summary
from edge_runtime.contract.event import Event
from edge_runtime.contract.packed import read_records
from edge_runtime.contract.records import RecordBatch
from edge_runtime.contract.summary import SummaryBatch
from edge_runtime.spool import Spool
from tests.update.bundles import packed_bundle

KEYS = Keys(release=Ed25519PrivateKey.generate(), rollout=Ed25519PrivateKey.generate())
WINDOW, HOP = 8, 4


def recording(path: Path, *, frames: int, seed: int = 1) -> Path:
    """Write a random walk around the tiny model's threshold."""
    rng, x, lines = random.Random(seed), 0.5, ["x"]
    for _ in range(frames):
        x = min(1.0, max(0.0, x + rng.gauss(0, 0.1)))
        lines.append(f"{x:.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def windows_of(frames: int) -> int:
    """Windows that so many frames give."""
    return 0 if frames < WINDOW else 1 + (frames - WINDOW) // HOP


@dataclass(slots=True)
class Rig:
    """A device in a folder; `write` its config, then `run` or `start` it."""

    folder: Path
    id: str = "dev-1"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def write(self, *, top: str = "", bottom: str = "", files: dict[str, bytes] | None = None, **stream: Any) -> Path:
        """Write device.toml and its bundle (of *files*); keyword arguments are keys of its first stream."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tiny.elb").write_bytes(packed_bundle(1, files=files, signer=signer(KEYS.release)))
        values = {
            "name": "m", "source": "playback run.csv", "bundle": "tiny.elb", "period_windows": 50, "period_s": 0,
            "sample_k": 10, "commit_s": 0.05, **stream,
        }  # fmt: skip
        trust = "\n".join(f"{role} = {json.dumps(keys)}" for role, keys in public_keys(KEYS).items())
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
        path = self.folder / "device.toml"
        path.write_text(
            f'[device]\nsite = "lab"\nid = "{self.id}"\n[trust]\n{trust}\n{top}\n[[stream]]\n{lines}\n{bottom}',
            encoding="utf-8",
        )
        return path

    def command(self) -> list[str]:
        return [sys.executable, "-m", "edge_runtime.cli", "run", "--config", str(self.folder / "device.toml")]

    def run(self, *, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the daemon to its end."""
        return subprocess.run(self.command(), capture_output=True, text=True, timeout=timeout_s, check=False)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon, its decisions into `out.ndjson`."""
        with (self.folder / "out.ndjson").open("ab") as out, (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(self.command(), stdout=out, stderr=log)

    def decisions(self) -> list[dict[str, Any]]:
        """All that it has decided so far, over restarts."""
        whole, _, _ = (self.folder / "out.ndjson").read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def log(self) -> str:
        return (self.folder / "log.txt").read_text(encoding="utf-8")

    def sealed(self) -> list[Any]:
        """What its spool holds; the daemon must be down."""
        with Spool.open(self.state / "spool.db", max_bytes=16 << 20, gap=lambda *_: b"") as spool:
            return spool.pending(10_000)

    def records(self) -> list[tuple[int, tuple[int, int, float, bytes]]]:
        """(seq, (window, label, probability, features)) of every record in the spool."""
        rows = []
        for sealed in self.sealed():
            if sealed.kind == "rec":
                rows += rows_of(read_records(sealed.payload))
        return rows

    def summaries(self) -> list[SummaryBatch]:
        return [read_summary(s.payload) for s in self.sealed() if s.kind == "sum"]

    def events(self) -> list[Event]:
        return [Event.from_bytes(s.payload) for s in self.sealed() if s.kind == "ev"]


def rows_of(batch: RecordBatch) -> list[tuple[int, tuple[int, int, float, bytes]]]:
    """The rows of a batch: what must not depend on when a device was killed."""
    n = batch.n_features
    return [
        (
            batch.first_seq + i,
            (batch.windows[i], batch.labels[i], batch.probabilities[i], batch.features[i * n : (i + 1) * n].tobytes()),
        )
        for i in range(len(batch))
    ]


def ended(process: subprocess.Popen[bytes], number: int = signal.SIGTERM, *, timeout_s: float = 30) -> int:
    """Send a signal and return the exit status."""
    process.send_signal(number)
    return process.wait(timeout_s)


def play_with_kills(rig: Rig, *, kills: int, seed: int, wait: Callable[[float], None]) -> int:
    """Run the daemon to the end of its recording, SIGKILLing it at random moments; return how often it was killed."""
    rng, done = random.Random(seed), 0
    while True:
        process = rig.start()
        if done < kills:
            wait(rng.uniform(0.3, 1.2))
            if process.poll() is None:
                process.kill()
                done += 1
        if process.wait(60) == 0:
            return done
