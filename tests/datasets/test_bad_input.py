"""Each bad input: one error that names the thing, and nothing that was stored is lost."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_trainer.datasets import freeze, read_frames, versions
from cloud_trainer.project import load as load_project
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import EdgeloopError
from tests.datasets.sample import edit, frames, write_project, write_recording

Plant = Callable[[Path], object]


def _nan(folder: Path) -> None:
    write_recording(folder / "rec" / "idle-1.csv", [*frames("idle", 1, 40), (float("nan"), 1.0)])


def _cut_gzip(folder: Path) -> None:
    data = gzip.compress((folder / "rec" / "idle-1.csv").read_bytes())
    (folder / "rec" / "idle-1.csv").write_bytes(data[: len(data) // 2])


def _dangling(folder: Path) -> None:
    (folder / "rec" / "idle-1.csv").unlink()
    (folder / "rec" / "idle-1.csv").symlink_to(folder / "unmounted.csv")


def _short(folder: Path) -> None:
    write_recording(folder / "rec" / "idle-1.csv", frames("idle", 1, 15))


def _twin(folder: Path) -> None:
    write_recording(folder / "other" / "idle-1.csv", frames("idle", 1, 40))
    edit(folder / "edgeloop.toml", '"rec/*.csv"', '"rec/*.csv", "other/*.csv"')


BAD: dict[str, tuple[Plant, int, str]] = {
    "missing column": (
        lambda f: write_recording(f / "rec" / "idle-1.csv", frames("idle", 1, 40), header="x,z"),
        3,
        r"idle-1\.csv: no column 'y'",
    ),
    "unreadable file": (_cut_gzip, 3, r"idle-1\.csv after line \d+: cannot be read"),
    "not text": (
        lambda f: (f / "rec" / "idle-1.csv").write_bytes(b"x,y\n\xff\xfe\n"),
        3,
        r"idle-1\.csv.*cannot be read",
    ),
    "link to nowhere": (_dangling, 3, r"idle-1\.csv.*No such file"),
    "NaN": (_nan, 3, r"idle-1\.csv line 42, column 'x': 'nan' is missing or NaN"),
    "a word": (
        lambda f: edit(f / "rec" / "idle-1.csv", "\n0.", "\nO."),
        3,
        r"idle-1\.csv line \d+, column 'x': 'O\.\d+'",
    ),
    "cut line": (lambda f: edit(f / "rec" / "idle-1.csv", ",", "\n"), 3, r"idle-1\.csv"),
    "empty label": (
        lambda f: edit(f / "takes.csv", "idle-1.csv,idle,1", "idle-1.csv,,1"),
        3,
        r"takes\.csv line 4, column 'label': it is empty",
    ),
    "empty group": (
        lambda f: edit(f / "takes.csv", "idle-1.csv,idle,1", "idle-1.csv,idle,"),
        3,
        r"takes\.csv line 4, column 'take': it is empty",
    ),
    "no line for a file": (lambda f: edit(f / "takes.csv", "idle-1.csv", "idle-9.csv"), 3, r"idle-1\.csv: no line of"),
    "two lines for a file": (
        lambda f: edit(f / "takes.csv", "idle-1.csv", "idle-0.csv"),
        3,
        r"takes\.csv line 4, column 'file': 'idle-0\.csv' stands there twice",
    ),
    "missing label column": (
        lambda f: edit(f / "takes.csv", "file,label,take", "file,lable,take"),
        3,
        r"takes\.csv: no column 'label', did you mean 'lable'",
    ),
    "missing index": (
        lambda f: (f / "takes.csv").unlink(),
        3,
        r"takes\.csv: No such file",
    ),
    "shorter than a window": (_short, 3, r"idle-1\.csv: 15 frames are shorter than a window of 16"),
    "no file": (
        lambda f: edit(f / "edgeloop.toml", "rec/*.csv", "rce/*.csv"),
        2,
        r"data\.files: 'rce/\*\.csv' matches no",
    ),
    "absolute": (
        lambda f: edit(f / "edgeloop.toml", "rec/*.csv", "/rec/*.csv"),
        2,
        r"data\.files: '/rec/\*\.csv' is abs",
    ),
    "one name twice": (
        _twin,
        3,
        "recording 'idle-1' stands twice",
    ),
    "value that nobody named": (
        lambda f: edit(f / "edgeloop.toml", "[labels.index]", "[labels.names]\nidle = 'rest'\n[labels.index]"),
        3,
        "label 'busy' is neither in labels.names nor in labels.ignore",
    ),
    "nothing but ignored": (
        lambda f: edit(f / "edgeloop.toml", "[labels.index]", "[labels]\nignore = ['idle']\n[labels.index]"),
        3,
        r"idle-0\.csv: no frame has a label",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_error_and_loses_nothing(tmp_path: Path, name: str) -> None:
    plant, exit_code, message = BAD[name]
    path = write_project(tmp_path, n=40)
    ws = Workspace(tmp_path / "ws")
    good = freeze(load_project(path), ws)
    before = [recording.frames.tobytes() for recording in read_frames(ws, good)]
    commits = {table: ws.tables.version(table) for table in ws.tables.names()}
    plant(tmp_path)
    with pytest.raises(EdgeloopError, match=message) as caught:
        freeze(load_project(path), ws)
    assert caught.value.exit_code == exit_code
    assert caught.value.hint
    assert {table: ws.tables.version(table) for table in ws.tables.names()} == commits
    assert versions(ws) == [good]
    assert [recording.frames.tobytes() for recording in read_frames(ws, good)] == before


def test_a_freeze_that_dies_before_its_row_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_project(tmp_path, n=40)
    ws = Workspace(tmp_path / "ws")
    good = freeze(load_project(path), ws)
    write_recording(tmp_path / "rec" / "idle-1.csv", frames("idle", 7, 40))

    def power_cut(name: str, columns: object) -> int:
        raise OSError("power cut")

    monkeypatch.setattr(ws.tables, "append", power_cut)
    with pytest.raises(OSError, match="power cut"):
        freeze(load_project(path), ws)
    after = Workspace(tmp_path / "ws")
    assert versions(after) == [good]
    assert len(read_frames(after, good)) == 6
    second = freeze(load_project(path), after)
    assert second.ref == "sample@2"
    assert len(read_frames(after, second)) == 6
