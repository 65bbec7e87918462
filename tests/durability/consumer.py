"""A consumer as a process, until killed.

`python -m tests.durability.consumer VARIANT WORKSPACE PORT shared|alone NAME`.
"""

from __future__ import annotations

import sys
import threading

from cloud_trainer.ingest.consumer import Arrived, Consumer
from cloud_trainer.ingest.pending import Commit, Pending
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack


class AckBeforeCommit(Consumer):
    """Planted: tells the device as soon as a batch is here, and stores it when it is time."""

    def _take(self, message: Arrived) -> None:
        super()._take(message)
        said = Pending()
        said.add(message[2], message[3], now_ms=0)
        super().acknowledge(said.take())

    def acknowledge(self, commit: Commit) -> None:
        """Done before."""


class Watermark(Consumer):
    """Planted: says "everything up to here", though another consumer may hold what is before."""

    def acknowledge(self, commit: Commit) -> None:
        for (site, device, epoch), ranges in commit.ranges.items():
            payload = Ack(epoch=epoch, ranges=((1, max(last for _, last in ranges)),)).to_bytes()
            self._client.publish(topics.down(site, device, "ack"), payload, qos=1)


CONSUMERS: dict[str, type[Consumer]] = {"ack-before-commit": AckBeforeCommit, "watermark": Watermark}


def main(variant: str, workspace: str, port: int, *, shared: bool, name: str) -> None:
    """Consume until killed; `ready` once subscribed."""
    kind = CONSUMERS.get(variant, Consumer)
    consumer = kind(
        Workspace(workspace).tables, "127.0.0.1", port, name=name, shared=shared, commit_s=0.1, tidy_commits=5
    )
    consumer._client._reconnect_min_delay = consumer._client._reconnect_max_delay = 0.05  # type: ignore[assignment]
    consumer.start(timeout_s=60)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), shared=sys.argv[4] == "shared", name=sys.argv[5])
