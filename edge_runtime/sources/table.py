"""The table of sources. One rule: what the daemon must know of a source stands in its row, never in a compare of names.

A new source is one file with `open_source(request)` (and `open_rows(request, fields)` where it can) and one row here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from importlib import import_module

from edge_runtime.errors import UsageError
from edge_runtime.lean import TYPE_CHECKING, Any, Final, Literal, dataclass
from edge_runtime.sources.port import Request, RowField, RowSource, Source

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = ("format", "columns", "time_s", "time_ms", "time_us", "time_ns")
PARQUET_BYTES: Final = 56 << 20
"""duckdb and one file being read, measured on x86-64 with Python 3.11 [bytes]."""
TIME: Final = ("time_s", "time_ms", "time_us", "time_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One row.

    Attributes:
        module: Where its `open_source` is; imported when it is opened.
        example: A spec, for the README and for hints.
        meaning: What it reads, in a line.
        is_live: It goes on while nobody reads and cannot go back; its clock is the device's.
        has_rows: It has an `open_rows`.
        may_wait: Who feeds it waits for us, so nothing need be dropped when the spool or a reader of decisions is slow.
        is_single: One stream of a device at most can read it.
        options: The `key=value` words that it takes.
        paths: What of its words is found beside device.toml: `words` or nothing; `cwd` sets the option of that name.
        broker: It takes the options of the `[broker]` table, and speaks MQTT.
        n_bytes: Memory that it takes at most, chunks and queues [bytes]; a recording's reader comes on top.
    """

    module: str
    example: str
    meaning: str
    is_live: bool = True
    has_rows: bool = False
    may_wait: bool = False
    is_single: bool = False
    options: tuple[str, ...] = ()
    paths: Literal["", "words", "cwd"] = ""
    broker: bool = False
    n_bytes: int = 1 << 20


SOURCES: Final[dict[str, Kind]] = {
    "host": Kind(module="host", example="host", meaning="this machine's own counters, 1..50 Hz (Linux)"),
    "playback": Kind(
        module="playback", example="playback run1.csv.gz run2.csv.gz", is_live=False, may_wait=True, has_rows=True,
        options=TIME, paths="words", meaning="recordings, one after another: CSV, WAV, Parquet",
    ),
    "stdin": Kind(
        module="stdin", example="stdin format=csv", has_rows=True, may_wait=True, is_single=True, options=FORMAT,
        meaning="what is piped in",
    ),
    "exec": Kind(
        module="exec", example="exec format=ndjson ./sensor.sh --fast", has_rows=True, options=(*FORMAT, "cwd"),
        paths="cwd", meaning="what a command prints; started again, with back-off, when it fails",
    ),
    "mqtt": Kind(
        module="mqtt", example="mqtt format=cbor plant/pump-7/accel", has_rows=True, broker=True,
        options=(*FORMAT, "broker", "client", "ca", "cert", "key"),
        meaning="what others publish on the broker of `[broker]`", n_bytes=18 << 20,
    ),
    "serial": Kind(
        module="serial", example="serial columns=ax,ay,az /dev/ttyUSB0 115200", has_rows=True, options=FORMAT,
        meaning="lines from a serial port",
    ),
    "iio": Kind(
        module="iio", example="iio mode=buffer lis3dh", options=("mode", "sysfs", "dev"),
        meaning="a Linux sensor: polled in sysfs (`mode=poll`), or its buffer",
    ),
    "alsa": Kind(
        module="alsa", example="alsa columns=left,right plughw:1,0", options=("columns",),
        meaning="a microphone, through `arecord`, -1..1",
    ),
}  # fmt: skip

_OWN = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")
_OPTION = re.compile(r"([a-z_]+)=(.*)", re.DOTALL)
OWN: Final = Kind(module="own", example="my_source.py:MySource", meaning="a source in a file of your own")


def kind_of(spec: str) -> Kind:
    """The row of the source that `spec` names.

    Raises:
        UsageError: There is none.
    """
    return _kind(_words(spec)[0], spec)


def is_live(spec: str) -> bool:
    """Whether the source that `spec` names goes on while nobody reads; a file of the user's own is asked."""
    kind = kind_of(spec)
    if kind is OWN:
        return bool(getattr(_module(kind).factory(_words(spec)[0]), "is_live", True))
    return kind.is_live


def may_wait(spec: str) -> bool:
    """Whether who feeds the source that `spec` names waits for us."""
    kind = kind_of(spec)
    return not is_live(spec) if kind is OWN else kind.may_wait


def short_name(spec: str) -> str:
    """The name of the source without its words, as a birth tells it."""
    return _words(spec)[0].rpartition("/")[2]


def open_source(spec: str, *, rate_hz: float | None = None, channels: Sequence[str] | None = None) -> Source:
    """The open source that `spec` names, as "host", "playback FILE [FILE ...]" or "exec format=csv COMMAND".

    Args:
        spec: A name of `SOURCES` and its words, quoted as in a shell where one has a space; `key=value` words first.
        rate_hz: Frames per second [Hz], > 0; host 1..50 (default 20), WAV and IIO know their own.
        channels: The columns wanted, in this order; None gives all of the source.

    Raises:
        UsageError: No such source, or words that it cannot take.
        ContractError: A column is missing (names it and those there are), or a file is broken.
        TransportError: A live source is not there for now.
    """
    kind, request = _request(spec, rate_hz, channels)
    source: Source = _module(kind).open_source(request)
    return source


def open_rows(spec: str, fields: Sequence[RowField]) -> RowSource:
    """The open source of rows that `spec` names; `fields` are those wanted, in this order.

    Raises:
        UsageError: No such source, words that it cannot take, no field, or it has no rows.
        ContractError, TransportError: As `open_source`.
    """
    kind, request = _request(spec, None, None)
    if not kind.has_rows:
        able = ", ".join(name for name, row in SOURCES.items() if row.has_rows)
        raise UsageError(f"source {request.name}: has frames, no rows", hint=f"use one of: {able}")
    if not fields or len({field.name for field in fields}) != len(fields):
        raise UsageError(f"fields {[f.name for f in fields]}: want some, each once", hint="name each field once")
    rows: RowSource = _module(kind).open_rows(request, fields)
    return rows


def has_names(spec: str) -> bool:
    """Whether its columns are named here, by the source or its words: never by the order in which a program has them.

    Arrays of NDJSON, raw frames, blocks without names and WAV are named by their place where `columns=` does not say.
    """
    name, *words = _words(spec)
    kind, (options, rest) = _kind(name, spec), _split(words)
    if name == "playback":
        return not any(".wav" in word.lower() for word in rest)
    is_csv = options.get("format", "csv" if name == "serial" else "") == "csv"
    return kind is OWN or name in ("host", "iio") or is_csv or "columns" in options


def needed_bytes(spec: str) -> int:
    """Memory that the source that `spec` names takes at most [bytes]; what an exec'd child takes is its own."""
    is_parquet = any(word.lower().endswith(".parquet") for word in _words(spec)[1:])
    return kind_of(spec).n_bytes + (PARQUET_BYTES if is_parquet else 0)


def located(spec: str, *, folder: Path, broker: Mapping[str, str] | None = None) -> str:
    """`spec` with all that it needs of device.toml: files found beside it, the folder to run in, the broker."""
    name, *words = _words(spec)
    kind = _kind(name, spec)
    options, rest = _split(words)
    if kind is OWN:
        name = str(folder / name)
    if kind.paths == "words":
        rest = [str(folder / word) for word in rest]
    if kind.paths == "cwd":
        options["cwd"] = str(folder / options.get("cwd", ""))
    if kind.broker and broker:
        options = dict(broker) | options
    return shlex.join([name, *(f"{key}={value}" for key, value in options.items()), *rest])


def _request(spec: str, rate_hz: float | None, channels: Sequence[str] | None) -> tuple[Kind, Request]:
    name, *words = _words(spec)
    kind = _kind(name, spec)
    options, rest = (dict[str, str](), words) if kind is OWN else _split(words)
    for key in options:
        if key not in kind.options:
            hint = f"it takes: {', '.join(kind.options)}" if kind.options else f"write as: {kind.example}"
            raise UsageError(f"source {name}: unknown option {key}=", hint=hint)
    if rate_hz is not None and not 0 < rate_hz < float("inf"):
        raise UsageError(f"source {name}: rate {rate_hz:g} Hz is not above 0", hint="give the rate of its frames")
    wanted = tuple(channels) if channels is not None else None
    return kind, Request(name=name, options=options, words=tuple(rest), rate_hz=rate_hz, channels=wanted)


def _split(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The leading `key=value` words, and the rest."""
    options: dict[str, str] = {}
    for at, word in enumerate(words):
        match = _OPTION.fullmatch(word)
        if match is None:
            return options, list(words[at:])
        options[match[1]] = match[2]
    return options, []


def _words(spec: str) -> list[str]:
    try:
        words = shlex.split(spec)
    except ValueError as why:
        raise UsageError(f"source {spec!r}: {why}", hint="quote file names as in a shell") from None
    return words or [""]


def _kind(name: str, spec: str) -> Kind:
    if name in SOURCES:
        return SOURCES[name]
    if _OWN.fullmatch(name):
        return OWN
    raise UsageError(f"source {spec!r}: unknown", hint=f"begin with one of: {', '.join(SOURCES)}, FILE.py:NAME")


def _module(kind: Kind) -> Any:
    return import_module(f"edge_runtime.sources.{kind.module}")
