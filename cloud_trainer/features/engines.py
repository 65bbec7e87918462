"""Who computes the features of which recording. One rule: how the work is cut never changes a bit of it.

A window depends on its frames alone unless a stream filter or a timing policy keeps a state from the frames before; so
where there is none, one long recording is cut at hops. Else a recording is the least piece.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from edge_runtime import native
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cloud_trainer.datasets import Progress, Recording
    from edge_runtime.contract.program import Program

T = TypeVar("T")
Work = Callable[["Recording", "Program"], T]
ENGINES = ("threads", "dask")
PIECE_ROWS = 1024
"""Least windows of a piece: a piece designs its own tables, and many recordings keep all cores busy anyway."""


def run(
    engine: str, work: Work[T], recordings: Sequence[Recording], program: Program, progress: Progress | None
) -> list[T]:
    """`work` of every recording, in order, by threads (the core lets go of the GIL) or by Dask's workers.

    Raises:
        UsageError: There is no such engine, or Dask is not installed.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r}: there is none", hint=f"one of: {', '.join(ENGINES)}")
    if engine == "dask":
        return _dask(work, recordings, program)
    done: list[T] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for one in pool.map(work, recordings, [program] * len(recordings)):
            done.append(one)
            if progress:
                progress("computing features", len(done), len(recordings))
    return done


def _dask(work: Work[T], recordings: Sequence[Recording], program: Program) -> list[T]:
    """One task a partition: by the cluster of a `distributed.Client` if there is one, else as `dask.config` says."""
    try:
        import dask
    except ImportError:
        raise UsageError("engine 'dask': dask is not installed", hint="pip install 'edgeloop[dask]'") from None
    task: Any = dask.delayed(_partition, pure=False)
    parts = dask.compute(*(task(work, part, program) for part in partitions(recordings)))
    return [one for part in parts for one in part]


def _partition(work: Work[T], recordings: Sequence[Recording], program: Program) -> list[T]:
    return [work(recording, program) for recording in recordings]


def partitions(recordings: Sequence[Recording], *, per_core: int = 4) -> list[list[Recording]]:
    """Neighbours with about as many frames in each part; some parts a core, so that none waits long for the last."""
    most = sum(len(each.frames) for each in recordings) / (per_core * (os.cpu_count() or 1))
    parts: list[list[Recording]] = [[]]
    held = 0
    for each in recordings:
        if parts[-1] and held + len(each.frames) > most:
            parts.append([])
            held = 0
        parts[-1].append(each)
        held += len(each.frames)
    return [part for part in parts if part]


def windows_of(
    frames: npt.NDArray[np.float32], program: Program, *, threads: int | None = None
) -> npt.NDArray[np.float32]:
    """The features on windows of one recording, [rows, features]; in pieces by threads where the bits stay."""
    import numpy as np

    frames = np.ascontiguousarray(frames)
    width = sum(not feature.is_row for feature in program.features)
    rows = 1 + (len(frames) - program.window_frames) // program.hop_frames
    n = min(threads or os.cpu_count() or 1, rows // PIECE_ROWS)
    if program.filters or program.timing or n < 2:
        return np.frombuffer(native.batch(program, frames.reshape(-1).data), np.float32).reshape(-1, width)
    edges = [rows * i // n for i in range(n + 1)]

    def piece(first: int, past: int) -> bytes:
        some = frames[first * program.hop_frames : (past - 1) * program.hop_frames + program.window_frames]
        return native.batch(program, some.reshape(-1).data).tobytes()

    with ThreadPoolExecutor(max_workers=n) as pool:
        made = b"".join(pool.map(piece, edges[:-1], edges[1:]))
    return np.frombuffer(made, np.float32).reshape(-1, width)
