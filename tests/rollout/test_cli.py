"""The commands, as a user types them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cloud_trainer.cli import rollout as commands
from cloud_trainer.rollout import order, store
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import TransportError, UsageError
from edge_runtime.update import Trust
from tests.update.bundles import packed_bundle

app = typer.Typer()
commands.register(app)


def call(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_keys_sign_and_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(order, "publish", lambda orders, **_: sent.extend(orders))
    ws, bundle = tmp_path / "ws", tmp_path / "tiny.elb"
    bundle.write_bytes(packed_bundle(2))
    printed = call("keys", "create", "-w", ws)
    keys = dict(re.findall(r'(\w+_keys) = \["([0-9a-f]{64})"\]', printed))
    Trust(release_keys=(keys["release_keys"],), rollout_keys=(keys["rollout_keys"],))
    assert "depot" in call("sign", bundle, "-w", ws)
    words = ["--stream", "main", "--depot-url", "http://h:1/", "-w", ws]
    out = call("rollout", "start", "r-1", bundle, "--ring", "plant/fan", "--ring", "plant/a,plant/b", *words)
    assert "rollout r-1: next, ring 0 of 0..1" in out
    assert sent == ["el/v1/plant/fan/desired"]
    assert store.load(Workspace(ws), "r-1").url.startswith("http://h:1/")
    assert "wait" in call("rollout", "advance", "r-1", "-w", ws)
    out = call("rollout", "status", "-w", ws)
    assert re.search(r"ring 0 +plant/fan +open", out)
    assert re.search(r"ring 1 +plant/b +not asked", out)
    assert "by hand" in call("rollout", "halt", "r-1", "-w", ws)
    assert "halt" in call("rollout", "advance", "r-1", "-w", ws)
    with pytest.raises(UsageError, match="r-1: exists"):
        call("rollout", "start", "r-1", bundle, "--ring", "plant/fan", *words)
    with pytest.raises(UsageError, match="either --ring or --devices"):
        call("rollout", "start", "r-2", bundle, *words)
    with pytest.raises(UsageError, match=r"--shares: want fractions, got 'half'"):
        call("rollout", "start", "r-2", bundle, "--devices", "plant/a", "--shares", "half", *words)
    words[3] = "h:1"
    with pytest.raises(UsageError, match=r"--depot-url: want http://.*'h:1'"):
        call("rollout", "start", "r-2", bundle, "--ring", "plant/a", *words)


def test_a_mistyped_workspace_is_refused_and_not_made(tmp_path: Path) -> None:
    ws = tmp_path / "nowhere"
    for words in (("sign", "x.elb"), ("depot",), ("rollout", "status"), ("rollout", "halt", "r-1")):
        with pytest.raises(UsageError, match=r"nowhere: there is none"):
            call(*words, "-w", ws)
    assert not ws.exists()
    Workspace(ws)
    assert call("rollout", "status", "-w", ws) == "no rollouts yet\n"


def test_devices_are_cut_by_hash(tmp_path: Path) -> None:
    ws, bundle = tmp_path / "ws", tmp_path / "tiny.elb"
    bundle.write_bytes(packed_bundle(2))
    call("keys", "create", "-w", ws)
    names = ",".join(f"plant/d{i}" for i in range(20))
    words = ["--stream", "main", "--depot-url", "http://h:1", "-w", ws, "--port", 9, "--shares", "0.2,1"]
    with pytest.raises(TransportError):
        call("rollout", "start", "r-1", bundle, "--devices", names, *words)
