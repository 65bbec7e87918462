"""Two threads (core) against one: eight recordings, and one long recording cut in pieces. Needs two idle cores.

`x_one_thread` is the speed-up: the core lets go of the GIL, so two threads are nearly twice as fast.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bench.bench_features import MONITOR, RATE
from cloud_trainer.features.engines import windows_of
from edge_runtime import native
from edge_runtime.contract.program import Channel
from edge_runtime.features import build_program

FRAMES = np.random.default_rng(1).normal(size=(200_000, 6)).astype(np.float32)
PROGRAM = build_program(
    [Channel(name=f"c{i}", unit="g") for i in range(6)],
    rate_hz=RATE,
    window_frames=256,
    hop_frames=64,
    features=MONITOR,
)
TASKS = ("eight recordings", "one recording in pieces")
each_task = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(autouse=True)
def all_cores() -> Iterator[None]:
    """The runner pins to one core; this needs two."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
    yield
    os.sched_setaffinity(0, before)


def work(task: str, threads: int) -> Callable[[], object]:
    if task == TASKS[1]:
        return lambda: windows_of(FRAMES, PROGRAM, threads=threads)
    parts, pool = np.split(FRAMES, 8), ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda part: native.batch(PROGRAM, part), parts))


@each_task
def test_core(benchmark: Any, task: str) -> None:
    benchmark.group = task
    benchmark.pedantic(work(task, 2), rounds=15, warmup_rounds=1)


@each_task
def test_one_thread(benchmark: Any, task: str) -> None:
    benchmark.group = task
    benchmark.pedantic(work(task, 1), rounds=15, warmup_rounds=1)
