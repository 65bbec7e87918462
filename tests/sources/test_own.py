"""A source in a user's own file: found beside device.toml, checked, and named when it is wrong."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources import is_live, located, open_rows, open_source, short_name
from edge_runtime.sources.port import RowField
from tests.sources.common import read_timed

FILE = '''
from array import array

class MySource:
    """Counts up to a number."""

    def __init__(self, words, *, rate_hz, channels):
        self.left, self.rate_hz, self.channels = int(words[0]), rate_hz, channels or ("n",)
        self.times = None

    def read(self, out):
        if self.left == 0:
            return 0
        out[0] = self.left
        self.times = memoryview(array("q", [1000 * self.left]))
        self.left -= 1
        return 1

    def seek(self, frame): ...
    def stop(self): self.left = 0
    def close(self): ...

class Tape(MySource):
    is_live = False

class Half:
    def __init__(self, words, *, rate_hz, channels): ...
    def read(self, out): return 0

def broken(words, *, rate_hz, channels):
    raise OSError("no such bus")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_source.py").write_text(FILE)
    return tmp_path


def test_it_is_found_beside_the_config_and_read(folder: Path) -> None:
    spec = located("my_source.py:MySource 3", folder=folder)
    source = open_source(spec, rate_hz=5, channels=["n"])
    assert read_timed(source) == [([3], 3000), ([2], 2000), ([1], 1000)]
    source.close()
    assert short_name(spec) == "my_source.py:MySource"


def test_it_says_itself_whether_it_is_live(folder: Path) -> None:
    assert is_live(located("my_source.py:MySource 3", folder=folder))
    assert not is_live(located("my_source.py:Tape 3", folder=folder))


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("other.py:MySource 1", UsageError, "no file"),
        ("my_source.py:Nothing", UsageError, "has no attribute 'Nothing'"),
        ("my_source.py:broken", ContractError, "OSError: no such bus"),
        ("my_source.py:MySource", ContractError, "IndexError"),
        ("my_source.py:Half", ContractError, "has no channels, rate_hz, seek, stop, close"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, spec: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        open_source(located(spec, folder=folder), rate_hz=1, channels=["n"])


def test_a_file_that_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import no_such_module_at_all\n")
    with pytest.raises(UsageError, match=r"bad.py:X: ModuleNotFoundError"):
        is_live(located("bad.py:X", folder=tmp_path))


def test_other_channels_than_asked_for_are_refused(folder: Path) -> None:
    text = FILE.replace('channels or ("n",)', '("a", "b")')
    (folder / "other.py").write_text(text)
    with pytest.raises(ContractError, match="has channels a, b, not n"):
        open_source(located("other.py:MySource 1", folder=folder), rate_hz=1, channels=["n"])
    source = open_source(located("other.py:MySource 1", folder=folder), rate_hz=1)
    assert source.read(memoryview(array("f", [0, 0]))) == 1


def test_it_has_no_rows(folder: Path) -> None:
    with pytest.raises(UsageError, match="has frames, no rows"):
        open_rows(located("my_source.py:MySource 1", folder=folder), [RowField(name="n")])
