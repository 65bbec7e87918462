"""Rows of a recording whose frames have times. One rule: the code that a stream runs, and its bits."""

from __future__ import annotations

from array import array

from edge_runtime.contract.program import Program
from edge_runtime.errors import ContractError
from edge_runtime.lean import Final, NamedTuple, dataclass
from edge_runtime.native._er import ffi, lib
from edge_runtime.native.program import checked
from edge_runtime.native.status import Floats, Times, floats, fpu_check, memory, text_of, times_of

FILLED: Final = 2
"""Flag: the window holds a frame that was made in a gap."""
RESET: Final = 4
"""Flag: the window is the first after a reset."""
_ROWS = 1024
_FRAMES = 2**30


class ClockCounts(NamedTuple):
    """What a clock has met [frames; resets]."""

    duplicates: int
    late: int
    filled: int
    resets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """The rows of a recording, in the order of a stream.

    Attributes:
        values: float32, row-major.
        first: The first frame that has to do with the row, one a row.
        last: The last one; frames dropped in between count, and those on both sides of a gap at an end.
        flags: `FILLED`, `RESET`, one a row.
        clock: Of the whole recording.
    """

    values: array[float]
    first: array[int]
    last: array[int]
    flags: array[int]
    clock: ClockCounts


def batch_at(program: Program, frames: Floats, times: Times) -> Walked:
    """The features of every window of one recording by the program's timing policy.

    Args:
        program: Checked here.
        frames: float32, row-major, raw units, contiguous; the GIL is released while it is read.
        times: int64 [µs], one a frame; None: the frames stand one period apart.

    Raises:
        ContractError: This build cannot run the program, or this thread flushes denormals.
        ValueError: Not float32 or int64, not contiguous, no whole number of frames, or not a time for each.
    """
    bound, _keep = checked(program)
    fpu_check()
    data, n, _frames = floats(frames, what="frames")
    width = len(program.channels)
    if not width:
        raise ValueError("batch_at: the program has no channels, only fields: native.Rows makes its features")
    n_frames, rest = divmod(n, width)
    if rest:
        raise ValueError(f"frames: {n} values are no whole number of frames of {width} channels")
    moments, n_times, _times = (ffi.NULL, n_frames, None) if times is None else times_of(times)
    if n_times != n_frames:
        raise ValueError(f"times: {n_times} for {n_frames} frames")
    size = lib.er_walk_size(bound)
    room, handle = memory(size), ffi.new("er_walk **")
    status = lib.er_walk_init(handle, bound, room, size)
    if status != lib.ER_OK:
        raise ContractError(f"program: {text_of(status)}")
    taken, got = ffi.new("uint32_t *"), ffi.new("uint32_t *")
    out, spans = ffi.new("float[]", _ROWS * bound.n_features), ffi.new("er_span[]", _ROWS)
    values, marks, at = array("f"), array("Q"), 0
    while at < n_frames:
        here = moments if times is None else moments + at
        some = min(n_frames - at, _FRAMES)
        lib.er_walk_rows(handle[0], data + at * width, here, some, taken, out, spans, _ROWS, got)
        at += taken[0]
        values.frombytes(ffi.buffer(out, 4 * got[0] * bound.n_features))
        marks.frombytes(ffi.buffer(spans, ffi.sizeof("er_span") * got[0]))
    counts = ffi.new("er_clock_counts *")
    lib.er_walk_clock(handle[0], counts)
    clock = ClockCounts(counts.duplicates, counts.late, counts.filled, counts.resets)
    return Walked(values=values, first=marks[0::3], last=marks[1::3], flags=marks[2::3], clock=clock)
