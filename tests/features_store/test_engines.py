"""However the work is shared out, the table has the same bits."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.datasets import DatasetVersion, Recording, freeze, read_frames
from cloud_trainer.features import engines, materialise
from cloud_trainer.project import load as load_project
from cloud_trainer.workspace import Workspace
from edge_runtime import native
from edge_runtime.contract.program import Channel, Feature, Filter, Program
from edge_runtime.contract.timing import Timing
from edge_runtime.errors import UsageError
from tests.datasets.sample import edit, write_project
from tests.features.programs import a_program, recording


def made(tmp_path: Path, name: str) -> tuple[Workspace, DatasetVersion, Program]:
    """A workspace of its own, so that no cache answers; the dataset and program are the same each time."""
    if not (tmp_path / "edgeloop.toml").exists():
        edit(write_project(tmp_path), '"mad_diff"', '"mad_diff", "x:lowpass(2,0.7071)|rms"')
    project = load_project(tmp_path / "edgeloop.toml")
    ws = Workspace(tmp_path / name)
    return ws, freeze(project, ws), project.program()


@pytest.mark.parametrize("scheduler", ["processes", "threads", "sync"])
def test_dask_gives_the_table_of_threads(tmp_path: Path, scheduler: str) -> None:
    dask = pytest.importorskip("dask", reason="the extra [dask] is not installed")
    want = materialise(*made(tmp_path, "threads"))
    with dask.config.set(scheduler=scheduler):
        got = materialise(*made(tmp_path, "dask"), engine="dask")
    assert got.x.tobytes() == want.x.tobytes()
    assert (got.y.tobytes(), got.window.tobytes()) == (want.y.tobytes(), want.window.tobytes())
    assert (got.groups, got.recording, got.labels) == (want.groups, want.recording, want.labels)


def test_without_dask_the_line_to_install_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(UsageError, match="dask is not installed") as caught:
        materialise(*made(tmp_path, "ws"), engine="dask")
    assert caught.value.hint == "pip install 'edgeloop[dask]'"
    with pytest.raises(UsageError, match="engine 'spark': there is none"):
        materialise(*made(tmp_path, "other"), engine="spark")


def test_partitions_are_neighbours_of_like_size(tmp_path: Path) -> None:
    ws, dataset, _ = made(tmp_path, "ws")
    recordings = read_frames(ws, dataset)
    parts = engines.partitions(recordings, per_core=1)
    assert [each.name for part in parts for each in part] == [each.name for each in recordings]
    assert 1 <= len(parts) <= len(recordings)
    assert engines.partitions([]) == []


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_a_recording_in_pieces_has_the_bits_of_the_whole(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs by chance: those with filters or a timing policy are left whole."""
    monkeypatch.setattr(engines, "PIECE_ROWS", 2)
    in_pieces = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        program = a_program(rng)
        frames = recording(rng, 20 * program.window_frames + 5, len(program.channels))
        want = native.batch(program, frames).tobytes()
        assert engines.windows_of(frames, program, threads=threads).tobytes() == want, seed
        in_pieces += not program.filters and not program.timing
    assert in_pieces > 5


@pytest.mark.planted
def test_pieces_of_a_program_with_filters_would_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: filters are cut like windows."""
    program = Program(
        rate_hz=100.0,
        channels=(Channel(name="c", unit="g"),),
        window_frames=20,
        hop_frames=10,
        filters=(Filter(name="f", op=1006, sources=(0,), params=(0.5,)),),
        features=(Feature(name="f.mean", op=1, channel=1),),
    )
    frames = np.random.default_rng(1).normal(size=(500, 1)).astype(np.float32) + 100
    want = native.batch(program, frames).tobytes()
    monkeypatch.setattr(engines, "PIECE_ROWS", 2)
    assert engines.windows_of(frames, program, threads=4).tobytes() == want
    batch = native.batch
    monkeypatch.setattr(native, "batch", lambda _, x: batch(program, x))
    bare = replace(program, filters=(), features=(Feature(name="f.mean", op=1, channel=0),))
    assert engines.windows_of(frames, bare, threads=4).tobytes() != want


def test_the_core_lets_go_of_the_gil() -> None:
    """While it computes, another thread of Python runs on: else its turns would be a handful."""
    rng = np.random.default_rng(2)
    program = replace(a_program(rng), filters=(), timing=Timing(), features=(Feature(name="m", op=6, channel=0),))
    program = replace(program, window_frames=4096, hop_frames=1, channels=(Channel(name="c", unit="g"),))
    frames = recording(rng, 30_000, 1)
    thread = threading.Thread(target=native.batch, args=(program, frames))
    thread.start()
    turns = 0
    while thread.is_alive():
        turns += 1
    assert turns > 1000


def test_recordings_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    import pickle

    ws, dataset, program = made(tmp_path, "ws")
    assert pickle.loads(pickle.dumps(program)) == program  # noqa: S301
    recordings: list[Recording] = list(read_frames(ws, dataset))
    assert pickle.loads(pickle.dumps(recordings))[0].name == recordings[0].name  # noqa: S301
