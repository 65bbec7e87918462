"""A batch of records in fewer bytes: what a device sends. See FORMAT.md section "packed".

One rule: the same values as section "records", row for row; only their spelling differs. Names are short, a column
whose rows are all equal is one value, windows are distances and times are what a steady clock would not have said.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import add, sub

from edge_runtime.contract import cbor
from edge_runtime.contract.cbor import smallest
from edge_runtime.contract.checks import I63, SAFE, take, wrong
from edge_runtime.contract.columns import rows, take_floats, take_ints
from edge_runtime.contract.document import opened, write_cbor
from edge_runtime.contract.header import header_items, take_header
from edge_runtime.contract.records import MAX_ROWS, RecordBatch
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, TypeVar

KIND: Final = "packed"
WHYS: Final = 3  # 65 labels with 3 reasons each fit into a byte; the next 3 are above them
TOP: Final = 65 * WHYS
T = TypeVar("T")


class PackedBatch(RecordBatch):
    """A `RecordBatch` whose windows never descend; its bytes are those of section "packed"."""

    __slots__ = ()

    def __post_init__(self) -> None:
        RecordBatch.__post_init__(self)
        if min(_distances(self.windows), default=0) < 0:
            raise wrong("packed.windows", "windows in order", self.windows)

    def to_bytes(self) -> bytes:
        """CBOR, one typed array a column. Equal batches give equal bytes."""
        first, last = self.windows[0], self.windows[-1]
        step_us = max(0, 1000 * (self.times_ms[-1] - self.times_ms[0]) // (last - first)) if last > first else 0
        rest = [
            time - step_us * (window - first) // 1000 for time, window in zip(self.times_ms, self.windows, strict=True)
        ]
        time_ms = min(rest)
        fields = {
            **header_items(self.header),
            "n": len(self.windows),
            "seq": self.first_seq,
            "clock": self.clock,
            "window": first,
            "skip": _short(smallest(_distances(self.windows))),
            "time_ms": time_ms,
            "step_us": step_us,
            "rest_ms": _short(smallest([value - time_ms for value in rest])),
            "said": _short(smallest([_said(label, why) for label, why in zip(self.labels, self.reasons, strict=True)])),
            "vote": _short(array("b", map(sub, self.votes, self.labels))),
            "p": _short(self.probabilities),
            "us": _short(smallest(self.latencies_us)),
            "x": self.features,
            "y": self.scores,
        }
        return write_cbor(KIND, fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> PackedBatch:
        """Decode and check every column.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        return cls.of(cbor.loads(data, what=KIND))

    @classmethod
    def of(cls, value: object) -> PackedBatch:
        """Take a decoded document.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = opened(value, KIND)

        def number(key: str, low: int, high: int) -> int:
            return take(fields, key, int, what=KIND, low=low, high=high)

        def integers(key: str, n: int) -> Sequence[int]:
            return _long(take_ints(fields, key, what=KIND), n, key)

        n, first = number("n", 1, MAX_ROWS), number("window", 0, I63)
        windows = tuple(accumulate(integers("skip", n - 1), initial=first))
        time_ms, step_us = number("time_ms", -SAFE, SAFE), number("step_us", 0, I63)
        rest, said = integers("rest_ms", n), integers("said", n)
        labels = tuple([one % TOP // WHYS - 1 for one in said])
        x, y = take_floats(fields, "x", what=KIND), take_floats(fields, "y", what=KIND)
        return cls(
            header=take_header(fields, what=KIND),
            first_seq=take(fields, "seq", int, what=KIND),
            clock=take(fields, "clock", int, what=KIND),
            windows=windows,
            times_ms=tuple([time_ms + step_us * (w - first) // 1000 + r for w, r in zip(windows, rest, strict=True)]),
            labels=labels,
            votes=tuple(map(add, labels, integers("vote", n))),
            reasons=tuple([one // TOP * WHYS + one % WHYS for one in said]),
            probabilities=array("f", _long(take_floats(fields, "p", what=KIND), n, "p")),
            latencies_us=tuple(integers("us", n)),
            features=x,
            scores=y,
            n_features=_width(x, n, "x"),
            n_scores=_width(y, n, "y"),
            extra=fields,
        )


def read_records(data: bytes) -> RecordBatch:
    """The batch in `data`, in either form.

    Raises:
        ContractError: With the field, the value found and the value wanted.
    """
    value = cbor.loads(data, what="records")
    is_packed = isinstance(value, dict) and value.get("kind") == KIND
    return PackedBatch.of(value) if is_packed else RecordBatch.of(value)


def _said(label: int, why: int) -> int:
    return TOP * (why // WHYS) + WHYS * (label + 1) + why % WHYS


def _distances(windows: Sequence[int]) -> list[int]:
    return list(map(sub, windows[1:], windows))


def _short(column: array[Any]) -> array[Any]:
    """One value where all are equal."""
    return column[:1] if len(column) > 1 and column.count(column[0]) == len(column) else column


def _long(column: tuple[T, ...] | array[Any], n: int, key: str) -> Sequence[T]:
    """What `_short` was given, of `n` values."""
    if len(column) == 1:
        column = column * n
    rows(column, n, f"{KIND}.{key}")
    return column


def _width(column: Sequence[float], n: int, key: str) -> int:
    """Values a row."""
    if not column or len(column) % n:
        raise ContractError(f"{KIND}.{key}: want a multiple of {n} values, got {len(column)}")
    return len(column) // n
