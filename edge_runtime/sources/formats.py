"""The formats of a live stream of bytes: which decoder the options of a source ask for. One rule: no IO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_runtime.errors import UsageError
from edge_runtime.lean import Final
from edge_runtime.sources.cells import TIME_UNITS
from edge_runtime.sources.decode import Decoder, LineDecoder
from edge_runtime.sources.frames import name_columns
from edge_runtime.sources.port import Request
from edge_runtime.sources.raw import RawDecoder

FORMATS: Final = ("ndjson", "csv", "f32", "i16")


def decoder(request: Request, *, default: str, skip_first: bool = False) -> Decoder:
    """The decoder that the options `format` and `columns` of `request` ask for.

    Raises:
        UsageError: No such format, or a raw one whose columns nobody named.
    """
    chosen = check_format(request.options, default, name=request.name)
    if chosen in ("ndjson", "csv"):
        return LineDecoder(request, default=default, skip_first=skip_first)
    names = request.options["columns"].split(",") if "columns" in request.options else request.channels
    if not names:
        raise UsageError(f"source {request.name}: raw frames name no columns", hint="write columns=NAME,NAME,...")
    if any(key in request.options for key in TIME_UNITS):
        raise UsageError(f"source {request.name}: {chosen} frames carry no time", hint="leave time_...= away")
    return RawDecoder({"f32": "f", "i16": "h"}[chosen], names, request.channels, where=request.name)


def check_format(options: Mapping[str, str], default: str, *, name: str, allowed: Sequence[str] = FORMATS) -> str:
    """The format asked for, or `default`. UsageError if it is none of `allowed`."""
    chosen = options.get("format", default)
    if chosen not in allowed:
        raise UsageError(f"source {name}: format {chosen!r} is unknown", hint=f"one of: {', '.join(allowed)}")
    return chosen


def columns_of(request: Request, n: int) -> tuple[str, ...]:
    """Names for `n` columns that carry none: the option `columns`, else as `name_columns`."""
    if "columns" not in request.options:
        return name_columns(n, request.channels, where=request.name)
    names = tuple(request.options["columns"].split(","))
    if len(names) != n:
        raise UsageError(f"source {request.name}: columns= names {len(names)}, there are {n}", hint="name each once")
    return names
