"""`device.toml`: all that a device is told.

One rule: every key is checked and named when it is wrong; unknown keys are refused.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from edge_runtime.contract.birth import MAX_RAW_WINDOWS
from edge_runtime.contract.checks import ident
from edge_runtime.contract.records import REASONS
from edge_runtime.daemon.toml import plain_toml
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.lean import Any, TypeVar, dataclass, field, replace, required
from edge_runtime.sources import has_names, kind_of, located, short_name

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """Who this device is and where its state lives."""

    site: str
    id: str
    state: str = "state"
    utc_offset_min: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """Where telemetry goes. Without a `[broker]` table the records stay in the spool.

    Attributes:
        ca: PEM file of the authority that signed the broker's certificate; with it the link is TLS.
        cert, key: PEM files by which the device shows who it is; both or none, and only with `ca`.
        resend_s: first wait for the store's acknowledgement [s].
    """

    host: str
    port: int = 1883
    ca: str = ""
    cert: str = ""
    key: str = ""
    resend_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustConfig:
    """Ed25519 public keys, 64 hex digits each, that may sign bundles and rollout orders."""

    release_keys: tuple[str, ...] = ()
    rollout_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """What this device may use. The daemon adds its parts up before it starts and refuses what does not fit.

    Attributes:
        memory_bytes: resident memory of the whole daemon and one update child [bytes].
        spool_bytes: disk that stored telemetry may take [bytes].
        bundle_bytes: the largest bundle that is fetched [bytes].
        latency_us: the longest a decision may take at the 99th percentile [µs]; 0 is no limit.
        record_bytes_day: telemetry a day [bytes]; 0 is no limit.
        rec_bytes_day, sum_bytes_day, ev_bytes_day, raw_bytes_day: what records, summaries, events and raw windows may
            take in a day [bytes]; the rest is dropped and named by a gap event. 0 is no limit.
    """

    memory_bytes: int = 256 << 20
    spool_bytes: int = 16 << 20
    bundle_bytes: int = 8 << 20
    latency_us: int = 0
    record_bytes_day: int = 0
    rec_bytes_day: int = 0
    sum_bytes_day: int = 0
    ev_bytes_day: int = 0
    raw_bytes_day: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """One series of frames with its bundle.

    Attributes:
        source: `host`, or `playback FILE [FILE ...]`; files are found beside the config file.
        bundle: the bundle that the device was shipped with; used until a rollout replaces it.
        speed: playback only, times real time; 0 plays as fast as the device decides.
        at_end: what a stream does when its recording ends, `stop` or `wait`.
        period_windows, period_s: a summary covers at least both.
        sample_k: records kept of a period.
        probation_windows: decisions a new bundle makes before it is confirmed.
        shadow: a bundle of the same feature program that decides beside and is never obeyed; "" for none.
        raw_channels: channels whose frames may leave the device; none unless they are named here.
        raw_reasons: why a record is kept whose window may go with it, names of `contract.records.REASONS`.
        raw_windows: windows of a period that may go at most.
        decisions: any of `stdout`, `mqtt` (the `dec/` topic), `unix:PATH` (a Unix socket, beside the config file).
    """

    name: str
    source: str
    bundle: str = ""
    speed: float = 0.0
    at_end: str = "stop"
    period_windows: int = 200
    period_s: float = 3600.0
    sample_k: int = 32
    probation_windows: int = 20
    commit_s: float = 10.0
    decisions: tuple[str, ...] = ("stdout",)
    shadow: str = ""
    raw_channels: tuple[str, ...] = ()
    raw_reasons: tuple[str, ...] = ()
    raw_windows: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole `device.toml`; `folder` is where relative paths in it start.

    `context` has the static facts of the device that its `[context]` table states: a number or a text by name.
    """

    device: DeviceConfig
    streams: tuple[StreamConfig, ...]
    broker: BrokerConfig | None
    trust: TrustConfig
    budget: BudgetConfig
    folder: Path
    context: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        """Where slots, bundles and the spool live."""
        return self.folder / self.device.state


MAX_CONTEXT = 256
ONCE = ("tomllib", "datetime")  # what nothing but the reader of this file needs
CAPTURE = "_capture"
"""In the place of a stream, for `edge-runtime capture`, which may run beside the daemon."""
LIMITS: dict[str, tuple[float, float]] = {
    "device.utc_offset_min": (-840, 840),
    "broker.port": (1, 65535),
    "broker.resend_s": (0.1, 3600),
    "budget.memory_bytes": (1 << 20, 1 << 40),
    "budget.spool_bytes": (256 << 10, 1 << 40),
    "budget.bundle_bytes": (4 << 10, 1 << 32),
    "budget.latency_us": (0, 10**9),
    "budget.record_bytes_day": (0, 1 << 40),
    "budget.rec_bytes_day": (0, 1 << 40),
    "budget.sum_bytes_day": (0, 1 << 40),
    "budget.ev_bytes_day": (0, 1 << 40),
    "budget.raw_bytes_day": (0, 1 << 40),
    "stream.speed": (0, 1e6),
    "stream.period_windows": (1, 1 << 22),
    "stream.period_s": (0, 10**7),
    "stream.sample_k": (1, 1024),
    "stream.probation_windows": (0, 10**6),
    "stream.commit_s": (0.05, 3600),
    "stream.raw_windows": (1, MAX_RAW_WINDOWS),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "stream.at_end": ("stop", "wait"),
    "stream.decisions": ("stdout", "mqtt", "unix:PATH"),
    "stream.raw_reasons": tuple(REASONS.values()),
}
TYPES: dict[str, type[Any]] = {"str": str, "int": int, "float": float, "tuple[str, ...]": tuple}
IDS = ("device.site", "device.id", "stream.name")


def load_config(path: Path) -> Config:
    """Return the checked config of a `device.toml`.

    Raises:
        UsageError: the file cannot be read, or a key is missing, unknown or out of range.
    """
    try:
        raw = _toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"config {path}: {error.strerror}", hint="name a file that exists with --config") from error
    except ValueError as error:  # of tomllib, and of what is no UTF-8
        raise UsageError(f"config {path}: not TOML ({error})", hint="mend the line it names") from error
    _known(raw, ("device", "broker", "trust", "budget", "context", "stream"), where=path.name)
    streams = raw.get("stream")
    if not isinstance(streams, list) or not 1 <= len(streams) <= 16:
        raise UsageError(f"{path.name}: want 1..16 [[stream]] tables", hint="add one [[stream]] with name and source")
    folder = path.resolve().parent
    device = _table(DeviceConfig, raw.get("device", {}), "device")
    broker = _broker(raw["broker"], folder) if "broker" in raw else None
    config = Config(
        device=device,
        streams=tuple(_found(_table(StreamConfig, s, "stream"), folder, device, broker) for s in streams),
        broker=broker,
        trust=_table(TrustConfig, raw.get("trust", {}), "trust"),
        budget=_table(BudgetConfig, raw.get("budget", {}), "budget"),
        context=_context(raw.get("context", {})),
        folder=folder,
    )
    names = [s.name for s in config.streams]
    if len(set(names)) != len(names):
        raise UsageError(f"stream.name: {names} names one stream twice", hint="give each stream its own name")
    single = [short_name(s.source) for s in config.streams if kind_of(s.source).is_single]
    if len(single) != len(set(single)):
        raise UsageError("stream.source: two streams read stdin", hint="give it to one stream")
    for stream in config.streams:
        if "mqtt" in stream.decisions and config.broker is None:
            raise UsageError(
                f"stream {stream.name}: decisions go to mqtt, but there is no [broker]", hint="add [broker] with a host"
            )
        if bool(stream.raw_channels) != bool(stream.raw_reasons):
            missing = "raw_reasons" if stream.raw_channels else "raw_channels"
            raise UsageError(
                f"stream {stream.name}: {missing} is missing, so no raw window may leave",
                hint="name both, or none: nothing raw leaves the device",
            )
        if stream.raw_channels and not has_names(stream.source):
            raise UsageError(
                f"stream {stream.name}: raw_channels goes by names, a bundle would name the columns of this source",
                hint="add columns=NAME,NAME,... to its source, in the order of its columns",
            )
    return config


def _toml(text: str) -> dict[str, Any]:
    """What *text* says. Where the whole reader is needed for it, that is let go again: 0.8 MiB, for one file."""
    found = plain_toml(text)
    if found is not None:
        return found
    here = set(sys.modules)
    try:
        return _read_toml(text)
    finally:
        for name in [name for name in sys.modules if name not in here and name.partition(".")[0] in ONCE]:
            del sys.modules[name]
        re.purge()
        gc.collect()  # a module and its functions hold each other


def _read_toml(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)


def _broker(given: object, folder: Path) -> BrokerConfig:
    """Return the `[broker]` table with its files beside the config file; never the clear where TLS was meant."""
    broker = _table(BrokerConfig, given, "broker")
    if bool(broker.cert) != bool(broker.key) or (broker.cert and not broker.ca):
        raise UsageError(
            "[broker]: cert and key go together, and with ca", hint="name all three PEM files, or ca alone"
        )
    ca, cert, key = (str(folder / pem) if pem else "" for pem in (broker.ca, broker.cert, broker.key))
    for pem in filter(None, (ca, cert, key)):
        if not Path(pem).is_file():
            raise UsageError(f"[broker]: {pem} is no file", hint="name a PEM file, beside device.toml or absolute")
    return replace(broker, ca=ca, cert=cert, key=key)


def broker_options(device: DeviceConfig, broker: BrokerConfig | None, stream: str) -> dict[str, str]:
    """The options by which the source of *stream* reaches the broker of this device; a client id of its own.

    No id has a `_`, so none is that of a device, or of a stream of another one.
    """
    if broker is None:
        return {}
    pems = {name: getattr(broker, name) for name in ("ca", "cert", "key") if getattr(broker, name)}
    return {"broker": f"{broker.host}:{broker.port}", "client": f"el-{device.site}-{device.id}_{stream}"} | pems


def _context(given: object) -> dict[str, float | str]:
    """The `[context]` table: numbers and texts by name."""
    if not isinstance(given, dict):
        raise UsageError(f"context: want a table, got {given!r}")
    if len(given) > MAX_CONTEXT:
        raise UsageError(f"[context]: {len(given)} fields, want at most {MAX_CONTEXT}", hint="leave some out")
    found: dict[str, float | str] = {}
    for name, value in given.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number or isinstance(value, str)):
            raise UsageError(
                f"context.{name}: want a number or a text, got {value!r}", hint="write 1 or 0 for true or false"
            )
        if is_number and not -1e308 <= value <= 1e308:
            raise UsageError(
                f"context.{name}: want a finite number, got {str(value)[:40]}",
                hint="leave the fact out, if nobody knows it",
            )
        found[name] = float(value) if is_number else value
    return found


def _found(stream: StreamConfig, folder: Path, device: DeviceConfig, broker: BrokerConfig | None) -> StreamConfig:
    """Return *stream* with its source and its bundle as found beside the config file."""
    try:
        source = located(stream.source, folder=folder, broker=broker_options(device, broker, stream.name))
    except UsageError as why:
        raise UsageError(f"stream.source: {why}", hint=why.hint) from None
    decisions = tuple(f"unix:{folder / item[5:]}" if item.startswith("unix:") else item for item in stream.decisions)
    bundle, shadow = (str(folder / name) if name else "" for name in (stream.bundle, stream.shadow))
    return replace(stream, source=source, decisions=decisions, bundle=bundle, shadow=shadow)


def _known(given: Mapping[str, Any], allowed: tuple[str, ...], *, where: str) -> None:
    for key in given:
        if key not in allowed:
            import difflib

            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(allowed)}"
            raise UsageError(f"{where}: unknown key {key!r}", hint=hint)


def _table(kind: type[T], given: object, name: str) -> T:
    """Return the dataclass *kind* filled from one TOML table, each value checked."""
    if not isinstance(given, dict):
        raise UsageError(f"{name}: want a table, got {given!r}")
    _known(given, tuple(kind.__annotations__), where=f"[{name}]")
    values: dict[str, Any] = {}
    for key, annotation in kind.__annotations__.items():
        if key in given:
            values[key] = _value(given[key], TYPES[annotation], f"{name}.{key}")
    missing = [key for key in required(kind) if key not in values]
    if missing:
        raise UsageError(f"[{name}]: {missing[0]} is missing", hint=f"add {missing[0]} = ...")
    return kind(**values)


def _fits(item: str, choice: str) -> bool:
    """Whether *item* is `kind:something`, where the choice is `kind:SOMETHING`."""
    kind, _, rest = choice.partition(":")
    return bool(rest) and item.startswith(f"{kind}:") and len(item) > len(kind) + 1


def _value(value: object, want: Any, where: str) -> Any:
    if want is tuple:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise UsageError(f"{where}: want a list of strings, got {value!r}")
        items: tuple[str, ...] = tuple(value)
    else:
        if want is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, want) or isinstance(value, bool):
            raise UsageError(f"{where}: want {want.__name__}, got {value!r}")
        items = (value,) if isinstance(value, str) else ()
    allowed = CHOICES.get(where)
    for item in items:
        if allowed and not any(item == one or _fits(item, one) for one in allowed):
            raise UsageError(f"{where}: {item!r} is not one of {', '.join(allowed)}")
        if where in IDS:
            try:
                ident(item, where)
            except ContractError as why:
                raise UsageError(str(why), hint="use 1..64 of a-z, 0-9 and -") from None
    if where in LIMITS and isinstance(value, (int, float)):
        low, high = LIMITS[where]
        if not low <= value <= high:
            raise UsageError(f"{where}: {value} is outside {low:g}..{high:g}")
    return items if want is tuple else value
