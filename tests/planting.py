"""Planted bugs as changes of a text: each must turn its tests red, in a copy of the tree.

One rule: tests that fail without any bug see nothing, so they are asked first. `python -m tests.contract.mutants` and
`python -m tests.export.mutants` plant theirs one after another; words behind it choose those whose file or tests have
one of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A bug.

    Attributes:
        file: Where it is, from the root.
        right: What stands there, once.
        wrong: What stands there instead.
        tests: Files or folders of tests that must see it.
    """

    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


def plant(mutants: Sequence[Mutant], *, copied: Sequence[str], words: Sequence[str] = ()) -> int:
    """Plant them all; 1 where one survives, which is printed.

    Args:
        mutants: The bugs.
        copied: Files and folders that the tests need, compiled core included.
        words: Of a file or test; without any, all are planted.

    Raises:
        SystemExit: A text does not stand where a mutant has it, or tests are red without any bug.
    """
    chosen = [m for m in mutants if not words or any(word in text for word in words for text in (m.file, *m.tests))]
    for m in chosen:
        found = (ROOT / m.file).read_text().count(m.right)
        if found != 1:
            raise SystemExit(f"{m.file}: {m.right!r} stands {found} times; mend the mutant")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in copied:
            _copy(ROOT / name, tree / name)
        for tests in dict.fromkeys(m.tests for m in chosen):
            if not is_green(tree, tests):
                raise SystemExit(f"{', '.join(tests)}: red without any bug, so they would see nothing")
        missed = [m for m in chosen if survives(tree, m)]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} planted bugs caught")
    return int(bool(missed))


def survives(tree: Path, mutant: Mutant) -> bool:
    """Whether the tests stay green with the bug in."""
    path = tree / mutant.file
    text = path.read_text()
    path.write_text(text.replace(mutant.right, mutant.wrong))
    green = is_green(tree, mutant.tests)
    path.write_text(text)
    if green:
        print(f"SURVIVED {mutant.file}: {mutant.right!r} -> {mutant.wrong!r}", flush=True)
    return green


def is_green(tree: Path, tests: Sequence[str]) -> bool:
    """Whether they pass in `tree`; those that plant bugs of their own, or need a system's packages, are left out."""
    options = ["-q", "-x", "-p", "no:cacheprovider", "-m", "not planted and not system"]
    command = [sys.executable, "-B", "-m", "pytest", *tests, *options]  # pytest runs none twice
    environment = os.environ | {"PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, check=False).returncode == 0


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, to, ignore=shutil.ignore_patterns("__pycache__", "*.csv.gz"))
    else:
        shutil.copy(path, to)
