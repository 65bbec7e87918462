"""The `simulate` command. Imports are lazy, so that --help stays quick."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add `simulate`."""
    app.command("simulate")(simulate)


def simulate(
    *,
    devices: Annotated[int, typer.Option(help="Devices, each with a connection of its own.", min=1, max=100_000)] = 50,
    hours: Annotated[int, typer.Option(help="Simulated hours: a summary and records each.", min=1)] = 24,
    windows: Annotated[int, typer.Option(help="Decisions an hour.", min=1, max=100_000)] = 60,
    records: Annotated[int, typer.Option(help="Records kept an hour, at most.", min=1, max=65_536)] = 32,
    faults: Annotated[
        str, typer.Option(help="all, none, or some of outage,clock,restart,storm,sick,shift.")
    ] = "outage,clock,restart,storm,sick",
    speed: Annotated[
        float, typer.Option(help="Times real time: 1 is real time, 0 as fast as it goes.", min=0, max=1e6)
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.", min=0)] = 1,
    drift: Annotated[
        bool, typer.Option("--drift", help="Also judge the result: alarms beside what was planted.")
    ] = False,
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="A new folder for the store.")] = Path(
        "simulated"
    ),
    broker: Annotated[str, typer.Option(help="mosquitto or iotcore, started here; mosquitto if installed.")] = "",
    host: Annotated[str, typer.Option(help="A broker that runs already, in place of one of our own.")] = "",
    port: Annotated[int, typer.Option(help="Its TCP port.", min=1, max=65535)] = 1883,
) -> None:
    """Run a fleet with faults through the real broker into a real store, and count what arrived."""
    from cloud_trainer.simulate import Plan, parse_faults
    from cloud_trainer.simulate import simulate as run
    from cloud_trainer.simulate.outcome import alarm_lines
    from cloud_trainer.workspace import Workspace
    from edge_runtime.errors import EdgeloopError

    clock: dict[str, Any] = {"speed": speed, "start_ms": time.time_ns() // 1_000_000} if speed else {}
    plan = Plan(
        devices=devices, periods=hours, windows=windows, records=records, faults=parse_faults(faults), seed=seed,
        **clock,
    )  # fmt: skip
    ws = Workspace(workspace)
    outcome = run(
        plan, ws, prefer=broker, address=(host, port) if host else None, say=lambda text: typer.echo(text, err=True)
    )
    for line in outcome.lines():
        typer.echo(line)
    if drift:
        from cloud_trainer.drift import judge

        for line in alarm_lines(outcome, judge(ws, bundle=outcome.bundle)):
            typer.echo(line)
    if not outcome.is_whole:
        raise EdgeloopError(
            f"simulate: {outcome.lost} rows lost, {outcome.twice} twice, {outcome.quarantined} set aside",
            hint=f"read {workspace / 'ingest.log'}; --seed {seed} repeats the plan",
        )
