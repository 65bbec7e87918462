"""What came of a simulation: the store beside what the devices made, and alarms beside the planted truth.

Its one rule: a row counts by its identity (device, epoch, seq), read through the view that every user reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud_trainer.ingest import schema, view

if TYPE_CHECKING:
    from cloud_trainer.drift import Verdict
    from cloud_trainer.simulate.device import Device
    from cloud_trainer.simulate.plan import Plan
    from cloud_trainer.simulate.watch import Usage
    from cloud_trainer.workspace import Workspace

SEALED = ("records", "summaries", "events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """All devices came back at once.

    Attributes:
        devices: That were connected before.
        waiting: Batches that the store had not named when the broker died.
        back_s: Until the last was connected again [s].
        stored_s: Until everything was stored [s].
    """

    devices: int
    waiting: int
    back_s: float
    stored_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Figures of a run.

    Attributes:
        rows: Rows that the devices made: records, summaries, events.
        records: Records among them.
        stored: Rows of the store.
        lost: Rows that were made and are not in the store.
        twice: Rows that the view shows more than once.
        again: Rows that arrived more than once, which the view drops.
        quarantined: Messages that were set aside.
        connected: Devices that were connected at the same time, each by a socket of its own.
        seconds: From the first period until all was stored [s].
        usage: Of the consumer.
        storm: Where the plan has one.
        bundle: Digest of the bundle that the devices ran.
        sick: Ids of the devices with a wrong sensor.
        has_shift: Whether the world moved.
    """

    rows: int
    records: int
    stored: int
    lost: int
    twice: int
    again: int
    quarantined: int
    connected: int
    seconds: float
    usage: Usage
    storm: Storm | None
    bundle: str
    sick: tuple[str, ...]
    has_shift: bool

    @property
    def is_whole(self) -> bool:
        """Every row once."""
        return not (self.lost or self.twice or self.quarantined)

    def lines(self) -> list[str]:
        """For a terminal."""
        used, lines = self.usage, []
        lines.append(f"sent {self.rows} rows, {self.records} of them records, in {self.seconds:.1f} s "
                     f"by {self.connected} connections at once")  # fmt: skip
        lines.append(f"stored {self.stored}, lost {self.lost}, twice {self.twice}, set aside {self.quarantined}; "
                     f"{self.again} arrived again and were dropped")  # fmt: skip
        if self.storm:
            storm = self.storm
            lines.append(f"storm: {storm.devices} devices back after {storm.back_s:.1f} s, the {storm.waiting} batches "
                         f"that waited stored after {storm.stored_s:.1f} s")  # fmt: skip
        if used.cpu_s:
            lines.append(f"consumer: {used.cpu_s:.1f} CPU-seconds, {self.records / used.cpu_s:,.0f} records a "
                         f"CPU-second")  # fmt: skip
        if used.rss_mib:
            first, middle, last = used.rss_mib[0], used.rss_mib[len(used.rss_mib) // 2], used.rss_mib[-1]
            lines.append(f"consumer memory: {first:.0f} MiB after the first hour, {middle:.0f} half way, "
                         f"{last:.0f} at the end")  # fmt: skip
        return lines


def compare(
    plan: Plan, ws: Workspace, bundle: str, devices: Sequence[Device], *, connected: int, storm: Storm | None,
    usage: Usage, seconds: float,
) -> Outcome:  # fmt: skip
    """The store beside what the devices made."""
    union = " union all ".join(f"select device, epoch, seq from {name}" for name in SEALED)
    found = {
        (device, int(epoch)): (n, distinct, low, high)
        for device, epoch, n, distinct, low, high in view.sql(
            ws,
            f"select device, epoch, count(*), count(distinct seq), min(seq), max(seq) from ({union}) group by all",
        ).fetchall()
    }
    rows = sum(device.spool.last_seq for device in devices)
    stored = sum(n for n, *_ in found.values())
    here = 0
    for device in devices:
        _, distinct, low, high = found.get((device.id, device.spool.epoch), (0, 0, 1, 0))
        here += distinct if low >= 1 and high <= device.spool.last_seq else 0
    return Outcome(
        rows=rows, records=sum(device.records for device in devices), stored=stored, lost=rows - here,
        twice=stored - sum(distinct for _, distinct, *_ in found.values()), again=_raw_rows(ws) - stored,
        quarantined=view.sql(ws, "select count(*) from quarantine").fetchall()[0][0], connected=connected,
        seconds=seconds, usage=usage, storm=storm, bundle=bundle,
        sick=tuple(devices[i].id for i in plan.met("sick")), has_shift="shift" in plan.faults,
    )  # fmt: skip


def _raw_rows(ws: Workspace) -> int:
    """Rows as they lie in the files: copies that no compaction has dropped yet are counted."""
    names = [schema.raw(name) for name in SEALED if ws.tables.exists(schema.raw(name))]
    return sum(ws.tables.sql(f"select count(*) from {name}").fetchall()[0][0] for name in names)


def alarm_lines(outcome: Outcome, verdicts: Sequence[Verdict]) -> list[str]:
    """Alarms beside the planted truth."""
    from cloud_trainer.drift import DRIFTED

    model, *streams = [v for v in verdicts if v.bundle == outcome.bundle]
    named = {v.device for v in streams if v.verdict == DRIFTED}
    n = len(outcome.sick)
    planted = [f"{n} sick sensor{'s' if n > 1 else ''}"] if n else []
    planted += ["the world moves"] if outcome.has_shift else []
    cause = f" ({', '.join(model.causes)})" if model.cause else ""
    lines = [f"planted: {', '.join(planted) or 'nothing'}; told: {model.verdict}{cause}"]
    if model.verdict == DRIFTED:
        right = len(named) if outcome.has_shift else len(named & set(outcome.sick))
        who = f"{len(named)} device{'s' if len(named) != 1 else ''} named"
        lines.append(f"  from period {model.onset_period}, alarm at the end of {model.alarm_period}; {who}, "
                     f"{len(named) - right} of them without a fault")  # fmt: skip
    return lines
