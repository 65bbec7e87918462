"""The stdin source: lines or raw frames that another program pipes in. One rule: the writer waits."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.errors import UsageError
from edge_runtime.sources.decode import RowDecoder
from edge_runtime.sources.formats import decoder
from edge_runtime.sources.pipe import Pipe, PipeRows, PipeSource
from edge_runtime.sources.port import Request, RowField, RowSource, Source

STDIN = 0


def open_source(request: Request, *, descriptor: int = STDIN) -> Source:
    """`stdin [format=ndjson]`; the stream ends with the input."""
    _no_words(request)
    return PipeSource(request, Pipe(descriptor), decoder(request, default="ndjson"), close=_keep)


def open_rows(request: Request, fields: Sequence[RowField], *, descriptor: int = STDIN) -> RowSource:
    """`stdin [format=ndjson]` as rows."""
    _no_words(request)
    return PipeRows(Pipe(descriptor), RowDecoder(request, fields, default="ndjson"), close=_keep)


def _no_words(request: Request) -> None:
    if request.words:
        raise UsageError(
            f"source stdin: takes no words, got {' '.join(request.words)!r}", hint="write: stdin format=csv"
        )


def _keep() -> None:
    """The descriptor is the process's, not ours."""
