"""One command of `cloud-trainer`, in this process."""

from __future__ import annotations

from typer.testing import CliRunner

from cloud_trainer.cli import app


def call(*words: object) -> str:
    """What it prints; its error is raised."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output
