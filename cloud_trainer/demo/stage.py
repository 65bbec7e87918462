"""What the steps of the demo share. One rule: what must hold ends the demo with an error when it does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_trainer.demo.devices import Device, Scene
from cloud_trainer.demo.report import Report
from edge_runtime.errors import EdgeloopError

if TYPE_CHECKING:
    from cloud_trainer.datasets import DatasetVersion
    from cloud_trainer.drift import Verdict
    from cloud_trainer.export import Exported
    from cloud_trainer.features import FeatureTable
    from cloud_trainer.ingest import Broker, Consumer
    from cloud_trainer.rollout import Depot, Keys
    from cloud_trainer.training import Run
    from cloud_trainer.workspace import Workspace

HERE = Path(__file__).parent
PROJECT = HERE / "project.toml"
TAKES = HERE / "host"
KNOWN = ("idle", "cpu", "memory", "disk", "network")
UNSEEN = "compress"


@dataclass(slots=True, kw_only=True)
class Loop:
    """What one step hands to the next."""

    out: Path
    say: Callable[[str], None]
    ws: Workspace
    report: Report
    keys: Keys | None = None
    broker: Broker | None = None
    consumer: Consumer | None = None
    depot: Depot | None = None
    devices: dict[str, Device] = field(default_factory=dict)
    scenes: dict[str, Scene] = field(default_factory=dict)
    datasets: list[DatasetVersion] = field(default_factory=list)
    tables: list[FeatureTable] = field(default_factory=list)
    runs: list[list[Run]] = field(default_factory=list)
    bundles: list[Exported] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def line(self, text: str) -> None:
        """Print a line and keep it for the report."""
        self.report.log.append(text)
        self.say(text)

    def until(self, done: Callable[[], Any], *, timeout_s: float, what: str) -> Any:
        """Return the first true answer of *done*, asked again and again while the devices run.

        Raises:
            EdgeloopError: a device ended by itself, or nothing came in time.
        """
        late = time.monotonic() + timeout_s
        while True:
            for device in self.devices.values():
                device.check()
            answer = done()
            if answer:
                return answer
            if time.monotonic() > late:
                raise EdgeloopError(f"demo: {what}: not within {timeout_s:g} s", hint=f"look into {self.out}")
            time.sleep(0.25)  # the devices are other processes; the store is what tells of them

    def stop(self) -> None:
        """End everything that was started, in the order in which it depends on each other."""
        for device in self.devices.values():
            device.stop()
        for part in (self.consumer, self.depot, self.broker):
            if part is not None:
                part.stop()


def must(claim: str, *, holds: bool) -> None:
    """Raise unless the claim holds."""
    if not holds:
        raise EdgeloopError(f"demo: does not hold: {claim}", hint="a bug: please report it with the lines above")


def confusion_lines(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> list[str]:
    """Return a confusion matrix as text: rows are the truth."""
    width = max(map(len, labels)) + 1
    head = " " * width + "".join(f"{label:>9}" for label in labels)
    rows = zip(labels, counts, strict=True)
    return [head, *(f"{label:<{width}}" + "".join(f"{n:>9}" for n in row) for label, row in rows)]
