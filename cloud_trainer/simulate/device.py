"""A simulated device: the core's stream, the daemon's period and courier, a spool in memory.

Its one rule: what a real device does before SQLite and after the sensors is done by the same code here.
"""

from __future__ import annotations

import selectors
from array import array
from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

from cloud_trainer.simulate import world
from cloud_trainer.simulate.link import SocketLink
from cloud_trainer.simulate.plan import HOUR_MS, Plan
from edge_runtime.contract import topics
from edge_runtime.contract.birth import Birth, BirthStream
from edge_runtime.contract.bundle import Bundle
from edge_runtime.contract.header import Header
from edge_runtime.daemon import letters
from edge_runtime.daemon.config import DeviceConfig, StreamConfig
from edge_runtime.daemon.period import Period
from edge_runtime.native import Stream
from edge_runtime.spool.values import Draft, Sealed
from edge_runtime.transport import Courier, Letter

SITE: Final = "simulated"
STREAM: Final = "main"
SYNCED: Final = 1
_NO_FRAMES: Final = array("f")


class MemorySpool:
    """What the courier asks of a spool; nothing leaves it but what the store names exactly."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.last_seq = epoch, 0
        self.kept: dict[int, Sealed] = {}  # by first_seq, ascending

    def seal(self, drafts: Iterable[Draft]) -> None:
        """Give sequence numbers."""
        for draft in drafts:
            first = self.last_seq + 1
            self.last_seq += draft.rows
            self.kept[first] = Sealed(
                epoch=self.epoch, first_seq=first, last_seq=self.last_seq, kind=draft.kind, stream=draft.stream,
                payload=draft.encode(first), sealed_ms=0,
            )  # fmt: skip

    def take(self, limit: int, after_seq: int) -> list[Sealed]:
        """As `SpoolPort`."""
        found = []
        for first, one in self.kept.items():
            if first > after_seq:
                found.append(one)
                if len(found) == limit:
                    break
        return found

    def acked(self, epoch: int, ranges: Iterable[tuple[int, int]]) -> None:
        """As `SpoolPort`."""
        for first, last in ranges if epoch == self.epoch else ():
            one = self.kept.get(first)
            if one is not None and one.last_seq == last:
                del self.kept[first]


class Device:
    """One device. Life: `make` each period, `pump` as often as there is something to do.

    Attributes:
        id: Of the device.
        spool: Its sealed batches.
        link: Its connection.
        records: Records made so far.
    """

    def __init__(
        self, number: int, plan: Plan, *, bundle: Bundle, template: Stream, address: tuple[str, int],
        selector: selectors.BaseSelector,
    ) -> None:  # fmt: skip
        self.number, self.id = number, f"sim-{number:05d}"
        self.records = 0
        rng = Random(f"{plan.seed} device {number}")  # noqa: S311
        manifest = bundle.manifest
        self.spool = MemorySpool(rng.getrandbits(64))
        self._config = DeviceConfig(site=SITE, id=self.id)
        self._stream_config = StreamConfig(
            name=STREAM, source="simulated", period_windows=plan.windows, period_s=0.0, sample_k=plan.records
        )
        self._header = Header(
            device=self.id, stream=STREAM, epoch=self.spool.epoch, bundle=bundle.digest, program=manifest.program_digest
        )
        self._bundle, self._plan, self._rng = bundle, plan, rng
        self._stream, self._period = template.anew(), self._new_period()
        will = self._state(online=False)
        filters = [topics.down(SITE, self.id, leaf) for leaf in ("ack", "desired")]
        self.link = SocketLink(
            selector, self, address, client=f"el-{SITE}-{self.id}", filters=filters,
            will=(will.topic, will.payload), rng=rng,
        )  # fmt: skip
        self.courier = self._new_courier()

    def make(self, period: int, rows: world.F32, *, clock_ms: int = 0, dies_at: int = -1) -> None:
        """Decide the windows of a period and seal what it tells; `dies_at` is the window before which it restarts."""
        n, start_ms = self._plan.windows, self._plan.start_ms + round(self._plan.phase(self.number) * HOUR_MS)
        for at, row in enumerate(rows.tolist()):
            if at == dies_at:
                self._restart()
            self._stream.record(row)
            self._stream.step(_NO_FRAMES, 0, 1)
            decision = self._stream.decision
            time_ms = start_ms + period * HOUR_MS + at * HOUR_MS // n + clock_ms + self._rng.randrange(5)
            latency_ns = 1000 * self._rng.randrange(15, 90)
            if self._period.observe(
                decision, self._stream, window=period * n + at, time_ms=time_ms, latency_ns=latency_ns
            ):
                drafts = self._period.finish(self._stream)
                self.records += sum(draft.rows for draft in drafts if draft.kind == "rec")
                self.spool.seal(drafts)

    def pump(self, now: float) -> None:
        """Move messages."""
        self.link.tick(now)
        self.courier.step(0.0)

    @property
    def is_drained(self) -> bool:
        """Whether the store has named all that was made."""
        return not self.spool.kept

    def _restart(self) -> None:
        """The process ends: what is in memory goes, checkpoint and spool stay."""
        saved = self._stream.save(), self._period.save()
        self._stream, self._period = self._stream.anew(), self._new_period()
        self._stream.restore(saved[0])
        self._period.restore(saved[1])
        self.link.cut()
        self.courier = self._new_courier()

    def _new_period(self) -> Period:
        return Period(
            self._stream_config, header=self._header, clock=SYNCED, n_labels=len(world.LABELS),
            n_features=world.N_FEATURES, hop_s=world.WINDOW_S,
        )  # fmt: skip

    def _new_courier(self) -> Courier:
        return Courier(
            self.link, self.spool, site=SITE, device=self.id, greeting=self._greeting, on_desired=lambda _: None,
            resend_s=self._plan.resend_s,
        )  # fmt: skip

    def _greeting(self) -> Sequence[Letter]:
        return [self._birth(), self._state(online=True)]

    def _birth(self) -> Letter:
        program = world.program()
        stream = BirthStream(
            name=STREAM, bundle=self._bundle.digest, program=program.digest, version=self._bundle.manifest.version,
            window_frames=1, hop_frames=1, rate_hz=program.rate_hz, source="simulated",
        )  # fmt: skip
        born = Birth(
            site=SITE, device=self.id, epoch=self.spool.epoch, time_ms=self._plan.start_ms, utc_offset_min=0,
            versions=letters.versions(), streams=(stream,),
        )  # fmt: skip
        return Letter(topic=topics.up(SITE, self.id, "birth"), payload=born.to_bytes(), retain=True)

    def _state(self, *, online: bool) -> Letter:
        running = {STREAM: self._bundle.digest}
        return letters.state(self._config, self.spool.epoch, running, order_version=0, online=online)
