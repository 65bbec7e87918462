"""A block of frames as one CBOR map, as `mqtt format=cbor` takes it. See FORMAT.md section "frames over mqtt".

One rule: a block is taken whole or not at all.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from edge_runtime.contract import cbor
from edge_runtime.contract.columns import floats
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any
from edge_runtime.sources.cells import BadLine
from edge_runtime.sources.frames import NO_TIME, FrameQueue, pick
from edge_runtime.sources.raw import picked


class BlockDecoder:
    """Blocks to frames."""

    def __init__(self, channels: Sequence[str], columns: Sequence[str] | None = None) -> None:
        """`columns` are those of a block without names; the channels where not given."""
        self.channels: tuple[str, ...] | None = tuple(channels)
        self._columns = list(columns or channels)
        self.queue = FrameQueue(len(channels))
        self.counts: dict[str, int] = {}

    def feed(self, data: bytes) -> None:
        """Take one block.

        Raises:
            BadLine: It is none, or lacks a channel.
        """
        try:
            values, times = self._frames(cbor.loads(data, what="block"))
        except ContractError as why:
            raise BadLine(str(why)) from None
        self.queue.put(values, times)

    def end(self) -> None:
        """Nothing waits here."""

    def _frames(self, block: Any) -> tuple[array[float], Sequence[int]]:
        if not isinstance(block, dict) or block.keys() - {"values", "names", "times_us"}:
            raise ContractError("block: want a map of values, names and times_us")
        values: Any = block.get("values")
        floats(values, "block.values")
        names = block.get("names", self._columns)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ContractError("block.names: want a list of texts")
        if not names or len(set(names)) != len(names):
            raise ContractError(f"block.names: want some, each once, got {', '.join(names)!r}")
        n, rest = divmod(len(values), len(names))
        if rest:
            raise ContractError(f"block.values: {len(values)} are no whole frames of {len(names)}")
        at = pick(names, self.channels, where="block")
        return picked(values, len(names), at), _times(block.get("times_us"), n)


def _times(column: object, n: int) -> Sequence[int]:
    if column is None:
        return [NO_TIME] * n
    if not isinstance(column, array) or column.typecode in "fd" or len(column) != n:
        raise ContractError(f"block.times_us: want a column of {n} integers")
    if column.typecode == "Q" and n and max(column) > 2**63 - 1:
        raise ContractError("block.times_us: is beyond int64")
    return list(column)


def block_of(values: array[float], *, names: Sequence[str] = (), times_us: Sequence[int] = ()) -> bytes:
    """The bytes of a block: for who publishes one, and for tests."""
    more: dict[str, object] = {"names": list(names)} if names else {}
    if times_us:
        more["times_us"] = cbor.smallest(times_us)
    return cbor.dumps({"values": values, **more})
