"""Commands that bring bundles to devices: keys, sign, depot, rollout. Imports are lazy, so that --help stays quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from cloud_trainer.rollout.rings import Decision, Plan

Workspace_ = Annotated[Path, typer.Option("--workspace", "-w", help="Folder of the workspace.")]
Host = Annotated[str, typer.Option(help="The MQTT broker.")]
Port = Annotated[int, typer.Option(help="Its TCP port.", min=1, max=65535)]
Name = Annotated[str, typer.Argument(help="Id of the rollout.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    keys = typer.Typer(help="The keys that devices trust.", no_args_is_help=True)
    keys.command("create")(keys_create)
    app.add_typer(keys, name="keys")
    app.command()(sign)
    app.command()(depot)
    rollout = typer.Typer(help="Who gets which bundle when.", no_args_is_help=True)
    for command in (start, status, advance, halt):
        rollout.command()(command)
    app.add_typer(rollout, name="rollout")


def keys_create(workspace: Workspace_ = Path(".edgeloop")) -> None:
    """Make the release and the rollout key; prints the [trust] table for device.toml."""
    from cloud_trainer.rollout import keys
    from cloud_trainer.workspace import Workspace

    made = keys.create(Workspace(workspace).keys)
    typer.echo("[trust]")
    for role, public in keys.public_keys(made).items():
        typer.echo(f'{role} = ["{public[0]}"]')


def sign(
    bundle: Annotated[Path, typer.Argument(help="An .elb file.")], workspace: Workspace_ = Path(".edgeloop")
) -> None:
    """Sign a bundle with the release key and put it into the workspace's depot."""
    from cloud_trainer.rollout import keys, store
    from cloud_trainer.workspace import existing

    ws = existing(workspace)
    path = store.release(ws, bundle, keys.load(ws.keys))
    typer.echo(f"{path} {path.stat().st_size} bytes, signed: this is the file for devices; {bundle.name} is as it was")


def depot(
    workspace: Workspace_ = Path(".edgeloop"),
    folder: Annotated[Path | None, typer.Option(help="Serve this folder instead of the workspace's depot.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.", min=0, max=65535)] = 8090,
) -> None:
    """Serve bundles over HTTP with ranges until interrupted."""
    import signal
    import threading

    from cloud_trainer.rollout import store
    from cloud_trainer.rollout.depot import Depot
    from cloud_trainer.workspace import existing

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    served = folder or store.depot_folder(existing(workspace))
    with Depot(served, host, port) as running:
        typer.echo(f"{served} on {running.url}; end with Ctrl-C")
        stopped.wait()


def start(
    *,
    name: Name,
    bundle: Annotated[Path, typer.Argument(help="An .elb file; it is signed into the depot.")],
    stream: Annotated[str, typer.Option(help="Stream of the devices that gets it.")],
    depot_url: Annotated[str, typer.Option(help="Where devices find the depot, such as http://10.0.0.1:8090")],
    ring: Annotated[list[str] | None, typer.Option(help="site/device,site/device of one ring; once a ring.")] = None,
    devices: Annotated[str, typer.Option(help="site/device,... to be cut into rings by --shares.")] = "",
    shares: Annotated[str, typer.Option(help="Where rings end, as fractions of the devices.")] = "0.05,0.3,1",
    timeout_s: Annotated[int, typer.Option(min=1, help="A device silent for longer has failed [s].")] = 3600,
    max_failures: Annotated[int, typer.Option(min=0, help="Failed devices that are accepted.")] = 0,
    workspace: Workspace_ = Path(".edgeloop"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
) -> None:
    """Plan a rollout and send the first ring its orders."""
    from cloud_trainer.rollout import keys, store
    from cloud_trainer.rollout.rings import Plan, by_hash
    from cloud_trainer.workspace import existing

    if bool(ring) == bool(devices):
        raise UsageError("rollout start: want either --ring or --devices", hint="--ring a/one --ring a/two,a/three")
    if not depot_url.startswith(("http://", "https://")):
        raise UsageError(
            f"--depot-url: want http:// or https://, got {depot_url!r}", hint="as `cloud-trainer depot` says"
        )
    ws = existing(workspace)
    if name in store.names(ws):
        raise UsageError(f"rollout {name}: exists", hint="choose another name; `rollout status` shows them")
    try:
        cuts = [float(part) for part in shares.split(",")]
    except ValueError:
        raise UsageError(f"--shares: want fractions, got {shares!r}", hint="such as 0.05,0.3,1") from None
    rings = tuple(tuple(part.split(",")) for part in ring or ())
    loaded = keys.load(ws.keys)
    path = store.release(ws, bundle, loaded)
    plan = Plan(
        rollout=name,
        stream=stream,
        bundle=path.stem,
        url=f"{depot_url.rstrip('/')}/{path.name}",
        length=path.stat().st_size,
        rings=rings or by_hash(devices.split(","), cuts, salt=name),
        timeout_ms=1000 * timeout_s,
        max_failures=max_failures,
    )
    _show(*store.drive(ws, plan, loaded, host=host, port=port))


def status(
    name: Annotated[str, typer.Argument(help="Id of the rollout; all of them without it.")] = "",
    workspace: Workspace_ = Path(".edgeloop"),
) -> None:
    """Print how far rollouts are and what each device said."""
    import time

    from cloud_trainer.rollout import rings, store
    from cloud_trainer.workspace import existing

    ws = existing(workspace)
    now_ms, reports = time.time_ns() // 1_000_000, store.reports(ws)
    asked = [name] if name else store.names(ws)
    if not asked:
        typer.echo("no rollouts yet")
    for each in asked:
        plan = store.load(ws, each)
        _show(plan, rings.advance(plan, reports, now_ms))
        found = rings.outcomes(plan, reports, now_ms)
        for number, members in enumerate(plan.rings):
            for device in members:
                outcome, why = found.get(device, ("not asked", ""))
                typer.echo(f"  ring {number}  {device:<40} {outcome:<10} {why}")
    for device, peak, data, limit in store.memory(ws):
        fence = f" of {limit / 2**20:.1f}" if limit else ""
        typer.echo(f"  memory  {device:<40} peak {peak / 2**20:.1f} MiB, data {data / 2**20:.1f}{fence} MiB")


def advance(name: Name, workspace: Workspace_ = Path(".edgeloop"), host: Host = "127.0.0.1", port: Port = 1883) -> None:
    """Go to the next ring if the reports allow it; else say why not."""
    from cloud_trainer.rollout import keys, store
    from cloud_trainer.workspace import existing

    ws = existing(workspace)
    _show(*store.drive(ws, store.load(ws, name), keys.load(ws.keys), host=host, port=port))


def halt(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why.")] = "by hand",
    workspace: Workspace_ = Path(".edgeloop"),
) -> None:
    """Send no further ring its orders. Devices that have the bundle keep it: roll out another to replace it."""
    from dataclasses import replace

    from cloud_trainer.rollout import store
    from cloud_trainer.workspace import existing

    ws = existing(workspace)
    plan = store.load(ws, name)
    store.save(ws, replace(plan, halted=plan.halted or reason))
    typer.echo(f"rollout {name}: halted at ring {plan.ring}: {plan.halted or reason}")


def _show(plan: Plan, decision: Decision) -> None:
    typer.echo(
        f"rollout {plan.rollout}: {decision.kind}, ring {plan.ring} of 0..{len(plan.rings) - 1}, "
        f"bundle {plan.bundle[:12]}: {decision.reason}"
    )
