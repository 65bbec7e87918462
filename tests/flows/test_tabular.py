"""Tables of records, whole: numbers and texts with gaps, a forest, a bundle, and a daemon that decides row by row."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_trainer.datasets import freeze
from cloud_trainer.definition import program_for
from cloud_trainer.export import Exported, export
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.project import load, policy_for
from cloud_trainer.rollout import signer
from cloud_trainer.training import Run, train_all
from cloud_trainer.workspace import Workspace
from edge_runtime.contract.birth import Birth
from edge_runtime.contract.bundle import unpack
from edge_runtime.daemon.config import load_config
from edge_runtime.daemon.decide import load as load_bundle
from edge_runtime.daemon.letters import birth
from edge_runtime.update import slots
from edge_runtime.update.disk import PosixDisk
from tests.daemon.rig import KEYS, Rig

AI4I = Path(os.environ.get("EDGELOOP_DATA", ""), "ai4i", "ai4i2020.csv.gz")

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PUMPS = (
    README.partition("## Tables of records")[2].partition("```toml\n")[2].partition("```")[0]
    + """
[split]
test_fraction = 0.3
[train]
estimators = ["forest"]
[train.forest]
n_estimators = 20
"""
)

SITES = """
[project]
name = "sites"
[data]
files = ["rec/*.csv"]
rate_hz = 10.0
[[channel]]
name = "x"
unit = "g"
[[field]]
name = "site"
kind = "text"
[[field]]
name = "load"
[labels]
column = "state"
[features]
window_frames = 8
hop_frames = 4
list = ["x:std", "site:one_hot", "load:standardise"]
[split]
test_fraction = 0.5
[train]
estimators = ["forest"]
[train.forest]
n_estimators = 10
"""


def write_pumps(path: Path, n: int, *, seed: int = 1) -> None:
    """A worn pump turns hard, but hardly one with thick oil; what is missing means something too."""
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["torque", "oil", "state"])
        for _ in range(n):
            torque, oil = rng.gauss(40, 10), rng.choice(["thick", "thin, old", "Öl"])
            is_worn = torque > (55 if oil == "thick" else 42)
            cells = ["" if rng.random() < 0.1 else f"{torque:.3f}", "" if rng.random() < 0.1 else oil]
            rows.writerow([*cells, "worn" if is_worn else "fine"])


def write_sites(folder: Path) -> None:
    """Sixteen recordings; the same shaking is normal at one site and not at the other."""
    (folder / "rec").mkdir(parents=True)
    for take in range(16):
        rng, site, load_ = random.Random(take), "ab"[take % 2], 10.0 * (take % 3)
        size = 2.0 if take >= 8 else 0.5
        lines = ["x,site,load,state"]
        for _ in range(120):
            state = "bad" if size > 1.0 and site == "a" else "good"
            lines.append(f"{rng.gauss(0, size):.4f},{site},{load_},{state}")
        (folder / "rec" / f"take-{take}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def made(folder: Path, toml: str) -> tuple[FeatureTable, Run, Exported]:
    (folder / "edgeloop.toml").write_text(toml, encoding="utf-8")
    project, ws = load(folder), Workspace(folder / "ws")
    project = replace(project, train=replace(project.train, estimators=("forest",)))
    dataset = freeze(project, ws)
    table = materialise(ws, dataset, program_for(project, ws, dataset))
    (run,) = train_all(project, table, ws)
    exported = export(
        run, table=table, name=project.name, version=1, policy=policy_for(project, run.labels), out_dir=ws.bundles,
        target=project.target, sign=signer(KEYS.release),
    )  # fmt: skip
    return table, run, exported


def decided(rig: Rig, **stream: Any) -> list[dict[str, Any]]:
    rig.write(**stream)
    done = rig.run(timeout_s=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_recording(table: FeatureTable, run: Run) -> dict[tuple[str, int], str]:
    """What the trainer says of each row."""
    batch = run.estimator.predict(table.x.astype("float64"))
    return {
        (table.recording[i], int(table.window[i])): table.labels[int(code)] for i, code in enumerate(batch.tolist())
    }


def in_file_order(table: FeatureTable, run: Run) -> list[str]:
    """The trainer's labels in the order of the file: records that were dealt keep their places."""
    wanted = by_recording(table, run)
    return [wanted["rows", place] for place in range(len(wanted))]


def test_the_daemon_decides_each_record_as_the_trainer_did(tmp_path: Path) -> None:
    """0 differences over records with missing numbers and texts; the trainer saw them as columns."""
    write_pumps(tmp_path / "pumps.csv", 1500)
    table, run, exported = made(tmp_path, PUMPS)
    assert run.metrics["accuracy"] > 0.8
    wanted = in_file_order(table, run)
    lines = decided(Rig(tmp_path / "dev"), source=f"playback {tmp_path / 'pumps.csv'}", bundle=str(exported.path))
    assert [line["window"] for line in lines] == list(range(1500))
    assert [line["label"] for line in lines] == wanted


def test_a_renamed_column_is_for_the_training_files_alone(tmp_path: Path) -> None:
    """README: the rows of a device have the names of the fields."""
    write_pumps(tmp_path / "pumps.csv", 300)
    text = (tmp_path / "pumps.csv").read_text(encoding="utf-8")
    (tmp_path / "pumps.csv").write_text(text.replace("torque", "Torque [Nm]", 1), encoding="utf-8")
    _, _, exported = made(tmp_path, PUMPS.replace('name = "torque"', 'name = "torque"\ncolumn = "Torque [Nm]"'))
    rig = Rig(tmp_path / "dev")
    rig.write(source=f"playback {tmp_path / 'pumps.csv'}", bundle=str(exported.path))
    done = rig.run()
    assert done.returncode == 3, done.stderr
    assert "no column 'torque'" in done.stderr
    assert "there are: Torque [Nm], oil, state" in done.stderr
    (tmp_path / "named.csv").write_text(text, encoding="utf-8")
    assert len(decided(rig, source=f"playback {tmp_path / 'named.csv'}", bundle=str(exported.path))) == 300


def test_a_device_that_decides_records_says_so_to_the_fleet(tmp_path: Path) -> None:
    write_pumps(tmp_path / "pumps.csv", 300)
    _, _, exported = made(tmp_path, PUMPS)
    rig = Rig(tmp_path / "dev")
    config = load_config(rig.write(source=f"playback {tmp_path / 'pumps.csv'}", bundle=str(exported.path)))
    loaded = load_bundle(unpack(exported.path.read_bytes()))
    said = Birth.from_bytes(birth(config.device, 1, {"m": (loaded, "playback")}, raw={}, raw_bytes_day=0).payload)
    assert (said.streams[0].window_frames, said.streams[0].hop_frames) == (1, 1)


def test_a_fact_of_the_device_is_the_field_of_a_row(tmp_path: Path) -> None:
    """The same recording, its fields from the rows or from [context]: the trainer's decisions both times."""
    write_sites(tmp_path)
    table, run, exported = made(tmp_path, SITES)
    wanted = by_recording(table, run)
    for take in (0, 10):
        file = tmp_path / "rec" / f"take-{take}.csv"
        labels = [label for (name, _), label in sorted(wanted.items()) if name == f"take-{take}"]
        rows = decided(Rig(tmp_path / f"rows-{take}"), source=f"playback {file}", bundle=str(exported.path))
        context = f'[context]\nsite = "{"ab"[take % 2]}"\nload = {10 * (take % 3)}\n'
        facts = decided(
            Rig(tmp_path / f"facts-{take}"), top=context, source=f"playback {file}", bundle=str(exported.path)
        )
        assert [line["label"] for line in rows] == labels
        assert [line["label"] for line in facts] == labels
    n_bad = []
    for site in "ab":
        context = f'[context]\nsite = "{site}"\nload = 0\n'
        source = f"playback {tmp_path / 'rec' / 'take-12.csv'}"
        lines = decided(Rig(tmp_path / f"site-{site}"), top=context, source=source, bundle=str(exported.path))
        n_bad.append(sum(line["label"] == "bad" for line in lines))
    assert n_bad[0] > 2 * n_bad[1], "the site of the context decides, not that of the file"


def test_a_fact_of_the_wrong_kind_is_refused_by_name(tmp_path: Path) -> None:
    write_sites(tmp_path)
    _, _, exported = made(tmp_path, SITES)
    rig = Rig(tmp_path / "dev")
    rig.write(
        top='[context]\nsite = 7\nload = 0\n', bundle=str(exported.path),
        source=f"playback {tmp_path / 'rec' / 'take-0.csv'}",
    )  # fmt: skip
    done = rig.run()
    assert done.returncode == 2, done.stderr
    assert "context.site: 7.0, the program of stream m wants a text" in done.stderr


def test_a_misspelt_fact_is_refused_with_the_field_that_was_meant(tmp_path: Path) -> None:
    """The recording has the field too: without the refusal the device would decide by the wrong one."""
    write_sites(tmp_path)
    _, _, exported = made(tmp_path, SITES)
    rig = Rig(tmp_path / "dev")
    more: dict[str, Any] = {
        "bundle": str(exported.path),
        "source": f"playback {tmp_path / 'rec' / 'take-0.csv'}",
    }
    rig.write(top='[context]\nsitee = "b"\nload = 0\n', **more)
    done = rig.run()
    assert done.returncode == 2, done.stderr
    assert "context.sitee: no program reads it, did you mean 'site'?" in done.stderr
    assert "hint: fields: site, load" in done.stderr
    rig.write(top='[context]\nsite = "b"\nload = 0\nkeeper = "Ada"\n', **more)
    done = rig.run()
    assert done.returncode == 0, done.stderr
    assert "context device=dev-1 unread=keeper" in done.stderr
    disk = PosixDisk(rig.state / "streams" / "m")
    slots._save(disk, slots.load(disk), replace(slots.load(disk), rollout="r-1"))
    rig.write(top='[context]\nsitee = "b"\nload = 0\n', **more)
    done = rig.run()
    assert done.returncode == 0, "a rollout stops no device"
    assert "unread=sitee" in done.stderr


@pytest.mark.skipif(not AI4I.is_file(), reason="EDGELOOP_DATA names no folder with ai4i")
@pytest.mark.timeout(400)
def test_machines_that_fail_are_found_and_the_device_agrees(tmp_path: Path) -> None:
    """Outside data: 10,000 records of a milling machine, 3.4 % of them failures."""
    toml = Path(__file__).with_name("ai4i.toml").read_text(encoding="utf-8")
    table, run, exported = made(tmp_path, toml)
    assert run.metrics["macro_f1"] >= 0.85, run.metrics
    wanted = in_file_order(table, run)
    columns = ("Type", "Air temperature [K]", "Process temperature [K]", "Rotational speed [rpm]", "Torque [Nm]")
    names = ("type", "air", "process", "speed", "torque", "wear")
    named = dict(zip((*columns, "Tool wear [min]"), names, strict=True))
    with gzip.open(AI4I, "rt", encoding="utf-8") as file, (tmp_path / "run.csv").open("w", encoding="utf-8") as out:
        head = next(file)
        out.write(",".join(named.get(column, column) for column in head.strip().split(",")) + "\n")
        out.writelines(file)
    lines = decided(Rig(tmp_path / "dev"), source=f"playback {tmp_path / 'run.csv'}", bundle=str(exported.path))
    assert [line["label"] for line in lines] == wanted
