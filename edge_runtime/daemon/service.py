"""The daemon: reads its config, sizes its parts, starts the threads, then waits for what they report.

One rule: everything that blocks happens in a thread or a child of its own; this loop only hands things on.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from edge_runtime.contract import topics
from edge_runtime.contract.needs import check, table
from edge_runtime.daemon import budget, last_run, letters, raw
from edge_runtime.daemon.config import Config, StreamConfig
from edge_runtime.daemon.decide import Loaded, Runner, Sink, load
from edge_runtime.daemon.lock import lock_state
from edge_runtime.daemon.opening import Slot, add_shadow, open_slot, read_checkpoint
from edge_runtime.daemon.records import refuse_misspelt, unread_facts
from edge_runtime.daemon.sinks import MqttSink, Stdout, StdoutSink
from edge_runtime.engines import needed_to_run
from edge_runtime.errors import EdgeloopError, TransportError
from edge_runtime.lean import TYPE_CHECKING, items_of, replace
from edge_runtime.native import fpu_check, one_heap, trim
from edge_runtime.sources import may_wait, short_name
from edge_runtime.spool import KINDS, Draft, Gap, Spool, SpoolWorker
from edge_runtime.transport import Courier, Endpoint, Letter, LinkThread, MqttLink, Tls
from edge_runtime.transport.link import client_id
from edge_runtime.update import Result, slots

if TYPE_CHECKING:
    from edge_runtime.daemon.socket_sink import LineServer

STACK_BYTES = 512 << 10  # a thread's stack counts against RLIMIT_DATA; the default of 8 MiB would need most of it
EVENT_WAIT_S = 1.0  # for room in the spool's ring: a playback at full speed keeps it full
TRIM_S = 5.0  # between two times that freed memory goes back: what starts, handshakes and summaries took for a moment
LINK_AFTER_S = 1.0  # at the latest; its 60 ms of imports and handshake would stand before the first decisions
DRAIN_S = 10.0  # at the end of a recording: how long to wait for the store's last acknowledgement


class Daemon:
    """Life: `run` once, until the sources end or a signal comes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._inbox: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()
        self._slots: dict[str, Slot] = {}
        self._worker = SpoolWorker(
            self._open_spool,
            commit_interval_s=min(1.0, *(s.commit_s for s in config.streams)),
        )
        self._link: LinkThread | None = None
        self._link_at: float | None = None  # when its thread starts at the latest; None: it runs
        self._trouble = ""  # of the link, told once
        self._stdout = Stdout()
        self._servers: dict[str, LineServer] = {}
        self._halt = threading.Event()
        self._trim_at = time.monotonic() + TRIM_S
        self._told: budget.Used | None = None  # of the memory
        self._lock = -1
        self._crash: last_run.Crash | None = None

    def run(self) -> int:
        """Return the exit status: 0 when stopped or at the end of the recordings, 1 after a fault.

        Raises:
            EdgeloopError: the daemon cannot start as configured.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._inbox.put(("halt", None)))
        fpu_check()
        one_heap()
        threading.stack_size(STACK_BYTES)
        self._lock = lock_state(self._config.state_dir)
        self._crash = last_run.crash_of(self._lock)
        try:
            return self._run()
        finally:
            os.close(self._lock)

    def _run(self) -> int:
        self._open_slots()
        self._check_context()
        self._check_raw()
        for slot in self._slots.values():
            add_shadow(self._config, slot, say=self._say)
        self._fit()
        self._worker.start()
        if self._worker.set_aside:
            self._log("spool", set_aside=self._worker.set_aside.name, epoch=f"{self._worker.epoch:016x}")
        self._open_link()
        try:
            try:
                self._tell_crash()
                last_run.begin(self._lock)
                self._start_runners()
                status = self._serve()
            finally:
                self._shut_down()
        except BaseException as error:
            last_run.end(self._lock, message=f"{type(error).__name__}: {error}")
            raise
        last_run.end(self._lock)
        return status

    # ---- start ----------------------------------------------------------------------

    def _open_slots(self) -> None:
        for stream in self._config.streams:
            self._slots[stream.name] = open_slot(self._config, stream, say=self._say, log=self._log)

    def _open_spool(self) -> Spool:
        """In the spool's thread. Raw windows that were sealed under other rules do not leave any more."""
        config = self._config
        spool = Spool.open(
            config.state_dir / "spool.db",
            max_bytes=config.budget.spool_bytes,
            gap=self._gap,
            bytes_day={kind: getattr(config.budget, f"{kind}_bytes_day") for kind in KINDS},
        )
        if raw.is_changed(config, spool.checkpoints()):
            spool.withdraw("raw", checkpoint=(raw.MARK, raw.mark_of(config)))
        return spool

    def _check_raw(self) -> None:
        """Refuse an allow-list with a channel that a bundle lacks; after a rollout it is only told, as a fact is."""
        for name, slot in self._slots.items():
            unknown = raw.refuse_unknown(slot.config, slot.loaded.program, is_strict=not slot.rollout)
            if unknown:
                self._log("raw", stream=name, unknown=",".join(unknown))

    def _check_context(self) -> None:
        """Tell the facts that nothing reads; refuse a misspelt one while the device runs what it was shipped with.

        After a rollout it is only told: an update must not make a device.toml wrong that was right.
        """
        programs = [slot.loaded.program for slot in self._slots.values()]
        unread = unread_facts(programs, self._config.context)
        if unread:
            self._log("context", unread=",".join(unread))
        if not any(slot.rollout for slot in self._slots.values()):
            refuse_misspelt(programs, self._config.context)

    def _fit(self) -> None:
        """Refuse to start over budget, then fence this process in."""
        loaded = {name: slot.loaded for name, slot in self._slots.items()}
        rows = budget.needs(self._config, loaded, {n: s.shadow.nbytes for n, s in self._slots.items() if s.shadow})
        check(rows, name=f"device {self._config.device.id}")
        for line in table(rows).splitlines():
            print(f"# {line}", file=sys.stderr)
        budget.fence(self._config.budget)

    def _open_link(self) -> None:
        broker, device = self._config.broker, self._config.device
        if broker is None:
            return
        tls = Tls(ca=broker.ca or None, cert=broker.cert or None, key=broker.key or None) if broker.ca else None

        def make() -> tuple[Courier, MqttLink]:
            link = MqttLink(
                Endpoint(host=broker.host, port=broker.port, tls=tls),
                client_id=client_id(device.site, device.id),
                subscriptions=[topics.down(device.site, device.id, leaf) for leaf in ("ack", "desired")],
                will=lambda: self._state_letter(online=False),
            )
            courier = Courier(
                link,
                self._worker,
                site=device.site,
                device=device.id,
                greeting=lambda: (self._birth_letter(), self._state_letter(online=True)),
                on_desired=lambda payload: self._inbox.put(("desired", payload)),
                resend_s=broker.resend_s,
            )
            return courier, link

        self._link = LinkThread(make)

    def _start_runners(self) -> None:
        for slot in self._slots.values():
            slot.runner = self._runner(slot, read_checkpoint(slot, self._worker.checkpoints.get(slot.config.name)))
            if slot.trial_digest:
                slot.trial_from = slot.runner.windows
        for slot in self._slots.values():
            manifest = slot.loaded.bundle.manifest
            fields: dict[str, str | int] = {
                "bundle": slot.loaded.digest, "name": manifest.name, "version": manifest.version,
                "engine": slot.loaded.engine.name, "why": slot.loaded.engine.why,
            }  # fmt: skip
            fields |= {"shadow": slot.shadow.bundle.digest} if slot.shadow else {}
            self._event(slot.config.name, "start", fields)
            if slot.runner:
                slot.runner.start()
        self._link_at = time.monotonic() + LINK_AFTER_S

    def _tell_crash(self) -> None:
        """What the last run did, as nobody ended it: of each stream, as far as its last checkpoint says.

        On the disk before the mark of that run is written over: a device that dies at each start says so each time.
        """
        if self._crash is None:
            return
        fields: dict[str, str | int] = {"how": self._crash.how, "started_ms": self._crash.started_ms}
        fields |= {"message": self._crash.message} if self._crash.message else {}
        for name in self._slots:
            self._event(name, "crash", fields | last_run.place_of(self._worker.checkpoints.get(name)))
        self._worker.flush()

    def _runner(self, slot: Slot, checkpoint: tuple[bytes, Loaded | None] | None) -> Runner:
        return Runner(
            slot.config,
            slot.loaded,
            device=self._config.device.id,
            epoch=self._worker.epoch,
            sinks=self._sinks(slot.config),
            submit=self._submit,
            report=self._say,
            context=self._config.context,
            checkpoint=checkpoint,
            shadow=slot.shadow,
        )

    def _sinks(self, stream: StreamConfig) -> list[Sink]:
        """Return new sinks of *stream*; stdout and the sockets behind them are shared."""
        device, sinks = self._config.device, list[Sink]()
        for where in stream.decisions:
            kind, _, path = where.partition(":")
            if kind == "stdout":
                sinks.append(StdoutSink(self._stdout, may_wait=may_wait(stream.source)))
            elif kind == "mqtt" and self._link:
                sinks.append(MqttSink(self._link.post, site=device.site, device=device.id, stream=stream.name))
            elif kind == "unix":
                from edge_runtime.daemon.socket_sink import LineServer, SocketSink

                self._servers[path] = self._servers.get(path) or LineServer(Path(path))
                sinks.append(SocketSink(self._servers[path]))
        return sinks

    # ---- while it runs -----------------------------------------------------------------

    def _serve(self) -> int:
        while True:
            try:
                kind, what = self._inbox.get(timeout=0.05)
            except queue.Empty:
                kind, what = "", None
            if kind == "halt":
                return 0
            if kind == "event":
                stream, event, fields = what  # type: ignore[misc]
                self._event(stream, event, fields)
            elif kind == "desired":
                self._desired(what)  # type: ignore[arg-type]
            for slot in self._slots.values():
                self._attend(slot)
            self._worker.check()
            if time.monotonic() >= self._trim_at:
                trim()
                self._tell_memory()
                self._trim_at = time.monotonic() + TRIM_S
            self._watch_link()
            if self._has_ended() and self._inbox.empty():  # in this order: a thread's last words come before its end
                failed = [slot for slot in self._slots.values() if slot.runner and slot.runner.failure]
                if not failed:
                    self._drain()
                return 1 if failed else 0

    def _tell_memory(self) -> None:
        now = budget.used()
        if now.is_news(self._told):
            self._event("", "memory", items_of(now))
            self._told = now

    def _has_decided(self) -> bool:
        """Each stream has made a decision of this start, or will make none."""
        runners = [slot.runner for slot in self._slots.values() if slot.runner]
        return all(runner.has_decided or not runner.is_alive() for runner in runners)

    def _has_ended(self) -> bool:
        return all(slot.runner and not slot.runner.is_alive() for slot in self._slots.values())

    def _start_link(self) -> None:
        if self._link and self._link_at is not None:
            self._link.start()
        self._link_at = None

    def _watch_link(self) -> None:
        """Keep the link's thread going; log each new reason why there is no broker, once, and its end."""
        link = self._link
        if link is None:
            return
        if self._link_at is not None:
            if not self._has_decided() and time.monotonic() < self._link_at:
                return
            self._start_link()
        why = link.watch()
        if why:
            self._event("", "revived", {"part": "link", "reason": why})
        if link.trouble and link.trouble != self._trouble:
            self._log("link", trouble=link.trouble)
            self._trouble = link.trouble
        elif self._trouble and link.session():
            self._log("link", session=link.session())
            self._trouble = ""

    def _desired(self, order: bytes) -> None:
        for slot in self._slots.values():
            offered = slot.updater.offer(order)
            if offered:
                self._event(slot.config.name, *offered)

    def _attend(self, slot: Slot) -> None:
        """One step of a stream's update. A disk that cannot be written stops no stream: the step is tried again."""
        try:
            if not any(s is not slot and s.updater.is_checking for s in self._slots.values()):  # one child at a time
                result = slot.updater.poll()
                if result is not None:
                    self._settled(slot, result)
            self._judge(slot)
        except OSError as error:
            if str(error) != slot.trouble:
                self._log("fault", stream=slot.config.name, message=str(error))
                slot.trouble = str(error)

    def _judge(self, slot: Slot) -> None:
        """Confirm the running trial, or fall back from one that failed."""
        runner = slot.runner
        if runner is None or not slot.trial_digest:
            return
        if runner.failure is not None:
            self._fall_back(slot, f"{type(runner.failure).__name__}: {runner.failure}")
        elif runner.digest == slot.trial_digest:
            if slot.trial_from < 0:
                slot.trial_from = runner.windows
            if runner.windows - slot.trial_from >= slot.config.probation_windows:
                slots.confirm(slot.updater.disk)
                self._event(slot.config.name, "confirmed", {"bundle": slot.trial_digest, "rollout": slot.rollout})
                slot.trial_digest, slot.trial_from = "", -1
                slot.updater.collect()
                self._announce()

    def _settled(self, slot: Slot, result: Result) -> None:
        is_told = result.kind == "retry" and result.message == slot.trouble  # a depot may be away for days
        slot.trouble = result.message
        if result.event and not is_told:
            self._event(slot.config.name, *result.event)
        if result.kind == "kept":
            self._announce()
        if result.kind != "staged":
            return
        if slot.runner is not None and not slot.runner.is_alive():
            return  # it has no window left to prove itself on: its one trial waits for the next start
        started = slots.start(slot.updater.disk, keep=needed_to_run)
        if not started.is_trial:  # what was staged is no longer whole
            back = {"bundle": started.fell_back, "to": started.digest, "rollout": result.rollout}
            self._event(slot.config.name, "fell-back", back)
            return
        slot.trial_digest, slot.trial_from, slot.rollout = started.digest, -1, result.rollout
        try:
            loaded = load(started.bundle)
            self._fit_next(slot, loaded)
        except (EdgeloopError, MemoryError) as error:
            self._fall_back(slot, f"{type(error).__name__}: {error}")
            return
        slot.loaded = loaded
        if slot.runner:
            slot.runner.swap(loaded)

    def _fit_next(self, slot: Slot, loaded: Loaded) -> None:
        """Refuse a bundle that does not fit beside all that runs already."""
        name = slot.config.name
        alone, mine = replace(self._config, streams=(slot.config,)), {name: loaded}
        beside = {n: s.loaded for n, s in self._slots.items()} | mine
        rows = [
            *budget.memory(alone, mine),
            *budget.latency(self._config, mine),
            *budget.traffic(self._config, beside),
        ]
        check(rows, name=f"bundle {loaded.bundle.manifest.name}")

    def _fall_back(self, slot: Slot, why: str) -> None:
        """Go back to the bundle confirmed before; where the trial stopped the stream, start it again."""
        failed = slot.trial_digest
        slots.fall_back(slot.updater.disk)
        slot.trial_digest, slot.trial_from = "", -1
        started = slots.start(slot.updater.disk, keep=needed_to_run)
        fields = {"bundle": failed, "to": started.digest, "rollout": slot.rollout, "reason": why}
        self._event(slot.config.name, "fell-back", fields)
        runner = slot.runner
        if runner is not None and runner.failure is not None:
            runner.join()  # it has said why; it is closing its source
            slot.loaded = load(started.bundle)
            slot.runner = self._runner(slot, runner.checkpoint)
            slot.runner.start()
        slot.updater.collect()
        self._announce()

    # ---- telemetry -----------------------------------------------------------------------

    def _submit(self, drafts: list[Draft], checkpoints: dict[str, bytes], *, may_wait: bool) -> bool:
        """Hand over to the spool. A live stream drops (counted) rather than wait; a playback waits for room."""
        while not self._worker.submit(drafts, checkpoints, wait_s=1.0 if may_wait else 0.0):
            if not may_wait or self._halt.is_set():
                return False
        return True

    def _say(self, stream: str, kind: str, fields: Mapping[str, str | int]) -> None:
        """From any thread, and before the spool is open: this loop makes an event of it."""
        self._inbox.put(("event", (stream, kind, fields)))

    def _event(self, stream: str, kind: str, fields: Mapping[str, str | int]) -> None:
        known = letters.clean(fields)
        self._log(kind, stream=stream, **known)
        if kind in ("swapped", "start"):
            self._announce()
        draft = letters.event(self._config.device.id, self._worker.epoch, stream, kind=kind, fields=known)
        if not self._worker.submit([draft], wait_s=EVENT_WAIT_S):
            self._log("undelivered", kind=kind, hint="the spool is full or slow")

    def _gap(self, lost: Gap, epoch: int, seq: int, time_ms: int) -> bytes:
        return letters.gap(self._config.device.id, lost, epoch, seq=seq, time_ms=time_ms)

    def _announce(self) -> None:
        if self._link:
            self._link.announce()

    def _birth_letter(self) -> Letter:
        running = {
            name: (slot.runner.loaded if slot.runner else slot.loaded, short_name(slot.config.source))
            for name, slot in self._slots.items()
        }
        allowed, most = raw.told(self._config), self._config.budget.raw_bytes_day
        return letters.birth(self._config.device, self._worker.epoch, running, raw=allowed, raw_bytes_day=most)

    def _state_letter(self, *, online: bool) -> Letter:
        running = {n: s.runner.digest if s.runner else s.loaded.digest for n, s in self._slots.items()}
        version = max((slots.load(s.updater.disk).order_version for s in self._slots.values()), default=0)
        return letters.state(self._config.device, self._worker.epoch, running, order_version=version, online=online)

    # ---- end -----------------------------------------------------------------------------

    def _drain(self) -> None:
        """At the end of the recordings: give the store a moment to acknowledge; what stays is sent next time."""
        self._worker.flush()
        self._start_link()
        if self._link and not self._link.wait_drained(DRAIN_S):
            self._log("undelivered", batches=self._worker.stats().batches, hint="they stay in the spool")

    def _shut_down(self) -> None:
        self._halt.set()
        for slot in self._slots.values():
            slot.updater.stop()
            if slot.runner is not None and slot.runner.ident is not None:
                slot.runner.stop()
                slot.runner.join(30)
            elif slot.runner is not None:  # another stream could not be opened
                slot.runner.abandon()
        for server in self._servers.values():
            server.close()
        while not self._inbox.empty():
            kind, what = self._inbox.get()
            if kind == "event":
                self._event(*what)  # type: ignore[misc]
        try:
            self._worker.flush()
            if self._link:
                self._link.stop()
        except TransportError as error:
            self._log("fault", message=str(error))
        finally:
            self._worker.stop()

    def _log(self, event: str, **fields: str | int) -> None:
        words = " ".join(f"{key}={_quoted(value)}" for key, value in fields.items() if value != "")
        with contextlib.suppress(OSError):  # a log that nobody reads any more stops no device
            print(f"{event} device={self._config.device.id} {words}", file=sys.stderr, flush=True)


def _quoted(value: str | int) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or "\n" in text else text
