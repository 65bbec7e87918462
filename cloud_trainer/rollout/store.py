"""Rollouts of a workspace as files, and the one step that drives them. One rule: what is stored is whole or as before.

`rollouts/<id>.json` is a `Plan`; `rollouts/versions.json` the newest order version, which never comes twice;
`depot/<digest>.elb` the bundles signed for release.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_trainer.rollout import order
from cloud_trainer.rollout.keys import Keys, sign_bundle, signer
from cloud_trainer.rollout.rings import Decision, Plan, Report, advance, report_of
from edge_runtime.contract import canonical
from edge_runtime.contract.bundle import MAX_BUNDLE_BYTES, unpack
from edge_runtime.contract.checks import ident
from edge_runtime.contract.order import OrderStream
from edge_runtime.errors import BudgetError, ContractError, TrustError, UsageError
from edge_runtime.update.disk import PosixDisk
from edge_runtime.update.inspect import inspect

if TYPE_CHECKING:
    from cloud_trainer.workspace import Workspace

FORMAT = "0.1"


def depot_folder(ws: Workspace) -> Path:
    """Return the folder a depot of this workspace serves."""
    folder = ws.root / "depot"
    folder.mkdir(exist_ok=True)
    return folder


def release(ws: Workspace, bundle: Path, keys: Keys) -> Path:
    """Sign the bundle file with the release key, put it into the depot by its digest, and return where it is.

    Raises:
        ContractError, TrustError, BudgetError: it is not a whole bundle, or devices would refuse what is in it.
    """
    try:
        data = bundle.read_bytes()
    except OSError as error:
        raise UsageError(f"bundle {bundle}: {error.strerror}", hint="name an exported .elb file") from error
    try:
        found = unpack(data, max_bytes=max(len(data), MAX_BUNDLE_BYTES))
        inspect(found)
    except (ContractError, TrustError, BudgetError) as error:
        raise type(error)(f"{bundle}: {error}", hint=error.hint or "export the run anew; never sign this") from error
    digest = found.digest
    _write(depot_folder(ws), f"{digest}.elb", sign_bundle(data, [signer(keys.release)]))
    return depot_folder(ws) / f"{digest}.elb"


def _write(folder: Path, name: str, data: bytes) -> None:
    """Put *data* at *name*, whole and durable."""
    disk = PosixDisk(folder, folders=())
    disk.write(f"{name}.new", data)
    disk.sync(f"{name}.new")
    disk.rename(f"{name}.new", name)
    disk.sync(name)


def _folder(ws: Workspace) -> Path:
    folder = ws.root / "rollouts"
    folder.mkdir(exist_ok=True)
    return folder


def save(ws: Workspace, plan: Plan) -> None:
    """Store *plan* under its id."""
    name = f"{ident(plan.rollout, 'rollout')}.json"
    _write(_folder(ws), name, canonical.dumps({"format": FORMAT, "kind": "rollout", **asdict(plan)}))


def load(ws: Workspace, rollout: str) -> Plan:
    """Return the stored plan.

    Raises:
        UsageError: there is none of this id.
        ContractError: it is of a newer format.
    """
    try:
        data = (_folder(ws) / f"{ident(rollout, 'rollout')}.json").read_bytes()
    except FileNotFoundError as error:
        known = ", ".join(names(ws)) or "none"
        raise UsageError(
            f"rollout {rollout}: there is none of this name; known are {known}",
            hint="`cloud-trainer rollout start` makes one",
        ) from error
    fields: Any = canonical.loads(data, what=f"rollout {rollout}")
    if str(fields.pop("format")).partition(".")[0] != "0" or fields.pop("kind") != "rollout":
        raise ContractError(f"rollout {rollout}: a format this build does not read", hint="update edgeloop")
    return Plan(**{**fields, "rings": tuple(map(tuple, fields["rings"]))})


def names(ws: Workspace) -> list[str]:
    """Return the ids of all stored rollouts."""
    return sorted(path.stem for path in _folder(ws).glob("*.json") if path.name != "versions.json")


def next_version(ws: Workspace) -> int:
    """Return a new order version: higher than any given out here or reported by a device, and stored first."""
    from cloud_trainer.ingest import view

    path = _folder(ws) / "versions.json"
    given = int(json.loads(path.read_bytes())["order"]) if path.exists() else 0
    seen = view.sql(ws, "select max(order_version) from states").fetchall()[0][0] or 0
    version = max(given, int(seen)) + 1
    _write(_folder(ws), path.name, canonical.dumps({"order": version}))
    return version


def reports(ws: Workspace) -> list[Report]:
    """Return every update event that the store has."""
    from cloud_trainer.ingest import view

    rows = view.sql(
        ws,
        "select site, device, kind, fields, ingested_ms from events "
        "where kind in ('refused', 'confirmed', 'fell-back') order by ingested_ms, seq",
    ).fetchall()
    return [report_of(s, d, kind=k, fields=json.loads(f), time_ms=int(t)) for s, d, k, f, t in rows]


def memory(ws: Workspace) -> list[tuple[str, int, int, int]]:
    """Return (site/device, peak, data, data limit) [bytes] as each device told it last; a limit of 0 is none."""
    from cloud_trainer.ingest import view

    rows = view.sql(
        ws,
        "select site || '/' || device, arg_max(fields, (ingested_ms, seq)) from events where kind = 'memory' "
        "group by 1 order by 1",
    ).fetchall()
    out = []
    for name, text in rows:
        fields = json.loads(text)
        peak, data, limit = (int(fields.get(key, 0)) for key in ("peak_bytes", "data_bytes", "data_limit_bytes"))
        out.append((name, peak, data, limit))
    return out


def drive(ws: Workspace, plan: Plan, keys: Keys, *, host: str, port: int, now_ms: int = 0) -> tuple[Plan, Decision]:
    """Decide about *plan* from the stored reports, send the next ring its orders if that is the decision, and store it.

    Raises:
        TransportError: the broker did not take the orders; nothing is stored, do it again.
    """
    now_ms = now_ms or time.time_ns() // 1_000_000
    decision = advance(plan, reports(ws), now_ms)
    if decision.kind == "next":
        version = next_version(ws)
        wanted = OrderStream(bundle=plan.bundle, url=plan.url, length=plan.length)
        orders = {}
        for name in plan.rings[decision.ring]:
            site, device = name.split("/")
            made = order.make_order(site, device, version=version, rollout=plan.rollout, streams={plan.stream: wanted})
            orders[order.topic_of(made)] = order.sign_order(made, signer(keys.rollout)).to_bytes()
        order.publish(orders, host=host, port=port)
        plan = replace(plan, ring=decision.ring, since_ms=now_ms)
    elif decision.kind == "halt" and not plan.halted:
        plan = replace(plan, halted=decision.reason)
    save(ws, plan)
    return plan, decision
