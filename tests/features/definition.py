"""One definition: the ways to the features of a recording, to compare their bits.

`python -m tests.features.definition SEED N` proves N cases and ends with 1 at the first that differs.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Program
from edge_runtime.features.reference.row import Value
from tests.features import rows
from tests.features.programs import Case, case

POLICY = Policy(thresholds_ppm=(0, 0))
THREADS = 4


def in_batch(of: Case) -> bytes:
    """The whole recording in one call."""
    if of.times is None:
        return native.batch(of.program, of.frames).tobytes()
    return native.batch_at(of.program, of.frames, of.times).values.tobytes()


def in_pieces(of: Case, seed: int, *, save_at: int = -1) -> bytes:
    """Pushed in pieces of 1 to 10,000 frames; with `save_at` another stream goes on from the state saved there."""
    rng = np.random.default_rng(seed)
    stream, out = native.Stream(of.program, POLICY), []
    sizes = _sizes(rng)
    at, n = 0, len(of.frames)
    while at < n:
        limit = save_at if at < save_at else n
        at += stream.step(of.frames, at, min(next(sizes), limit - at), of.times)
        if stream.status == "scores":
            stream.decide((0.6, 0.4))
        if stream.status == "decision":
            out.append(stream.features.tobytes())
        if at == save_at:
            stream, save_at = _restored(stream, of), -1
    return b"".join(out)


def _restored(stream: native.Stream, of: Case) -> native.Stream:
    """Another stream that has seen something else, and then goes on where `stream` stands."""
    other = native.Stream(of.program, POLICY)
    if len(of.frames):
        other.step(of.frames, 0, min(3, len(of.frames)), of.times)
        if other.status == "scores":
            other.decide((0.6, 0.4))
    other.restore(stream.save())
    return other


def _sizes(rng: np.random.Generator) -> Iterator[int]:
    """All ones, small ones, or any up to 10,000."""
    most = int(rng.choice([1, 3, 50, 10_000]))
    while True:
        yield int(rng.integers(1, most + 1))


def prove(seeds: range) -> int:
    """The number of rows that were compared.

    Raises:
        AssertionError: Two ways gave different bits: names the case and the ways.
    """
    rows = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(seeds.start, seeds.stop, 50):
            cases = {seed: case(seed) for seed in range(start, min(start + 50, seeds.stop))}
            want = {seed: in_batch(of) for seed, of in cases.items()}
            for seed, of in cases.items():
                rows += len(want[seed]) // (4 * len(of.program.features))
                middle = int(np.random.default_rng(seed).integers(0, len(of.frames) + 1))
                _same(seed, want, in_pieces(of, seed), "in pieces")
                _same(seed, want, in_pieces(of, seed + 1, save_at=middle), f"saved at frame {middle}")
            for way in (in_batch, lambda of: in_pieces(of, 7)):
                for seed, got in zip(cases, pool.map(way, cases.values()), strict=True):
                    _same(seed, want, got, "in a thread beside others")
    return rows


# ---- records of fields


def rows_in_batch(made: Program, given: Sequence[Sequence[Value]]) -> bytes:
    """All records in one call, as Arrow columns."""
    import pyarrow as pa

    kinds = {"number": pa.float64(), "text": pa.string()}
    columns = {
        field.name: pa.array([_plain(record[i]) for record in given], kinds[field.kind])
        for i, field in enumerate(made.record)
    }
    return bytes(native.Rows(made).columns(pa.table(columns)))


def _plain(value: Value) -> Value:
    return None if value is None or value != value else value  # noqa: PLR0124


def rows_one_by_one(made: Program, given: Sequence[Sequence[Value]], *, save_at: int = -1) -> bytes:
    """Record by record; with `save_at` another object goes on from the state saved there."""
    rows, out = native.Rows(made), b""
    for i, record in enumerate(given):
        if i == save_at:
            state, rows = rows.save(), native.Rows(made)
            rows.run(given[0])
            rows.restore(state)
        out += bytes(rows.run(record))
    return out


def rows_in_a_stream(made: Program, given: Sequence[Sequence[Value]], *, save_at: int = -1) -> bytes:
    """As a device decides them; with `save_at` another stream goes on from the state saved there."""
    stream, out, frames = native.Stream(made, POLICY), b"", array("f")
    for i, record in enumerate(given):
        if i == save_at:
            state, stream = stream.save(), native.Stream(made, POLICY)
            stream.restore(state)
        stream.record(record)
        stream.step(frames, 0, 1)
        if stream.status == "scores":
            stream.decide((0.6, 0.4))
        out += bytes(stream.features)
    return out


def prove_rows(seeds: range) -> int:
    """The number of records that were compared.

    Raises:
        AssertionError: Two ways gave different bits: names the case and the way.
    """
    cases = {seed: (made := rows.make(seed), rows.records(seed, made, 20)) for seed in seeds}
    want = {seed: rows_in_batch(*of) for seed, of in cases.items()}
    for seed, of in cases.items():
        middle = seed % 20
        for way in (rows_one_by_one, rows_in_a_stream):
            for at in (-1, middle):
                if way(*of, save_at=at) != want[seed]:
                    raise AssertionError(
                        f"records {seed}: {way.__name__}, saved at {at}, has other bits than the batch"
                    )
    with ThreadPoolExecutor(THREADS) as pool:
        for seed, got in zip(cases, pool.map(lambda of: rows_one_by_one(*of), cases.values()), strict=True):
            if got != want[seed]:
                raise AssertionError(f"records {seed}: in a thread beside others it has other bits than the batch")
    return sum(len(given) for _, given in cases.values())


def _same(seed: int, want: dict[int, bytes], got: bytes, way: str) -> None:
    if got != want[seed]:
        raise AssertionError(
            f"case {seed}: {way} has other bits than the batch\n{case(seed).program.to_bytes().decode()}"
        )


if __name__ == "__main__":
    first, number = map(int, sys.argv[1:3])
    print(f"{prove(range(first, first + number))} rows")
