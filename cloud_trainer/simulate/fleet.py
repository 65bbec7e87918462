"""The run: broker, consumer and devices, period after period, and what came of it.

Its one rule: hours are simulated, connections are real. Time of the records is the simulation's; couriers, broker and
consumer go by the clock, so a period takes as long as the machine needs for it, or with a speed as long as that says.
"""

from __future__ import annotations

import resource
import selectors
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from cloud_trainer.ingest.broker import Broker, open_broker
from cloud_trainer.simulate import world
from cloud_trainer.simulate.device import Device
from cloud_trainer.simulate.outcome import Outcome, Storm, compare
from cloud_trainer.simulate.plan import YEAR_MS, Plan
from cloud_trainer.simulate.watch import ConsumerProcess
from cloud_trainer.workspace import Workspace
from edge_runtime.contract.bundle import Bundle
from edge_runtime.errors import TransportError, UsageError
from edge_runtime.native import Stream

IOTCORE_MOST = 900  # it takes 1,000 connections
FILES_BESIDE = 100
SWEEP_S, QUIET_SWEEP_S = 0.05, 5.0
BEHIND = 4  # batches a device that may wait before the simulation waits for the store
STALLED_S = 120.0
Say = Callable[[str], None]


def simulate(
    plan: Plan, ws: Workspace, *, prefer: str = "", address: tuple[str, int] | None = None, say: Say = lambda _: None
) -> Outcome:
    """Run the plan and compare the store with what was made.

    Args:
        plan: What happens.
        ws: Without telemetry; the bundle and all tables go there.
        prefer: "mosquitto" or "iotcore"; "" takes what there is.
        address: Of a broker that runs already; it is not killed in a storm, its connections are.
        say: Told a line now and then.

    Raises:
        UsageError: The workspace has telemetry, or the system's or the broker's limits are below the plan.
        TransportError: Nothing was stored for two minutes while devices waited.
    """
    if ws.tables.exists("raw_records"):
        raise UsageError(f"workspace {ws.root}: it has telemetry already", hint="name a new folder with --workspace")
    _allow_files(plan.devices + FILES_BESIDE)
    with ExitStack() as stack:
        broker = None
        if address is None:
            broker = open_broker(prefer=prefer)
            if broker.name == "iotcore" and plan.devices > IOTCORE_MOST:
                raise UsageError(
                    f"--devices {plan.devices}: iotcore takes {IOTCORE_MOST} devices",
                    hint="apt install mosquitto, or name a broker with --host",
                )
            broker.start()
            address = (broker.host, broker.port)
        data, bundle = world.bundle(plan.seed)
        (ws.bundles / f"simulated-{bundle.digest[:12]}.elb").write_bytes(data)
        consumer = ConsumerProcess(ws.root, address, shared=broker is None or broker.shares)
        stack.callback(consumer.stop)
        fleet = Fleet(plan, bundle, address, broker, consumer, say)
        stack.callback(fleet.close)
        fleet.run()
    return compare(plan, ws, bundle.digest, fleet.devices, connected=fleet.most_connected, storm=fleet.storm,
                   usage=consumer.usage, seconds=fleet.seconds)  # fmt: skip


def _allow_files(wanted: int) -> None:
    """A file a connection; the broker inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted > soft and hard not in (-1, resource.RLIM_INFINITY) and wanted > hard:
        raise UsageError(
            f"--devices: {wanted - FILES_BESIDE} connections need {wanted} open files, the limit is {hard}",
            hint=f"raise it: ulimit -Hn {wanted}; or simulate {hard - FILES_BESIDE} devices",
        )
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass
class Fleet:
    """All devices in one thread."""

    plan: Plan
    bundle: Bundle
    address: tuple[str, int]
    broker: Broker | None
    consumer: ConsumerProcess
    say: Say
    devices: list[Device] = field(default_factory=list)
    most_connected: int = 0
    storm: Storm | None = None
    seconds: float = 0.0
    began: float = 0.0
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    swept_at: float = 0.0
    swept_all_at: float = 0.0
    sweep_s: float = SWEEP_S
    left: int = -1
    moved_at: float = 0.0

    def run(self) -> None:
        """Every period, then wait for the store."""
        manifest = self.bundle.manifest
        template = Stream(
            self.bundle.program(), manifest.policy, model=self.bundle.members["model.erm"],
            bins=(*self.bundle.baseline().strata[0].features, *self.bundle.baseline().strata[0].scores),
        )  # fmt: skip
        self.devices = [
            Device(i, self.plan, bundle=self.bundle, template=template, address=self.address, selector=self.selector)
            for i in range(self.plan.devices)
        ]
        began = time.monotonic()
        self.pump_until(lambda: self.connected() == len(self.devices))
        self.say(f"{self.connected()} devices connected in {time.monotonic() - began:.1f} s")
        self.began = time.monotonic()
        met = {fault: self.plan.met(fault) for fault in ("outage", "clock", "restart", "sick", "shift", "storm")}
        for period in range(self.plan.periods):
            self._period(period, met)
            self.consumer.sample()
            done = sum(device.records for device in self.devices)
            self.say(f"hour {period + 1} of {self.plan.periods}: {done} records made, {self.waiting()} batches wait")
        for device in self.devices:
            device.link.wanted = True
        self.pump_until(lambda: not self.waiting())
        self.seconds = time.monotonic() - self.began

    def _period(self, period: int, met: dict[str, dict[int, int]]) -> None:
        away = self.plan.away_periods
        for i, device in enumerate(self.devices):
            if i == len(self.devices) // 2 and period in met["storm"].values():
                self._storm()
            left = met["outage"].get(i)
            device.link.wanted = left is None or not left <= period < left + away
            if not device.link.wanted and device.link.session():
                device.link.cut()
            set_at = met["clock"].get(i)
            is_wrong = set_at is not None and set_at <= period < set_at + away
            self._wait_for(self.plan.due_s(i, period))
            rows = world.windows(
                self.plan, i, period, is_sick=met["sick"].get(i, period + 1) <= period,
                is_moved=met["shift"].get(i, period + 1) <= period,
            )  # fmt: skip
            device.make(
                period, rows, clock_ms=(YEAR_MS if i % 2 else -YEAR_MS) if is_wrong else 0,
                dies_at=len(rows) // 2 if met["restart"].get(i) == period else -1,
            )  # fmt: skip
            device.pump(time.monotonic())
            if i % 16 == 0:
                self.pump(0.0)
        self.pump_until(lambda: self.waiting(reachable=True) <= BEHIND * len(self.devices))

    def _wait_for(self, due_s: float) -> None:
        """Move messages until so long after the start."""
        while time.monotonic() - self.began < due_s:
            self.pump(SWEEP_S)
            self.consumer.check()

    def _storm(self) -> None:
        """The broker dies and forgets; every device comes back."""
        began, before = time.monotonic(), sum(device.link.connections for device in self.devices)
        there = self.connected()
        if self.broker is not None:
            self.broker.stop()
            self.pump(0.1)
            self.broker = open_broker(prefer=self.broker.name, port=self.address[1])
            self.broker.start()
        else:
            for device in self.devices:
                device.link.cut()
        waiting = self.waiting()
        self.pump_until(lambda: sum(d.link.connections for d in self.devices) >= before + there)
        back_s = time.monotonic() - began
        self.pump_until(lambda: not self.waiting(reachable=True))
        self.storm = Storm(devices=there, waiting=waiting, back_s=back_s, stored_s=time.monotonic() - began)
        self.say(f"storm: {there} devices back in {back_s:.1f} s, all stored after {self.storm.stored_s:.1f} s")

    def connected(self) -> int:
        """Devices with a session at the broker."""
        return sum(device.link.session() > 0 for device in self.devices)

    def waiting(self, *, reachable: bool = False) -> int:
        """Batches that the store has not named; `reachable`: of devices that may talk."""
        return sum(len(d.spool.kept) for d in self.devices if d.link.wanted or not reachable)

    def pump_until(self, is_done: Callable[[], bool]) -> None:
        """Move messages until then.

        Raises:
            TransportError: Nothing moved for two minutes.
        """
        self.left, self.moved_at = -1, time.monotonic()
        while not is_done():
            self.pump(SWEEP_S)
            self.consumer.check()
            left, now = self.waiting() - self.connected(), time.monotonic()
            if left != self.left:
                self.left, self.moved_at = left, now
            if now - self.moved_at > STALLED_S:
                raise TransportError(
                    f"{self.waiting()} batches wait, {self.connected()} of {len(self.devices)} devices are connected, "
                    f"nothing moved for {STALLED_S:g} s",
                    hint=f"read {self.consumer.log}",
                )

    def pump(self, timeout_s: float) -> None:
        """What sockets have, then the devices with something to do."""
        ready = self.selector.select(timeout_s)
        now = time.monotonic()
        for key, _ in ready:
            key.data.pump(now)
        if now - self.swept_at >= self.sweep_s:
            is_whole = now - self.swept_all_at >= QUIET_SWEEP_S
            for device in self.devices:
                if is_whole or device.spool.kept or not device.link.session():
                    device.pump(now)
            self.swept_at = time.monotonic()
            self.swept_all_at = self.swept_at if is_whole else self.swept_all_at
            self.sweep_s = max(SWEEP_S, 9 * (self.swept_at - now))  # a tenth of the time, however many there are
            self.most_connected = max(self.most_connected, self.connected())

    def close(self) -> None:
        """Leave: devices, then the broker."""
        for device in self.devices:
            device.link.close(0)
        self.selector.close()
        if self.broker is not None:
            self.consumer.stop()
            self.broker.stop()
