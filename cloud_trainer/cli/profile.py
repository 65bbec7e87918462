"""Command `profile`: what a bundle needs on each target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("profile")(profile)


def profile(
    bundle: Annotated[Path, typer.Argument(help="An .elb file.")],
    *,
    selftest: Annotated[
        Path | None, typer.Option(help="What `edge-runtime selftest --json` printed on a board: its rate.")
    ] = None,
    watts: Annotated[
        list[str] | None, typer.Option(metavar="TARGET=WATTS", help="What a board draws while it computes; repeat it.")
    ] = None,
    sample_k: Annotated[int, typer.Option(help="Records kept of a period.", min=1, max=1024)] = 32,
    period_s: Annotated[float, typer.Option(help="Length of a period, at least.", min=0, max=1e7)] = 3600,
    period_windows: Annotated[int, typer.Option(help="Decisions of a period, at least.", min=1, max=1 << 22)] = 200,
    count: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Count its instructions here by valgrind, such as 'playback run.csv'."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON.")] = False,
) -> None:
    """Print what a bundle needs on x86-64, aarch64, armv7, Cortex-M4F and M33: bytes, instructions, time, telemetry."""
    import json

    from cloud_trainer.profile import Sampling, profile_file, rates_with, text

    found = profile_file(
        bundle,
        rates=rates_with(selftest),
        watts=dict(_pair(word) for word in watts or ()),
        sampling=Sampling(sample_k=sample_k, period_s=period_s, period_windows=period_windows),
        source=count,
    )
    typer.echo(json.dumps(found.as_dict(), indent=1, ensure_ascii=False) if as_json else text(found))


def _pair(word: str) -> tuple[str, float]:
    target, _, value = word.partition("=")
    try:
        return target, float(value)
    except ValueError:
        raise UsageError(f"--watts: got {word!r}, want TARGET=WATTS", hint="such as --watts cortex-m4f=0.08") from None
