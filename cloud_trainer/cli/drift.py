"""Commands that judge what came: drift, report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloud_trainer.cli.telemetry import Workspace_
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud_trainer.drift import Verdict
    from cloud_trainer.drift.retrain import Decision
    from cloud_trainer.workspace import Workspace

ProjectFile = Annotated[
    Path | None, typer.Option("--project", "-p", help="The project file with [retrain]; beside the workspace.")
]
Years = Annotated[float, typer.Option(help="Mean time to a false alarm [years of hourly periods].")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(drift)
    app.command()(report)


def drift(
    *,
    workspace: Workspace_ = Path(".edgeloop"),
    bundle: Annotated[str, typer.Option(help="Only this bundle (digest).")] = "",
    years: Years = 1.0,
    request: Annotated[bool, typer.Option("--request", help="Ask for labels where [retrain] says so.")] = False,
    project: ProjectFile = None,
    least_loss: Annotated[
        float | None, typer.Option(help="In place of [retrain] expected_loss; 0: ask at any drift.", min=0.0, max=1.0)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Tell each stream, steady ones too.")] = False,
) -> None:
    """Judge every model in the field: steady, watch or drifted, with the evidence, and whether to retrain."""
    from cloud_trainer.drift import Rule, judge
    from cloud_trainer.drift.retrain import decide, policy_beside
    from cloud_trainer.drift.show import pick, show
    from cloud_trainer.labels import of_bundles
    from cloud_trainer.workspace import existing

    ws = existing(workspace)
    policy = policy_beside(ws.root, project).asking_from(least_loss)
    verdicts = judge(ws, bundle=bundle, rule=Rule(alarm_periods=_periods(years)))
    if not verdicts:
        typer.echo(f"no summaries of bundle {bundle} yet" if bundle else "no summaries yet")
    labelled = {one.bundle: one for digest in {v.bundle for v in verdicts} for one in of_bundles(ws, digest)}
    for digest in dict.fromkeys(v.bundle for v in verdicts):
        told = [v for v in verdicts if v.bundle == digest]
        shown, counted = (told, []) if every else pick(told)
        decided = {(v.device, v.stream): decide(policy, v, labelled.get(digest)) for v in told}
        for verdict in shown:
            typer.echo(show(verdict))
            if decision := decided[verdict.device, verdict.stream]:
                typer.echo(f"  {decision.told}")
        for line in counted:
            typer.echo(line)
        asking = [(v, d) for v in told if (d := decided[v.device, v.stream]) and d.asks]
        if asking and request:
            _ask(ws, told[0], asking, limit=policy.records)


def _ask(ws: Workspace, model: Verdict, asking: Sequence[tuple[Verdict, Decision]], *, limit: int) -> None:
    """Store one request for a model, of all its records or of those of the streams that ask, and write its sheet."""
    from cloud_trainer.datasets import write_sheet
    from cloud_trainer.drift import retrain_request

    first, why = asking[0][0], asking[0][1].why
    if first.device and len(asking) > 1:
        streams = [verdict for verdict, _ in asking]
        asked = retrain_request(ws, model, limit=limit, why=f"{len(streams)} streams, {why}", among=streams)
    else:
        asked = retrain_request(ws, first, limit=limit, why=why)
    typer.echo(f"  asked for labels of {len(asked.records)} records: request {asked.id}")
    sheet = Path(f"labels-{asked.id}.csv")
    if not asked.records:
        typer.echo("  every record of it is labelled, or none was kept: train on the labels there are")
    elif write_sheet(sheet, asked.records):
        typer.echo(f"  fill the column label of {sheet}, then: cloud-trainer labels import {sheet}")
    else:
        typer.echo(f"  {sheet} is there already and is left as it is")


def report(
    *,
    workspace: Workspace_ = Path(".edgeloop"),
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    bundle: Annotated[str, typer.Option(help="How the bundle's digest begins; the one that ran last.")] = "",
    since: Annotated[str, typer.Option(help="Show from here on: ISO 8601, UTC unless it says.")] = "",
    until: Annotated[str, typer.Option(help="Judge by periods that end by then.")] = "",
    years: Years = 1.0,
    project: ProjectFile = None,
) -> None:
    """Write how a model fares in the field as one HTML file: verdict, what moved, fleet, timeline, accuracy."""
    from cloud_trainer.drift import Rule
    from cloud_trainer.drift.retrain import policy_beside
    from cloud_trainer.report import gather, render
    from cloud_trainer.report.gather import FOREVER
    from cloud_trainer.workspace import existing

    from_ms, to_ms = _time_ms(since, 0, "since"), _time_ms(until, FOREVER, "until")
    ws, rule = existing(workspace), Rule(alarm_periods=_periods(years))
    policy = policy_beside(ws.root, project)
    facts = gather(ws, bundle=bundle, from_ms=from_ms, to_ms=to_ms, rule=rule, policy=policy)
    try:
        out.write_text(render(facts), encoding="utf-8")
    except OSError as why:
        raise UsageError(f"{out}: {why.strerror}", hint="name a file that can be written with --out") from why
    typer.echo(f"{facts.title}: {facts.verdict.verdict if facts.verdict else 'nothing to judge'}; written: {out}")


def _periods(years: float) -> float:
    if not 0 < years < math.inf:
        raise UsageError(f"years: {years:g} is not above 0 and finite", hint="give 1 for one false alarm a year")
    return 8760 * years


def _time_ms(text: str, default: int, name: str) -> int:
    from datetime import UTC, datetime

    if not text:
        return default
    try:
        found = datetime.fromisoformat(text)
    except ValueError as why:
        raise UsageError(f"--{name} {text}: {why}", hint=f"such as --{name} 2026-11-01T06:00") from why
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
