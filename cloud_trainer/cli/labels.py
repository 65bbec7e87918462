"""Commands about labels that come late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloud_trainer.cli.telemetry import Workspace_

if TYPE_CHECKING:
    from cloud_trainer.labels import Labelled

MOST_REASONS = 10  # that are told why windows were left out: a device can make up as many as it likes


def register(app: typer.Typer) -> None:
    """Add the commands `labels …`."""
    group = typer.Typer(help="Labels that come late: keep them, and what they say.", no_args_is_help=True)
    group.command("import")(import_)
    group.command("show")(show)
    group.command("windows")(windows)
    app.add_typer(group, name="labels")


def import_(
    file: Annotated[Path, typer.Argument(help="CSV with the columns record (DEVICE:EPOCH:SEQ) and label.")],
    workspace: Workspace_ = Path(".edgeloop"),
) -> None:
    """Keep the labels of a file by their records, and print what all labels say of each bundle."""
    from cloud_trainer.labels import import_labels
    from cloud_trainer.workspace import existing

    ws = existing(workspace)
    count, waiting = import_labels(ws, file)
    typer.echo(f"{file}: {count} labels{f', {waiting} of records that have not arrived' if waiting else ''}")
    show(workspace)


def show(workspace: Workspace_ = Path(".edgeloop")) -> None:
    """Print the accuracy of each bundle in the field, by the labels there are, and whether its concept has moved."""
    from cloud_trainer.labels import of_bundles
    from cloud_trainer.workspace import existing

    found = of_bundles(existing(workspace))
    if not found:
        typer.echo("no labels of records yet")
    for one in found:
        typer.echo(f"bundle {one.bundle[:12]}: {_accuracy(one)}")
        if one.accuracy and not one.random:
            typer.echo("  of the labelled records alone: none of them was drawn at random")
        if one.unknown:
            typer.echo(f"  labels that it does not know, counted as wrong: {', '.join(one.unknown)}")
        if one.has_moved:
            typer.echo("  concept drift: it errs more often than its scores say; retrain on these labels")


def windows(
    out: Annotated[Path, typer.Argument(help="New folder for the files.")],
    workspace: Workspace_ = Path(".edgeloop"),
    device: Annotated[str, typer.Option(help="Only of this device.")] = "",
) -> None:
    """Write the raw windows that devices let go, a CSV each, and labels.csv: fill in its labels, then labels import."""
    from cloud_trainer.labels import write_windows
    from cloud_trainer.workspace import existing

    written, left_out = write_windows(existing(workspace), out, device=device)
    for one in written:
        typer.echo(f"{one.record}  {one.stream} window {one.window}, kept as {one.reason}, decided {one.decided}")
    for why, n in left_out.most_common(MOST_REASONS):
        typer.echo(f"left out {n}: {why}")
    if len(left_out) > MOST_REASONS:
        typer.echo(f"left out {left_out.total()} in all, for {len(left_out)} reasons")
    if not written and not left_out:
        typer.echo("no raw windows yet: a device sends some only where its own device.toml allows it (raw_channels)")
    elif written:
        typer.echo(
            f"fill in the labels of {out / 'labels.csv'}, then: cloud-trainer labels import {out / 'labels.csv'}"
        )


def _accuracy(one: Labelled) -> str:
    if one.accuracy is None:
        return f"abstained on all {one.abstained} labelled records"
    a = one.accuracy
    also = f", abstained on {one.abstained}" if one.abstained else ""
    if one.reference is not None:
        also += f"; measured by {one.reference:.1%} {one.reference_of}"
    return f"accuracy {a.value:.1%} ({a.low:.1%}..{a.high:.1%} by {a.records} labels{also})"
