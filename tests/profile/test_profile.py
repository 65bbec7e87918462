"""`cloud-trainer profile`: exact where it says so, an estimate where it says so, and never a joule of its own."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from cloud_trainer.export import steps as op
from cloud_trainer.export.erm import erm_bytes
from cloud_trainer.export.exporter import export
from cloud_trainer.export.trees import Tree
from cloud_trainer.profile import profile, profile_file, rates_with, text
from cloud_trainer.profile.counted import TARGETS
from cloud_trainer.profile.work import work_of
from edge_runtime import native
from edge_runtime.engines import load_bundle, open_engine, stream_for
from edge_runtime.errors import ContractError, UsageError
from tests.export.made import digits, policy, trained
from tests.profile.bundles import ESTIMATORS, PROGRAMS, made

RUN = "from cloud_trainer.cli import main; main()"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(PROGRAMS["small"](), ESTIMATORS["forest"](), tmp_path_factory.mktemp("bundle"))


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, "profile", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def report(**changes: Any) -> dict[str, Any]:
    """Of a board's selftest."""
    facts = {"machine": "aarch64", "pointer_bits": 64, "cpu": "Raspberry Pi 4", "p50_us": 79.0155, "wrong": []}
    return facts | changes


def test_bytes_are_those_of_the_core_and_the_file(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    engine = open_engine(loaded)
    stream = stream_for(loaded, engine)
    found = {need.target: need for need in profile_file(bundle).needs}
    assert set(found) == {"x86-64", "aarch64", "armv7", "cortex-m4f", "cortex-m33"}
    assert found["x86-64"].state_bytes == found["aarch64"].state_bytes == stream.nbytes
    assert found["armv7"].state_bytes == found["cortex-m4f"].state_bytes == stream.nbytes_32 < stream.nbytes
    assert {need.model_bytes for need in found.values()} == {len(loaded.members["model.erm"])}
    assert profile_file(bundle).bundle_bytes == bundle.stat().st_size


def test_the_command_prints_a_table_and_json(bundle: Path) -> None:
    done = run(bundle)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split() == list(TARGETS)
    for label in ("state [bytes]", "model [bytes]", "stack [bytes]", "instructions a window", "latency [µs]"):
        assert sum(line.startswith(label) for line in lines) == 1
    assert "energy of a decision [J] = watts x latency" in lines
    plain = json.loads(run(bundle, "--json").stdout)
    assert [need["target"] for need in plain["needs"]] == list(TARGETS)
    assert all(need["joules"] is None for need in plain["needs"])


def test_there_is_no_joule_without_watts_of_the_user(bundle: Path) -> None:
    assert not any(
        line.startswith("energy of a decision [J] ") and "=" not in line
        for line in text(profile_file(bundle)).splitlines()
    )
    need = next(n for n in profile_file(bundle, watts={"cortex-m4f": 0.1}).needs if n.target == "cortex-m4f")
    assert need.latency_us is not None
    assert need.joules == pytest.approx(0.1 * need.latency_us / 1e6)


def test_a_selftest_of_a_board_takes_the_place_of_the_assumption(bundle: Path, tmp_path: Path) -> None:
    """The latency is the board's share of the standard window; that target alone is no estimate of a class any more."""
    file = tmp_path / "board.json"
    file.write_text(json.dumps(report()))
    before, after = (
        {need.target: need for need in profile_file(bundle, rates=rates_with(path)).needs} for path in (None, file)
    )
    need = after["aarch64"]
    assert need.rate.is_measured
    assert need.rate.per_us == pytest.approx(TARGETS["aarch64"]["standard_window"] / 79.0155)
    assert need.instructions.total is not None
    assert need.latency_us == pytest.approx(need.instructions.total / need.rate.per_us)
    assert [t for t in TARGETS if after[t].rate != before[t].rate] == ["aarch64"]
    assert not any(need.rate.is_measured for need in before.values())
    line = next(line for line in text(profile_file(bundle)).splitlines() if line.startswith("latency"))
    assert line.count("~") == len(TARGETS)


def test_the_selftest_of_this_machine_is_one(tmp_path: Path) -> None:
    from edge_runtime import selftest

    file = tmp_path / "here.json"
    file.write_text(selftest.run(seconds=0.01).as_json())
    assert sum(rate.is_measured for rate in rates_with(file).values()) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("no json", "no JSON"),
        ("[1]", "no report of a selftest"),
        (json.dumps(report(p50_us=0)), "p50_us: want above 0, got 0"),
        (json.dumps(report(wrong=["mean", "std"])), "other bits in: mean, std"),
        (json.dumps(report(machine="sparc")), "machine 'sparc' with pointers of 64 bits is none of x86-64"),
    ],
)
def test_what_is_no_selftest_is_refused_by_name(content: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    file.write_text(content)
    with pytest.raises((ContractError, UsageError), match=says.replace("[", r"\[")) as found:
        rates_with(file)
    assert found.value.hint


def test_a_file_that_is_no_bundle_is_refused_with_a_hint(tmp_path: Path) -> None:
    file = tmp_path / "not.elb"
    file.write_text("not a bundle")
    for path, status in ((file, 3), (tmp_path / "missing.elb", 3)):
        done = run(path)
        assert done.returncode == status
        assert done.stderr.startswith("error: ")
        assert "\nhint: " in done.stderr


@pytest.mark.parametrize("words", [("--watts", "0.1"), ("--watts", "toaster=1"), ("--watts", "armv7=-1")])
def test_watts_of_nothing_are_refused_by_name(bundle: Path, words: tuple[str, str]) -> None:
    done = run(bundle, *words)
    assert done.returncode == 2, done.stderr
    assert "error: --watts: " in done.stderr
    assert "hint: " in done.stderr


def test_a_bundle_of_onnxruntime_says_where_it_cannot_run(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    found = profile(replace(loaded, manifest=replace(loaded.manifest, engine="onnxruntime")), bundle_bytes=1)
    of = {need.target: need for need in found.needs}
    assert of["x86-64"].latency_us is None
    assert [t for t in TARGETS if of[t].refused] == ["armv7", "cortex-m4f", "cortex-m33"]
    assert "armv7: no onnxruntime there" in text(found)


def test_the_work_of_a_forest_is_the_levels_that_rows_pass() -> None:
    """Eight trees walk together until the last of them is at its leaf."""
    nodes = [(0.5, 0, 4), (0.5, 1, 2), (0, 0xFFFF, 0), (0, 0xFFFF, 0), (0, 0xFFFF, 0)]
    stump = [(0.5, 0, 2), (0, 0xFFFF, 0), (0, 0xFFFF, 0)]
    body = b"".join(struct.pack("<fHH", *node) for node in nodes + stump)
    data = struct.pack("<4sHHIIIIQ", b"ERF1", 2, 1, 2, 8, 1, 0, 32 + 8 + 64 + 8) + struct.pack("<2I", 0, 5)
    data += body + struct.pack("<d", 1.0)
    native.Model(data)  # the core agrees
    assert [work_of(data, [row])[0].units for row in ([0.0, 0.0], [1.0, 0.0])] == [
        (1.0, 2, 2 * 3, 2),
        (1.0, 2, 2 * 2, 2),
    ]
    assert work_of(data, [])[0].units == (1.0, 2, 6, 2)  # no row: the longest paths


def test_the_work_of_paired_trees_is_that_of_ten_at_once_and_of_the_rest_alone() -> None:
    b = op.Builder(2)
    two, stump = (
        Tree(
            feature=np.array(feature), threshold=np.full(len(feature), 0.5, np.float32), right=np.array(right),
            missing_left=np.zeros(len(feature), np.bool_), value=np.arange(len(feature))[:, None].astype(float),
        )
        for feature, right in (([0, 1, -1, -1, -1], [4, 3, 0, 0, 0]), ([0, -1, -1], [2, 0, 0]))
    )  # fmt: skip
    trees = op.Trees(trees=(two, *[stump] * 10, two), column=(0,) * 12, base=np.zeros(1))
    data = erm_bytes(b.model(b.new(trees, b.features, 1), takes_nan=False))
    assert native.Model(data).steps == ("trees_paired",)
    # ten at once walk to the deepest of them, the last two each to its own leaf
    for rows, deepest in (([[0.0, 0.0]], 3), ([[1.0, 0.0]], 2), ([], 3)):
        assert work_of(data, rows) == [("trees_paired", (1.0, 12, 10 * deepest + 2 + deepest, 12))]


def test_more_trees_cost_more(tmp_path: Path) -> None:
    x, y = digits(3)
    totals = []
    for n in (5, 20):
        made_run, table = trained(RandomForestClassifier(n, max_depth=4, random_state=0), x, y)
        path = export(made_run, table=table, name="f", version=n, policy=policy(3), out_dir=tmp_path).path
        totals.append([need.instructions.model for need in profile_file(path).needs])
    assert all(few * 2 < many for few, many in zip(*totals, strict=True) if few and many)
    assert np.isfinite(np.array(totals, float)).all()
