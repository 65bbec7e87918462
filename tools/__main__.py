"""Write everything that is generated; `--check` says what is stale and changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools import budgets_md, cost_md, operators_md, operators_py
from tools.meanings import meanings

ROOT = Path(__file__).resolve().parents[1]


def generated() -> dict[str, str]:
    """Path -> what its text should be."""
    table = meanings()
    return {
        operators_py.PATH: formatted(operators_py.text(table)),
        operators_md.PATH: operators_md.text(table),
        cost_md.PATH: cost_md.text(),
        "README.md": budgets_md.readme(operators_md.readme((ROOT / "README.md").read_text(encoding="utf-8"), table)),
    }


def formatted(source: str) -> str:
    """As `ruff format` leaves it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "generated.py", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def main() -> int:
    """Write, or check; the exit status."""
    stale = {path: text for path, text in generated().items() if not _is(ROOT / path, text)}
    for path, text in stale.items():
        if "--check" in sys.argv:
            print(f"{path}: stale, `make docs` writes it")
        else:
            (ROOT / path).write_text(text, encoding="utf-8")
            print(f"{path}: written")
    return 1 if stale and "--check" in sys.argv else 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
