"""`cloud-trainer`: the workstation's command line.

One rule: a command imports what it needs when it runs, never before.
"""

from __future__ import annotations

import sys

import typer

from cloud_trainer.cli import data, demo, export, rollout, telemetry
from edge_runtime.errors import EdgeloopError

app = typer.Typer(
    help="From recordings to a monitored fleet and back.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich alone would take half of the time that --help may take
    pretty_exceptions_enable=False,
)
for part in (data, export, telemetry, rollout, demo):
    part.register(app)


def main() -> None:
    """Run one command; an error a user can act on ends with its hint and its exit status, never a traceback."""
    try:
        app()
    except EdgeloopError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
