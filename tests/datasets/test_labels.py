from pathlib import Path

import pytest

from cloud_trainer.datasets import Span, read_recordings
from cloud_trainer.project import load as load_project
from edge_runtime.errors import ContractError, UsageError
from tests.datasets.sample import edit, frames, write_project, write_recording

INDEX = '[labels.index]\nfile = "takes.csv"\nlabel_column = "label"\n'
INTERVALS = """
[labels.intervals]
file = "labels.csv"
recording = "exp{e:0>2}"
label = "what"
first = 1
end_inclusive = true
"""


def interval_project(folder: Path, lines: str) -> Path:
    path = write_project(folder)
    for old in (folder / "rec").iterdir():
        old.unlink()
    write_recording(folder / "rec" / "exp01.csv", frames("idle", 0, 60))
    (folder / "labels.csv").write_text("e,start,end,what\n" + lines, encoding="utf-8")
    edit(path, INDEX, INTERVALS)
    return edit(path, '[groups.index]\nfile = "takes.csv"\ncolumn = "take"\n', "")


def test_intervals_are_counted_as_the_project_says(tmp_path: Path) -> None:
    path = interval_project(tmp_path, "1,1,20,a\n1,41,60,b\n1,21,30,a\n2,1,5,c\n")
    (recording,) = read_recordings(load_project(path))
    assert recording.spans == (Span(0, 30, "a"), Span(40, 60, "b"))
    assert recording.group == "exp01"
    edit(path, "first = 1\nend_inclusive = true", "first = 0\nend_inclusive = false")
    edit(tmp_path / "labels.csv", "1,1,20,a", "1,0,20,a")
    (recording,) = read_recordings(load_project(path))
    assert recording.spans == (Span(0, 20, "a"), Span(21, 30, "a"), Span(41, 60, "b"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1,1,61,a\n", r"labels\.csv line 2: frames 0\.\.60 \(from 0\) are not inside exp01\.csv, which has 60"),
        ("1,0,10,a\n", r"line 2: frames -1\.\.9"),
        ("1,9,8,a\n", r"line 2: frames 8\.\.7"),
        ("1,1,20,a\n1,20,30,b\n", r"line 3: label 'b' from frame 19 overlaps 'a'"),
        ("1,1,x,a\n", r"labels\.csv line 2, column 'end': 'x' is no whole number"),
        ("1,1,5,\n", r"labels\.csv line 2, column 'what': it is empty"),
        ("1,1,5\n", r"labels\.csv line 2: 3 cells, the header has 4"),
        ("2,1,5,a\n", r"exp01\.csv: no frame has a label"),
    ],
)
def test_intervals_that_do_not_fit_are_named_by_line(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        read_recordings(load_project(interval_project(tmp_path, lines)))


def test_a_recording_key_that_does_not_fit_names_the_columns(tmp_path: Path) -> None:
    path = edit(interval_project(tmp_path, "1,1,5,a\n"), "exp{e:0>2}", "exp{ee}")
    with pytest.raises(UsageError, match=r"labels\.intervals\.recording") as caught:
        read_recordings(load_project(path))
    assert "e, start, end, what" in caught.value.hint


def test_a_column_of_the_recording_labels_its_frames(tmp_path: Path) -> None:
    path = edit(write_project(tmp_path), INDEX, '[labels]\ncolumn = "act"\nignore = ["0"]\nnames = {1 = "go"}\n')
    edit(path, '[groups.index]\nfile = "takes.csv"\ncolumn = "take"\n', '[groups]\ncolumn = "who"\n')
    for i, file in enumerate(sorted((tmp_path / "rec").iterdir())):
        lines = file.read_text(encoding="utf-8").splitlines()[1:]
        text = "\n".join(f"{line},{int(n >= 30)},p{i % 2}" for n, line in enumerate(lines))
        file.write_text("x,y,act,who\n" + text, encoding="utf-8")
    recordings = read_recordings(load_project(path))
    assert {recording.spans for recording in recordings} == {(Span(30, 100, "go"),)}
    assert [recording.group for recording in recordings] == ["p0", "p1"] * 3
    edit(tmp_path / "rec" / "busy-0.csv", ",0,p0\n", ",0,p9\n")
    with pytest.raises(ContractError, match=r"busy-0\.csv line 3, column 'who': the group changes from 'p9' to 'p0'"):
        read_recordings(load_project(path))
    edit(tmp_path / "rec" / "busy-0.csv", ",0,p9\n", ",,p0\n")
    with pytest.raises(ContractError, match=r"busy-0\.csv line 2, column 'act': it is empty"):
        read_recordings(load_project(path))


def test_a_pattern_takes_the_group_from_the_file_name(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    edit(path, '[groups.index]\nfile = "takes.csv"\ncolumn = "take"\n', "[groups]\npattern = '-([0-9])'\n")
    assert [recording.group for recording in read_recordings(load_project(path))] == ["0", "1", "2"] * 2
    edit(path, "-([0-9])", "-([5-9])")
    with pytest.raises(ContractError, match=r"busy-0\.csv: groups\.pattern .* finds nothing"):
        read_recordings(load_project(path))
