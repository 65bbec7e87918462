"""What every source needs of a frame: its columns by name, and room for it. One rule: pure, no IO."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.errors import ContractError, UsageError


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
