"""The commands about a running fleet look into the workspace that the user means, or say that there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cloud_trainer.cli import telemetry
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import UsageError


def call(*words: object) -> str:
    app = typer.Typer()
    telemetry.register(app)
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.mark.parametrize(
    "words", [("drift",), ("compact",), ("lineage", "d:1:1"), ("tail", "--from-store", "records")], ids=lambda w: w[0]
)
def test_a_mistyped_workspace_is_refused_and_not_made(words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere: there is none"):
        call(*words, "-w", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_an_empty_workspace_is_told(tmp_path: Path) -> None:
    Workspace(tmp_path)
    assert call("drift", "-w", tmp_path) == "no summaries yet\n"
    assert call("drift", "--bundle", "ab12", "-w", tmp_path) == "no summaries of bundle ab12 yet\n"
    assert call("compact", "-w", tmp_path) == "no telemetry yet\n"


@pytest.mark.parametrize("years", ["0", "-1", "nan", "inf"])
def test_a_rate_of_false_alarms_that_is_none_is_refused(years: str, tmp_path: Path) -> None:
    Workspace(tmp_path)
    with pytest.raises(UsageError, match="is not above 0 and finite"):
        call("drift", "--years", years, "-w", tmp_path)


def test_a_port_that_is_none_is_refused() -> None:
    assert "65535" in call("tail", "--port", "99999")
