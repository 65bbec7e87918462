"""Times of a period, counted by the core into bins of 4 %. One rule: counts alone, so that two sketches add up."""

from __future__ import annotations

from edge_runtime.errors import ContractError
from edge_runtime.native._er import ffi, lib

N_BINS: int = lib.ER_SKETCH_BINS


class Sketch:
    """Counts of times; what a bin holds is said by `contract.sketch`. One thread at a time."""

    def __init__(self) -> None:
        self._counts = ffi.new("uint32_t[]", N_BINS)

    def add(self, ns: int) -> None:
        """Count a time of 0..2^64-1 [ns]."""
        lib.er_sketch_add(self._counts, ns)

    def counts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(bins with a count, ascending; their counts)."""
        some = [(i, count) for i, count in enumerate(self._counts) if count]
        return tuple([i for i, _ in some]), tuple([count for _, count in some])

    def reset(self) -> None:
        """Start a new period."""
        ffi.memmove(self._counts, bytes(4 * N_BINS), 4 * N_BINS)

    def save(self) -> bytes:
        """The counts, in the byte order of the machine."""
        return bytes(ffi.buffer(self._counts))

    def restore(self, data: bytes) -> None:
        """Go on where `save` stood.

        Raises:
            ContractError: The bytes are of another length.
        """
        if len(data) != 4 * N_BINS:
            raise ContractError(f"saved sketch: {len(data)} bytes, want {4 * N_BINS}", hint="begin the period anew")
        ffi.memmove(self._counts, data, len(data))
