"""Briefs: the same summary in fewer bytes, read beside the older form."""

from __future__ import annotations

import math
import random
import struct
import time
import tracemalloc
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract import bits, cbor
from edge_runtime.contract.brief import MAX_BYTES, ORDERS, BriefBatch, read_summary
from edge_runtime.contract.checks import I63, U64
from edge_runtime.contract.summary import SummaryBatch, SummaryRow
from edge_runtime.errors import ContractError
from edge_runtime.lean import items_of
from tests.contract import arbitrary
from tests.contract.period import counted
from tests.contract.samples import BRIEF, NAN, TIMED

U32: Final = 2**32 - 1
MOST_Z: Final = 2**20
FIELDS: Final[Any] = cbor.loads(BRIEF.to_bytes(), what="x")


def brief(summary: SummaryBatch) -> BriefBatch:
    return BriefBatch(**items_of(summary))


def old(summary: SummaryBatch) -> bytes:
    return SummaryBatch(**items_of(summary)).to_bytes()


@pytest.mark.parametrize("n_windows", [200, 2812])
def test_a_period_of_20_features_and_3_scores_takes_1024_bytes_at_most(n_windows: int) -> None:
    """200 windows are the least of a period, 2812 an hour of them; a field more has no room here."""
    sizes = [len(counted(n_windows, seed).to_bytes()) for seed in range(4)]
    assert max(sizes) <= 1024
    assert len(old(counted(n_windows))) > 1600


def test_either_form_is_read_as_the_same_summary() -> None:
    for seed in range(40):
        batch = arbitrary.brief(random.Random(seed))
        for form in (batch.to_bytes(), old(batch)):
            assert old(read_summary(form)) == old(batch)


def row(**changed: Any) -> SummaryRow:
    given = {"n": 3, "n_nan": 0, "min": 0.0, "max": 0.0, "first": 0, "last": 0, "sum": 0, "sum_sq": 0, "sum_lag": 0}
    n = changed.get("n", 3)
    return SummaryRow(**given | {"counts": (0, n, 0)} | changed)


FLOATS: Final = (-math.inf, -3.4028234663852886e38, -1.5, -1e-45, -0.0, 0.0, 1e-45, 1.0, math.inf)


def test_extreme_values_come_back_bit_for_bit() -> None:
    rows = [row(min=low, max=high) for low in FLOATS for high in FLOATS if low <= high]
    rows += [row(n=0, min=NAN, max=NAN, n_nan=n_nan) for n_nan in (0, 1, U32)]
    rows += [row(n=0, min=NAN, max=NAN, first=-MOST_Z, sum_sq=I63)]
    for z in (-MOST_Z, MOST_Z):
        rows.append(row(first=z, last=-z, sum=3 * z, sum_sq=3 * z * z, sum_lag=2 * z * z))
    for most in (-I63, I63):
        rows.append(row(n=U32, sum=most, sum_sq=most, sum_lag=-most, counts=(U32, *(0,) * 65)))
    rows.append(row(n=U32, counts=(*(0,) * 65, U32)))
    for table in (tuple(rows), tuple(rows[::-1]), ()):
        for n_windows, last in ((0, 0), (0, I63), (U32, U32 - 1), (3, 2)):
            batch = replace(BRIEF, rows=table, n_windows=n_windows, first_window=0, last_window=last, seq=I63)
            back = read_summary(batch.to_bytes())
            assert (back.n_windows, back.last_window, old(back)) == (n_windows, last, old(batch))
            for ours, theirs in zip(table, back.rows, strict=True):
                assert struct.pack("<ff", ours.min, ours.max) == struct.pack("<ff", theirs.min, theirs.max)


def test_times_far_apart_cost_no_more_than_times_side_by_side() -> None:
    near = replace(BRIEF, latency_bins=(240, 241, 242, 243), latency_counts=(9, 9, 9, 9))
    far = replace(BRIEF, latency_bins=(240, 241, 242, 643), latency_counts=(9, 9, 9, 9))
    assert len(far.to_bytes()) - len(near.to_bytes()) <= 4
    for batch in (near, far, replace(BRIEF, latency_bins=(), latency_counts=()), *(
        replace(BRIEF, latency_bins=(0, gap), latency_counts=(1, U32)) for gap in (1, 2, 4, 5, 6, 7, 700)
    )):  # fmt: skip
        assert read_summary(batch.to_bytes()).latency_bins == batch.latency_bins
        assert read_summary(batch.to_bytes()).latency_counts == batch.latency_counts


NUMBERS: Final = st.integers(0, 64).flatmap(lambda size: st.integers(0, 2**size - 1))


@given(st.lists(NUMBERS, max_size=40), st.integers(0, 62))
def test_numbers_of_any_order_come_back(values: list[int], order: int) -> None:
    texts = [bits.column(values), *bits.run(values, order), *(bits.number(value, order) for value in values)]
    reader = bits.Reader(bits.packed(texts), "x")
    assert reader.column(len(values)) == values
    assert list(reader.run(len(values), order)) == values
    assert [reader.number(order) for _ in values] == values
    reader.end()


@given(st.lists(NUMBERS, min_size=1, max_size=40))
def test_a_column_has_the_order_that_makes_it_shortest(values: list[int]) -> None:
    sizes = [sum(len(bits.number(value, order)) for value in values) for order in range(bits.ZEROS)]
    assert len(bits.column(values)) == bits.WIDTH + (min(sizes) if any(values) else 0)


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_fold_into_unsigned_ones(value: int) -> None:
    assert 0 <= bits.folded(value) <= U64
    assert bits.unfolded(bits.folded(value)) == value
    assert bits.folded(value + 2**64) == bits.folded(value)


def spelled(*texts: str) -> dict[str, Any]:
    return {"b": bits.packed(texts)}


def head(*, labels: int = 2, rows: int = 0, span: int = 0, low: int = 0) -> list[str]:
    numbers = (1, 0, 1, 0, 0, 0, bits.folded(-1), 1, 0, labels, rows, span, low)
    return list(map(bits.number, numbers, ORDERS))


ZERO: Final = f"{bits.ZEROS:06b}"
LABELS: Final = bits.column([1, 0])


def a_row(
    *, size: int = 3, n_nan: int = 0, less: int = 0, low: int = 0, high: int = 0, parts: tuple[int, ...] = (0, 0)
) -> str:
    told = [bits.folded(size - 12)], [n_nan], [bits.folded(less)], [bits.folded(low)], [high]
    texts = [*map(bits.column, told), ZERO * 5, f"{0:06b}", *bits.run(map(bits.folded, parts), 0)]
    return "".join(texts)


def test_bytes_of_a_brief_name_what_is_wrong_in_them() -> None:
    for changed, message in (
        ({"h": FIELDS["h"][:3]}, "brief.h: want 4..4 items, got 3"),
        ({"h": ["Pump", *FIELDS["h"][1:]]}, "header.device: want id"),
        ({"h": [*FIELDS["h"][:3], b"x" * 63]}, "brief.digests: want 64..64 items, got 63"),
        ({"b": FIELDS["b"][:-1]}, "brief.b: truncated at bit"),
        ({"b": FIELDS["b"] + b"\0"}, "brief.b: want 0 to 7 zeros at the end"),
        ({"b": FIELDS["b"][:-1] + bytes([FIELDS["b"][-1] | 1])}, "brief.b: want 0 to 7 zeros at the end"),
        ({"b": bytes(MAX_BYTES + 1)}, "brief.b: want ..1048576 items, got 1048577"),
        ({"b": b"\xff" * 40}, "brief.b: want numbers up to 2^64-1, got a greater one at bit 0"),
        (spelled(*head(labels=66)), "brief.label_counts: want 0..65 items, got 66"),
        (spelled(*head(rows=1089)), "brief.rows: want 0..1088 items, got 1089"),
        (spelled(*head(span=702)), "brief.latency_bins: want 0..701 items, got 702"),
        (spelled(*head(labels=1), bits.column([1]), ZERO * 11), "summary.label_counts: want 2..65 items, got 1"),
        (spelled(*head(rows=1), LABELS, a_row(size=2)), "brief.n_counts: want ints 3..66, got 2"),
        (spelled(*head(rows=1), LABELS, a_row(n_nan=2)), "brief.n: want ints 0..4294967295, got -1"),
        (spelled(*head(rows=1), LABELS, a_row(low=2**32)), "brief.min, max: want int 0..4294967295"),
        (spelled(*head(rows=1), LABELS, a_row(high=2**32)), "brief.min, max: want int 0..4294967295"),
        (spelled(*head(rows=1), LABELS, a_row(parts=(-1, 0))), "brief.counts: want int 0..1, got -1"),
        (spelled(*head(rows=1), LABELS, a_row(parts=(2, 0))), "brief.counts: want int 0..1, got 2"),
        (spelled(*head(rows=1), LABELS, a_row(low=-1, high=6)), "summary.rows.min, max: want min <= max"),
        (
            spelled(*head(span=2, low=700), LABELS, ZERO * 10, f"{0:06b}", "10", "10"),
            "summary.latency_bins: want ints 0..700",
        ),
    ):
        with pytest.raises(ContractError) as caught:
            read_summary(cbor.dumps(FIELDS | changed))
        assert message in str(caught.value), (changed, message)


def test_a_plain_brief_made_by_hand_is_read() -> None:
    """That the bits above are wrong in one place alone."""
    told = spelled(*head(rows=1, span=1, low=7), LABELS, a_row(parts=(0, 1)), bits.number(5, 0))
    back = read_summary(cbor.dumps(FIELDS | told))
    assert (back.rows[0].counts, back.rows[0].min, back.latency_bins, back.latency_counts) == (
        (0, 1, 0),
        1.0,
        (7,),
        (5,),
    )


def test_hostile_bits_take_little_time_and_memory() -> None:
    """As many rows and counts as can be, a bit each; and the longest bytes of any."""
    rows = 1088
    many = [bits.column([bits.folded(66 - 12)] * rows), ZERO, ZERO, ZERO, ZERO, ZERO * 5, f"{0:06b}", "0" * 65 * rows]
    texts = [*head(rows=rows), LABELS, *many]
    for data in (bits.packed(texts), b"\xff" * MAX_BYTES, bytes(MAX_BYTES), b"\xfe" * MAX_BYTES):
        tracemalloc.start()
        start = time.process_time()
        try:
            assert len(read_summary(cbor.dumps(FIELDS | {"b": data})).rows) == rows
        except ContractError:
            assert len(data) == MAX_BYTES
        spent_s, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert spent_s < 20  # a tenth of a second, untraced; a rule that is quadratic takes minutes
        assert peak < 40 << 20


def test_the_oldest_form_is_still_what_an_old_device_sends() -> None:
    assert type(read_summary(TIMED.to_bytes())) is SummaryBatch
    assert type(read_summary(BRIEF.to_bytes())) is BriefBatch
