from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cloud_trainer.cli import data
from edge_runtime.errors import UsageError
from tests.datasets.sample import write_project


def call(*words: object) -> str:
    app = typer.Typer()
    data.register(app)
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_freeze_list_show(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    with pytest.raises(UsageError, match=r"workspace .* there is none"):
        call("data", "list", "-p", path)
    assert "dataset sample@1: 600 rows, 6 recordings, labels busy, idle" in call("data", "freeze", "-p", path)
    assert (tmp_path / ".edgeloop").is_dir()
    assert call("data", "list", "-p", path).splitlines()[1].split()[0] == "sample@1"
    shown = call("data", "show", "sample", "-p", path)
    assert ["busy-0", "0", "100", "100", "0"] in [line.split() for line in shown.splitlines()]


def test_features_prints_the_program(tmp_path: Path) -> None:
    text = call("features", "-p", write_project(tmp_path))
    assert "x.mad_diff" in text
    assert "digest" in text
    out = tmp_path / "nowhere" / "p.json"
    with pytest.raises(UsageError, match=r"p\.json: No such file or directory"):
        call("features", "-p", tmp_path / "edgeloop.toml", "--out", out)


def test_train_prints_the_runs_and_the_best_ones_confusion(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    lines = call("train", "-p", path, "-w", tmp_path / "ws").splitlines()
    starred = [line for line in lines if line.startswith("* ")]
    assert len(starred) == 1
    assert any(line.startswith("  forest") or line.startswith("* forest") for line in lines)
    busy, idle = lines[-2].split(), lines[-1].split()
    assert (busy[0], idle[0]) == ("busy", "idle")
    assert sum(map(int, busy[1:] + idle[1:])) > 0


def test_init_writes_a_project(tmp_path: Path) -> None:
    assert "wrote" in call("init", tmp_path)
    assert (tmp_path / "edgeloop.toml").is_file()


def test_a_wrong_feature_is_told_before_anything_is_frozen(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    path.write_text(path.read_text().replace('"mean"', '"meen"'), encoding="utf-8")
    with pytest.raises(UsageError, match="meen"):
        call("train", "-p", path)
    assert "version" in call("data", "list", "-p", path)
    assert "sample@1" not in call("data", "list", "-p", path)
