"""What every source needs of a frame: its columns by name, and room for it. One rule: pure, no IO."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import takewhile

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.lean import Final

NO_TIME: Final = -(2**63)
"""In a queue: this frame has no time."""


def pick(available: Sequence[str], wanted: Sequence[str] | None, *, where: str) -> tuple[int, ...]:
    """The positions in `available` of the columns `wanted`, in the order wanted; None wants all.

    Args:
        available: The columns that there are.
        wanted: The columns asked for, by name.
        where: The file or source, for the message.

    Raises:
        UsageError: `wanted` is empty or names a column twice.
        ContractError: A column is missing.
    """
    if wanted is None:
        return tuple(range(len(available)))
    if not wanted or len(set(wanted)) != len(wanted):
        raise UsageError(f"channels {list(wanted)}: want some, each once", hint="name each column once")
    at = {name: i for i, name in enumerate(available)}
    for name in wanted:
        if name not in at:
            raise ContractError(f"{where}: no column {name!r}", hint=f"there are: {', '.join(available)}")
    return tuple(at[name] for name in wanted)


def name_columns(n: int, wanted: Sequence[str] | None, *, where: str) -> tuple[str, ...]:
    """Names for `n` columns that carry none: `wanted` if it is as many, else ch1..chN.

    Raises:
        ContractError: Another number is wanted, under names that are not ch1..chN.
    """
    default = tuple(f"ch{i + 1}" for i in range(n))
    if wanted is None or set(wanted) <= set(default):
        return default
    if len(wanted) != n:
        raise ContractError(
            f"{where}: {n} columns without names, {len(wanted)} wanted: {', '.join(wanted)}",
            hint=f"want as many, or choose among {', '.join(default)}",
        )
    return tuple(wanted)


def room(out: memoryview, n_channels: int) -> int:
    """How many frames of `n_channels` fit into `out`, at least 1.

    Raises:
        ValueError: `out` is not a flat, writable, contiguous buffer of format 'f', or is shorter than one frame.
    """
    if out.format != "f" or out.ndim != 1 or not out.contiguous or out.readonly:
        raise ValueError(f"out: want a flat writable memoryview of format 'f', got {out.format!r}")
    if len(out) < n_channels:
        raise ValueError(f"out: room for {len(out)} values, one frame has {n_channels}")
    return len(out) // n_channels


class FrameQueue:
    """Frames that were taken apart and wait to be read. Whoever fills it bounds it."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._values: array[float] = array("f")
        self._times: array[int] = array("q")
        self._at = 0

    def __len__(self) -> int:
        """Frames that wait."""
        return len(self._times) - self._at

    def put(self, values: Iterable[float], times: Iterable[int]) -> None:
        """Add whole frames, row-major, and a time [µs] or `NO_TIME` for each."""
        if self._at == len(self._times):
            self._values, self._times, self._at = array("f"), array("q"), 0
        self._values.extend(values)
        self._times.extend(times)

    def take(self, out: memoryview) -> tuple[int, memoryview | None]:
        """(frames moved to `out`, their times). Either all frames of one call have a time, or none has."""
        first, width = self._at, self.width
        if len(self) == 0:  # maybe its width is not known yet
            return 0, None
        most = min(len(self), len(out) // width)
        is_timed = self._times[first] != NO_TIME
        times = self._times[first : first + most]
        if (NO_TIME in times) if is_timed else (set(times) != {NO_TIME}):
            times = array("q", takewhile(lambda t: (t != NO_TIME) == is_timed, times))
        n = len(times)
        out[: n * width] = memoryview(self._values)[first * width : (first + n) * width]
        self._at += n
        return n, memoryview(times) if is_timed else None
