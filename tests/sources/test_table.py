"""The table of sources: every row opens what it says, and specs are located, refused and named alike."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from edge_runtime.errors import UsageError
from edge_runtime.sources import SOURCES, RowField, is_live, kind_of, located, open_rows, open_source
from edge_runtime.sources.table import OWN, _module


@pytest.mark.parametrize("name", SOURCES)
def test_every_row_has_its_module_and_an_example_that_reads_as_its_own(name: str) -> None:
    kind = SOURCES[name]
    assert kind_of(kind.example) is kind
    assert callable(_module(kind).open_source)
    assert hasattr(_module(kind), "open_rows") == kind.has_rows
    assert shlex.split(kind.example)[0] == name


def test_what_goes_on_without_us_is_live() -> None:
    assert [name for name, kind in SOURCES.items() if not kind.is_live] == ["playback"]
    assert is_live("host")
    assert not is_live("playback a.csv")


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("host", "host"),
        ("playback time_s=t a.csv 'b c.csv'", "playback time_s=t /d/a.csv '/d/b c.csv'"),
        ("playback /x/a.csv", "playback /x/a.csv"),
        ("exec ./s.sh a=b", "exec cwd=/d ./s.sh a=b"),
        ("exec cwd=sub format=csv s", "exec cwd=/d/sub format=csv s"),
        ("stdin format=csv", "stdin format=csv"),
        ("my.py:S a.csv", "/d/my.py:S a.csv"),
    ],
)
def test_specs_are_located_beside_the_config(spec: str, found: str) -> None:
    assert located(spec, folder=Path("/d")) == found
    assert located(found, folder=Path("/elsewhere")) == found


def test_an_unknown_source_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="source 'stdio x': unknown") as refused:
        open_source("stdio x")
    assert all(name in refused.value.hint for name in SOURCES)
    assert kind_of("a/b.py:C x") is OWN


def test_rows_want_fields_and_a_source_that_has_them() -> None:
    with pytest.raises(UsageError, match="host: has frames, no rows") as refused:
        open_rows("host", [RowField(name="x")])
    assert "stdin" in refused.value.hint
    assert "host" not in refused.value.hint
    for fields in ([], [RowField(name="x"), RowField(name="x")]):
        with pytest.raises(UsageError, match="want some, each once"):
            open_rows("stdin", fields)
