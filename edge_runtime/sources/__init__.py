"""Sources: where a device's frames come from. One rule: a source hands out frames in order and never decides anything.

`table` has a row for each, `port` what all of them are; each file beside them is one source, loaded when it is opened.
"""

from __future__ import annotations

from edge_runtime.sources.port import RowField, RowSource, Source, counts_of, times_of
from edge_runtime.sources.table import (
    SOURCES,
    has_names,
    is_live,
    kind_of,
    located,
    may_wait,
    needed_bytes,
    open_rows,
    open_source,
    short_name,
)

__all__ = [
    "SOURCES",
    "RowField",
    "RowSource",
    "Source",
    "counts_of",
    "has_names",
    "is_live",
    "kind_of",
    "located",
    "may_wait",
    "needed_bytes",
    "open_rows",
    "open_source",
    "short_name",
    "times_of",
]
