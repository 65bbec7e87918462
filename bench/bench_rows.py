"""Rows: 20 numbers and 10 texts to 60 cells, beside scikit-learn, onnxruntime and polars, the cells compared.

Impute and scale 14 numbers, impute and bucketise 6, one-hot 10 texts of 4 categories. One row comes as Python values
(each rival's input is made beforehand, as it likes it best); 100,000 rows come as Arrow columns in memory, one thread.
"""

from __future__ import annotations

import os

os.environ["POLARS_MAX_THREADS"] = "1"  # read once, when polars is imported

from functools import cache
from typing import Any

import numpy as np

from edge_runtime import native
from edge_runtime.contract.program import Feature, Field, Program
from edge_runtime.native.operators import operators

N, SCALED, NUMBERS, TEXTS = 100_000, 14, 20, 10
WORDS = tuple(tuple(f"{kind}{j}" for kind in ("new", "open", "closed", "other")) for j in range(TEXTS))
OP = {op.name: op.id for op in operators() if op.kind == "row"}


@cache
def columns() -> dict[str, Any]:
    """Numbers (5 % missing) and texts (3 % missing), by name, as lists of objects or float64."""
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for i in range(NUMBERS):
        made[f"n{i}"] = np.where(rng.random(N) < 0.05, np.nan, rng.standard_normal(N) * (i + 1))
    for j in range(TEXTS):
        words = np.array([*WORDS[j], None], dtype=object)
        made[f"s{j}"] = words[np.where(rng.random(N) < 0.03, 4, rng.integers(0, 4, N))]
    return made


@cache
def program() -> Program:
    """With the numbers that scikit-learn's pipeline froze."""
    parts = sklearn_pipeline().named_transformers_
    (scaled, scaler), (binned, bins) = [[step for _, step in parts[name].steps] for name in ("scale", "bins")]
    words = parts["words"].categories_
    constants = [*scaled.statistics_, *binned.statistics_]
    fields = [Field(name=f"n{i}") for i in range(NUMBERS)]
    fields += [Field(name=f"s{j}", kind="text") for j in range(TEXTS)]
    fields += [
        Field(name=f"n{i}_full", op=OP["impute"], sources=(i,), params=(float(constants[i]),)) for i in range(NUMBERS)
    ]
    features = []
    for i in range(NUMBERS):
        op, params = OP["bucketise"], tuple(map(float, bins.bin_edges_[i - SCALED][1:-1])) if i >= SCALED else ()
        if i < SCALED:
            op, params = OP["standardise"], (float(scaler.mean_[i]), float(scaler.scale_[i]))
        features.append(Feature(name=f"n{i}", op=op, channel=NUMBERS + TEXTS + i, params=params))
    for j in range(TEXTS):
        features += [
            Feature(name=f"s{j}={word}", op=OP["one_hot"], channel=NUMBERS + j, words=(word,)) for word in words[j]
        ]
    return Program(
        rate_hz=1.0, channels=(), window_frames=1, hop_frames=1, fields=tuple(fields), features=tuple(features)
    )


def row(i: int) -> list[Any]:
    """Record i as Python values."""
    return [x if isinstance(x, str) or x is None else float(x) for x in (column[i] for column in columns().values())]


WHOLE = 17
"""A record with nothing missing, for the rivals that take no None."""


# ---- rivals ----


@cache
def sklearn_pipeline() -> Any:
    """The ColumnTransformer, fitted on all columns; its frozen numbers must be ours for equal cells."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler

    bins = KBinsDiscretizer(5, encode="ordinal", strategy="quantile", subsample=None, quantile_method="linear")
    made = ColumnTransformer(
        [
            ("scale", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), list(range(SCALED))),
            ("bins", make_pipeline(SimpleImputer(strategy="median"), bins), list(range(SCALED, NUMBERS))),
            (
                "words",
                OneHotEncoder(categories=[sorted(w) for w in WORDS], handle_unknown="ignore", sparse_output=False),
                list(range(NUMBERS, NUMBERS + TEXTS)),
            ),
        ]
    )
    return made.fit(objects(slice(None)))


def objects(rows: slice) -> Any:
    """Records as the object array that scikit-learn takes, which is faster for it than pandas."""
    return np.column_stack([column[rows].astype(object) for column in columns().values()])


def by_sklearn(x: Any) -> Any:
    return sklearn_pipeline().transform(x).astype(np.float32)


@cache
def ort_session() -> Any:
    """The exported pipeline, one thread, best settings; a column each, as skl2onnx wants mixed types."""
    import onnxruntime
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    inputs = [("numbers", FloatTensorType([None, NUMBERS])), ("texts", StringTensorType([None, TEXTS]))]
    model = to_onnx(sklearn_pipeline(), initial_types=inputs, target_opset={"": 21, "ai.onnx.ml": 3})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def ort_input(values: list[Any]) -> dict[str, Any]:
    return {
        "numbers": np.array([values[:NUMBERS]], dtype=np.float32),
        "texts": np.array([["" if v is None else v for v in values[NUMBERS:]]], dtype=object),
    }


def polars_frame() -> Any:
    import polars as pl

    made = {
        name: pl.Series(x).fill_nan(None) if x.dtype != object else pl.Series(x.tolist(), dtype=pl.String)
        for name, x in columns().items()
    }
    return pl.DataFrame(made)


def polars_expressions() -> list[Any]:
    """The best of several ways each: comparisons added up beat cut() and search_sorted(), == beats to_dummies()."""
    import polars as pl

    steps = {f"n{i}": program().fields[NUMBERS + TEXTS + i].params[0] for i in range(NUMBERS)}
    made = []
    for feature in program().features:
        name = feature.name.partition("=")[0]
        if feature.op == OP["standardise"]:
            mean, scale = feature.params
            cell = (pl.col(name).fill_null(steps[name]) - mean) / scale
        elif feature.op == OP["bucketise"]:
            full = pl.col(name).fill_null(steps[name])
            cell = sum(
                ((full >= edge).cast(pl.UInt8) for edge in feature.params[1:]),
                (full >= feature.params[0]).cast(pl.UInt8),
            )
        else:
            cell = pl.col(name).eq_missing(pl.lit(feature.words[0]))
        made.append(cell.cast(pl.Float32).alias(feature.name))
    return made


# ---- one row ----


def named(benchmark: Any, key: str, *, n: int = 1) -> Any:
    benchmark.group = (
        "one row: 20 numbers, 10 texts, 60 cells" if n == 1 else f"{n} rows from Arrow columns, one thread"
    )
    benchmark.extra_info["rows"] = n
    benchmark.extra_info["prefix"] = "" if n == 1 else "columns_"
    benchmark.extra_info["key"] = key
    return benchmark


def test_core(benchmark: Any) -> None:
    """Python values to cells, one call."""
    core, values = native.Rows(program()), row(WHOLE)
    assert len(core.names) == 60
    rows = [row(i) for i in range(2000)]
    got = np.array([np.asarray(core.run(r)).copy() for r in rows])
    np.testing.assert_array_equal(got, by_sklearn(objects(slice(2000))))  # with missing values among them
    named(benchmark, "us_row")(core.run, values)


def test_sklearn(benchmark: Any) -> None:
    """ColumnTransformer on one row of an object array."""
    x = objects(slice(WHOLE, WHOLE + 1))
    np.testing.assert_array_equal(by_sklearn(x)[0], native.Rows(program()).run(row(WHOLE)))
    named(benchmark, "x_sklearn").pedantic(
        sklearn_pipeline().transform, args=(x,), rounds=40, iterations=1, warmup_rounds=3
    )


def test_onnxruntime(benchmark: Any) -> None:
    """The same pipeline, exported; identical cells within its float32."""
    values = row(WHOLE)
    inputs, session = ort_input(values), ort_session()
    np.testing.assert_allclose(
        session.run(None, inputs)[0][0], native.Rows(program()).run(values), rtol=1e-5, atol=1e-6
    )
    named(benchmark, "x_onnxruntime")(session.run, None, inputs)


# ---- many rows ----


def test_core_columns(benchmark: Any) -> None:
    """All rows of a polars frame, whose texts are Arrow views."""
    core, frame = native.Rows(program()), polars_frame()
    np.testing.assert_array_equal(np.asarray(core.columns(frame)), by_sklearn(objects(slice(None))))
    named(benchmark, "columns_us_row", n=N).pedantic(
        core.columns, args=(frame,), rounds=30, iterations=1, warmup_rounds=3
    )


def test_polars_columns(benchmark: Any) -> None:
    """Lazy expressions, collected."""
    frame, cells = polars_frame(), polars_expressions()
    got = frame.select(cells)
    np.testing.assert_array_equal(got.to_numpy(), np.asarray(native.Rows(program()).columns(frame)))
    named(benchmark, "x_polars", n=N).pedantic(
        lambda: frame.lazy().select(cells).collect(), rounds=30, iterations=1, warmup_rounds=3
    )
