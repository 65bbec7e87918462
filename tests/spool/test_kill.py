"""kill -9 of a process that writes: what is committed is whole, and the checkpoint says exactly where it ends."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

from tests.spool.common import open_spool

ROOT = Path(__file__).parents[2]


def test_kill_at_any_moment_keeps_rows_contiguous_and_the_checkpoint_with_them(tmp_path: Path) -> None:
    path, choose, epochs, ends = tmp_path / "spool", random.Random(7), set(), [0]
    for _ in range(7):
        command = [sys.executable, "-m", "tests.spool.child", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            threading.Event().wait(choose.uniform(0.0, 0.25))  # the random moment is the point
            child.kill()
        with open_spool(path, max_bytes=64 << 20) as spool:
            assert spool.set_aside is None
            epochs.add(spool.epoch)
            batches = spool.pending(1_000_000)
            expected = 1
            for batch in batches:
                assert batch.first_seq == expected
                assert batch.payload.startswith(f"rec {expected} {batch.last_seq - expected + 1} ".encode())
                expected = batch.last_seq + 1
            assert spool.last_seq == expected - 1
            assert int(spool.checkpoint("made") or b"0") == expected - 1
            ends.append(expected)
    assert len(epochs) == 1
    assert ends == sorted(ends)
    assert ends[-1] > 100
