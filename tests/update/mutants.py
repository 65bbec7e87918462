"""The planted bugs: a disk on which one of the syncs of an update is forgotten. The power-cut tests must see each."""

from __future__ import annotations

from tests.sim.disk import SimDisk


class NoRecordSync(SimDisk):
    """The state record is acted on before it is durable."""

    def sync(self, name: str) -> None:
        if not name.startswith("state."):
            super().sync(name)


class NoPartSync(SimDisk):
    """A download gets its name before its bytes are durable."""

    def sync(self, name: str) -> None:
        if not name.endswith(".part"):
            super().sync(name)


class NoFolderSync(SimDisk):
    """A bundle is installed before its name is durable."""

    def sync(self, name: str) -> None:
        if not name.endswith(".elb"):
            super().sync(name)


class RecordInPlace(SimDisk):
    """Both records are one file."""

    def write(self, name: str, data: bytes) -> None:
        super().write(self._one(name), data)

    def sync(self, name: str) -> None:
        super().sync(self._one(name))

    def read(self, name: str) -> bytes | None:
        return super().read(self._one(name))

    @staticmethod
    def _one(name: str) -> str:
        return "state.0" if name.startswith("state.") else name
