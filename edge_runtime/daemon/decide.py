"""The decide thread of one stream: frames in, decisions to the sinks. One rule: it never touches SQLite or the network.

A new bundle is taken over between two windows: it adopts the frames of the old one, so no window is lost or made twice.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from edge_runtime.contract import cbor
from edge_runtime.contract.bundle import Bundle
from edge_runtime.contract.header import Header
from edge_runtime.contract.program import Program
from edge_runtime.daemon import raw
from edge_runtime.daemon.config import StreamConfig
from edge_runtime.daemon.losses import Losses
from edge_runtime.daemon.period import Period
from edge_runtime.daemon.records import Context, RecordSource, fixed_record, has_rows
from edge_runtime.daemon.steady import SteadySource
from edge_runtime.engines import Engine, advance, open_engine, program_of, stream_for, told
from edge_runtime.errors import BudgetError, ContractError
from edge_runtime.lean import TYPE_CHECKING, Protocol, dataclass, replace
from edge_runtime.native import Decision, Stream
from edge_runtime.sources import Source, is_live, may_wait, open_source
from edge_runtime.spool import Draft

if TYPE_CHECKING:
    from edge_runtime.daemon.shadow import Shadow

BLOCK_FRAMES = 1024
CLOCK_UNKNOWN, CLOCK_VIRTUAL = 0, 2
CHECKPOINT = "0.1"  # format of a stream's checkpoint; one of another first number is refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A bundle with all that is needed to decide by it, built before it takes over.

    Its members are let go of: what they say stands in the other attributes.
    """

    bundle: Bundle
    program: Program
    engine: Engine
    stream: Stream

    @property
    def digest(self) -> str:
        """The bundle digest, 64 hex digits."""
        return self.bundle.digest

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, by index."""
        return self.bundle.manifest.labels


def load(bundle: Bundle) -> Loaded:
    """Return *bundle* ready to decide.

    Raises:
        ContractError: a member is malformed, or no engine here can run it.
    """
    program = program_of(bundle)
    engine = open_engine(bundle, program=program)
    stream = stream_for(bundle, engine, program=program)
    return Loaded(bundle=replace(bundle, members={}), program=program, engine=engine, stream=stream)


class Sink(Protocol):
    """Takes finished decisions; must not block on a network."""

    @property
    def dropped(self) -> int:
        """Decisions that a reader who does not keep up has lost; grows."""

    def emit(self, decision: Mapping[str, object], /) -> None:
        """Take one decision."""

    def flush(self) -> None:
        """Pass on what was taken."""

    def close(self) -> None:
        """No more comes."""


class Submit(Protocol):
    """Hands drafts and checkpoints to the spool, which commits them together; False if they were dropped."""

    def __call__(self, drafts: list[Draft], checkpoints: dict[str, bytes], *, may_wait: bool) -> bool:
        """Return whether they will be committed."""


Report = Callable[[str, str, Mapping[str, str | int]], None]
"""Takes (stream, event kind, fields) from any thread."""


class Runner(threading.Thread):
    """Runs one stream until its source ends or it is stopped."""

    def __init__(
        self,
        config: StreamConfig,
        loaded: Loaded,
        *,
        device: str,
        epoch: int,
        sinks: Sequence[Sink],
        submit: Submit,
        report: Report,
        context: Context | None = None,
        checkpoint: tuple[bytes, Loaded | None] | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        """Open the source; `context` has facts of the device by field, `checkpoint` the state and who made it."""
        super().__init__(name=f"decide-{config.name}", daemon=True)
        self.config = config
        self.failure: Exception | None = None
        self.checkpoint = checkpoint
        self.has_decided = False  # since it was made
        self._loaded, self._shadow = loaded, shadow
        self._device, self._epoch = device, epoch
        self._context = context or {}
        self._sinks, self._submit, self._report = list(sinks), submit, report
        self._is_live, self._may_wait = is_live(config.source), may_wait(config.source)
        self._losses = Losses()
        self._clock_past: Counter[str] = Counter()  # what streams that were given up had met
        self._is_timed = False
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._next: Loaded | None = None
        self._is_refused = False  # a playback was stopped while the spool was full
        self._base_frames = self._base_windows = 0
        self._start_ms = _now_ms()
        self._period = self._new_period(loaded)
        self._pace: tuple[float, int] | None = None
        if checkpoint is not None:
            self._restore(*checkpoint)
        self._state_facts()
        self._source = SteadySource(
            self._open_source,
            is_live=self._is_live,
            halt=self._halt,
            on_fault=self._source_failed,
            on_return=lambda: self._after_outage("the source was away"),
        )

    # ---- from other threads ------------------------------------------------

    @property
    def loaded(self) -> Loaded:
        """The bundle that decides now."""
        return self._loaded

    @property
    def digest(self) -> str:
        """Its digest."""
        return self._loaded.digest

    @property
    def windows(self) -> int:
        """Windows decided so far, over all bundles."""
        return self._base_windows + self._loaded.stream.windows

    def swap(self, loaded: Loaded) -> None:
        """Let *loaded* take over at the next window boundary."""
        with self._lock:
            self._next = loaded

    def stop(self) -> None:
        """End after the window being decided; the state is checkpointed."""
        self._halt.set()
        self._source.stop()

    def abandon(self) -> None:
        """Close the source of a stream that was never started."""
        self._source.close()

    # ---- the thread ------------------------------------------------------------

    def run(self) -> None:
        """Decide until the end, then commit what is left."""
        try:
            if self._is_live and self.checkpoint is not None:
                self._after_outage("the device was away")
            ended = self._loop()
            if ended:  # a whole recording was decided: its last period is complete
                self._commit(finish=True)
                what = "end of the stream" if self._is_live else "end of recording"
                self._report(self.config.name, "stop", {"reason": what, "windows": self.windows})
                if self.config.at_end == "wait":
                    self._wait_at_end()
            else:
                self._commit(finish=False)
        except Exception as why:  # told to the daemon, which decides what to do
            error = _fenced(self.config.name) if isinstance(why, MemoryError) else why
            self.failure = error
            fields = {"error": type(error).__name__, "message": str(error)}
            self._report(self.config.name, "fault", fields | {"window": self.windows, "bundle": self.digest})
        finally:
            for sink in self._sinks:
                sink.close()
            self._source.close()

    def _source_failed(self, error: Exception, wait_s: float) -> None:
        self._commit(finish=False)
        fields = {"error": type(error).__name__, "message": str(error)}
        self._report(self.config.name, "fault", fields | {"retry_s": round(wait_s)})

    def _after_outage(self, reason: str) -> None:
        """A live source went on while we, or it, were away: close the old period and start with an empty window."""
        self._commit(finish=True)
        marks = self._period.marks
        self._base_frames, self._base_windows = self._frame(), self.windows
        self._clock_past += _clock_of(self._loaded.stream)
        self._loaded = replace(self._loaded, stream=self._loaded.stream.anew())
        if self._shadow is not None:
            self._shadow.begin()
        self._state_facts()
        self._period = self._new_period(self._loaded)
        self._period.marks.period, self._period.marks.drops = marks.period, marks.drops
        self._report(self.config.name, "gap", {"reason": reason, "window": self.windows})

    def _wait_at_end(self) -> None:
        while not self._halt.wait(0.1):
            self._take_over()

    def _loop(self) -> bool:
        """Return True at the end of the source, False when stopped."""
        block = self._block_frames()
        frames = memoryview(array("f", bytes(4 * block * len(self._loaded.program.channels))))
        due = time.monotonic() + self.config.commit_s
        while not self._halt.is_set():
            got = self._source.read(frames)
            if got == 0:
                return not self._halt.is_set()
            self._decide(frames, got, self._times())
            if len(self._loaded.program.channels) * block != len(frames):
                frames = memoryview(array("f", bytes(4 * block * len(self._loaded.program.channels))))
            self._flush()
            if time.monotonic() >= due:
                self._commit(finish=False)
                due = time.monotonic() + self.config.commit_s
            self._keep_pace()
        return False

    def _block_frames(self) -> int:
        """A paced playback comes in pieces of one hop, so that it looks like a live stream."""
        return BLOCK_FRAMES if self.config.speed == 0 else self._loaded.program.hop_frames

    def _times(self) -> memoryview | None:
        """Those of the block just read, where the program looks at them. Frames without stand one period apart.

        Raises:
            ContractError: The source has none at all.
        """
        timing = self._loaded.program.timing
        if not timing:
            return None
        times = self._source.times
        self._is_timed = self._is_timed or times is not None
        if not self._is_timed:
            raise ContractError(
                f"stream {self.config.name}: its program handles gaps ({timing.policy}), but source "
                f"{self.config.source!r} gives no times",
                hint="name the time of a frame, as in: playback time_us=COLUMN FILE",
            )
        return times

    def _decide(self, frames: memoryview, n_frames: int, times: memoryview | None) -> None:
        start, records = 0, self._source.records
        while start < n_frames:
            if self._take_over():
                self._source.seek(self._frame())  # the rest of the block belongs to the new bundle's source
                return
            before = time.perf_counter_ns()
            taken, decision = advance(
                self._loaded.stream, self._loaded.engine, frames, start, n_frames - start, times=times, records=records
            )
            start += taken
            if decision is not None:
                self._decided(decision, time.perf_counter_ns() - before)

    def _decided(self, decision: Decision, latency_ns: int) -> None:
        loaded = self._loaded
        if loaded.bundle.manifest.task == "values":  # nothing to be unsure of: every window is worth as much
            decision = decision._replace(margin=1.0)
        window = self._base_windows + decision.window
        time_ms = self._time_ms()
        if self._sinks:
            line = {
                "stream": self.config.name,
                "window": window,
                "time_ms": time_ms,
                **told(decision, loaded.stream, loaded.bundle.manifest),
                "bundle": loaded.digest[:12],
            }
            for sink in self._sinks:
                sink.emit(line)
        self.has_decided = True
        if self._period.observe(
            decision,
            loaded.stream,
            window=window,
            time_ms=time_ms,
            latency_ns=latency_ns,
            is_disputed=self._shadow is not None and self._is_disputed(decision),
        ):
            self._commit(finish=True)

    def _is_disputed(self, decision: Decision) -> bool:
        """Ask the shadow, once the decision is made; one that fails is asked no more."""
        shadow = self._shadow
        assert shadow  # noqa: S101  who calls has looked
        try:
            return shadow.differs(self._loaded.stream.features, decision.label, flags=decision.flags)
        except Exception as error:
            self._end_shadow(error)
            return False

    def _end_shadow(self, error: Exception) -> None:
        shadow, self._shadow = self._shadow, None
        if shadow is not None:
            fields = {"part": "shadow", "error": type(error).__name__, "message": str(error)}
            self._report(self.config.name, "fault", fields | {"bundle": shadow.bundle.digest, "window": self.windows})

    def _take_over(self) -> bool:
        """Swap bundles if one waits; True if the source had to be opened anew."""
        with self._lock:
            new, self._next = self._next, None
        if new is None:
            return False
        old, window = self._loaded, self.windows
        self._commit(finish=True)  # records and summaries belong to one bundle
        reopen = False
        try:
            _same_channels(old.program, new.program)
            _same_rows(old.program, new.program, self._context)
            new.stream.adopt(old.stream)
        except ContractError as why:  # another window or other channels: it must start with an empty window
            self._base_frames, self._base_windows = self._frame(), window
            self._clock_past += _clock_of(old.stream)
            reopen = True
            self._report(self.config.name, "gap", {"reason": str(why), "window": window})
        marks = self._period.marks
        self._loaded = new
        self._state_facts()
        self._period = self._new_period(new)
        self._period.marks.period, self._period.marks.drops = marks.period, marks.drops
        if reopen:
            self._source.reopen()
            self._pace = None  # another rate counts from here
        self._commit(finish=False)
        if self._shadow is not None:
            try:
                self._shadow.refuse_misfit(new.bundle)
            except ContractError as why:
                self._end_shadow(why)
        self._report(self.config.name, "swapped", {"from": old.digest, "to": new.digest, "window": window})
        return reopen

    def _keep_pace(self) -> None:
        if self._is_live or self.config.speed == 0:
            return
        if self._pace is None:
            self._pace = (time.monotonic(), self._frame())
        began, first = self._pace
        due = began + (self._frame() - first) / (self._loaded.program.rate_hz * self.config.speed)
        self._halt.wait(max(0.0, due - time.monotonic()))

    # ---- state ---------------------------------------------------------------------

    def _frame(self) -> int:
        return self._base_frames + self._loaded.stream.frames

    def _time_ms(self) -> int:
        """Live: the clock. Playback: virtual time from the first start, so that a restart changes nothing."""
        if self._is_live:
            return _now_ms()
        return self._start_ms + round(self._frame() * 1000 / self._loaded.program.rate_hz)

    def _commit(self, *, finish: bool) -> None:
        self._flush()  # a decision is out before the checkpoint that goes past it
        self._tell_losses(period_ends=finish)
        if self._is_refused:
            return
        drafts = self._finished() if finish else []
        data = self._save()
        self.checkpoint = (data, self._loaded)
        if self._submit(drafts, {self.config.name: data}, may_wait=self._may_wait):
            return
        if self._is_live:
            self._period.marks.drops += sum(draft.rows for draft in drafts)
        else:
            self._is_refused = True  # no later checkpoint may go past these drafts: the next start makes them again

    def _finished(self) -> list[Draft]:
        """What the period tells, the shadow's part too."""
        time_ms = self._period.marks.last_ms
        drafts = self._period.finish(self._loaded.stream)
        if self._shadow is not None:
            drafts += self._shadow.finish(
                device=self._device, epoch=self._epoch, stream=self.config.name, active=self.digest, time_ms=time_ms
            )
        return drafts

    def _tell_losses(self, *, period_ends: bool) -> None:
        """Put lost decisions into the summary, and an event for all that was lost."""
        clock = self._clock_past + _clock_of(self._loaded.stream)
        counts = {**self._source.counts, **clock, "decisions": sum(sink.dropped for sink in self._sinks)}
        new = self._losses.news(counts, period_ends=period_ends)
        self._period.marks.drops += new.get("decisions", 0)
        if new:
            lost = ", ".join(f"{name} {n}" for name, n in new.items())
            self._report(self.config.name, "fault", {"error": "Lost", "message": f"lost: {lost}", **new})

    def _flush(self) -> None:
        for sink in list(self._sinks):
            try:
                sink.flush()
            except OSError as error:  # nobody reads there any more: records and the other sinks go on
                self._sinks.remove(sink)
                message = f"decisions are no longer written: {error}"
                self._report(self.config.name, "fault", {"error": type(error).__name__, "message": message})

    def _save(self) -> bytes:
        return cbor.dumps(
            {
                "format": CHECKPOINT,
                "bundle": self._loaded.digest,
                "start_ms": self._start_ms,
                "base": [self._base_frames, self._base_windows],
                "at": [self._frame(), self.windows, self._period.marks.period],
                "told_ms": _now_ms(),
                "stream": self._loaded.stream.save(),
                "period": self._period.save(),
                **({} if self._shadow is None else {"shadow": self._shadow.save()}),
            }
        )

    def _restore(self, data: bytes, made_by: Loaded | None) -> None:
        """Go on where *data* stood; a part of it that cannot be read any more begins anew at that place."""
        fields = cbor.loads(data, what="checkpoint")
        match fields:
            case {"format": str(form)} if form.partition(".")[0] != CHECKPOINT.partition(".")[0]:
                raise ContractError(
                    f"checkpoint of stream {self.config.name}: format {form}, this program knows {CHECKPOINT}",
                    hint="run the newer edge-runtime again; the checkpoint is as it was",
                )
            case {
                "start_ms": int(start_ms),
                "base": [int(base_frames), int(base_windows)],
                "at": [int(frame), int(window), int(period)],
                "stream": bytes(stream),
                "period": bytes(running),
            }:
                pass
            case _:
                raise ContractError("checkpoint: a field is missing or has another type")
        self._restore_shadow(fields)
        self._start_ms = start_ms
        why_not = _resumed(made_by, stream)
        if why_not or made_by is None:  # an empty window
            self._base_frames, self._base_windows = frame, window
            self._period.marks.period = period + 1
            self._report(self.config.name, "gap", {"reason": why_not, "window": window})
            return
        self._base_frames, self._base_windows = base_frames, base_windows
        if self._loaded.digest != made_by.digest:
            self._next = self._loaded
        self._loaded = made_by
        self._period = self._new_period(made_by)
        try:
            self._period.restore(running)
        except ContractError as why:  # as after a change of sample_k
            made_by.stream.reset_summary()
            self._period.marks.period = period + 1
            self._report(self.config.name, "gap", {"reason": str(why), "window": window})

    def _restore_shadow(self, fields: object) -> None:
        saved = fields.get("shadow") if isinstance(fields, dict) else None
        if self._shadow is not None and isinstance(saved, bytes):
            try:
                self._shadow.restore(saved)
            except ContractError as why:
                self._end_shadow(why)

    def _new_period(self, loaded: Loaded) -> Period:
        return Period(
            self.config,
            header=Header(
                device=self._device,
                stream=self.config.name,
                epoch=self._epoch,
                bundle=loaded.digest,
                program=loaded.bundle.manifest.program_digest,
            ),
            clock=CLOCK_UNKNOWN if self._is_live else CLOCK_VIRTUAL,
            n_labels=len(loaded.labels),
            n_features=len(loaded.program.features),
            hop_s=loaded.program.hop_frames / loaded.program.rate_hz,
            raw=raw.rule_of(self.config, loaded.program),
            rate_hz=loaded.program.rate_hz,
        )

    def _state_facts(self) -> None:
        """Set the record that the device's context makes; it stands beside every window."""
        record = fixed_record(self._loaded.program, self._context, stream=self.config.name)
        if record is not None:
            self._loaded.stream.record(record)

    def _open_source(self) -> Source:
        program = self._loaded.program
        source: Source
        if has_rows(program, self._context):
            source = RecordSource(self.config.source, program, self._context)
        else:
            names = [channel.name for channel in program.channels]
            source = open_source(self.config.source, rate_hz=program.rate_hz, channels=names)
        source.seek(self._frame())
        return source


def _fenced(stream: str) -> BudgetError:
    return BudgetError(
        f"stream {stream}: needs more data memory than budget.memory_bytes leaves it",
        hint="raise budget.memory_bytes, or give the stream a smaller bundle or source",
    )


def _clock_of(stream: Stream) -> Counter[str]:
    clock = stream.clock
    return Counter(
        duplicate_frames=clock.duplicates,
        late_frames=clock.late,
        filled_frames=clock.filled,
        clock_resets=clock.resets,
    )


def _resumed(made_by: Loaded | None, state: bytes) -> str:
    """Put the saved state into the stream of *made_by*; return why that cannot be, "" where it could."""
    if made_by is None:
        return "the bundle that made the checkpoint is gone"
    try:
        made_by.stream.restore(state)
    except ContractError as why:
        return str(why)
    return ""


def _same_channels(old: Program, new: Program) -> None:
    """The core compares all of a program but the names of its channels; another order of them is another stream."""
    names = [[channel.name for channel in program.channels] for program in (old, new)]
    if names[0] != names[1]:
        raise ContractError(f"channels were {', '.join(names[0])}, are {', '.join(names[1])}")


def _same_rows(old: Program, new: Program, context: Context) -> None:
    """A source of rows hands out the fields that it was opened for."""
    rows = [[(f.name, f.kind) for f in program.record if f.name not in context] for program in (old, new)]
    if rows[0] != rows[1]:
        names = [", ".join(name for name, _ in each) or "none" for each in rows]
        raise ContractError(f"fields of a row were {names[0]}, are {names[1]}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
