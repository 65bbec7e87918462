import json
from pathlib import Path

import pytest

from cloud_trainer.workspace import Workspace
from edge_runtime.errors import ContractError


def test_it_is_made_and_found_again(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    ws.tables.append("t", {"a": [1]})
    assert Workspace(tmp_path / "ws").tables.names() == ["t"]
    assert ws.bundles.is_dir()
    assert ws.keys.stat().st_mode & 0o777 == 0o700


def test_a_newer_format_is_refused_and_untouched(tmp_path: Path) -> None:
    marker = tmp_path / "workspace.json"
    marker.write_text('{"format": "1.0"}', encoding="utf-8")
    with pytest.raises(ContractError, match=r"format 1\.0 is newer than this build's 0\.1"):
        Workspace(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["workspace.json"]
    assert marker.read_text(encoding="utf-8") == '{"format": "1.0"}'


def test_lineage_events_are_appended(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    ws.add_lineage("freeze", inputs=[], outputs=["a@1"], facts={"digest": "00"})
    ws.add_lineage("train", inputs=["a@1"], outputs=["run/1"], facts={})
    first, second = [json.loads(line) for line in ws.lineage.read_text(encoding="utf-8").splitlines()]
    assert first["outputs"] == second["inputs"] == [{"namespace": "edgeloop", "name": "a@1"}]
    assert first["run"]["facets"]["edgeloop"]["digest"] == "00"
    assert {"eventType", "eventTime", "producer", "schemaURL", "job"} <= set(first)


def test_a_tracking_server_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Workspace(tmp_path).mlflow_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert Workspace(tmp_path).mlflow_uri == "http://tracker:5000"
