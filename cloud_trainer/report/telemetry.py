"""What the telemetry of one model and time says, as a report shows it. One rule: the store adds up."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from cloud_trainer.drift.judge import LABELS, REQUESTS
from cloud_trainer.drift.loss import ROUNDING, Accuracy, fair_scales, of_sums
from cloud_trainer.ingest import view
from cloud_trainer.report.facts import Latency, Loss, Mark, Share
from edge_runtime.contract.sketch import value_of

if TYPE_CHECKING:
    from cloud_trainer.workspace import Workspace

BUCKETS, MOMENTS, WORST = 24, 120, 20
LANES = {
    "swapped": "bundles", "confirmed": "bundles", "fell-back": "bundles", "refused": "bundles",
    "gap": "losses", "fault": "faults", "crash": "faults",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which model, and when."""

    bundle: str
    from_ms: int
    to_ms: int

    def params(self, parts: int) -> dict[str, object]:
        """For a query; `width` is one of so many parts of the time."""
        width = max(1, -(-(self.to_ms - self.from_ms) // parts))
        return {"bundle": self.bundle, "from_ms": self.from_ms, "to_ms": self.to_ms, "width": width}


_RECORDS = "records where bundle = $bundle and time_ms between $from_ms and $to_ms"


_SKETCHES = """select device, stream, bin, sum(n)::bigint from (
        select device, stream, unnest(latency_bins) as bin, unnest(latency_counts) as n from summaries
        where bundle = $bundle and start_ms between $from_ms and $to_ms)
    group by device, stream, bin order by bin"""


def expected(ws: Workspace, where: Where) -> list[Share]:
    """The accuracy that the scores promise, by the parts of the time; none where they are no probabilities."""
    query = f"""select (time_ms - $from_ms) // $width as part, device,
            sum(1 / probability), sum(scores[label + 1] / probability), sum(1 / (probability * probability)), count(*),
            bool_and(abs(list_sum(scores) - 1) <= {ROUNDING} and list_min(scores) >= 0)
        from {_RECORDS} and label >= 0 group by part, device order by part"""
    params = where.params(BUCKETS)
    rows = view.sql(ws, query, params).fetchall()
    if not all(are for *_, are in rows):
        return []
    width = int(str(params["width"]))
    return [
        Share(
            from_ms=where.from_ms + part * width, to_ms=min(where.to_ms, where.from_ms + (part + 1) * width),
            accuracy=_fleet([row[1:-1] for row in some]),
        )
        for part, some in groupby(rows, key=lambda row: row[0])
    ]  # fmt: skip


def _fleet(devices: Sequence[tuple[str, float, float, float, int]]) -> Accuracy:
    """Of each device's sums; none has more than twice an even share."""
    scale = fair_scales({device: total for device, total, *_ in devices})
    return of_sums(
        total=sum(scale[device] * total for device, total, *_ in devices),
        value=sum(scale[device] * value for device, _, value, *_ in devices),
        square=sum(scale[device] ** 2 * square for device, _, _, square, _ in devices),
        records=sum(records for *_, records in devices),
    )


def latencies(ws: Workspace, where: Where) -> list[Latency]:
    """Of all streams, then of those with the greatest 99th percentile: as summaries count them.

    Of all, no device has more than twice an even share: one that decides a hundred times as often is not the fleet.
    Where no summary counts times, because an older version sent it, a record stands for 1/p decisions.
    """
    params = {name: value for name, value in where.params(1).items() if name != "width"}
    counted = view.sql(ws, _SKETCHES, params).fetchall()
    rows = [(device, stream, round(value_of(number) / 1000), n, n) for device, stream, number, n in counted]
    if not rows:
        query = f"""select device, stream, latency_us, sum(1 / probability), count(*) from {_RECORDS}
            group by device, stream, latency_us order by latency_us"""
        rows = view.sql(ws, query, params).fetchall()
    of_device: dict[str, float] = defaultdict(float)
    for device, _, _, weight, _ in rows:
        of_device[device] += weight
    scale = fair_scales(of_device) if of_device else {}
    by_stream: dict[str, list[tuple[int, float, int]]] = defaultdict(list)
    for device, stream, latency_us, weight, count in rows:
        by_stream[f"{device}/{stream}"].append((latency_us, weight, count))
        by_stream[""].append((latency_us, scale[device] * weight, count))
    found = [_latency(name, some) for name, some in by_stream.items()]
    found.sort(key=lambda one: (one.where != "", -one.p99))
    return found[: WORST + 1] if len(by_stream) > 2 else found[:1]


def _latency(name: str, some: list[tuple[int, float, int]]) -> Latency:
    total = sum(weight for _, weight, _ in some)

    def quantile(q: float) -> int:
        passed = 0.0
        for latency_us, weight, _ in some:
            passed += weight
            if passed >= q * total:
                return latency_us
        return some[-1][0]

    return Latency(
        where=name, decisions=sum(count for *_, count in some), p50=quantile(0.5), p99=quantile(0.99), most=some[-1][0]
    )


def losses(ws: Workspace, where: Where) -> list[Loss]:
    """Of each device that lost something: the most rows first."""
    times = {"from_ms": where.from_ms, "to_ms": where.to_ms}
    dropped = view.sql(
        ws, "select device, sum(drops) from summaries where start_ms between $from_ms and $to_ms group by device", times
    ).fetchall()
    events = view.sql(
        ws,
        """select device, kind, fields from events
           where kind in ('gap', 'fault', 'crash') and time_ms between $from_ms and $to_ms""",
        times,
    ).fetchall()
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for device, drops in dropped:
        counted[device][0] += drops
    for device, kind, fields in events:
        rows = json.loads(fields).get("rows") if kind == "gap" else None
        counted[device][1] += rows or 0
        counted[device][2] += kind == "gap" and rows is None
        counted[device][3] += kind in ("fault", "crash")
    found = [
        Loss(where=device, dropped=drops, given_up=given_up, gaps=gaps, faults=faults)
        for device, (drops, given_up, gaps, faults) in counted.items()
        if drops or given_up or gaps or faults
    ]
    return sorted(found, key=lambda one: (-one.dropped - one.given_up, -one.gaps - one.faults, one.where))


def marks(ws: Workspace, where: Where) -> list[Mark]:
    """Events of the fleet, requests for labels and labels that came; what fell close together is one."""
    params = {name: value for name, value in where.params(MOMENTS).items() if name != "bundle"}
    kinds = ", ".join(f"'{kind}'" for kind in LANES)
    query = f"""select kind, min(time_ms), count(*), count(distinct device), min(device) from events
        where kind in ({kinds}) and time_ms between $from_ms and $to_ms
        group by kind, (time_ms - $from_ms) // $width"""
    found = [
        Mark(lane=LANES[kind], time_ms=at, text=f"{_times(kind, count)}: {_devices(devices, device)}")
        for kind, at, count, devices, device in view.sql(ws, query, params).fetchall()
    ]  # fmt: skip
    if ws.tables.exists(REQUESTS):
        asked = ws.tables.sql(
            f"select distinct id, made_ms, records from {REQUESTS} where bundle = $bundle", {"bundle": where.bundle}
        ).fetchall()
        found += [
            Mark(lane="labels", time_ms=made_ms, text=f"{len(json.loads(records))} records asked for")
            for _, made_ms, records in asked
        ]
    if ws.tables.exists(LABELS):
        came = view.sql(
            ws,
            f"""select imported_ms, count(*) from {LABELS} l semi join
                (select * from records where bundle = $bundle) r using (device, epoch, seq) group by imported_ms""",
            {"bundle": where.bundle},
        ).fetchall()
        found += [Mark(lane="labels", time_ms=at, text=f"{count} labels came") for at, count in came]
    return found


def _devices(count: int, first: str) -> str:
    return first if count == 1 else f"{count} devices"


def _times(kind: str, count: int) -> str:
    return kind if count == 1 else f"{count} x {kind}"
