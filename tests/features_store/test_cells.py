"""Records as columns: the cells that the device makes of them one by one."""

from __future__ import annotations

import time

import numpy as np
import pytest

from cloud_trainer.features.cells import cells_of
from cloud_trainer.features.fit import Columns
from edge_runtime import native
from edge_runtime.contract.program import Program
from edge_runtime.errors import ContractError
from edge_runtime.features import build_program
from tests.features.rows import make, records


def columns_of(made: Program, rows: list[list[float | str | None]]) -> Columns:
    columns: dict[str, np.ndarray | list[str | None]] = {}
    for field, values in zip(made.record, zip(*rows, strict=True), strict=True):
        if field.kind == "text":
            columns[field.name] = [value if isinstance(value, str) else None for value in values]
        else:
            columns[field.name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    return columns


def test_a_table_has_the_bits_of_its_records_one_by_one() -> None:
    """60 programs by chance, with chains, missing and hostile values, and what an operator holds between records."""
    for seed in range(60):
        made = make(seed)
        rows = records(seed, made, 150)
        one = native.Rows(made)
        wanted = b"".join(one.run(row).tobytes() for row in rows)
        assert cells_of(made, columns_of(made, rows)).tobytes() == wanted, seed


def test_no_record_gives_no_row() -> None:
    made = build_program([], rate_hz=1, window_frames=1, hop_frames=1, features=["x:value"], fields={"x": "number"})
    assert cells_of(made, {"x": np.empty(0)}).shape == (0, 1)


def test_a_column_of_another_kind_is_refused() -> None:
    made = build_program([], rate_hz=1, window_frames=1, hop_frames=1, features=["x:value"], fields={"x": "number"})
    with pytest.raises(ContractError, match="field x: no column of numbers has its name"):
        cells_of(made, {"x": ["1"]})


def test_a_big_table_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop over records costs a call each: 100,000 of them took most of a second."""
    monkeypatch.setattr(native.Rows, "run", None)
    fields = {**{f"n{i}": "number" for i in range(10)}, **{f"t{i}": "text" for i in range(5)}}
    features = ["n*:standardise(1,2)", "t*:one_hot(a,b,c)"]
    made = build_program([], rate_hz=1, window_frames=1, hop_frames=1, features=features, fields=fields)
    n = 20_000
    columns: Columns = {
        **{f"n{i}": np.arange(n, dtype=np.float64) for i in range(10)},
        **{f"t{i}": ["a", "b", "d", None] * (n // 4) for i in range(5)},
    }
    start = time.perf_counter()
    assert cells_of(made, columns).shape == (n, 25)
    print(f"{(time.perf_counter() - start) * 1e6 / n:.2f} us a record")
