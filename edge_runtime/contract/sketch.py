"""A sketch of times: what its bins hold, and quantiles from counts. See FORMAT.md section "summary".

One rule: bins are integers of ns by integer arithmetic, so every machine has the same ones. Devices count in the core;
here is the same rule for who reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from edge_runtime.lean import Final

N_BINS: Final = 701
LIMIT_NS: Final = 2**40  # this and more is in the last bin


def bin_of(ns: int) -> int:
    """The bin that counts a time [ns, 0..]; as er_sketch_add() in csrc/er.h."""
    if ns <= 0:
        return 0
    if ns >= LIMIT_NS:
        return N_BINS - 1
    e = ns.bit_length() - 1
    s = (ns << 16 - e if e < 16 else ns >> e - 16) & 0xFFFF
    return 1 + ((35 * e << 48) + 6 * s**3 + (50 * s << 32) - (21 * s * s << 16) >> 49)


@lru_cache(maxsize=N_BINS)
def least_of(number: int) -> int:
    """The least time of a bin, or of the next one that holds a time [ns]."""
    low, high = 0, LIMIT_NS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if bin_of(middle) >= number else (middle + 1, high)
    return low


def value_of(number: int) -> float:
    """The time that stands for a bin [ns]: within 2 % of all that it holds, of the last one of those below 2^40."""
    low, high = least_of(number), least_of(number + 1) - 1
    return 2.0 * low * high / (low + high) if low else 0.0


def merged(parts: list[Mapping[int, int]]) -> dict[int, int]:
    """Counts by bin of all parts: what one sketch of all times would have counted."""
    whole: dict[int, int] = {}
    for part in parts:
        for number, count in part.items():
            whole[number] = whole.get(number, 0) + count
    return dict(sorted(whole.items()))


def quantile(counts: Mapping[int, int], q: float) -> float:
    """The time that a share q of all does not exceed, within 2 % [ns]; NaN of none.

    Args:
        counts: By bin.
        q: 0..1; 1 is the greatest.
    """
    rank, passed, found = q * sum(counts.values()), 0, float("nan")
    for number, count in sorted(counts.items()):
        passed += count
        found = value_of(number)
        if passed >= rank and passed:
            break
    return found
