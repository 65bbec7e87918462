"""A summary: counts over all decisions of one period of one stream. See FORMAT.md section "summary".

One rule: everything in a row is an integer count, an extreme or an end, so that merging rows is exact.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from operator import ge, sub

from edge_runtime.contract import cbor
from edge_runtime.contract.cbor import smallest
from edge_runtime.contract.checks import I63, SAFE, count, integer, integers, take, wrong
from edge_runtime.contract.columns import CLOCKS, rows, take_floats, take_ints
from edge_runtime.contract.document import opened, write_cbor
from edge_runtime.contract.header import Header, header_items, take_header
from edge_runtime.contract.sketch import N_BINS
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, dataclass, field

U32: Final = 2**32 - 1
MAX_Z: Final = 2**20
MAX_ROWS: Final = 1024 + 64
_Z = {"first": MAX_Z, "last": MAX_Z, "sum": I63, "sum_sq": I63, "sum_lag": I63}


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """What one feature or score did in the period; z = round((x - centre) / scale * 65536), clamped to ±2^20.

    Attributes:
        n: Values that were not NaN.
        n_nan: Values that were NaN.
        min: Least of the n values; NaN where n is 0.
        max: Greatest of them; NaN where n is 0.
        first: z of the first value, 0 where n is 0.
        last: z of the last value.
        sum: Of z.
        sum_sq: Of z * z.
        sum_lag: Of z times the z before it.
        counts: Values below, in each bin, above; they add up to n.
    """

    n: int
    n_nan: int
    min: float
    max: float
    first: int
    last: int
    sum: int
    sum_sq: int
    sum_lag: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        integer(self.n, "summary.rows.n", high=U32)
        integer(self.n_nan, "summary.rows.n_nan", high=U32)
        for name, high in _Z.items():
            integer(getattr(self, name), f"summary.rows.{name}", low=-high, high=high)
        if not (self.min <= self.max if self.n else self.min != self.min and self.max != self.max):
            want = "min <= max" if self.n else "NaN where n is 0"
            raise wrong("summary.rows.min, max", want, (self.min, self.max))
        count(len(self.counts), "summary.rows.counts", low=3, high=66)
        integers(self.counts, "summary.rows.counts", high=U32)
        total = 0
        for part in self.counts:
            total += part
        if total != self.n:
            raise ContractError(f"summary.rows.counts: want a total of n = {self.n}, got {total}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryBatch:
    """One period.

    Attributes:
        header: Device, stream, epoch, bundle, program.
        seq: From 1; this message is one row.
        period: Number of the period in this stream and epoch, ascending.
        start_ms: Time of the first window counted, UTC [ms].
        end_ms: Time of the last one; below `start_ms` where the clock was set back.
        clock: 0 unknown, 1 synced, 2 virtual.
        first_window: Number of the first window counted.
        last_window: Number of the last one.
        n_windows: Windows counted; 0 leaves the two above without a meaning.
        label_counts: Decisions by label, abstain last; n_labels + 1.
        drops: Records and decisions that a full ring cost in this period.
        rows: Features in the program's order, then scores in the labels' order; 0..1088.
        latency_bins: Bins of `contract.sketch` that the times from last frame to decision fell into, ascending.
        latency_counts: How many, 1.., one a bin.
        extra: Fields of a newer minor version.
    """

    header: Header
    seq: int
    period: int
    start_ms: int
    end_ms: int
    clock: int
    first_window: int
    last_window: int
    n_windows: int
    label_counts: tuple[int, ...]
    drops: int
    rows: tuple[SummaryRow, ...]
    latency_bins: tuple[int, ...] = ()
    latency_counts: tuple[int, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        integer(self.seq, "summary.seq", low=1, high=I63)
        integer(self.clock, "summary.clock", high=max(CLOCKS))
        for name, low, high in (
            ("period", 0, I63),
            ("start_ms", 0, SAFE),
            ("end_ms", 0, SAFE),
            ("first_window", 0, I63),
            ("last_window", self.first_window, I63),
            ("n_windows", 0, U32),
            ("drops", 0, U32),
        ):
            integer(getattr(self, name), f"summary.{name}", low=low, high=high)
        count(len(self.label_counts), "summary.label_counts", low=2, high=65)
        integers(self.label_counts, "summary.label_counts", high=U32)
        count(len(self.rows), "summary.rows", high=MAX_ROWS)
        rows(self.latency_counts, len(self.latency_bins), "summary.latency_counts")
        integers(self.latency_counts, "summary.latency_counts", low=1, high=U32)
        integers(self.latency_bins, "summary.latency_bins", high=N_BINS - 1)
        if any(map(ge, self.latency_bins, self.latency_bins[1:])):
            raise wrong("summary.latency_bins", "ascending", self.latency_bins)

    def to_bytes(self) -> bytes:
        """CBOR, one typed array a column. Equal summaries give equal bytes."""
        table = self.rows
        fields = {
            **header_items(self.header),
            "seq": self.seq,
            "period": self.period,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "clock": self.clock,
            "first_window": self.first_window,
            "last_window": self.last_window,
            "n_windows": self.n_windows,
            "label_counts": smallest(self.label_counts),
            "drops": self.drops,
            "n": smallest([row.n for row in table]),
            "n_nan": smallest([row.n_nan for row in table]),
            "min": array("f", [row.min for row in table]),
            "max": array("f", [row.max for row in table]),
            **{name: smallest([getattr(row, name) for row in table]) for name in _Z},
            "n_counts": smallest([len(row.counts) for row in table]),
            "counts": smallest([part for row in table for part in row.counts]),
            **self._latency(),
        }
        return write_cbor("summary", fields, self.extra)

    def _latency(self) -> dict[str, Any]:
        """Two columns, or none at all."""
        bins = self.latency_bins
        if not bins:
            return {}
        return {
            "latency_bins": smallest([bins[0], *map(sub, bins[1:], bins)]),
            "latency_counts": smallest(self.latency_counts),
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> SummaryBatch:
        """Decode and check every column.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        return cls.of(cbor.loads(data, what="summary"))

    @classmethod
    def of(cls, value: object) -> SummaryBatch:
        """Take a decoded document; see `from_bytes`."""
        what = "summary"
        fields = opened(value, what)

        def number(key: str) -> int:
            return take(fields, key, int, what=what)

        return cls(
            header=take_header(fields, what=what),
            seq=number("seq"),
            period=number("period"),
            start_ms=number("start_ms"),
            end_ms=number("end_ms"),
            clock=number("clock"),
            first_window=number("first_window"),
            last_window=number("last_window"),
            n_windows=number("n_windows"),
            label_counts=take_ints(fields, "label_counts", what=what),
            drops=number("drops"),
            rows=_take_rows(fields, what),
            **_take_latency(fields, what),
            extra=fields,
        )


def _take_latency(fields: dict[str, Any], what: str) -> dict[str, tuple[int, ...]]:
    """Both columns, or neither: this field came later than the others."""
    if "latency_bins" not in fields and "latency_counts" not in fields:
        return {}
    steps = take_ints(fields, "latency_bins", what=what)
    count(len(steps), f"{what}.latency_bins", low=1, high=N_BINS)
    return {
        "latency_bins": tuple(accumulate(steps)),
        "latency_counts": take_ints(fields, "latency_counts", what=what),
    }


def _take_rows(fields: dict[str, Any], what: str) -> tuple[SummaryRow, ...]:
    columns: dict[str, Any] = {
        "n": take_ints(fields, "n", what=what),
        "n_nan": take_ints(fields, "n_nan", what=what),
        "min": take_floats(fields, "min", what=what),
        "max": take_floats(fields, "max", what=what),
        **{name: take_ints(fields, name, what=what) for name in _Z},
    }
    sizes = take_ints(fields, "n_counts", what=what)
    integers(sizes, f"{what}.n_counts", low=3, high=66)
    flat = take_ints(fields, "counts", what=what)
    for name, column in columns.items():
        rows(column, len(sizes), f"{what}.{name}")
    rows(flat, sum(sizes), f"{what}.counts")
    table, at = [], 0
    for i, size in enumerate(sizes):
        row = {name: column[i] for name, column in columns.items()}
        table.append(SummaryRow(**row, counts=flat[at : at + size]))
        at += size
    return tuple(table)
