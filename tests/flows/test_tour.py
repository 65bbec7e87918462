"""The README's five minutes, command by command, as a user types them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets.sample import edit, write_project

ROOT = Path(__file__).resolve().parents[2]
MAIN = {"cloud-trainer": "cloud_trainer.cli", "edge-runtime": "edge_runtime.cli"}


class User:
    """Types commands in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def types(self, line: str, *, status: int = 0) -> str:
        """Run one command line and return what it printed."""
        program, *words = line.split()
        code = f"import sys; sys.argv[0] = {program!r}; from {MAIN[program]} import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(self.folder)},
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_from_recordings_to_decisions_on_a_device(tmp_path: Path) -> None:
    user = User(tmp_path)
    assert "edgeloop.toml" in user.types("cloud-trainer init")
    (tmp_path / "edgeloop.toml").unlink()
    edit(write_project(tmp_path, takes=6, n=400), "[split]", "[policy]\nprecision = 0.9\nk = 2\nn = 3\n[split]")
    assert "channels" in user.types("cloud-trainer features")
    assert "sample@1" in user.types("cloud-trainer data freeze")
    said = user.types("cloud-trainer run")
    bundle = next((tmp_path / ".edgeloop" / "bundles").glob("*.elb"))
    assert bundle.name in said
    assert re.search(
        r"^policy: thresholds chosen for precision 0.9; of \d+ test windows \d+ abstain, precision", said, re.M
    )
    assert "sample@1" in user.types("cloud-trainer data list")
    trust = re.search(r"\[trust\].*", user.types("cloud-trainer keys create"), re.S)
    assert trust
    signed = user.types(f"cloud-trainer sign {bundle}")
    path = next((tmp_path / ".edgeloop" / "depot").glob("*.elb"))
    assert path.name in signed
    assert "labels differ" in user.types(f"cloud-trainer inspect {path}")
    assert "signed by" in user.types(f"edge-runtime show {path}")
    (tmp_path / "board.json").write_text(user.types("edge-runtime selftest --json"), encoding="utf-8")
    assert "measured: " in user.types(f"cloud-trainer profile {path} --selftest board.json --watts aarch64=3.2")
    (tmp_path / "device.toml").write_text(
        f'[device]\nsite = "lab"\nid = "d-1"\n{trust.group(0)}\n[[stream]]\nname = "m"\n'
        f'source = "playback rec/idle-0.csv"\nbundle = "{path}"\n',
        encoding="utf-8",
    )
    assert "all together" in user.types(f"edge-runtime fit {path} --budget device.toml")
    lines = [line for line in user.types("edge-runtime run --config device.toml").splitlines() if line.startswith("{")]
    assert [json.loads(line)["window"] for line in lines] == list(range(1 + (400 - 16) // 8))
    assert json.loads(lines[0])["label"] is None, "a label needs two votes"
    assert {json.loads(line)["label"] for line in lines[1:]} == {"idle"}


def test_a_mistake_ends_with_an_error_and_a_hint(tmp_path: Path) -> None:
    user = User(tmp_path)
    for line, status in {
        "cloud-trainer run": 2,
        "cloud-trainer inspect none.elb": 3,
        "cloud-trainer sign none.elb": 2,
        "edge-runtime run --config none.toml": 2,
        "edge-runtime show none.elb": 3,
        "edge-runtime capture --source nothing --out x.csv.gz": 2,
    }.items():
        said = user.types(line, status=status)
        assert "error: " in said, line
        assert "hint: " in said, line
