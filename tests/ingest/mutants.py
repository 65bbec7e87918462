"""The planted bugs: each breaks one rule of the way from a device to the store, and the crash test must see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud_trainer.ingest.pending import Commit
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from tests.ingest.device import Device

if TYPE_CHECKING:
    from tests.ingest.child import Killable


def consumers(right: type[Killable]) -> dict[str, type[Killable]]:
    """Name of each wrong consumer, to its class."""
    base: Any = right

    class AckBeforeCommit(base):  # type: ignore[misc]
        """Tells the device first, stores then."""

        def store(self, commit: Commit) -> None:
            right.acknowledge(self, commit)
            right.store(self, commit)

        def acknowledge(self, commit: Commit) -> None:
            """Done before."""

    class Watermark(base):  # type: ignore[misc]
        """Says "everything up to here", though another consumer may hold what is before."""

        def acks(self, commit: Commit) -> list[tuple[str, bytes]]:
            out = []
            for (site, device, epoch), ranges in commit.ranges.items():
                everything = ((1, max(last for _, last in ranges)),)
                out.append((topics.down(site, device, "ack"), Ack(epoch=epoch, ranges=everything).to_bytes()))
            return out

    return {"ack-before-commit": AckBeforeCommit, "watermark": Watermark}


class ObeysWatermarks(Device):
    """The device that belongs to a watermark: forgets every batch up to the last number named."""

    def delete(self, ranges: Any) -> None:
        highest = max(last for _, last in ranges)
        super().delete([named for named in self.kept if named[1] <= highest])


class DeletesOnPuback(Device):
    """Takes the broker's word for the store's."""

    def on_puback(self, named: tuple[int, int]) -> None:
        self.delete([named])


def reads_past_the_view(ws: Workspace) -> list[tuple[str, str, int]]:
    """The stored rows as they are, duplicates and all."""
    rows = ws.tables.sql("select device, epoch, seq from raw_records").fetchall()
    return [(str(d), str(e), int(s)) for d, e, s in rows]
