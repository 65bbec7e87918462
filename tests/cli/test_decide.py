"""`edge-runtime decide`: the decisions of the daemon, in a process that loads nothing else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from bench.process import BARE, command, environment, settled
from edge_runtime.contract.timing import Timing
from edge_runtime.decide import decide
from edge_runtime.engines import decide_all, load_bundle, needed
from edge_runtime.errors import ContractError, TrustError
from tests.daemon.rig import recording, windows_of
from tests.update.bundles import PROGRAM, members, packed_bundle

FRAMES = 600
LIMIT_KIB = 4096
"""The promise: `decide_rss_over_python_mib` <= 4."""
HEAVY = (
    "argparse", "asyncio", "ast", "cffi", "csv", "cryptography", "dataclasses", "datetime", "email", "gettext", "gzip",
    "hashlib", "_hashlib", "_blake2", "http", "inspect", "locale", "logging", "numpy", "onnxruntime", "paho", "pathlib",
    "random", "shutil", "socket", "sqlite3", "ssl", "_ssl", "subprocess", "tempfile", "threading", "tomllib",
    "traceback", "typing", "unittest", "urllib", "uuid", "zlib", "edge_runtime.daemon", "edge_runtime.spool",
    "edge_runtime.transport", "edge_runtime.update", "edge_runtime.features", "edge_runtime.contract.baseline",
    "edge_runtime.contract.cbor",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.elb").write_bytes(packed_bundle())
    recording(tmp_path / "run.csv", frames=FRAMES)
    return tmp_path


def lines_of(folder: Path, spec: str) -> list[dict[str, object]]:
    out = io.BytesIO()
    assert decide(str(folder / "tiny.elb"), spec, write=out.write, log=lambda _: None) == len(
        out.getvalue().splitlines()
    )
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_decides_what_the_daemon_decides(folder: Path) -> None:
    frames = array("f", map(float, (folder / "run.csv").read_text().split()[1:]))
    want = decide_all(load_bundle(folder / "tiny.elb"), memoryview(frames))
    lines = lines_of(folder, f"playback {folder / 'run.csv'}")
    assert len(lines) == windows_of(FRAMES)
    labels = ("low", "high")
    assert [(line["window"], line["label"], line["margin"]) for line in lines] == [
        (d.window, labels[d.label], round(d.margin, 6)) for d in want
    ]
    assert [line["time_ms"] for line in lines[:3]] == [800, 1200, 1600], "the time of a recording begins at 0"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: Linux only")
def test_stays_within_its_memory(folder: Path) -> None:
    words = command("decide", "tiny.elb", "--source", "stdin format=csv")
    given = (folder / "run.csv").read_bytes()
    ours = settled(words, folder / "pyc", cwd=folder, given=given, n_lines=windows_of(FRAMES))
    theirs = settled(BARE, folder / "pyc", cwd=folder)
    assert ours["VmHWM"] - theirs["VmHWM"] <= LIMIT_KIB, f"{ours} beside {theirs}"


def test_loads_nothing_that_it_does_not_need(folder: Path) -> None:
    code = (
        "import sys; before = {*sys.modules}; "  # an editable installation loads some of them at start
        "from edge_runtime.cli import main; status = main(sys.argv[1:]); "
        f"print([m for m in {HEAVY!r} if m in sys.modules.keys() - before], file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "decide", "tiny.elb", "--source", "stdin format=csv"],
        cwd=folder, env=environment(folder / "pyc"), input=(folder / "run.csv").read_bytes(), capture_output=True,
        check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == b"[]"
    assert len(done.stdout.splitlines()) == windows_of(FRAMES)


def test_a_bundle_is_read_without_what_nobody_asks_for(folder: Path) -> None:
    bundle = load_bundle(folder / "tiny.elb", keep=needed)
    assert sorted(bundle.members) == ["model.erf", "program.json"]
    assert bundle.digest == load_bundle(folder / "tiny.elb").digest


def test_what_is_not_kept_is_checked_all_the_same(folder: Path) -> None:
    data = bytearray((folder / "tiny.elb").read_bytes())
    at = data.index(b'"lag1"')
    data[at + 1] ^= 1
    (folder / "tiny.elb").write_bytes(data)
    with pytest.raises(TrustError, match=r"baseline\.json"):
        load_bundle(folder / "tiny.elb", keep=needed)


def test_a_source_without_times_is_refused_where_gaps_matter(folder: Path) -> None:
    program = replace(PROGRAM, timing=Timing(policy="hold", most_frames=5))
    (folder / "tiny.elb").write_bytes(packed_bundle(files=members() | {"program.json": program.to_bytes()}))
    with pytest.raises(ContractError, match="gives no times, and the program handles gaps"):
        lines_of(folder, f"playback {folder / 'run.csv'}")
    lines = (folder / "run.csv").read_text().splitlines()
    timed = [f"{line},{'t' if i == 0 else i * 100}" for i, line in enumerate(lines)]
    (folder / "timed.csv").write_text("\n".join(timed))
    assert len(lines_of(folder, f"playback time_ms=t {folder / 'timed.csv'}")) == windows_of(FRAMES)


def test_a_broken_line_of_a_recording_is_named_after_the_decisions_before_it(folder: Path) -> None:
    lines = (folder / "run.csv").read_text().splitlines()
    lines[301] = "oops"
    (folder / "run.csv").write_text("\n".join(lines))
    done = subprocess.run(
        command("decide", "tiny.elb", "--source", "playback run.csv"), cwd=folder, env=environment(folder / "pyc"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "run.csv" in done.stderr
    assert "302" in done.stderr
    assert len(done.stdout.splitlines()) == windows_of(300)
