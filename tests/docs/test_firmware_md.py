"""docs/firmware.md: its sizes are those of images that are built here."""

from __future__ import annotations

import re

import pytest

from tests.csrc.targets import M4, need
from tools import firmware_md


@pytest.mark.system
@pytest.mark.timeout(900)
def test_the_sizes_are_those_of_the_images() -> None:
    need("make", M4.compiler)
    page = firmware_md.PATH.read_text(encoding="utf-8")
    if firmware_md.compiler() not in page:
        pytest.skip(f"the page is of another compiler than {firmware_md.compiler()}")
    assert firmware_md.updated(page) == page, "stale: run `python -m tools.firmware_md`"


def test_the_table_adds_up() -> None:
    """The model is the greatest part of what is read only, and counts take RAM."""
    page = firmware_md.PATH.read_text(encoding="utf-8")
    found = re.findall(r"^\|.*\| bundle \|(.*)\|$", page, re.MULTILINE)
    rows = [[int(cell) for cell in cells.split("|")] for cells in found]
    assert len(rows) == 4
    assert all(60_016 < read_only < 2 * 60_016 for _, read_only, _ in rows)
    assert rows[0][2] > rows[1][2]
    assert rows[2][2] > rows[3][2]
