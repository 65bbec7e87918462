"""Sound as recordings: read by the device's playback, labelled and grouped by the file's name."""

from __future__ import annotations

import math
import wave
from array import array
from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.datasets import Recording, read_recordings
from cloud_trainer.project import load as load_project
from edge_runtime.errors import ContractError, UsageError
from tests.datasets.sample import edit

TOML = r"""
[project]
name = "tones"

[data]
files = ["*.wav"]
rate_hz = 8000

[[channel]]
name = "mic"
unit = "1"
taper = "hann"

[labels]
pattern = '^(\d+)_'

[groups]
pattern = '_(\w+)_'

[features]
window_frames = 256
list = ["mfcc(1,20,128,64)", "rms"]
"""


def tones(folder: Path) -> Path:
    """Two tones by two people, 16 bit."""
    for hz in (400, 1200):
        for who in ("ann", "bob"):
            with wave.open(str(folder / f"{hz}_{who}_0.wav"), "wb") as out:
                out.setparams((1, 2, 8000, 0, "NONE", ""))
                out.writeframes(array("h", [round(16384 * math.sin(i * hz / 1273.24)) for i in range(600)]).tobytes())
    (folder / "edgeloop.toml").write_text(TOML, encoding="utf-8")
    return folder / "edgeloop.toml"


def read(path: Path) -> list[Recording]:
    return read_recordings(load_project(path))


def test_a_file_s_name_says_label_and_group(tmp_path: Path) -> None:
    found = read(tones(tmp_path))
    assert [(r.name, r.group, [tuple(span) for span in r.spans]) for r in found] == [
        ("1200_ann_0", "ann", [(0, 600, "1200")]),
        ("1200_bob_0", "bob", [(0, 600, "1200")]),
        ("400_ann_0", "ann", [(0, 600, "400")]),
        ("400_bob_0", "bob", [(0, 600, "400")]),
    ]
    with wave.open(str(tmp_path / "400_ann_0.wav")) as file:
        raw = np.frombuffer(file.readframes(600), dtype="<i2")
    np.testing.assert_array_equal(found[2].frames[:, 0], raw / np.float32(32768))


@pytest.mark.parametrize("ending", ["", ".wav", ".WAV"])
def test_an_index_may_leave_the_ending_out(tmp_path: Path, ending: str) -> None:
    path = edit(tones(tmp_path), "[labels]\npattern = '^(\\d+)_'", '[labels.index]\nfile = "i"\nlabel_column = "what"')
    names = [f"{hz}_{who}_0" for hz in (400, 1200) for who in ("ann", "bob")]
    (tmp_path / "i").write_text("file,what\n" + "".join(f"{name}{ending},x\n" for name in names), encoding="utf-8")
    assert {span.label for recording in read(path) for span in recording.spans} == {"x"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("^(\\d+)_", "^([a-z]+)_", "labels.pattern '^([a-z]+)_' finds nothing in its name"),
        ("pattern = '^(\\d+)_'", 'column = "what"', "1200_ann_0.wav: its columns cannot be read as words"),
        ("[labels]", '[[field]]\nname = "site"\n[labels]', "1200_ann_0.wav: its columns cannot be read as words"),
        ("rate_hz = 8000", "rate_hz = 16000", "was captured at 8000 Hz, wanted 16000 Hz"),
    ],
)
def test_what_does_not_fit_is_refused_by_file(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(ContractError) as caught:
        read(edit(tones(tmp_path), old, new))
    assert says in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "says"),
    [("^(\\d+", "labels.pattern: '^(\\\\d+' is no regular expression"), ("^\\d+", "has 0 groups, want 1")],
)
def test_a_pattern_that_is_none_is_refused(tmp_path: Path, pattern: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_project(edit(tones(tmp_path), "^(\\d+)_", pattern))
    assert says in str(caught.value)
