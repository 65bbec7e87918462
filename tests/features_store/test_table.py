from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.datasets import DatasetVersion, RecordRows, freeze, read_frames
from cloud_trainer.features import FeatureTable, cache_name, materialise
from cloud_trainer.project import load as load_project
from cloud_trainer.workspace import Workspace
from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Program
from edge_runtime.errors import ContractError
from tests.datasets.sample import edit, frames, write_project, write_recording


def made(tmp_path: Path) -> tuple[Workspace, DatasetVersion, Program]:
    project = load_project(write_project(tmp_path))
    ws = Workspace(tmp_path / "ws")
    return ws, freeze(project, ws), project.program()


def live_windows(program: Program, values: array[float]) -> Iterator[bytes]:
    """The features of every window as the device makes them: one stream, frame by frame."""
    stream = native.Stream(program, Policy(thresholds_ppm=(0, 0)))
    width = len(program.channels)
    for at in range(len(values) // width):
        assert stream.step(values, at, 1) == 1
        if stream.status == "scores":
            yield stream.features.tobytes()
            stream.decide([1.0, 0.0])


def check_same_bits_as_live(ws: Workspace, table: FeatureTable) -> int:
    """Compare every row with the stream's; the number of rows that were compared."""
    compared = 0
    for recording in read_frames(ws, table.dataset):
        windows = list(live_windows(table.program, array("f", recording.frames.tobytes())))
        for row in [i for i, name in enumerate(table.recording) if name == recording.name]:
            assert table.x[row].tobytes() == windows[table.window[row]], f"{recording.name}, row {row}"
            compared += 1
    return compared


def test_training_sees_the_bits_of_the_stream(tmp_path: Path) -> None:
    ws, dataset, program = made(tmp_path)
    table = materialise(ws, dataset, program)
    assert table.x.dtype == np.float32
    assert table.x.flags.c_contiguous
    assert table.x.shape == (6 * 11, 8)
    assert check_same_bits_as_live(ws, table) == 66


@pytest.mark.planted
def test_a_feature_computed_in_python_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: numpy means, right to rounding, in place of the core's."""
    ws, dataset, program = made(tmp_path)
    core = native.batch

    def with_numpy_mean(program: Program, values: memoryview) -> array[float]:
        rows = np.frombuffer(core(program, values), dtype=np.float32).reshape(-1, len(program.features)).copy()
        raw = np.asarray(values).reshape(-1, len(program.channels))
        for at, feature in enumerate(program.features):
            if feature.name.endswith(".mean"):
                channel = program.channels[feature.channel]
                x = raw[:, feature.channel] * np.float32(channel.scale) + np.float32(channel.offset)
                starts = range(0, len(x) - program.window_frames + 1, program.hop_frames)
                rows[:, at] = [np.mean(x[s : s + program.window_frames]) for s in starts]
        return array("f", rows.tobytes())

    monkeypatch.setattr(native, "batch", with_numpy_mean)
    table = materialise(ws, dataset, program)
    with pytest.raises(AssertionError, match="row"):
        check_same_bits_as_live(ws, table)


def test_the_cache_gives_the_same_bits_without_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws, dataset, program = made(tmp_path)
    first = materialise(ws, dataset, program)
    assert ws.tables.version(cache_name(dataset, program)) == 0
    monkeypatch.setattr(native, "batch", None)
    again = materialise(Workspace(ws.root), dataset, program)
    assert again.x.tobytes() == first.x.tobytes()
    assert again.y.tobytes() == first.y.tobytes()
    assert (again.groups, again.recording, again.labels) == (first.groups, first.recording, first.labels)
    assert again.window.tobytes() == first.window.tobytes()


def test_another_program_or_dataset_has_a_cache_of_its_own(tmp_path: Path) -> None:
    ws, dataset, program = made(tmp_path)
    path = tmp_path / "edgeloop.toml"
    other_program = load_project(edit(path, '"mad_diff"', '"rms"')).program()
    write_recording(tmp_path / "rec" / "idle-0.csv", frames("idle", 8, 100))
    other_dataset = freeze(load_project(path), ws)
    names = {cache_name(d, p) for d in (dataset, other_dataset) for p in (program, other_program)}
    assert len(names) == 4


def test_no_window_spans_two_labels(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    for i, file in enumerate(sorted((tmp_path / "rec").iterdir())):
        lines = file.read_text(encoding="utf-8").splitlines()
        file.write_text(
            "x,y,act\n"
            + "\n".join(f"{row},{'skip' if 40 <= n < 50 else 'ab'[n >= 33 + i]}" for n, row in enumerate(lines[1:])),
            encoding="utf-8",
        )
    edit(
        path,
        '[labels.index]\nfile = "takes.csv"\nlabel_column = "label"',
        '[labels]\ncolumn = "act"\nignore = ["skip"]',
    )
    project = load_project(path)
    ws = Workspace(tmp_path / "ws")
    dataset = freeze(project, ws)
    table = materialise(ws, dataset, project.program())
    labels = {r.name: [None] * 100 for r in read_frames(ws, dataset)}
    for recording in read_frames(ws, dataset):
        for start, end, label in recording.spans:
            labels[recording.name][start:end] = [label] * (end - start)  # type: ignore[list-item]
    kept = list(zip(table.recording, table.window.tolist(), table.y.tolist(), strict=True))
    for name, own in labels.items():
        wanted = []
        for window in range(11):
            seen = set(own[window * 8 : window * 8 + 16])
            if len(seen) == 1 and None not in seen:
                wanted.append((name, window, table.labels.index(str(*seen))))
        assert [row for row in kept if row[0] == name] == wanted
    assert check_same_bits_as_live(ws, table) == len(kept) < 66


def test_a_program_for_other_channels_is_refused(tmp_path: Path) -> None:
    ws, dataset, _ = made(tmp_path)
    path = tmp_path / "edgeloop.toml"
    scaled = load_project(edit(path, "scale = 0.5", "scale = 0.6")).program()
    with pytest.raises(ContractError, match=r"channels are not those of sample@1"):
        materialise(ws, dataset, scaled)
    edit(path, "scale = 0.6", "scale = 0.5")
    faster = load_project(edit(path, "rate_hz = 10.0", "rate_hz = 20.0")).program()
    with pytest.raises(ContractError, match=r"rate_hz 20 is not that of sample@1, 10"):
        materialise(ws, dataset, faster)


def test_a_recording_shorter_than_the_programs_window_is_named(tmp_path: Path) -> None:
    ws, dataset, _ = made(tmp_path)
    longer = load_project(edit(tmp_path / "edgeloop.toml", "window_frames = 16", "window_frames = 101")).program()
    with pytest.raises(ContractError, match=r"recording busy-0: 100 frames, a window has 101"):
        materialise(ws, dataset, longer)
    assert not ws.tables.exists(cache_name(dataset, longer))


def test_a_feature_beyond_float32_is_named_and_not_kept(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    write_recording(tmp_path / "rec" / "idle-1.csv", [(3e38, 0.0), (-3e38, 0.0)] * 20)
    project = load_project(edit(path, '"mean", "std"', '"rms", "std"'))
    ws = Workspace(tmp_path / "ws")
    dataset = freeze(project, ws)
    big = project.program()
    if np.isfinite(materialised := native.batch(big, array("f", [3e38, 0.0, -3e38, 0.0] * 20))).all():
        pytest.skip(f"the core keeps {max(materialised):g} finite in double")
    with pytest.raises(ContractError, match=r"recording idle-1, window 0: feature x\.\w+ is (inf|nan)"):
        materialise(ws, dataset, big)
    assert not ws.tables.exists(cache_name(dataset, big))


def test_records_come_after_the_windows_of_their_parent(tmp_path: Path) -> None:
    ws, dataset, program = made(tmp_path)
    parent = materialise(ws, dataset, program)
    rows = RecordRows(
        program_digest=program.digest,
        features=np.arange(16, dtype=np.float32).reshape(2, 8),
        labels=["walk", "busy"],
        ids=[("dev-1", 7, 2), ("dev-1", 7, 1)],
        groups=["g1", "g2"],
    )
    project = load_project(tmp_path / "edgeloop.toml")
    child = freeze(project, ws, records=rows, parents=[dataset])
    table = materialise(ws, child, program)
    assert table.labels == ("busy", "idle", "walk")
    assert table.x[:-2].tobytes() == parent.x.tobytes()
    assert table.x[-2:].tobytes() == rows.features[::-1].tobytes()
    assert table.y[-2:].tolist() == [0, 2]
    assert table.groups[-2:] == ["g2", "g1"]
    assert table.recording[-1] == "dev-1/0000000000000007"
    assert table.window[-2:].tolist() == [1, 2]
    more = RecordRows(
        program_digest=program.digest,
        features=rows.features[:1] + 1,
        labels=["idle"],
        ids=[("dev-2", 1, 1)],
        groups=["g3"],
    )
    grown = freeze(project, ws, records=more, parents=[dataset, child])
    assert len(materialise(ws, grown, program).y) == len(table.y) + 1
    other = load_project(edit(tmp_path / "edgeloop.toml", '"mad_diff"', '"rms"')).program()
    with pytest.raises(ContractError, match=rf"sample@2: its records are of program {program.digest[:12]}"):
        materialise(ws, child, other)
