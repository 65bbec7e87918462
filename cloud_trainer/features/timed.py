"""The rows of a recording whose frames have times. One rule: a row's label is that of all frames it has to do with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud_trainer.features.cells import cells_of
from edge_runtime import native
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cloud_trainer.datasets import Recording
    from edge_runtime.contract.program import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRows:
    """Labelled windows: features float32 [n, F], number and label of each, the time of its last frame [µs UTC]."""

    x: npt.NDArray[np.float32]
    window: npt.NDArray[np.int64]
    label: list[str]
    time_us: npt.NDArray[np.int64]


def timed_rows(recording: Recording, program: Program, *, by_last: bool = False) -> TimedRows:
    """The windows that a stream decides, whose frames have one label.

    `by_last`: the label of the last frame counts.

    With policy "mark" the rows that hold a filled frame are left out: the device abstains there.

    Raises:
        ContractError: The recording has no times, or they leave no window whole.
    """
    import numpy as np

    if recording.times is None:
        raise ContractError(
            f"recording {recording.name}: its frames have no times, the program handles gaps by them "
            f"({program.timing.policy})",
            hint='freeze with [data] time_us = "COLUMN", or take features.timing away',
        )
    walked = native.batch_at(program, np.ascontiguousarray(recording.frames).reshape(-1).data, recording.times)
    n_cells = sum(feature.is_row for feature in program.features)
    x = np.frombuffer(walked.values, dtype=np.float32).reshape(-1, len(program.features) - n_cells)
    if not len(x):
        n = len(recording.frames)
        met = ", ".join(f"{name} {count}" for name, count in walked.clock._asdict().items())
        raise ContractError(
            f"recording {recording.name}: {n} frames give no window of {program.window_frames}: {met}",
            hint="is the unit of the time column right, and rate_hz? else leave the recording out",
        )
    first, last = (np.frombuffer(column, dtype=np.uint64).astype(np.int64) for column in (walked.first, walked.last))
    if n_cells:
        x = np.concatenate([x, cells_of(program, recording.fields)[last]], axis=1)
    is_filled = (np.frombuffer(walked.flags, dtype=np.uint64) & native.FILLED) != 0
    if program.timing.policy != "mark":
        is_filled[:] = False
    starts = np.array([span.start for span in recording.spans], dtype=np.int64)
    ends = np.array([span.end for span in recording.spans], dtype=np.int64)
    at = np.searchsorted(starts, last if by_last else first, side="right") - 1
    kept = np.flatnonzero((at >= 0) & (last < ends[at]) & ~is_filled)
    return TimedRows(
        x=x[kept],
        window=kept.astype(np.int64),
        label=[recording.spans[i].label for i in at[kept].tolist()],
        time_us=recording.times[last[kept]],
    )
