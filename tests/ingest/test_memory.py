"""What a consumer keeps does not grow with what it has stored."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_trainer.ingest.pending import Commit, Pending
from cloud_trainer.ingest.quota import Quota
from cloud_trainer.ingest.store import append
from cloud_trainer.ingest.tidy import Tidy
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from tests.ingest import samples
from tests.ingest.samples import SITE, STREAM

DEVICES, ROWS, BATCHES = 20, 32, 32
WARM, COMMITS = 6, 20  # 19,500 records
MOST_BYTES = 128 << 10
"""Some 10 KiB are left; one column of each commit, if it were kept, is over 300."""


def grown(folder: Path, keep: Callable[[Commit], object] = lambda _: None) -> int:
    """Bytes of Python's that commits after the first few have left behind, by the steps of a consumer."""
    ws = Workspace(folder)
    pending, tidy, seq = Pending(Quota(10**6)), Tidy(ws.tables, every=5), 1
    tracemalloc.start()
    try:
        for number in range(COMMITS):
            if number == WARM:
                gc.collect()
                before, _ = tracemalloc.get_traced_memory()
            for batch in range(BATCHES):
                device = f"d-{batch % DEVICES}"
                payload = samples.records(seq, ROWS, device=device).to_bytes()
                pending.add(topics.up(SITE, device, "rec", STREAM), payload, now_ms=1000 * number)
                seq += ROWS
            commit = pending.take()
            append(ws.tables, commit.tables)
            commit.acks()
            tidy.after(commit.tables)
            keep(commit)
            del commit
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_memory_is_flat_over_commits(tmp_path: Path) -> None:
    assert grown(tmp_path) < MOST_BYTES


@pytest.mark.planted
def test_a_consumer_that_keeps_a_column_of_what_it_stored_is_seen(tmp_path: Path) -> None:
    kept: list[object] = []
    assert grown(tmp_path, lambda commit: kept.append(commit.tables["records"]["features"])) > MOST_BYTES
