"""A summary in fewer bytes: what a device sends. See FORMAT.md section "brief".

One rule: the same values as section "summary"; only their spelling differs. Names stand once, numbers take as many bits
as they need, and what others say already is told by how far it is from that: counts from an even share of what is left,
squares from those of training.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

from edge_runtime.contract import cbor
from edge_runtime.contract.bits import WIDTH, Reader, column, folded, number, order_of, packed, run, unfolded
from edge_runtime.contract.checks import count, integer, integers, take, wrong
from edge_runtime.contract.document import opened, write_cbor
from edge_runtime.contract.header import take_header
from edge_runtime.contract.sketch import N_BINS
from edge_runtime.contract.summary import MAX_ROWS, U32, SummaryBatch, SummaryRow
from edge_runtime.lean import Any, Final

KIND: Final = "brief"
NAMES: Final = ("device", "stream", "epoch", "digests")
ORDERS: Final = (20, 12, 1, 40, 22, 22, 0, 12, 0, 2, 5, 6, 8)
"""Of seq, period, clock, start, its distance to the end, first window, how far the last one is above first + n_windows,
n_windows, drops, how many labels, rows and latency bins there are, and the first one of these."""
MAX_BYTES: Final = 1 << 20
"""Of all numbers: more than the greatest summary has."""
ONE: Final = 0x7F000000  # 1.0 as `_turned` gives it
SIZE: Final = 12  # counts of a row that training cut by itself: below, ten bins, above
GAP: Final = 4  # order of a number of bins without a count
SIGN: Final = 0x80000000
SIGNED: Final = ("first", "last", "sum")


class BriefBatch(SummaryBatch):
    """A `SummaryBatch` whose bytes are those of section "brief"."""

    __slots__ = ()

    def to_bytes(self) -> bytes:
        """CBOR. Equal summaries give equal bytes."""
        head = self.header
        h = [head.device, head.stream, head.epoch, bytes.fromhex(head.bundle + head.program)]
        fields = {"h": h, "b": packed(_spelled(self))}
        return write_cbor(KIND, fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> BriefBatch:
        """Decode and check every number.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        return cls.of(cbor.loads(data, what=KIND))

    @classmethod
    def of(cls, value: object) -> BriefBatch:
        """Take a decoded document; see `from_bytes`."""
        fields = opened(value, KIND)
        h = dict(zip(NAMES, take(fields, "h", list, what=KIND, low=len(NAMES), high=len(NAMES)), strict=True))
        both = take(h, "digests", bytes, what=KIND, low=64, high=64)
        header = take_header(h | {"bundle": both[:32], "program": both[32:]}, what=KIND)
        bits = Reader(take(fields, "b", bytes, what=KIND, high=MAX_BYTES), f"{KIND}.b")
        return cls(header=header, **_read(bits), extra=fields)


def read_summary(data: bytes) -> SummaryBatch:
    """The summary in `data`, in either form.

    Raises:
        ContractError: With the field, the value found and the value wanted.
    """
    value = cbor.loads(data, what="summary")
    is_brief = isinstance(value, dict) and value.get("kind") == KIND
    return BriefBatch.of(value) if is_brief else SummaryBatch.of(value)


def _spelled(s: SummaryBatch) -> Iterator[str]:
    table, times = s.rows, _between(s.latency_bins, s.latency_counts)
    beyond = s.last_window - s.first_window - s.n_windows
    numbers = (s.seq, s.period, s.clock, s.start_ms, folded(s.end_ms - s.start_ms), s.first_window, folded(beyond),
               s.n_windows, s.drops, len(s.label_counts), len(table), len(times),
               s.latency_bins[0] if times else 0)  # fmt: skip
    yield from map(number, numbers, ORDERS)
    yield column(s.label_counts)
    yield _told([len(row.counts) - SIZE for row in table])
    yield column([row.n_nan for row in table])
    yield _told([s.n_windows - row.n_nan - row.n for row in table])
    low, high = (array("I", array("f", values).tobytes()) for values in (
        [row.min if row.n else 1.0 for row in table], [row.max if row.n else 1.0 for row in table]))  # fmt: skip
    yield _told([_turned(bits) - ONE for bits in low])
    yield column(list(map(_above, low, high)))
    for name in SIGNED:
        yield _told([getattr(row, name) for row in table])
    yield _told([row.sum_sq - (row.n << 32) for row in table])
    yield _told([row.sum_lag for row in table])
    parts = [list(map(folded, _unequal(row))) for row in table]
    order = order_of([part for row in parts for part in row])
    yield f"{order:0{WIDTH}b}"
    for row in parts:
        yield from run(row, order)
    yield from _spelled_times(times)


def _read(bits: Reader) -> dict[str, Any]:
    """What `_spelled` was given."""
    seq, period, clock, start_ms, span, first, beyond, n, drops, n_labels, n_rows, n_bins, low = map(
        bits.number, ORDERS
    )
    for size, name, high in (
        (n_labels, "label_counts", 65), (n_rows, "rows", MAX_ROWS), (n_bins, "latency_bins", N_BINS)
    ):  # fmt: skip
        count(size, f"{KIND}.{name}", high=high)
    return {
        "seq": seq,
        "period": period,
        "start_ms": start_ms,
        "end_ms": start_ms + unfolded(span),
        "clock": clock,
        "first_window": first,
        "last_window": first + n + unfolded(beyond),
        "n_windows": n,
        "drops": drops,
        "label_counts": tuple(bits.column(n_labels)),
        "rows": _read_rows(bits, n, n_rows),
        **_read_latency(bits, low, n_bins),
    }


def _read_rows(bits: Reader, n_windows: int, n_rows: int) -> tuple[SummaryRow, ...]:
    def signed() -> list[int]:
        return list(map(unfolded, bits.column(n_rows)))

    sizes = [SIZE + more for more in signed()]
    integers(sizes, f"{KIND}.n_counts", low=3, high=66)
    n_nan = bits.column(n_rows)
    n = [n_windows - nan - rest for nan, rest in zip(n_nan, signed(), strict=True)]
    integers(n, f"{KIND}.n", high=U32)
    low = [_returned(rest + ONE) for rest in signed()]
    high = list(map(_added, low, bits.column(n_rows)))
    columns = {name: signed() for name in SIGNED}
    columns["sum_sq"] = [unfolded(folded((own << 32) + rest)) for own, rest in zip(n, signed(), strict=True)]
    columns["sum_lag"] = signed()
    lows, highs = (array("f", array("I", values).tobytes()) for values in (low, high))
    order, nan = bits.order(), float("nan")
    return tuple([
        SummaryRow(
            n=n[i], n_nan=n_nan[i], min=lows[i] if n[i] else nan, max=highs[i] if n[i] else nan,
            counts=_counts(n[i], sizes[i], bits.run(sizes[i] - 1, order)),
            **{name: values[i] for name, values in columns.items()},
        )
        for i in range(n_rows)
    ])  # fmt: skip


def _spelled_times(times: list[int]) -> Iterator[str]:
    """Each in about as many bits as the one before; behind every four zeros in a row, how many more there are."""
    before, at, zeros = 0, 0, 0
    while at < len(times):
        yield number(times[at], _order_after(before))
        before, zeros, at = times[at], 0 if times[at] else zeros + 1, at + 1
        if zeros == 4:
            more = next(i for i, value in enumerate(times[at:]) if value)
            yield number(more, GAP)
            zeros, at = 0, at + more


def _read_latency(bits: Reader, low: int, n: int) -> dict[str, tuple[int, ...]]:
    """What `_spelled_times` was given, of `n` bins from `low` on."""
    bins, counts, before, at, zeros = [], [], 0, 0, 0
    while at < n:
        before = bits.number(_order_after(before))
        if before:
            bins.append(low + at)
            counts.append(before)
        zeros, at = 0 if before else zeros + 1, at + 1
        if zeros == 4:
            zeros, at = 0, at + bits.number(GAP)
    bits.end()
    return {"latency_bins": tuple(bins), "latency_counts": tuple(counts)}


def _told(values: Iterable[int]) -> str:
    """A column of signed values."""
    return column(list(map(folded, values)))


def _between(bins: Sequence[int], counts: Sequence[int]) -> list[int]:
    """Counts of all bins from the first to the last."""
    some = dict(zip(bins, counts, strict=True))
    return [some.get(i, 0) for i in range(bins[0], bins[-1] + 1)] if bins else []


def _unequal(row: SummaryRow) -> Iterator[int]:
    """How far each count but the last one is above an even share of what those before it left."""
    left, size = row.n, len(row.counts)
    for i, part in enumerate(row.counts[:-1]):
        yield part - left // (size - i)
        left -= part


def _counts(n: int, size: int, parts: Iterator[int]) -> tuple[int, ...]:
    """What `_unequal` was given."""
    counts, left = [], n
    for slots, part in zip(range(size, 1, -1), parts, strict=True):
        own = left // slots + unfolded(part)
        if not 0 <= own <= left:
            raise wrong(f"{KIND}.counts", f"int 0..{left}", own)
        counts.append(own)
        left -= own
    return (*counts, left)


def _order_after(value: int) -> int:
    """Of a latency's count: as many bits as the one before it has, less one."""
    return max(0, value.bit_length() - 1)


def _turned(bits: int) -> int:
    """A float32 with its sign behind it, so that values about as large are integers near each other."""
    return bits << 1 & U32 | bits >> 31


def _returned(turned: int) -> int:
    """What `_turned` was given."""
    _single(turned)
    return turned >> 1 | (turned & 1) << 31


def _above(low: int, high: int) -> int:
    """How far a greatest value is above the least one, or if that is negative, from the like positive one."""
    return folded(_turned(high) - _turned(low ^ SIGN)) if low & SIGN else high - low


def _added(low: int, more: int) -> int:
    """The `high` of `_above`."""
    return _returned(_turned(low ^ SIGN) + unfolded(more)) if low & SIGN else _single(low + more)


def _single(bits: int) -> int:
    return integer(bits, f"{KIND}.min, max", high=U32)
