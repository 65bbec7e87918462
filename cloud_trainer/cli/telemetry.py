"""Commands about a running fleet: broker, ingest, tail, compact, drift, report, lineage."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.errors import UsageError

Workspace_ = Annotated[Path, typer.Option("--workspace", "-w", help="Folder of the workspace.")]
Host = Annotated[str, typer.Option(help="The MQTT broker.")]
Years = Annotated[float, typer.Option(help="Mean time to a false alarm [years of hourly periods].")]
Port = Annotated[int, typer.Option(help="Its TCP port.", min=1, max=65535)]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (broker, ingest, tail, compact, drift, report, lineage):
        app.command()(command)


def broker(
    port: Annotated[int, typer.Option(help="TCP port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 1883,
    prefer: Annotated[str, typer.Option(help="mosquitto or iotcore; mosquitto if installed.")] = "",
) -> None:
    """Run an MQTT broker for this workstation until interrupted."""
    from cloud_trainer.ingest.broker import open_broker

    stopped = _stop_signal()
    running = open_broker(prefer=prefer, port=port)
    running.start()
    try:
        typer.echo(f"{running.name} on {running.host}:{running.port}; end with Ctrl-C")
        typer.echo(
            f"store what arrives: cloud-trainer ingest --port {running.port}{'' if running.shares else ' --no-shared'}"
        )
        stopped.wait()
    finally:
        running.stop()


def ingest(
    *,
    workspace: Workspace_ = Path(".edgeloop"),
    host: Host = "127.0.0.1",
    port: Port = 1883,
    name: Annotated[str, typer.Option(help="Stable name, its own for each consumer.")] = "ingest-0",
    shared: Annotated[bool, typer.Option(help="Share the work between consumers; iotcore cannot.")] = True,
    commit_s: Annotated[float, typer.Option(help="A message waits at most so long [s].")] = 2.0,
    commit_rows: Annotated[int, typer.Option(help="Commit when so many rows wait.")] = 20_000,
    metrics_port: Annotated[
        int, typer.Option(help="Counters for Prometheus at 127.0.0.1; 0 takes a free port.", min=-1, max=65535)
    ] = -1,
) -> None:
    """Store the fleet's telemetry until interrupted; devices hear of each commit."""
    import logging
    from contextlib import ExitStack

    from cloud_trainer.ingest.consumer import Consumer
    from cloud_trainer.ingest.metrics import served
    from cloud_trainer.workspace import Workspace

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stopped = _stop_signal()
    consumer = Consumer(
        Workspace(workspace).tables, host, port, name=name, shared=shared, commit_s=commit_s, commit_rows=commit_rows
    )
    with ExitStack() as open_:
        if metrics_port >= 0:
            taken = open_.enter_context(served(consumer, metrics_port))
            typer.echo(f"counters at http://127.0.0.1:{taken}/metrics")
        consumer.start()
        typer.echo(f"storing what arrives at {host}:{port} in {workspace}; end with Ctrl-C")
        stopped.wait()
        consumer.stop()
    typer.echo(f"{consumer.rows} rows in {consumer.commits} commits")


def tail(
    *,
    host: Host = "127.0.0.1",
    port: Port = 1883,
    count: Annotated[int, typer.Option(help="End after so many; 0 goes on (20 with --from-store).")] = 0,
    topic: Annotated[str, typer.Option(help="Only this topic filter.")] = "el/v1/#",
    from_store: Annotated[str, typer.Option(help="Show this table instead, such as records.")] = "",
    workspace: Workspace_ = Path(".edgeloop"),
) -> None:
    """Print the fleet's messages as JSON lines."""
    from itertools import islice

    from cloud_trainer.ingest import tail as tails
    from cloud_trainer.workspace import existing

    if from_store:
        lines = tails.from_store(existing(workspace), from_store, count=count or 20)
    else:
        lines = tails.tail(host, port, topic=topic)
    for line in islice(lines, count or None):
        typer.echo(line)


def compact(workspace: Workspace_ = Path(".edgeloop")) -> None:
    """Rewrite the telemetry tables in fewer files, without the rows that arrived twice."""
    from cloud_trainer.ingest import view
    from cloud_trainer.workspace import existing

    compacted = view.compact(existing(workspace))
    if not compacted:
        typer.echo("no telemetry yet")
    for done in compacted:
        typer.echo(f"{done.table}: {done.rows} rows, {done.dropped} dropped, {done.files_before} files read")


def drift(
    *,
    workspace: Workspace_ = Path(".edgeloop"),
    bundle: Annotated[str, typer.Option(help="Only this bundle (digest).")] = "",
    years: Years = 1.0,
    request: Annotated[bool, typer.Option("--request", help="Also ask for labels where accuracy is at stake.")] = False,
    least_loss: Annotated[
        float, typer.Option(help="Ask where accuracy is expected to fall by so much; 0: wherever it drifted.", max=1.0)
    ] = 0.02,
) -> None:
    """Judge every model in the field: steady, watch or drifted, with the evidence."""
    from cloud_trainer.datasets import write_sheet
    from cloud_trainer.drift import DRIFTED, Rule, judge, retrain_request
    from cloud_trainer.drift.show import show
    from cloud_trainer.workspace import existing

    ws = existing(workspace)
    verdicts = judge(ws, bundle=bundle, rule=Rule(alarm_periods=_periods(years)))
    if not verdicts:
        typer.echo(f"no summaries of bundle {bundle} yet" if bundle else "no summaries yet")
    for verdict in verdicts:
        typer.echo(show(verdict))
        if not request or verdict.verdict != DRIFTED or not verdict.device:
            continue
        if verdict.loss < least_loss and least_loss > 0:
            typer.echo(f"  not asked for labels: {verdict.loss:.1%} is below --least-loss {least_loss:.1%}")
        else:
            asked = retrain_request(ws, verdict)
            typer.echo(f"  asked for labels of {len(asked.records)} records: request {asked.id}")
            sheet = Path(f"labels-{asked.id}.csv")
            if write_sheet(sheet, asked.records):
                typer.echo(f"  fill the column label of {sheet}, then: cloud-trainer data label {sheet} --parent ...")
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
) -> None:
    """Write how a model fares in the field as one HTML file: verdict, what moved, fleet, timeline, accuracy."""
    from cloud_trainer.drift import Rule
    from cloud_trainer.report import gather, render
    from cloud_trainer.report.gather import FOREVER
    from cloud_trainer.workspace import existing

    from_ms, to_ms = _time_ms(since, 0, "since"), _time_ms(until, FOREVER, "until")
    facts = gather(
        existing(workspace), bundle=bundle, from_ms=from_ms, to_ms=to_ms, rule=Rule(alarm_periods=_periods(years))
    )
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


def lineage(
    record: Annotated[str, typer.Argument(help="DEVICE:EPOCH:SEQ", metavar="RECORD")],
    workspace: Workspace_ = Path(".edgeloop"),
) -> None:
    """Print where the model behind a record came from: record, bundle, run, dataset version, parents."""
    import dataclasses
    import json

    from cloud_trainer import audit
    from cloud_trainer.workspace import existing

    chain = audit.lineage(existing(workspace), audit.RecordId.parse(record))
    typer.echo(json.dumps(dataclasses.asdict(chain), indent=2))


def _stop_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    import signal

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped
