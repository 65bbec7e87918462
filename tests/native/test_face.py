"""One face on the C core: nothing but edge_runtime/native names the compiled module."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_only_the_native_package_imports_the_compiled_module() -> None:
    """import-linter cannot see a compiled module; this can."""
    naming = re.compile(r"native\._er\b|native import .*\b_er\b")
    places = [path for top in ("edge_runtime", "cloud_trainer", "bench") for path in (ROOT / top).rglob("*.py")]
    assert len(places) > 20
    found = {path.relative_to(ROOT).parent.as_posix() for path in places if naming.search(path.read_text())}
    assert found == {"edge_runtime/native"}
