"""What stands before a device's first decision. Of a process with the whole daemon, telemetry and TLS on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.rig import Rig, recording
from tests.transport.test_tls import Authority

LATER = (
    "argparse", "ast", "asyncio", "cffi", "cryptography", "dataclasses", "datetime", "email", "hashlib", "_hashlib",
    "http", "inspect", "logging", "numpy", "onnxruntime", "paho", "platform", "random", "selectors", "socket", "ssl",
    "_ssl", "subprocess", "tempfile", "tomllib", "traceback", "typing", "uuid", "edge_runtime.update.child",
)  # fmt: skip
"""Modules that no decision needs: 90 ms for the start is promised, `start_to_decision_over_python_ms`."""
LOOK = f"""
import json, sys, threading
before = set(sys.modules)  # an editable installation loads some of them
from edge_runtime.cli import main
from edge_runtime.contract import program
from edge_runtime.daemon.decide import Runner
from edge_runtime.daemon.service import Daemon
from edge_runtime.transport import LinkThread

decided, read, turns = [], [], threading.Semaphore(0)

def tell(what, *more):
    print("#" + json.dumps([what, *more]), file=sys.stderr, flush=True)

def decide(self, *given, own=Runner._decided):
    own(self, *given)
    if not decided:
        decided.append(0)
        tell("decided", [name for name in {LATER!r} if name in sys.modules.keys() - before], len(read))

def from_bytes(data, own=program.Program.from_bytes):
    read.append(0)
    return own(data)

def start(self, own=LinkThread.start):
    tell("link")
    own(self)

def watch_link(self, own=Daemon._watch_link):
    own(self)
    turns.release()

def run(self, own=Runner.run):
    for _ in range(3):  # turns of the daemon: a first decision may take its time
        turns.acquire()
    own(self)

Daemon._watch_link, Runner.run = watch_link, run
Runner._decided, program.Program.from_bytes, LinkThread.start = decide, staticmethod(from_bytes), start
sys.exit(main())
"""


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A device whose broker, by TLS, is not there."""
    made = Rig(tmp_path / "dev")
    authority = Authority(tmp_path / "authority")
    cert, key = authority.issue("dev-1")
    made.write(top=f'[broker]\nhost = "127.0.0.1"\nport = 1\nca = "{authority.path}"\ncert = "{cert}"\nkey = "{key}"\n')
    recording(made.folder / "run.csv", frames=400)
    return made


def told(rig: Rig, *, until: str) -> list[Any]:
    """What the daemon did, up to the first of that name; it is then killed."""
    words = [sys.executable, "-c", LOOK, "run", "--config", str(rig.folder / "device.toml")]
    found: list[Any] = []
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            found += [json.loads(line[1:])] if line.startswith("#[") else []
            if found and found[-1][0] == until:
                break
        process.kill()
    assert found, "the daemon said nothing"
    return found


def test_nothing_stands_before_the_first_decision_that_it_does_not_need(rig: Rig) -> None:
    assert told(rig, until="decided")  # this start installs the bundle, by a child
    for file in rig.state.glob("spool*"):
        file.unlink()  # the recording from its beginning again
    first, *_ = told(rig, until="link")
    assert first[:2] == ["decided", []], "the link starts behind it"
    assert first[2] == 1, "a program is decoded once"


def test_a_device_without_a_decision_is_linked_too(rig: Rig) -> None:
    config = rig.folder / "device.toml"
    silent = config.read_text(encoding="utf-8").replace("playback run.csv", "exec format=csv sleep 60")
    config.write_text(silent, encoding="utf-8")
    assert told(rig, until="link") == [["link"]]
