"""Commands of the exporter: `export` and `inspect`. Imports are lazy, so that --help stays quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("export")(export)
    app.command("inspect")(inspect)


def export(
    run_id: Annotated[str, typer.Argument(help="Run to export, as `cloud-trainer run` printed it.")],
    *,
    project: Annotated[Path, typer.Option("--project", "-p", help="The project file.")] = Path("edgeloop.toml"),
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="Where everything is kept; beside the project file.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model; default: the project's.")] = "",
    version: Annotated[int, typer.Option(help="Version; default: one more than the newest here.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle; default: the workspace's bundles.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or int8; default: the project's [target].")] = "",
) -> None:
    """Prove a run's model and pack it as an unsigned bundle; prints parity, sizes and budget."""
    from cloud_trainer import project as projects
    from cloud_trainer.export.exporter import export as make
    from cloud_trainer.export.exporter import next_version, summary
    from cloud_trainer.features import materialise
    from cloud_trainer.project import policy_of
    from cloud_trainer.training import load_run
    from cloud_trainer.workspace import Workspace

    declared = projects.load(project)
    ws = Workspace(workspace or declared.workspace)
    run = load_run(ws, run_id)
    folder, table = out or ws.bundles, materialise(ws, run.dataset, run.program)
    exported = make(
        run,
        table=table,
        name=name or declared.name,
        version=version or next_version(folder, name or declared.name),
        policy=policy_of(declared, run, table),
        rule=declared.policy,
        seasons=declared.seasons,
        out_dir=folder,
        target=declared.target,
        precision=precision or declared.precision,
        runtime=declared.runtime,
        progress=lambda what, done, total: typer.echo(f"{done}/{total} {what}", err=True),
    )
    ws.add_lineage(
        "export",
        inputs=[f"run/{run.run_id}"],
        outputs=[f"bundle/{exported.digest}"],
        facts={"name": exported.manifest.name, "version": exported.manifest.version},
    )
    for line in summary(exported):
        typer.echo(line)


def inspect(bundle: Annotated[Path, typer.Argument(help="An .elb file.")]) -> None:
    """Print a bundle's manifest, its evidence and its budget; every hash is checked, no model is run."""
    from cloud_trainer.export.exporter import describe
    from edge_runtime.engines import load_bundle

    for line in describe(load_bundle(bundle)):
        typer.echo(line)
