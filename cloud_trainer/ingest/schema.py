"""The tables that telemetry lands in: one home for their columns.

Stored under `raw_<name>`, because they may hold a row twice; `ingest.view` serves them as `<name>`, once. `epoch`
is a random 64-bit number and Delta has no unsigned type: it is stored as decimal text, so that every reader shows
the number that the device prints. Lists of a record are its vectors; lists of a summary have one entry per
feature, then per score, and `counts` holds the rows' bins one after another, `n_counts` of them each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_IDENTITY = {"site": "text", "device": "text", "stream": "text", "epoch": "text", "seq": "i64"}
_MODEL = {"bundle": "text", "program": "text"}
_INGESTED = {"ingested_ms": "i64"}

TABLES: Mapping[str, Mapping[str, str]] = {
    "records": {
        **_IDENTITY, "time_ms": "i64", "clock": "i64", "window": "i64", "label": "i64", "vote": "i64",
        "reason": "text", "probability": "f64", "latency_us": "i64", **_MODEL,
        "features": "f32s", "scores": "f32s", **_INGESTED,
    },
    "summaries": {
        **_IDENTITY, "period": "i64", "start_ms": "i64", "end_ms": "i64", "clock": "i64", "first_window": "i64",
        "last_window": "i64", "n_windows": "i64", "drops": "i64", "label_counts": "i64s", **_MODEL,
        "n": "i64s", "n_nan": "i64s", "min": "f64s", "max": "f64s", "first": "i64s", "last": "i64s",
        "sum": "i64s", "sum_sq": "i64s", "sum_lag": "i64s", "counts": "i64s", "n_counts": "i64s",
        "latency_bins": "i64s", "latency_counts": "i64s", **_INGESTED,
    },
    "windows": {
        **_IDENTITY, "time_ms": "i64", "clock": "i64", "window": "i64", "reason": "text", **_MODEL,
        "rate_hz": "f64", "channels": "text", "n_values": "i64s", "values": "f32s", **_INGESTED,
    },
    "events": {**_IDENTITY, "time_ms": "i64", "kind": "text", "fields": "text", **_INGESTED},
    "births": {
        "site": "text", "device": "text", "epoch": "text", "time_ms": "i64", "utc_offset_min": "i64",
        "versions": "text", "streams": "text", "raw": "text", **_INGESTED,
    },
    "states": {
        "site": "text", "device": "text", "epoch": "text", "time_ms": "i64", "online": "bool",
        "streams": "text", "order_version": "i64", **_INGESTED,
    },
    "quarantine": {"topic": "text", "reason": "text", "payload": "bytes", **_INGESTED},
}  # fmt: skip

# Rows equal in these columns are one row that arrived twice.
KEYS: Mapping[str, tuple[str, ...]] = {
    "records": ("device", "epoch", "seq"),
    "summaries": ("device", "epoch", "seq"),
    "windows": ("device", "epoch", "seq"),
    "events": ("device", "epoch", "seq"),
    "births": ("device", "epoch", "time_ms"),
    "states": ("device", "epoch", "time_ms", "online", "order_version", "streams"),
    "quarantine": ("topic", "payload"),
}

SQL_TYPES: Mapping[str, str] = {
    "text": "varchar", "i64": "bigint", "f64": "double", "bool": "boolean", "bytes": "blob",
    "f32s": "float[]", "f64s": "double[]", "i64s": "bigint[]",
}  # fmt: skip
_TYPECODES = {"f32s": "f", "f64s": "d", "i64s": "q"}


def raw(name: str) -> str:
    """The stored table's name: `raw_records` for "records"."""
    return f"raw_{name}"


@dataclass(slots=True)
class Lists:
    """A column of lists: all values one after another, and each row's length."""

    flat: array[Any]
    lengths: list[int] = field(default_factory=list)

    def append(self, values: Iterable[Any]) -> None:
        """Add one row."""
        before = len(self.flat)
        self.flat.extend(values)
        self.lengths.append(len(self.flat) - before)

    def extend(self, flat: array[Any], *, rows: int, width: int) -> None:
        """Add `rows` rows of `width` values each."""
        self.flat.extend(flat)
        self.lengths.extend([width] * rows)


def columns(name: str) -> dict[str, Any]:
    """Empty columns of a table, to be filled and given to `arrow()`."""
    return {
        column: Lists(array(_TYPECODES[kind])) if kind in _TYPECODES else [] for column, kind in TABLES[name].items()
    }


def arrow(name: str, filled: Mapping[str, Any]) -> Any:
    """The columns as an Arrow table with the stored schema, whatever the rows hold."""
    from arro3.core import Table

    return Table.from_pydict({c: _arrow_column(kind, filled[c]) for c, kind in TABLES[name].items()})


def _arrow_column(kind: str, values: Any) -> Any:
    import numpy as np
    from arro3.core import Array, DataType, list_array

    if isinstance(values, Lists):
        offsets = np.zeros(len(values.lengths) + 1, dtype=np.int32)
        np.cumsum(values.lengths, out=offsets[1:])
        return list_array(Array.from_numpy(offsets), Array.from_numpy(np.array(values.flat)))
    types = {"text": DataType.string, "bool": DataType.bool, "bytes": DataType.binary}
    if kind in types:
        return Array(values, type=types[kind]())
    return Array.from_numpy(np.array(values, dtype=np.int64 if kind == "i64" else np.float64))
