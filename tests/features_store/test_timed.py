"""Recordings with a time column: frozen with their times, and trained on the windows that a device decides."""

from __future__ import annotations

import random
from array import array
from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.datasets import Recording, Span, freeze, load, read_frames
from cloud_trainer.features import materialise
from cloud_trainer.features.timed import timed_rows
from cloud_trainer.project import load as load_project
from cloud_trainer.workspace import Workspace
from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Program
from edge_runtime.contract.timing import TIME_POLICIES, Timing
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.features import ProgramBuilder
from tests.datasets.sample import edit, write_project


def timed_project(folder: Path, policy: str = "hold", *, most: int = 6) -> Path:
    """The sample project, its recordings with a time column `t`, with gaps, duplicates and late frames."""
    path = write_project(folder, n=200)
    for i, file in enumerate(sorted((folder / "rec").iterdir())):
        rng, at, lines = random.Random(i), 1_700_000_000_000_000, ["t,x,y"]
        for line in file.read_text(encoding="utf-8").splitlines()[1:]:
            at += 100_000 * (rng.randint(2, 9) if rng.random() < 0.05 else 1)
            lines.append(f"{at - (250_000 if rng.random() < 0.03 else 0)},{line}")
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    edit(path, "rate_hz = 10.0", 'rate_hz = 10.0\ntime_us = "t"')
    return edit(path, "[split]", f'[features.timing]\npolicy = "{policy}"\nmost_frames = {most}\n\n[split]')


@pytest.mark.parametrize("policy", TIME_POLICIES[1:])
def test_training_sees_the_windows_of_the_stream(tmp_path: Path, policy: str) -> None:
    """Bits and numbers of the windows; under "mark" those where the device abstains are left out."""
    project = load_project(timed_project(tmp_path, policy))
    ws = Workspace(tmp_path / "ws")
    dataset, program = freeze(project, ws), project.program()
    table = materialise(ws, dataset, program)
    assert program.timing == Timing(policy=policy, most_frames=6)
    met = native.ClockCounts(0, 0, 0, 0)
    for recording in read_frames(ws, dataset):
        assert recording.times is not None
        stream, windows = native.Stream(program, Policy(thresholds_ppm=(0, 0))), {}
        flat, times, at = array("f", recording.frames.tobytes()), array("q", recording.times.tobytes()), 0
        while at < len(times):
            at += stream.step(flat, at, len(times) - at, times)
            if stream.status == "scores":
                windows[stream.windows] = bytes(stream.features)
                stream.decide([1.0, 0.0])
        rows = [i for i, name in enumerate(table.recording) if name == recording.name]
        assert [int(table.window[row]) for row in rows] == list(windows)
        assert [table.x[row].tobytes() for row in rows] == list(windows.values())
        assert set(table.time_us[rows].tolist()) <= set(recording.times.tolist())
        assert table.time_us[rows].tolist() == sorted(table.time_us[rows].tolist())
        met = native.ClockCounts(*(a + b for a, b in zip(met, stream.clock, strict=True)))
    assert met.late > 0
    assert met.resets > 0
    assert (met.filled > 0) is (policy != "reset")


def test_times_are_content_and_come_back(tmp_path: Path) -> None:
    path = timed_project(tmp_path)
    ws = Workspace(tmp_path / "ws")
    timed = freeze(load_project(path), ws)
    assert timed.has_times
    assert load(ws, timed.ref) == timed
    assert freeze(load_project(path), ws) == timed
    first = next(iter(read_frames(ws, timed)))
    assert first.times is not None
    assert first.times.dtype == np.int64
    assert first.times[0] == 1_700_000_000_100_000
    plain = freeze(load_project(edit(path, '\ntime_us = "t"', "")), ws)
    assert (plain.version, plain.has_times) == (2, False)
    assert plain.digest != timed.digest
    assert all(recording.times is None for recording in read_frames(ws, plain))
    one = next((tmp_path / "rec").iterdir())
    edit(edit(path, "rate_hz = 10.0", 'rate_hz = 10.0\ntime_us = "t"'), "[features]", "[features]")
    text = one.read_text(encoding="utf-8")
    one.write_text(text.replace("1700000000100000,", "1700000000100001,", 1), encoding="utf-8")
    assert freeze(load_project(path), ws).digest not in {timed.digest, plain.digest}


def test_a_policy_needs_times(tmp_path: Path) -> None:
    path = timed_project(tmp_path)
    project = load_project(path)
    ws = Workspace(tmp_path / "ws")
    program = project.program()
    edit(path, '\ntime_us = "t"', "")
    with pytest.raises(UsageError, match=r"features\.timing: policy 'hold', but the recordings have no times"):
        load_project(path).program()
    with pytest.raises(ContractError, match=r"busy-0: its frames have no times"):
        materialise(ws, freeze(load_project(path), ws), program)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('time_us = "t"', 'time_us = "t"\ntime_s = "t"', "one time column, and data.time_s is one"),
        ('policy = "hold"', 'policy = "guess"', r"features\.timing\.policy: want one of none, hold"),
        ("most_frames = 6", "most_frames = 0", r"features\.timing\.most_frames: want a whole number 1\.\.65535"),
        ("most_frames = 6", "most_frames = 6\nmore = 1", r"features\.timing\.more: unknown key"),
    ],
)
def test_what_is_no_timing_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_project(edit(timed_project(tmp_path), old, new))


def test_a_wrong_unit_is_named(tmp_path: Path) -> None:
    """Milliseconds taken for microseconds: every frame is a duplicate."""
    path = timed_project(tmp_path)
    for file in (tmp_path / "rec").iterdir():
        lines = [f"{i},{row}" for i, row in enumerate(file.read_text(encoding="utf-8").splitlines())]
        file.write_text("\n".join(["t,z,x,y", *lines[1:]]) + "\n", encoding="utf-8")
    project, ws = load_project(path), Workspace(tmp_path / "ws")
    with pytest.raises(ContractError, match=r"give no window of 16: duplicates 199, late 0, filled 0, resets 0") as why:
        materialise(ws, freeze(project, ws), project.program())
    assert "unit of the time column" in (why.value.hint or "")


PROGRAM = Program(
    rate_hz=10.0,
    channels=(Channel(name="x", unit="g"),),
    window_frames=4,
    hop_frames=1,
    features=(Feature(name="x.max", op=5, channel=0),),
    timing=Timing(policy="interpolate", most_frames=5),
)


def labelled(times: list[int], spans: tuple[Span, ...]) -> tuple[list[int], list[str]]:
    values = np.arange(len(times), dtype=np.float32).reshape(-1, 1)
    made = Recording(name="r", group="g", frames=values, spans=spans, times=np.array(times, np.int64) * 100_000)
    rows = timed_rows(made, PROGRAM)
    return rows.window.tolist(), rows.label


def test_a_row_counts_only_if_all_frames_that_it_has_to_do_with_have_its_label() -> None:
    """Frames 0..3 are a, 4.. b, one has none; between 3 and 4 two frames are missing, made of both labels."""
    times = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12]
    windows, labels = labelled(times, (Span(0, 4, "a"), Span(4, 9, "b")))
    assert (windows, labels) == ([0, 6, 7], ["a", "b", "b"])
    with_a_gap = labelled(times, (Span(0, 4, "a"), Span(4, 6, "b"), Span(7, 11, "b")))
    assert with_a_gap == ([0, 9], ["a", "b"])


@pytest.mark.planted
def test_a_row_labelled_by_its_place_on_the_grid_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: spans are taken as frames of the grid, where fills have moved everything after them."""
    real = native.batch_at

    def by_place(program: Program, values: memoryview, when: array[int]) -> native.Walked:
        made = real(program, values, when)
        n = range(len(made.first))
        return native.Walked(
            values=made.values,
            first=array("Q", n),
            last=array("Q", [row + program.window_frames - 1 for row in n]),
            flags=made.flags,
            clock=made.clock,
        )

    monkeypatch.setattr(native, "batch_at", by_place)
    with pytest.raises(AssertionError):
        test_a_row_counts_only_if_all_frames_that_it_has_to_do_with_have_its_label()


def test_the_builder_says_the_same_as_the_project(tmp_path: Path) -> None:
    project = load_project(timed_project(tmp_path, "mark"))
    builder = ProgramBuilder(rate_hz=10, window_frames=16, hop_frames=8, timing=Timing(policy="mark", most_frames=6))
    both = builder.group(builder.channel("x", unit="g", scale=0.5), builder.channel("y", unit="1", offset=1.0))
    both.mean()
    both.std()
    both.max()
    both.mad_diff()
    assert builder.build().digest == project.program().digest
    assert "gaps: mark, up to 6 frames" in builder.describe()


def test_a_program_from_a_file_brings_its_timing(tmp_path: Path) -> None:
    path = timed_project(tmp_path)
    program = load_project(path).program()
    (tmp_path / "program.json").write_bytes(program.to_bytes())
    head, rest = path.read_text(encoding="utf-8").split("[features]\n")
    path.write_text(
        f'{head}[features]\nprogram = "program.json"\n\n[split]{rest.split("[split]")[1]}', encoding="utf-8"
    )
    assert load_project(path).program() == program
    edit(path, 'program = "program.json"', 'program = "program.json"\n[features.timing]\npolicy = "none"')
    with pytest.raises(UsageError, match=r"features\.timing: want nothing beside features\.program"):
        load_project(path)
