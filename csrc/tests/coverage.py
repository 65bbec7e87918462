"""`make -C csrc coverage`: lists the lines and branches of csrc that its own tests never take, and fails if any.

Reads the JSON of gcov. A branch is one way out of a condition, `&&` and `||` counted one by one. What no input can
reach says so where it stands, `/* unreachable: why */` on its line; nothing else is left out. Standard library alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

EXCUSE = "/* unreachable: "


def main(folder: str) -> int:
    """Read every .gcda of `folder`; return 1 unless all is covered."""
    lines: dict[tuple[str, int], int] = defaultdict(int)
    branches: dict[tuple[str, int, str, int], int] = defaultdict(int)
    notes = [str(path.resolve()) for path in sorted(Path(folder).glob("er_*.gcda"))]
    command = ["gcov", "--json-format", "--branch-probabilities", "--stdout", *notes]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    for report in done.stdout.splitlines():
        for file in json.loads(report)["files"]:
            name = Path(file["file"]).name
            if not name.startswith("er"):
                continue
            for line in file["lines"]:
                at = (name, line["line_number"])
                lines[at] += line["count"]
                for i, branch in enumerate(line["branches"]):
                    branches[*at, line.get("function_name", ""), i] += branch["count"]
    missed = {at for at, count in lines.items() if not count and not _excused(at)}
    partly = {at[:2] for at, count in branches.items() if not count and not _excused(at[:2])}
    for name, line in sorted(missed | partly):
        what = "never run" if (name, line) in missed else "a branch never taken"
        print(f"csrc/{name}:{line}: {what}: {_text((name, line))}")
    total, ways = len(lines), len(branches)
    never = sum(1 for at, count in branches.items() if not count and not _excused(at[:2]))
    print(f"coverage of csrc: {total - len(missed)} of {total} lines, {ways - never} of {ways} branches")
    return 1 if missed or never else 0


def _text(at: tuple[str, int]) -> str:
    return Path(at[0]).read_text(encoding="utf-8").splitlines()[at[1] - 1].strip()


def _excused(at: tuple[str, int]) -> bool:
    return EXCUSE in _text(at)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
