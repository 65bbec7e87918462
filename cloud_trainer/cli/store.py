"""Commands about the workspace's own bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloud_trainer.cli.telemetry import Workspace_
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    from cloud_trainer.backup import Checked


def register(app: typer.Typer) -> None:
    """Add the commands `store …`."""
    group = typer.Typer(help="Check, copy and bring back a workspace.", no_args_is_help=True)
    for command in (check, backup, restore):
        group.command()(command)
    app.add_typer(group, name="store")


def check(workspace: Workspace_ = Path(".edgeloop")) -> None:
    """Read every byte of a workspace and name what is not as it should be."""
    from cloud_trainer import backup
    from cloud_trainer.workspace import existing

    _tell(workspace, backup.check(existing(workspace)))


def backup(
    to: Annotated[Path, typer.Argument(help="A new folder.")], workspace: Workspace_ = Path(".edgeloop")
) -> None:
    """Copy a workspace, signing keys too, while consumers go on storing; the copy is checked."""
    from cloud_trainer.backup import copy
    from cloud_trainer.workspace import existing

    _tell(to, copy(existing(workspace), to))
    typer.echo("it holds the signing keys: keep it as you keep them")


def restore(
    source: Annotated[Path, typer.Argument(help="A backup.", metavar="FROM")],
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="A new folder for it.")] = Path(".edgeloop"),
) -> None:
    """Make a workspace from a backup, which is checked before and after."""
    from cloud_trainer.backup import copy
    from cloud_trainer.workspace import existing

    _tell(workspace, copy(existing(source), workspace))


def _tell(folder: Path, parts: Sequence[Checked]) -> None:
    problems = [f"{part.name}: {problem}" for part in parts for problem in part.problems]
    for part in parts:
        typer.echo(f"{part.name:<40} {part.found}{'' if part.problems else ', whole'}")
    if problems:
        for problem in problems:
            typer.echo(f"  {problem}")
        raise ContractError(
            f"{folder}: {len(problems)} problems, first {problems[0]}", hint="cloud-trainer store restore FROM a backup"
        )
