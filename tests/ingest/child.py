"""A consumer in a process of its own that kills itself with SIGKILL at a named step.

`python -m tests.ingest.child VARIANT WORKSPACE PORT shared|alone NAME STEP COUNT`: the COUNT-th time STEP is reached.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from cloud_trainer.ingest.consumer import Consumer
from cloud_trainer.ingest.pending import Commit
from cloud_trainer.workspace import Workspace
from tests.ingest import mutants

STEPS = ("taken", "stored", "acknowledged", "done")


class Killable(Consumer):
    """The consumer, with a place to die between any two steps."""

    step, count = "", 0

    def at(self, step: str) -> None:
        """Die here if it is time; what was published before has left."""
        if step == self.step:
            self.count -= 1
            if self.count == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def store(self, commit: Commit) -> None:
        self.at("taken")
        super().store(commit)
        self.at("stored")

    def acknowledge(self, commit: Commit) -> None:
        sent = [self._client.publish(topic, payload, qos=1) for topic, payload in self.acks(commit)]
        for one in sent:
            one.wait_for_publish(5)
        self.at("acknowledged")

    def acks(self, commit: Commit) -> list[tuple[str, bytes]]:
        """Topic and payload of each ack."""
        return commit.acks()

    def _flush(self) -> None:
        had = bool(self._mids)
        super()._flush()
        if had:
            self.at("done")


def main() -> None:
    """Consume until killed."""
    variant, workspace, port, shared, name, step, count = sys.argv[1:]
    kinds: dict[str, type[Killable]] = {"right": Killable, **mutants.consumers(Killable)}
    tables = Workspace(workspace).tables
    consumer = kinds[variant](tables, "127.0.0.1", int(port), name=name, shared=shared == "shared", commit_s=0.05)
    consumer.step, consumer.count = step, int(count)
    consumer.start()
    print("ready", flush=True)
    threading.Event().wait(120)


if __name__ == "__main__":
    main()
