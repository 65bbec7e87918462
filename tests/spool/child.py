"""A device's spool for the kill tests: submits for ever, each batch naming its numbers, each checkpoint its end."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_runtime.spool import SpoolWorker
from tests.spool.common import draft, open_spool


def main(path: Path) -> None:
    worker = SpoolWorker(lambda: open_spool(path, max_bytes=64 << 20), ring=8, commit_interval_s=0.01)
    worker.start()
    made = int(worker.checkpoints.get("made", b"0"))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        rows = 1 + made % 7
        made += rows
        while not worker.submit([draft(rows, size=500)], {"made": str(made).encode()}, wait_s=10):
            pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
