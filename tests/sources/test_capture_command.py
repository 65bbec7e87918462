"""`edge-runtime capture` writes the frames of any source; its errors are told with their status."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from edge_runtime.cli import main
from tests.sources.test_wav import pcm


def captured(tmp_path: Path, *words: str) -> list[str]:
    out = tmp_path / "out.csv.gz"
    assert main(["capture", "--out", str(out), "--overwrite", *words]) == 0
    return gzip.decompress(out.read_bytes()).decode().splitlines()


def test_the_first_line_of_a_command_names_the_columns(tmp_path: Path) -> None:
    (tmp_path / "sensor.sh").write_text("#!/bin/sh\necho x,y; seq -f '%.0f,7' 100")
    (tmp_path / "sensor.sh").chmod(0o755)
    source = f"exec format=csv {tmp_path}/sensor.sh"
    lines = captured(tmp_path, "--source", source, "--rate", "10", "--seconds", "0.5")
    assert lines == ["x,y", "1,7", "2,7", "3,7", "4,7", "5,7"]
    lines = captured(tmp_path, "--source", source, "--rate", "10", "--seconds", "0.2", "--channels", "y")
    assert lines == ["y", "7", "7"]


def test_a_wav_file_knows_its_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pcm(tmp_path / "a.wav", [64] * 100, bits=8, rate_hz=50)
    assert captured(tmp_path, "--source", f"playback {tmp_path}/a.wav", "--seconds", "1") == ["ch1", *["0.5"] * 50]
    assert "50 frames of 1 channels at 50 Hz" in capsys.readouterr().out


def test_the_source_of_a_config_is_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    config = tmp_path / "device.toml"
    config.write_text('[device]\nsite = "s"\nid = "d"\n[[stream]]\nname = "m"\nsource = "host"\n')
    words = ["--config", str(config), "--source", "playback a.csv", "--rate", "1", "--seconds", "2"]
    assert captured(tmp_path, *words) == ["x", "1", "2"]


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("modbus", 2, "source 'modbus': unknown"),
        ("stdin", 2, "no rate given"),
        ("mqtt a/b", 2, "no rate or no channels"),
        ("serial /dev/no-such-port", 6, "No such file"),
        ("exec format=csv sh -c 'echo x; echo 1; exit 4'", 6, "ended with status 4"),
    ],
)
def test_errors_have_their_status_and_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, status: int, message: str
) -> None:
    rate = [] if source in ("stdin", "mqtt a/b") else ["--rate", "1"]
    words = ["--channels", "x"] if source == "stdin" else []
    assert main(["capture", "--source", source, "--out", str(tmp_path / "o.csv.gz"), *rate, *words]) == status
    told = capsys.readouterr().err
    assert message in told
    assert "hint: " in told
    assert not (tmp_path / "o.csv.gz").exists()
