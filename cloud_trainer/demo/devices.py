"""The demo's devices: real daemons in processes of their own, each with its folder, its config and its decisions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from edge_runtime.errors import EdgeloopError

CONFIG = """# written by cloud-trainer demo
[device]
site = "demo"
id = "{id}"

[broker]
host = "{host}"
port = {port}
resend_s = 3.0

[trust]
release_keys = {release_keys}
rollout_keys = {rollout_keys}

[budget]
memory_bytes = {memory_bytes}

[[stream]]
name = "host"
source = {source}
bundle = {bundle}
speed = {speed}
at_end = "wait"
period_windows = {period_windows}
period_s = 0
sample_k = {sample_k}
probation_windows = {probation_windows}
commit_s = 0.5
"""


@dataclass(slots=True, kw_only=True)
class Device:
    """One daemon; `start`, look at it, `stop`."""

    id: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    log: IO[bytes] | None = None

    @property
    def decisions_file(self) -> Path:
        """Its stdout: one JSON line a decision."""
        return self.folder / "decisions.ndjson"

    def write(self, **values: Any) -> None:
        """Write device.toml."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = CONFIG.format(id=self.id, **{k: json.dumps(v) if isinstance(v, (str, list)) and k != "host" else v
                                            for k, v in values.items()})  # fmt: skip
        (self.folder / "device.toml").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start the daemon."""
        self.log = (self.folder / "log.txt").open("ab")
        with self.decisions_file.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge_runtime.cli", "run", "--config", str(self.folder / "device.toml")],
                stdout=out,
                stderr=self.log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def check(self) -> None:
        """Raise if the daemon has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            raise EdgeloopError(
                f"device {self.id} ended with status {self.process.returncode}",
                hint=f"read {self.folder / 'log.txt'}",
            )

    def stop(self) -> int:
        """End it as an init system does, and return its exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        if self.log:
            self.log.close()
        self.process = None
        return status

    def decisions(self) -> list[dict[str, Any]]:
        """Return what it has decided so far."""
        if not self.decisions_file.exists():
            return []
        whole, _, _ = self.decisions_file.read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Recordings one after another, as a device meets them; it knows the truth about every window."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]
    takes: tuple[str, ...]
    frames_each: int
    window_frames: int

    @property
    def source(self) -> str:
        """The source of device.toml that plays it."""
        return "playback " + " ".join(f"'{path}'" for path in self.files)

    def truth(self, window: int) -> tuple[str, str] | None:
        """Return label and take of a window (windows do not overlap), None past the end."""
        place = window * self.window_frames // self.frames_each
        return (self.labels[place], self.takes[place]) if place < len(self.files) else None


def scene(folder: Path, cycles: Sequence[Sequence[tuple[str, int]]], *, frames_each: int, window_frames: int) -> Scene:
    """Return the scene that plays *cycles* of (label, take) from the recordings in *folder*."""
    flat = [item for cycle in cycles for item in cycle]
    return Scene(
        files=tuple(folder / f"{label}-{take}.csv.gz" for label, take in flat),
        labels=tuple(label for label, _ in flat),
        takes=tuple(str(take) for _, take in flat),
        frames_each=frames_each,
        window_frames=window_frames,
    )


def faults(decisions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with a sequence of decisions: gaps, repeats. Empty is right."""
    wrong = []
    for before, after in pairwise(decisions):
        if after["window"] != before["window"] + 1:
            wrong.append(f"window {before['window']} is followed by {after['window']}")
    return wrong
