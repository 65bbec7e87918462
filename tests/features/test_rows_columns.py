"""Rows by the column: the cells of one record at a time, and those of scikit-learn, from tables of any make."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from edge_runtime import native
from edge_runtime.contract.program import Feature, Field, Program
from edge_runtime.errors import ContractError
from edge_runtime.features.reference.row import Value
from tests.features.rows import make, one, program, records

duckdb = pytest.importorskip("duckdb")


def table_of(made: Program, rows: list[list[Value]]) -> Any:
    """The records as a table of DuckDB, an Arrow stream of whoever asks; a column more, and in another order."""
    types = {"number": "double", "text": "varchar"}
    columns = ", ".join(f'"{field.name}" {types[field.kind]}' for field in reversed(made.record))
    con = duckdb.connect()
    con.execute(f"create table t (other blob, {columns})")
    values = [[None, *reversed([None if x != x else x for x in row])] for row in rows]  # noqa: PLR0124
    con.executemany(f"insert into t values ({', '.join('?' * (1 + len(made.record)))})", values)
    return con.table("t")


@pytest.mark.parametrize("seed", range(60))
def test_columns_are_the_records_one_at_a_time(seed: int) -> None:
    made = make(seed)
    rows = [[x.replace("\0", "") if isinstance(x, str) else x for x in row] for row in records(seed, made, 150)]
    core = native.Rows(made)
    want = np.array([list(core.run(row)) for row in rows], np.float32)
    core.reset()
    got = np.asarray(core.columns(table_of(made, rows)))
    assert got.shape == (150, len(core.names))
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


def test_tables_of_arrow_in_every_layout() -> None:
    """Numbers of every width, dates and times, texts by offsets, views and dictionaries, slices and chunks."""
    pa = pytest.importorskip("pyarrow")
    made = program(
        (Field(name="x"), Field(name="t", kind="text")),
        (
            Feature(name="x", op=2000, channel=0),
            Feature(name="t", op=2012, channel=1, params=(-1.0,), words=("a", "b" * 20)),
        ),
    )
    core, texts = native.Rows(made), ["a", None, "b" * 20, ""]
    want = np.array([[1, 0], [np.nan, -1], [0, 1], [7, -1]], np.float32)
    numbers = ["double", "float", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"]
    kinds = ["string", "large_string", "string_view", "binary", pa.dictionary(pa.int8(), pa.string())]
    for number in numbers:
        for kind in kinds:
            column = (
                pa.array(texts, pa.string()).cast(kind) if kind != "string_view" else pa.array(texts, pa.string_view())
            )
            table = pa.table({"t": column, "x": pa.array([1, None, 0, 7], number)})
            np.testing.assert_array_equal(np.asarray(core.columns(table)), want)
            chunks = pa.concat_tables([table.slice(1, 2), table.slice(3), table.slice(0, 0), table.slice(0, 1)])
            np.testing.assert_array_equal(np.asarray(core.columns(chunks)), want[[1, 2, 3, 0]])
    moments = {
        "timestamp[s]": 1000,
        "timestamp[ms]": 1,
        "timestamp[us]": 0.001,
        "timestamp[ns]": 1e-6,
        "date32": 86400000,
    }
    for kind, ms in moments.items():
        moment = pa.array([2, None], "int32" if kind == "date32" else "int64").cast(kind)
        got = np.asarray(core.columns(pa.table({"x": moment, "t": texts[:2]})))
        np.testing.assert_array_equal(got[:, 0], np.array([2 * ms, np.nan], np.float32))
    flags = pa.table({"x": [True, False, None], "t": texts[:3]})
    np.testing.assert_array_equal(np.asarray(core.columns(flags))[:, 0], np.array([1, 0, np.nan], np.float32))
    assert np.asarray(core.columns(table.slice(0, 0))).size == 0
    batch = table.combine_chunks().to_batches()[0]
    np.testing.assert_array_equal(np.asarray(core.columns(batch)), want)


def test_a_table_that_does_not_fit_is_refused_by_field() -> None:
    core = native.Rows(one(2000, "number"))
    con = duckdb.connect()
    for sql, why in (
        ("select 1.0::double as y", "no column 'f0'"),
        ("select 'a' as f0", "field f0 is a number, its column has the Arrow format"),
        ("select [1.0] as f0", "field f0 is a number"),
    ):
        with pytest.raises(ContractError, match=why):
            core.columns(con.sql(sql))
    with pytest.raises(ContractError, match="a list has neither"):
        core.columns([1.0])
    with pytest.raises(ContractError, match="field f0 is a text"):
        native.Rows(one(2003, "text")).columns(con.sql("select 1.0::double as f0"))


class Once:
    """A table that always hands out the same stream, as a reader does that was read before."""

    def __init__(self, stream: object) -> None:
        self.stream = stream

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.stream


def test_a_stream_that_was_read_already_is_refused() -> None:
    core = native.Rows(one(2000, "number"))
    reader = Once(duckdb.connect().sql("select 1.0::double as f0").__arrow_c_stream__())
    assert np.asarray(core.columns(reader)).tolist() == [[1.0]]
    with pytest.raises(ContractError, match="was read already"):
        core.columns(reader)
    with pytest.raises(ContractError, match="int is no arrow_array_stream"):
        core.columns(Once(5))


def test_rows_that_are_missing_as_a_whole_and_names_that_stand_twice_are_refused() -> None:
    pa = pytest.importorskip("pyarrow")
    core = native.Rows(one(2000, "number"))
    column = pa.array([1.0, 2.0, 3.0] * 5)
    gaps = pa.StructArray.from_arrays([column], names=["f0"], mask=pa.array([False, True, False] * 5))
    with pytest.raises(ContractError, match="5 of 15 rows are missing"):
        core.columns(gaps)
    with pytest.raises(ContractError, match="1 of 2 rows are missing"):
        core.columns(gaps.slice(9, 2))
    assert np.asarray(core.columns(gaps.slice(11, 2))).tolist() == [[3.0], [1.0]]
    with pytest.raises(ContractError, match="two columns are called 'f0'"):
        core.columns(pa.Table.from_arrays([column, column], names=["f0", "f0"]))


@pytest.fixture(scope="module")
def pipeline() -> tuple[Any, Any, Program]:
    """A ColumnTransformer as people write it, its training rows, and the program of its frozen numbers."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler

    rng, pick = np.random.default_rng(3), random.Random(3)
    x = np.empty((500, 6), dtype=object)
    for i in range(4):
        x[:, i] = np.where(rng.random(500) < 0.1, np.nan, rng.standard_normal(500) * 10.0**i)
    for i in (4, 5):
        x[:, i] = [pick.choice(("red", "blue", "", "größer als zwölf Bytes")) for _ in range(500)]
    bins = KBinsDiscretizer(5, encode="ordinal", strategy="quantile", subsample=None, quantile_method="linear")
    scalers = [StandardScaler(), RobustScaler(), MinMaxScaler(), bins]
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    steps = [(f"n{i}", make_pipeline(SimpleImputer(), each), [i]) for i, each in enumerate(scalers)]
    fitted = ColumnTransformer([*steps, ("words", words, [4, 5])]).fit(x)
    parts = fitted.named_transformers_
    frozen = [
        (2004, (parts["n0"][1].mean_[0], parts["n0"][1].scale_[0])),
        (2006, (parts["n1"][1].center_[0], parts["n1"][1].scale_[0])),
        (2005, (parts["n2"][1].data_min_[0], parts["n2"][1].data_max_[0], 0.0)),
        (2009, tuple(bins_of(parts["n3"][1]))),
    ]
    fields = [Field(name=f"f{i}", kind="number" if i < 4 else "text") for i in range(6)]
    fills = [float(parts[f"n{i}"][0].statistics_[0]) for i in range(4)]
    fields += [Field(name=f"d{i}", op=2001, sources=(i,), params=(fills[i],)) for i in range(4)]
    cells = [
        Feature(name=f"y{i}", op=op, channel=6 + i, params=tuple(map(float, params)))
        for i, (op, params) in enumerate(frozen)
    ]
    for i, kept in enumerate(parts["words"].categories_):
        cells += [Feature(name=f"w{i}{word}", op=2010, channel=4 + i, words=(word,)) for word in kept]
    return fitted, x, program(tuple(fields), tuple(cells))


def bins_of(fitted: Any) -> list[float]:
    return [float(edge) for edge in fitted.bin_edges_[0][1:-1]]


def test_the_cells_are_those_of_scikit_learn(pipeline: tuple[Any, Any, Program]) -> None:
    """Its double pipeline cast to float32, bit for bit, unknown words and missing numbers among them."""
    fitted, x, made = pipeline
    x = x.copy()
    x[::7, 4] = "never seen"
    core = native.Rows(made)
    got = np.array([list(core.run(row)) for row in x.tolist()], np.float32)
    np.testing.assert_array_equal(got, fitted.transform(x).astype(np.float32))


def test_the_cells_are_those_of_the_exported_pipeline(pipeline: tuple[Any, Any, Program]) -> None:
    """Within the float32 in which onnxruntime computes; words of its ASCII alone, and no bucket's very edge."""
    onnxruntime = pytest.importorskip("onnxruntime")
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    fitted, x, made = pipeline
    kinds = [(f"f{i}", FloatTensorType([None, 1]) if i < 4 else StringTensorType([None, 1])) for i in range(6)]
    model = to_onnx(fitted, initial_types=kinds, target_opset={"": 21, "ai.onnx.ml": 3})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    inputs = {f"f{i}": x[:, [i]].astype(np.float32 if i < 4 else object) for i in range(6)}
    got = np.asarray(session.run(None, inputs)[0])
    core = native.Rows(made)
    want = np.array([list(core.run(row)) for row in x.tolist()], np.float32)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
