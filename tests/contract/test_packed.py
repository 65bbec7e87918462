"""Packed batches: the same records in fewer bytes, read beside the older form."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest

from edge_runtime.contract import cbor
from edge_runtime.contract.packed import PackedBatch, read_records
from edge_runtime.contract.records import RecordBatch
from edge_runtime.errors import ContractError
from edge_runtime.lean import items_of
from tests.contract import arbitrary
from tests.contract.samples import PACKED, RECORDS


def drawn(rows: int, *, seed: int = 1) -> RecordBatch:
    """Records as a sampler keeps them of an hour on a clock that jitters: no column is constant."""
    rng = random.Random(seed)
    windows = sorted(rng.sample(range(10_000_000, 10_002_800), rows))
    return RecordBatch(
        header=RECORDS.header,
        first_seq=1_000_000,
        clock=1,
        windows=tuple(windows),
        times_ms=tuple(1_760_000_000_000 + 1280 * w + rng.randrange(-3, 4) for w in windows),
        labels=tuple(rng.randrange(3) for _ in windows),
        votes=tuple(rng.randrange(3) for _ in windows),
        reasons=tuple(rng.randrange(6) for _ in windows),
        probabilities=array("f", [1 - rng.random() for _ in windows]),
        latencies_us=tuple(rng.randrange(15, 200) for _ in windows),
        features=array("f", [rng.random() for _ in range(16 * rows)]),
        scores=array("f", [rng.random() for _ in range(3 * rows)]),
        n_features=16,
        n_scores=3,
    )


def packed(batch: RecordBatch) -> PackedBatch:
    return PackedBatch(**items_of(batch))


def test_a_record_of_16_features_and_3_scores_takes_95_bytes_at_most_in_a_batch_of_32() -> None:
    batch = drawn(32)
    assert len(packed(batch).to_bytes()) / 32 <= 95
    assert len(batch.to_bytes()) / 32 > 99


def test_either_form_is_read_as_the_same_records() -> None:
    for seed in range(30):
        batch = arbitrary.packed(random.Random(seed))
        old = RecordBatch(**items_of(batch)).to_bytes()
        for form in (batch.to_bytes(), old):
            assert RecordBatch(**items_of(read_records(form))).to_bytes() == old


def test_a_clock_that_is_set_back_and_one_that_stands_still_keep_their_times() -> None:
    for times in ((9_000, 5_000, 1_000), (7, 7, 7), (0, 2**53 - 1, 1), (2**53 - 1, 0, 2**53 - 1)):
        for windows in ((0, 1, 2), (5, 5, 5), (0, 2**63 - 2, 2**63 - 1)):
            batch = packed(RecordBatch(**items_of(PACKED) | {"times_ms": times, "windows": windows}))
            back = read_records(batch.to_bytes())
            assert (back.times_ms, back.windows) == (times, windows)


def test_windows_out_of_order_are_refused() -> None:
    with pytest.raises(ContractError, match=r"packed.windows: want windows in order, got \(1000, 1300, 1001\)"):
        PackedBatch(**items_of(PACKED) | {"windows": (1000, 1300, 1001)})


def test_bytes_of_a_packed_batch_name_the_column() -> None:
    fields: Any = cbor.loads(PACKED.to_bytes(), what="x")
    for name, bad, message in (
        ("n", 0, "packed.n: want 1..1024, got 0"),
        ("n", 1025, "packed.n: want 1..1024, got 1025"),
        ("n", 4, "packed.skip: want 3 values, got 2"),
        ("vote", array("b", [0, 0]), "packed.vote: want 3 values, got 2"),
        ("vote", array("b", [63]), "records.votes: want ints -1..63, got 64"),
        ("p", array("f", [0.5, 0.5]), "packed.p: want 3 values, got 2"),
        ("skip", array("b", [1, -1]), "packed.windows: want windows in order"),
        ("rest_ms", array("q", [-(2**60)]), "records.times_ms: want ints 0..9007199254740991"),
        ("step_us", -1, "packed.step_us: want 0..9223372036854775807, got -1"),
        ("x", array("f", [1.0] * 5), "packed.x: want a multiple of 3 values, got 5"),
        ("y", array("f"), "packed.y: want a multiple of 3 values, got 0"),
    ):
        with pytest.raises(ContractError) as caught:
            read_records(cbor.dumps(fields | {name: bad}))
        assert message in str(caught.value)
