"""Commands about a running fleet: broker, ingest, tail, compact, lineage."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.errors import UsageError

Workspace_ = Annotated[Path, typer.Option("--workspace", "-w", help="Folder of the workspace.")]
Host = Annotated[str, typer.Option(help="The MQTT broker.")]
Port = Annotated[int, typer.Option(help="Its TCP port.", min=1, max=65535)]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (broker, ingest, tail, compact, lineage):
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
    tidy_commits: Annotated[
        int, typer.Option(help="After so many commits a table's small files become one; 0: never.", min=0)
    ] = 100,
    device_rows_hour: Annotated[
        int, typer.Option(help="Rows of a device stored an hour, a day's worth at once; 0: no limit.", min=0)
    ] = 100_000,
    ca: Annotated[str, typer.Option(help="PEM of the broker's authority; with it by TLS.")] = "",
    cert: Annotated[str, typer.Option(help="PEM of our certificate, where the broker asks for one.")] = "",
    key: Annotated[str, typer.Option(help="PEM of its key.")] = "",
    username: Annotated[str, typer.Option(help="At the broker; the password is in EDGELOOP_PASSWORD.")] = "",
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
    from edge_runtime.transport import Tls

    if (cert or key) and not ca:
        raise UsageError("--cert, --key: without --ca they are not used", hint="give the authority of the broker")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stopped = _stop_signal()
    consumer = Consumer(
        Workspace(workspace).tables,
        host,
        port,
        name=name,
        shared=shared,
        commit_s=commit_s,
        commit_rows=commit_rows,
        tidy_commits=tidy_commits,
        device_rows_hour=device_rows_hour,
        tls=Tls(ca=ca, cert=cert or None, key=key or None) if ca else None,
        login=(username, os.environ.get("EDGELOOP_PASSWORD", "")) if username else None,
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
