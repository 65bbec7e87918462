"""A disk that loses power: the `Disk` of the update slots, in memory.

Until `sync` a change lives in cache. At the cut each unsynced name is on its own *kept*, *lost* (as before),
*torn* (half of it) or *empty*; a rename or removal of synced data is kept or lost. That is worse than ext4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import product

KEPT, LOST, TORN, EMPTY = "kept", "lost", "torn", "empty"


class PowerCutError(Exception):
    """The simulated supply went away."""


class SimDisk:
    """In-memory `Disk` that cuts power before operation number *cut_at*."""

    def __init__(self, files: dict[str, bytes] | None = None, cut_at: int | None = None) -> None:
        self.durable = dict(files or {})
        self.files = dict(self.durable)
        self.unsynced: dict[str, bool] = {}  # name -> its data (not only its entry) is unsynced
        self.ops = 0
        self.cut_at = cut_at

    def _tick(self) -> None:
        if self.ops == self.cut_at:
            raise PowerCutError
        self.ops += 1

    def read(self, name: str) -> bytes | None:
        return self.files.get(name)

    def names(self, folder: str) -> list[str]:
        return sorted(name.partition("/")[2] for name in self.files if name.startswith(f"{folder}/"))

    def write(self, name: str, data: bytes) -> None:
        self._tick()
        self.files[name] = data
        self.unsynced[name] = True

    def sync(self, name: str) -> None:
        self._tick()
        self.unsynced.pop(name, None)
        if name in self.files:
            self.durable[name] = self.files[name]
        else:
            self.durable.pop(name, None)

    def rename(self, old: str, new: str) -> None:
        self._tick()
        self.files[new] = self.files.pop(old)
        self.unsynced[new] = self.unsynced.get(old, False)
        self.unsynced[old] = False

    def remove(self, name: str) -> None:
        self._tick()
        if self.files.pop(name, None) is not None:
            self.unsynced[name] = False

    def _outcomes(self, name: str) -> tuple[str, ...]:
        return (KEPT, LOST, TORN, EMPTY) if self.unsynced[name] and name in self.files else (KEPT, LOST)

    def after_power_cut(self) -> Iterator[SimDisk]:
        """Every disk that the next boot may find."""
        for fates in product(*(self._outcomes(name) for name in self.unsynced)):
            files = dict(self.durable)
            for name, fate in zip(self.unsynced, fates, strict=True):
                if fate == LOST:
                    continue
                files.pop(name, None)
                if name in self.files:
                    data = self.files[name]
                    files[name] = {KEPT: data, TORN: data[: len(data) // 2], EMPTY: b""}[fate]
            yield SimDisk(files)


def every_power_cut(
    action: Callable[[SimDisk], object], files: dict[str, bytes], *, kind: type[SimDisk] = SimDisk
) -> Iterator[SimDisk]:
    """Yield every disk the next boot may find, for a cut before each operation and after the last."""
    dry = kind(files)
    action(dry)
    for cut_at in range(dry.ops + 1):
        disk = kind(files, cut_at=cut_at)
        with contextlib.suppress(PowerCutError):
            action(disk)
        yield from disk.after_power_cut()
