"""What the documents say is what the product does."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from array import array
from pathlib import Path

import pytest
import typer

from cloud_trainer.cli import app
from edge_runtime.cli import COMMANDS
from tools.__main__ import generated

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def cloud_commands() -> set[str]:
    """Every `cloud-trainer` command, sub-commands as "group name"."""
    names: set[str] = set()

    def walk(command: object, prefix: str) -> None:
        for name, child in getattr(command, "commands", {}).items():
            if getattr(child, "commands", None):
                walk(child, f"{prefix}{name} ")
            else:
                names.add(f"{prefix}{name}")

    walk(typer.main.get_command(app), "")
    return names


def test_every_command_stands_in_the_readme() -> None:
    missing = [f"cloud-trainer {c}" for c in cloud_commands() if f"cloud-trainer {c}" not in README]
    missing += [f"edge-runtime {c}" for c in COMMANDS if f"edge-runtime {c}" not in README]
    assert not missing


def test_every_command_in_the_documents_exists() -> None:
    known = {f"cloud-trainer {c}" for c in cloud_commands()} | {f"edge-runtime {c}" for c in COMMANDS}
    named = re.findall(r"`?((?:cloud-trainer|edge-runtime) [a-z][a-z-]*(?: [a-z][a-z-]*)?)", README)
    unknown = [n for n in named if not any(n == k or n.startswith(f"{k} ") or k.startswith(f"{n} ") for k in known)]
    assert not unknown


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets


def test_the_map_of_the_tree_names_every_package() -> None:
    for top in ("edge_runtime", "cloud_trainer"):
        for folder in sorted((ROOT / top).iterdir()):
            if (folder / "__init__.py").exists():
                assert f"{folder.name}/" in README, f"{top}/{folder.name} is not in the map of README.md"


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("path", list(generated()))
def test_what_is_generated_is_fresh(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == generated()[path], f"{path} is stale: run `make docs`"


def test_every_operator_stands_in_the_documents() -> None:
    from edge_runtime.native import operators

    reference = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| \[`([a-z_0-9]+)", reference, re.M)
    assert sorted(rows, key=lambda row: int(row[0])) == [(str(op.id), op.name) for op in operators()]
    assert not [op.name for op in operators() if f"`{op.name}`" not in README]
    for name in re.findall(r"^### .*`([a-z_0-9]+)", reference, re.M):
        assert f"(#{name})" in reference


def test_every_source_stands_in_the_readme_with_its_example() -> None:
    from edge_runtime.sources import SOURCES

    rows = re.findall(
        r"^\| `([^`]+)` \| `([^`]+)` \| (.*) \|$",
        README.partition("\n## Sources\n")[2].partition("\n| sink |")[0],
        re.M,
    )
    found = {name: (example, meaning) for name, example, meaning in rows}
    for name, kind in SOURCES.items():
        assert name in found, name
        assert found[name][0] == kind.example
        assert found[name][1].startswith(kind.meaning)


def test_every_sink_stands_in_the_readme_with_an_example() -> None:
    from edge_runtime.daemon.config import CHOICES

    for name in CHOICES["stream.decisions"]:
        kind = name.partition(":")[0]
        assert re.search(rf'^\| `{kind}` \| `decisions = \["{kind}[":]', README, re.M), name


def test_every_key_of_device_toml_stands_in_the_readme_with_its_default() -> None:
    from edge_runtime.daemon import config

    tables = {
        "device": config.DeviceConfig,
        "broker": config.BrokerConfig,
        "trust": config.TrustConfig,
        "budget": config.BudgetConfig,
        "stream": config.StreamConfig,
    }
    table = README.partition("\n## device.toml\n")[2].partition("\n## ")[0]
    key = re.compile(rf"`((?:{'|'.join(tables)})\.\w+)`")
    rows = {found: row for row in table.splitlines() for found in key.findall(row)}
    for name, kind in tables.items():
        for one in dataclasses.fields(kind):
            row = rows.pop(f"{name}.{one.name}", None)
            assert row is not None, f"{name}.{one.name}"
            if isinstance(one.default, int | float):
                assert re.search(rf"\b{one.default:g}\b|\b{one.default}\b", row), row
    assert not rows, "keys that there are not"


def test_the_source_of_ones_own_in_the_readme_is_one(tmp_path: Path) -> None:
    from edge_runtime.sources import open_source

    (code,) = re.findall(r"```python\n(import time\n.*?)```", README, re.S)
    (tmp_path / "my_source.py").write_text(code, encoding="utf-8")
    source = open_source(f"{tmp_path}/my_source.py:MySource i2c-1", rate_hz=1000, channels=["x", "y"])
    out = memoryview(array("f", [1, 1, 1, 1]))
    assert (source.read(out), out.tolist()) == (1, [0, 0, 1, 1])
    source.stop()
    assert source.read(out) == 0


def test_only_native_imports_the_compiled_module() -> None:
    """import-linter reads sources and so does not see a compiled module."""
    for top in ("edge_runtime", "cloud_trainer"):
        for path in (ROOT / top).rglob("*.py"):
            inside = path.is_relative_to(ROOT / "edge_runtime" / "native")
            assert inside or "native._er" not in path.read_text(encoding="utf-8"), path.relative_to(ROOT)


@pytest.mark.parametrize("pattern", [r"(?<![\w.])/(?:root|home)/"])
def test_no_file_names_a_path_of_one_machine(pattern: str) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout: cannot tell which files are shipped")
    for name in tracked.stdout.split():
        path = ROOT / name
        if path.suffix in {".py", ".c", ".h", ".md", ".toml"} and path != Path(__file__).resolve():
            assert not re.search(pattern, path.read_text(encoding="utf-8")), name


def test_the_tour_of_feature_programs_runs_and_both_ways_give_one_program(capsys: pytest.CaptureFixture[str]) -> None:
    import tomllib

    from edge_runtime.contract.program import Channel
    from edge_runtime.features import FeatureProgram, build_program

    section = README.partition("\n## Feature programs\n")[2].partition("\n## ")[0]
    ((python,), (toml,)) = (re.findall(rf"```{kind}\n(.*?)```", section, re.S) for kind in ("python", "toml"))
    there: dict[str, object] = {}
    exec(python, there)  # noqa: S102  the document is ours
    program = there["program"]
    assert isinstance(program, FeatureProgram)
    said = capsys.readouterr().out
    assert re.search(r"^slow +1007 lowpass\(5,0\.7071\) ", said, re.M)
    assert "instructions a window" in said
    words = tomllib.loads(toml)["features"]
    channels = [Channel(name=f"acc_{axis}", unit="m/s^2") for axis in "xyz"]
    same = build_program(
        [*channels, Channel(name="temp", unit="C", every=64)],
        rate_hz=100,
        window_frames=words["window_frames"],
        hop_frames=words["hop_frames"],
        features=words["list"],
        derived=words["derived"],
        fields={"colour": "text", "age": "number"},
    )
    assert same.digest == program.digest
