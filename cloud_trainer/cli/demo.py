"""The `demo` command. One rule: it needs nothing but this package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `demo`."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder to work in.")] = Path("demo-out"),
    capture: Annotated[bool, typer.Option("--capture", help="Only record labelled takes of this machine.")] = False,
    takes: Annotated[int, typer.Option(help="With --capture: takes of each workload.", min=1)] = 6,
    seconds: Annotated[float, typer.Option(help="With --capture: length of a take [s].", min=2)] = 16.0,
) -> None:
    """Run the whole loop on this machine: capture, train, export, devices, drift, retrain, rollout."""
    if capture:
        from cloud_trainer.demo.capture import capture_takes
        from cloud_trainer.demo.workloads import WORKLOADS

        capture_takes(out, labels=tuple(WORKLOADS), takes=takes, seconds=seconds, progress=typer.echo)
        return
    from cloud_trainer.demo.loop import demo as run

    run(out, say=typer.echo)
