"""Whether a rollout goes on, decided by what the devices of its rings report. One rule: it fails closed.

Pure: a plan, reports and the time in, a decision out. A device that says nothing in time has failed; so has one that
refused the bundle or fell back, even if it confirmed before. Who sends orders is `store` and the command line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_runtime.errors import UsageError

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A rollout and how far it is.

    Attributes:
        rollout: its id, in every order and in the events that answer it.
        stream: which stream of each device gets the bundle.
        bundle: digest.
        url, length: where the bundle file is, and its length [bytes].
        rings: devices as "site/device", ring by ring; ring 0 is the canary.
        ring: the ring that has its orders, -1 before the first.
        since_ms: when it got them (UTC) [ms].
        timeout_ms: after which a device without an outcome has failed [ms].
        max_failures: failed devices that are accepted, over all rings so far.
        halted: why it was halted by hand, "" if it was not.
    """

    rollout: str
    stream: str
    bundle: str
    url: str
    length: int
    rings: tuple[tuple[str, ...], ...]
    ring: int = -1
    since_ms: int = 0
    timeout_ms: int = HOUR_MS
    max_failures: int = 0
    halted: str = ""

    def __post_init__(self) -> None:
        devices = [device for ring in self.rings for device in ring]
        if not self.rings or not all(self.rings):
            raise UsageError(f"rollout {self.rollout}: want rings of 1 or more devices, got {list(self.rings)}")
        if len(set(devices)) != len(devices):
            raise UsageError(f"rollout {self.rollout}: {max(devices, key=devices.count)} stands in two rings")
        for device in devices:
            if device.count("/") != 1:
                raise UsageError(f"rollout {self.rollout}: want site/device, got {device!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a device said about updates: one of its events.

    Attributes:
        device: "site/device".
        kind: event kind; those that are not an outcome are ignored.
        rollout: that it answers; "" where the device could not trust the order enough to name it.
        bundle: digest it is about, "" if unknown.
        time_ms: when the store got it (UTC) [ms].
    """

    device: str
    kind: str
    rollout: str
    bundle: str
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now: send orders to ring `ring`, wait, halt, or nothing any more."""

    kind: Literal["next", "wait", "halt", "done"]
    ring: int
    reason: str


Outcome = Literal["confirmed", "failed", "silent", "open"]


def outcomes(plan: Plan, reports: Iterable[Report], now_ms: int) -> dict[str, tuple[Outcome, str]]:
    """Return outcome and reason of every device that has its order."""
    asked = [device for ring in plan.rings[: plan.ring + 1] for device in ring]
    found: dict[str, tuple[Outcome, str]] = {}
    for report in reports:
        is_ours = report.rollout == plan.rollout or (not report.rollout and report.time_ms >= plan.since_ms)
        if report.device not in asked or not is_ours:
            continue
        if report.kind in ("refused", "fell-back"):
            found[report.device] = ("failed", report.kind)
        elif report.kind == "confirmed" and report.rollout and report.bundle == plan.bundle:
            found.setdefault(report.device, ("confirmed", report.kind))
    late_ms = now_ms - plan.since_ms
    for device in asked:
        if device not in found and (late_ms >= plan.timeout_ms or device not in plan.rings[plan.ring]):
            found[device] = ("silent", f"no outcome in {plan.timeout_ms // 1000} s")
        found.setdefault(device, ("open", "no outcome yet"))
    return found


def advance(plan: Plan, reports: Iterable[Report], now_ms: int) -> Decision:
    """Return what to do with *plan* at *now_ms*."""
    if plan.halted:
        return Decision(kind="halt", ring=plan.ring, reason=plan.halted)
    if plan.ring < 0:
        return Decision(kind="next", ring=0, reason="the canary ring")
    found = outcomes(plan, reports, now_ms)
    bad = {device: why for device, (outcome, why) in found.items() if outcome in ("failed", "silent")}
    if len(bad) > plan.max_failures:
        named = ", ".join(f"{device} {why}" for device, why in sorted(bad.items())[:5])
        reason = f"{len(bad)} of {len(found)} devices failed, limit is {plan.max_failures}: {named}"
        return Decision(kind="halt", ring=plan.ring, reason=reason)
    waiting = sorted(device for device, (outcome, _) in found.items() if outcome == "open")
    if waiting:
        return Decision(kind="wait", ring=plan.ring, reason=f"ring {plan.ring} waits for {', '.join(waiting[:5])}")
    if plan.ring + 1 < len(plan.rings):
        return Decision(kind="next", ring=plan.ring + 1, reason=f"ring {plan.ring}: {len(found) - len(bad)} confirmed")
    return Decision(kind="done", ring=plan.ring, reason=f"{len(found) - len(bad)} of {len(found)} devices confirmed")


def by_hash(devices: Sequence[str], shares: Sequence[float], *, salt: str) -> tuple[tuple[str, ...], ...]:
    """Return rings by the hash of the device's name: ring i ends at the fraction shares[i]; empty rings are left out.

    Another salt (say the rollout's id) makes another device the canary.

    Raises:
        UsageError: the shares do not ascend in 0..1 to end at 1.
    """
    if not shares or list(shares) != sorted(shares) or shares[0] <= 0 or shares[-1] != 1:
        raise UsageError(f"shares: want ascending fractions that end at 1, got {list(shares)}", hint="say 0.01,0.1,1")
    rings: list[list[str]] = [[] for _ in shares]
    for device in sorted(devices):
        place = int.from_bytes(hashlib.sha256(f"{salt}\n{device}".encode()).digest()[:8], "big") / 2.0**64
        rings[next(i for i, share in enumerate(shares) if place < share or share == 1)].append(device)
    return tuple(tuple(ring) for ring in rings if ring)


def report_of(site: str, device: str, *, kind: str, fields: Mapping[str, str | int], time_ms: int) -> Report:
    """Return the report in one event."""
    return Report(
        device=f"{site}/{device}",
        kind=kind,
        rollout=str(fields.get("rollout", "")),
        bundle=str(fields.get("bundle", "")),
        time_ms=time_ms,
    )
