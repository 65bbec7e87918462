"""The file operations an update needs. One rule: nothing is durable until `sync` of its name returned.

`tests/sim/disk.py` implements the same Protocol and cuts power between the operations.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime.lean import Protocol


class Disk(Protocol):
    """Files by name below one folder; `bundles/x` is the only kind of sub-folder used."""

    def read(self, name: str) -> bytes | None:
        """Return the whole file, None where there is none."""

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in *folder*."""

    def write(self, name: str, data: bytes) -> None:
        """Replace the file; neither atomic nor durable."""

    def sync(self, name: str) -> None:
        """Make the data of *name*, and its presence or absence in its folder, durable."""

    def rename(self, old: str, new: str) -> None:
        """Give *old* the name *new*, replacing what was there; atomic."""

    def remove(self, name: str) -> None:
        """Delete the file if it is there."""


class PosixDisk:
    """The real disk below *root*, which is made with its *folders* if they are missing."""

    def __init__(self, root: Path, *, folders: tuple[str, ...] = ("bundles",)) -> None:
        self.root = root
        for path in (root, *(root / folder for folder in folders)):
            if not path.is_dir():
                path.mkdir(parents=True)
                _sync(path.parent)

    def read(self, name: str) -> bytes | None:
        """Return the whole file, None where there is none."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in *folder*."""
        return sorted(path.name for path in (self.root / folder).iterdir())

    def write(self, name: str, data: bytes) -> None:
        """Replace the file; neither atomic nor durable."""
        (self.root / name).write_bytes(data)

    def sync(self, name: str) -> None:
        """Fsync the file (if it is there), then its folder."""
        _sync(self.root / name)
        _sync((self.root / name).parent)

    def rename(self, old: str, new: str) -> None:
        """Give *old* the name *new*, replacing what was there; atomic."""
        (self.root / old).replace(self.root / new)

    def remove(self, name: str) -> None:
        """Delete the file if it is there."""
        (self.root / name).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Fsync a file or a folder; one that is not there is its folder's matter."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
