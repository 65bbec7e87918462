"""`cloud-trainer`: the workstation's command line.

One rule: a command imports what it needs when it runs, never before.
"""

from __future__ import annotations

import sys

import typer

from cloud_trainer.cli import data, demo, drift, export, labels, profile, rollout, simulate, store, telemetry
from edge_runtime.errors import EdgeloopError

app = typer.Typer(
    help="From recordings to a monitored fleet and back.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich alone would take half of the time that --help may take
    pretty_exceptions_enable=False,
)
for part in (data, export, profile, telemetry, simulate, drift, labels, store, rollout, demo):
    part.register(app)


def main() -> None:
    """Run one command; an error a user can act on ends with its hint and its exit status, never a traceback."""
    try:
        status = app(standalone_mode=False)
    except EdgeloopError as error:
        _end(str(error), error.hint, error.exit_code)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        say = getattr(error, "format_message", None)  # click's errors, wherever typer keeps them
        if say is None:
            raise
        text = say()
        if not text.startswith("Usage:"):
            _end(text, "see --help of the command", 2)
        print(text)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


def _end(message: str, hint: str, status: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    sys.exit(status)
