"""The base install is a device: the wheel alone, in a clean environment, runs a native bundle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.daemon.rig import Rig, recording, windows_of

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git would ship, in a copy: a build must not touch the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"
    keep = shutil.ignore_patterns(
        ".git", ".venv", "build", "*.egg-info", "out", "*.so", "_er.c", "*.o", "__pycache__", ".*"
    )
    shutil.copytree(ROOT, source, ignore=keep)
    made = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out, source)
    assert made.returncode == 0, made.stderr[-3000:]
    return next(out.glob("*.whl"))


def test_wheel_is_abi3_and_holds_the_core_and_the_demo(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("_er.abi3.so") for name in names)
    assert "cloud_trainer/demo/host/takes.csv" in names
    assert "cloud_trainer/project/template.toml" in names
    assert not [name for name in names if name.startswith("tests/")]


@pytest.mark.timeout(300)
def test_clean_install_without_extras_runs_the_daemon(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    installed = run(python, "-m", "pip", "install", "-q", wheel)
    assert installed.returncode == 0, installed.stderr[-3000:]
    packages = {p["name"].lower() for p in json.loads(run(python, "-m", "pip", "list", "--format=json").stdout)}
    assert not packages & {"numpy", "onnxruntime", "scikit-learn", "typer"}
    recording(tmp_path / "run.csv", frames=400)
    Rig(tmp_path).write()
    done = run(tmp_path / "venv" / "bin" / "edge-runtime", "run", "--config", tmp_path / "device.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == windows_of(400)
