"""Row operators: one value of a record (or two) to one. One rule: all is float64, rounded once where a cell is written.

A number is missing as NaN, a text as None. Missing in gives NaN out, but for impute, missing, one_hot, unknown and
ordinal, which say what they do. A cell that is not finite is NaN, and zero is +0.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.program import Feature, Field, Program
from edge_runtime.features.reference.table import Tolerance
from edge_runtime.features.reference.time import EXACT

Value = float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReference:
    """One row operator's meaning.

    Attributes:
        id: Wire id, 2000..2999.
        name: As in a feature list.
        run: From (x, *params, words) to the value; (x, y, *params) where it takes two.
        takes: "number", "text" or "both".
        tolerance: What the kernel's float32 must keep.
        n_sources: 1 or 2.
        holds: What it gives for a missing value is the last that was not.
        tries: (params, words) to test a kernel with: of numbers, of texts.
    """

    id: int
    name: str
    run: Callable[..., Value]
    takes: str
    tolerance: Tolerance
    n_sources: int
    holds: bool
    tries: tuple[tuple[tuple[float, ...], tuple[str, ...]], ...]
    text_tries: tuple[tuple[tuple[float, ...], tuple[str, ...]], ...]


ROWS: dict[int, RowReference] = {}
SERIES = Tolerance(rtol=1.3e-7, floor=1e-15)
"""The kernel's double is within a few last places of libm's, so its float32 within one; libm's sin(pi) is not 0."""
Tries = tuple[tuple[tuple[float, ...], tuple[str, ...]], ...]
PLAIN: Tries = (((), ()),)
WORDS: Tries = (((), ("red",)), ((), ("",)), ((), ("größer als fünfzehn Bytes",)))


def row_op(
    id: int,  # noqa: A002
    *,
    takes: str = "number",
    tries: Tries = PLAIN,
    text_tries: Tries = PLAIN,
    n_sources: int = 1,
    holds: bool = False,
    tolerance: Tolerance = EXACT,
) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Register a function as the operator with wire id `id` for numbers, texts or both, never reused."""

    def register(run: Callable[..., Value]) -> Callable[..., Value]:
        if id in ROWS:
            raise ValueError(f"operator id {id} is {ROWS[id].name!r}; {run.__name__!r} needs a new id")
        ROWS[id] = RowReference(
            id=id,
            name=run.__name__,
            run=run,
            takes=takes,
            tolerance=tolerance,
            n_sources=n_sources,
            holds=holds,
            tries=tries,
            text_tries=text_tries,
        )
        return run

    return register


def is_missing(x: Value) -> bool:
    """NaN or None."""
    return x is None or x != x  # noqa: PLR0124


# ---- missing values ----


@row_op(2000)
def value(x: float) -> float:
    """The number itself [unit of x]."""
    return x


@row_op(2001, takes="both", tries=(((0.25,), ()), ((-1e300,), ())), text_tries=WORDS)
def impute(x: Value, *constant: float, words: Sequence[str] = ()) -> Value:
    """The value, or the constant (of a text: the word) where it is missing [unit of x].

    A statistic frozen at training (mean, median, most frequent) is such a constant. Source: sklearn SimpleImputer.
    """
    return (words[0] if words else constant[0]) if is_missing(x) else x


@row_op(2002, takes="both", holds=True)
def impute_last(x: Value) -> Value:
    """The value, or the last one of this field that was not missing; before there was one: missing [unit of x].

    Source: pandas ffill. The state is kept across records, saved and restored; a reset forgets it.
    """
    return x


@row_op(2003, takes="both")
def missing(x: Value) -> float:
    """1 where x is missing, else 0 [1]. Source: sklearn MissingIndicator."""
    return float(is_missing(x))


# ---- scale ----


@row_op(2004, tries=(((0.1, 1.3), ()), ((-1e9, -1e-9), ())))
def standardise(x: float, mean: float, scale: float) -> float:
    """(x - mean) / scale, scale not 0 [1]. Source: sklearn StandardScaler, operation by operation."""
    return float((np.float64(x) - mean) / scale)


@row_op(2005, tries=(((-1.0, 3.0, 0.0), ()), ((-0.3, 0.7, 1.0), ())))
def min_max(x: float, low: float, high: float, clip: float) -> float:
    """0..1 for low..high, x * s + (0 - low * s), s = 1 / (high - low) [1]; clip: 1 cuts what is outside, 0 does not.

    Source: sklearn MinMaxScaler(clip=...), operation by operation.
    """
    s = 1.0 / (high - low)
    y = float(np.float64(x) * s + (0.0 - low * s))
    return min(max(y, 0.0), 1.0) if clip and y == y else y  # noqa: PLR0124


@row_op(2006, tries=(((0.5, 0.25), ()),))
def robust_scale(x: float, centre: float, iqr: float) -> float:
    """(x - centre) / iqr, of the median and the interquartile range, iqr not 0 [1]. Source: sklearn RobustScaler."""
    return float((np.float64(x) - centre) / iqr)


@row_op(2007, tolerance=SERIES)
def log1p(x: float) -> float:
    """ln(1 + x) [1]; NaN for x <= -1. Source: numpy.log1p."""
    return math.log1p(x) if x > -1 else math.nan


@row_op(2008, tries=(((-0.5, 0.5), ()), ((1.0, 1.0), ())))
def clip(x: float, low: float, high: float) -> float:
    """Low where it is below, high where it is above, else x [unit of x]. Source: numpy.clip."""
    return x if is_missing(x) else min(max(x, low), high)


@row_op(2009, tries=(((0.0,), ()), ((-1.0, -0.3, 0.3, 1.0), ())))
def bucketise(x: float, *edges: float) -> float:
    """How many of the ascending edges are <= x, 0..n [count].

    Source: numpy.digitize; sklearn KBinsDiscretizer(encode="ordinal") with its inner edges.
    """
    return x if is_missing(x) else float(np.searchsorted(edges, x, side="right"))


# ---- categories ----


@row_op(2010, takes="both", tries=(((0.25,), ()), ((0.0,), ())), text_tries=WORDS)
def one_hot(x: Value, *category: float, words: Sequence[str] = ()) -> float:
    """1 where x is the word (of a number: equals it), else 0, as for a missing one [1].

    Source: sklearn OneHotEncoder(handle_unknown="ignore"), one feature a category.
    """
    return float(x == (words[0] if words else category[0]))


@row_op(2011, takes="both", tries=(((0.0, 0.25), ()),), text_tries=(((), ("red", "", "blue")),))
def unknown(x: Value, *categories: float, words: Sequence[str] = ()) -> float:
    """1 where x is there and none of the words (numbers), else 0 [1]. Beside the one_hot of the same words."""
    return float(not is_missing(x) and x not in (words or categories))


@row_op(2012, takes="text", text_tries=(((-1.0,), ("red", "blue", "red")), ((7.5,), ("",))))
def ordinal(x: str | None, other: float, words: Sequence[str] = ()) -> float:
    """Place of x among the words, 0..n-1; `other` where it is none of them or missing [1].

    Source: sklearn OrdinalEncoder(handle_unknown="use_encoded_value").
    """
    return float(words.index(x)) if x in words else other


@row_op(2013, takes="text", text_tries=(((8.0,), ()), ((16777216.0,), ()), ((1.0,), ())))
def hash_bucket(x: str | None, buckets: float) -> float:
    """MurmurHash3_x86_32(UTF-8 bytes of x, seed 0) modulo the buckets, 0..buckets-1 [1].

    Source: Appleby 2011 (smhasher); the hash of sklearn's FeatureHasher, here unsigned.
    """
    return math.nan if x is None else float(murmur3(x.encode("utf-8", "surrogatepass")) % int(buckets))


def murmur3(data: bytes) -> int:
    """MurmurHash3_x86_32, seed 0."""

    def scramble(k: int) -> int:
        k = k * 0xCC9E2D51 & 0xFFFFFFFF
        return (k << 15 | k >> 17) * 0x1B873593 & 0xFFFFFFFF

    h, whole = 0, len(data) // 4 * 4
    for i in range(0, whole, 4):
        h ^= scramble(int.from_bytes(data[i : i + 4], "little"))
        h = ((h << 13 | h >> 19) & 0xFFFFFFFF) * 5 + 0xE6546B64 & 0xFFFFFFFF
    h ^= scramble(int.from_bytes(data[whole:], "little")) ^ len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


# ---- time: Unix milliseconds UTC, and the offset of local time from UTC [min] ----

OFFSETS: Tries = (((0.0,), ()), ((-210.0,), ()), ((1440.0,), ()))
EPOCH = dt.date(1970, 1, 1)


def _day_and_hour(x: float, offset_min: float) -> tuple[int, int] | None:
    """(Days since the epoch, whole hour), or None outside the 100 million days that ECMAScript's dates have."""
    local = x + offset_min * 60000.0
    if not abs(local) <= 8.64e15:
        return None
    days, rest = divmod(math.floor(local), 86400000)
    return days, rest // 3600000


@row_op(2014, tries=OFFSETS)
def hour(x: float, offset_min: float) -> float:
    """Whole hour of the local day, 0..23 [h]; NaN beyond 8.64e15 ms."""
    at = _day_and_hour(x, offset_min)
    return math.nan if at is None else float(at[1])


@row_op(2015, tries=OFFSETS)
def weekday(x: float, offset_min: float) -> float:
    """Day of the local week, Monday 0 .. Sunday 6 [1]; NaN beyond 8.64e15 ms. Source: datetime.date.weekday."""
    at = _day_and_hour(x, offset_min)
    return math.nan if at is None else float((at[0] + EPOCH.weekday()) % 7)


@row_op(2016, tries=OFFSETS, tolerance=SERIES)
def hour_sin(x: float, offset_min: float) -> float:
    """sin(2 pi hour / 24) [1]."""
    return math.sin(math.tau * hour(x, offset_min) / 24)  # type: ignore[operator]


@row_op(2017, tries=OFFSETS, tolerance=SERIES)
def hour_cos(x: float, offset_min: float) -> float:
    """cos(2 pi hour / 24) [1]."""
    return math.cos(math.tau * hour(x, offset_min) / 24)  # type: ignore[operator]


@row_op(2018, tries=OFFSETS, tolerance=SERIES)
def weekday_sin(x: float, offset_min: float) -> float:
    """sin(2 pi weekday / 7) [1]."""
    return math.sin(math.tau * weekday(x, offset_min) / 7)  # type: ignore[operator]


@row_op(2019, tries=OFFSETS, tolerance=SERIES)
def weekday_cos(x: float, offset_min: float) -> float:
    """cos(2 pi weekday / 7) [1]."""
    return math.cos(math.tau * weekday(x, offset_min) / 7)  # type: ignore[operator]


# ---- two numbers ----


@row_op(2020, n_sources=2)
def product(x: float, y: float) -> float:
    """Product x * y [unit of x times unit of y]."""
    return float(np.float64(x) * y)


@row_op(2021, n_sources=2)
def ratio(x: float, y: float) -> float:
    """Quotient x / y; NaN where y is 0, so that an impute after it sees it [unit of x per unit of y]."""
    return math.nan if y == 0 else float(np.float64(x) / y)


# ---- a program ----


def run_rows(program: Program, records: Iterable[Sequence[Value]]) -> NDArray[np.float32]:
    """The row features of every record, in order: float32, shape (records, row features)."""
    last: dict[int, Value] = {}
    features = [feature for feature in program.features if feature.is_row]
    with np.errstate(all="ignore"):
        rows = [_row(program, features, record, last) for record in records]
    cells = np.array(rows, dtype=np.float64).reshape(len(rows), len(features))
    with np.errstate(over="ignore"):
        out = cells.astype(np.float32)
    out[~np.isfinite(out)] = np.nan
    return out + np.float32(0)


def _row(program: Program, features: Sequence[Feature], record: Sequence[Value], last: dict[int, Value]) -> list[float]:
    values = [_plain(field, x) for field, x in zip(program.record, record, strict=True)]
    for i, field in enumerate(program.fields[len(values) :]):
        values.append(_step(field, field.sources, values, i, last))
    made = []
    for i, feature in enumerate(features):
        sources = (feature.channel,) if feature.other is None else (feature.channel, feature.other)
        made.append(_step(feature, sources, values, MAX_STAGES + i, last))
    return made  # type: ignore[return-value]


MAX_STAGES = 1 << 16


def _plain(field: Field, x: Any) -> Value:
    if field.kind == "number":
        return math.nan if x is None else float(x)
    return None if is_missing(x) else str(x)


def _step(
    call: Field | Feature, sources: Sequence[int], values: Sequence[Value], at: int, last: dict[int, Value]
) -> Value:
    op, read = ROWS[call.op], [values[i] for i in sources]
    made = op.run(*read, *call.params, words=call.words) if call.words else op.run(*read, *call.params)
    if op.holds:
        made = last.get(at, made) if is_missing(made) else made
        last[at] = made
    return made
