"""The judge: summaries from the store to verdict rows, and from a verdict to a request for labels.

Its one rule: it decides nothing itself (see `verdict`), it reads through the view and appends rows. Judging
twice gives the same verdicts: everything is computed anew from all periods under a bundle.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias

from cloud_trainer.audit.shelf import find_bundle
from cloud_trainer.drift.detector import Rule
from cloud_trainer.drift.loss import Accuracy, expected
from cloud_trainer.drift.periods import Period, periods
from cloud_trainer.drift.verdict import DRIFTED, STEADY, Judged, Verdict, judged
from cloud_trainer.ingest import view
from cloud_trainer.tables import rows
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from cloud_trainer.workspace import Workspace
    from edge_runtime.contract.baseline import Baseline

DRAWN = 0.2  # of the records asked for: share drawn at random
VERDICTS, REQUESTS, LABELS = "verdicts", "retrain_requests", "late_labels"


RecordKey: TypeAlias = tuple[str, int, int]
"""Device, epoch, seq."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRequest:
    """Which records to label first, and why."""

    id: str
    made_ms: int
    bundle: str
    device: str  # "" = every device
    stream: str
    from_ms: int
    to_ms: int
    why: str
    records: tuple[RecordKey, ...]  # least certain first, then those drawn at random; none that is labelled already
    chances: tuple[float, ...]  # of each record to be asked for: 1 of the least certain


def judge(
    ws: Workspace,
    *,
    bundle: str = "",
    rule: Rule | None = None,
    baseline_of: Callable[[str], Baseline] | None = None,
) -> list[Verdict]:
    """Verdicts of every bundle that summaries speak of, the model's before its streams'. Also stored.

    Args:
        ws: Its summaries are read, its `verdicts` appended.
        bundle: Only this bundle digest.
        rule: The detector's numbers.
        baseline_of: Bundle digest to baseline; the bundle file in the workspace where not given.

    Raises:
        ContractError: A summary does not fit its bundle's baseline, or the bundle file is damaged.
        UsageError: The workspace does not have a bundle that devices run.
    """
    rule = rule or Rule()
    baseline_of = baseline_of or (lambda digest: baseline(ws, digest))
    found = by_age(read_periods(ws), rule=rule, baseline_of=baseline_of, bundle=bundle)
    verdicts = [with_loss(ws, v) for one in found for v in one.verdicts]
    if verdicts:
        ws.tables.append(VERDICTS, _columns(verdicts, now_ms=time.time_ns() // 1_000_000))
    return verdicts


def by_age(
    found: Iterable[Period], *, rule: Rule, baseline_of: Callable[[str], Baseline], bundle: str = ""
) -> Iterator[Judged]:
    """What is judged of each bundle that is asked for, the one that ran first first.

    Args:
        found: Periods of all bundles: whether a stream was steady under the one before tells a bad release.
        rule: The detector's numbers.
        baseline_of: Bundle digest to baseline.
        bundle: Only this digest.

    Raises:
        ContractError, UsageError: See `judge`.
    """
    groups: dict[str, list[Period]] = {}
    for period in sorted(found, key=lambda p: p.start_ms):
        groups.setdefault(period.bundle, []).append(period)
    steady: set[tuple[str, str]] = set()
    for digest, series in groups.items():
        try:
            of_this = judged(rule, baseline_of(digest), series, steady_before=steady)
        except UsageError:
            if bundle in ("", digest):
                raise
            continue  # not asked for: what came before the one that is asked for stays unknown
        for v in of_this.verdicts[1:]:
            (steady.discard if v.verdict == DRIFTED else steady.add)((v.device, v.stream))
        if bundle in ("", digest):
            yield of_this
        if bundle == digest:
            return


def with_loss(ws: Workspace, verdict: Verdict) -> Verdict:
    """A drifted verdict with the accuracy that the scores of its records promise, before and since."""
    if verdict.verdict != DRIFTED:
        return verdict
    found = view.sql(
        ws,
        f"select time_ms >= $from_ms, label, scores, probability, device from records where {_OF_VERDICT}",
        _of(verdict) | {"from_ms": verdict.from_ms},
    ).fetchall()
    before, since = (expected([row[1:] for row in found if row[0] is is_since]) for is_since in (False, True))
    return replace(verdict, before=before or (_tested(ws, verdict.bundle) if since else None), since=since)


def _tested(ws: Workspace, digest: str) -> Accuracy | None:
    """The accuracy on the bundle's test groups, for a change that was there from the first record on."""
    try:
        found = (find_bundle(ws, digest)[1].manifest.extra.get("tested") or {}).get("accuracy")
    except UsageError:
        return None  # judged by a baseline from elsewhere
    return Accuracy(value=found[0], low=found[1], high=found[2], records=0) if found else None


_OF_VERDICT = """bundle = $bundle and time_ms <= $to_ms
    and ($device = '' or (device = $device and stream = $stream))"""


def _of(verdict: Verdict) -> dict[str, object]:
    return {"bundle": verdict.bundle, "to_ms": verdict.to_ms, "device": verdict.device, "stream": verdict.stream}


def read_periods(ws: Workspace, *, bundle: str = "") -> list[Period]:
    """Whole periods from the view, by (bundle, device, stream) and time."""
    where = "where bundle = $bundle" if bundle else ""
    query = f"""select s.*, b.utc_offset_min from summaries s
        asof left join births b on s.site = b.site and s.device = b.device and s.start_ms >= b.time_ms {where}"""
    relation = view.sql(ws, query, {"bundle": bundle} if bundle else None)
    return periods(rows(relation))


def baseline(ws: Workspace, digest: str) -> Baseline:
    """The baseline inside a bundle file of the workspace, with its strata."""
    return find_bundle(ws, digest)[1].matched_baseline()


def retrain_request(
    ws: Workspace, verdict: Verdict, *, limit: int = 1000, why: str = "", among: Sequence[Verdict] = ()
) -> RetrainRequest:
    """Ask for labels of the records of a verdict's range: the least certain, and a fifth drawn from the others.

    The drawn ones are what an accuracy of all windows can be told by. Which are drawn does not depend on the labels
    there are, so chances stay true; those that have one already are not named again. Also stored.

    Args:
        ws: Its records are read, its `retrain_requests` appended.
        verdict: Whose range it is.
        limit: At most so many records.
        why: The reason; a steady verdict wants one (its labels may say what its inputs do not).
        among: Of a model's verdict: only records of the ranges of these streams.

    Raises:
        UsageError: The verdict is steady, and nothing else is a reason.
    """
    if verdict.verdict == STEADY and not why:
        raise UsageError("retrain request: the verdict is steady", hint="there is nothing to relabel")
    ranges = {(v.device, v.stream): v.from_ms for v in among}
    rows = view.sql(
        ws,
        f"""select device, epoch, seq, stream, time_ms from records where time_ms >= $from_ms and {_OF_VERDICT}
           order by list_reverse_sort(scores)[1] - coalesce(list_reverse_sort(scores)[2], 0),
                    device, epoch, seq""",
        _of(verdict) | {"from_ms": verdict.from_ms},
    ).fetchall()
    labelled = _labelled(ws)
    in_range: list[RecordKey] = [
        (str(device), int(epoch), int(seq))
        for device, epoch, seq, stream, time_ms in rows
        if not ranges or time_ms >= ranges.get((device, stream), time_ms + 1)
    ]
    asked = zip(*_asked(in_range, limit), strict=True)
    open_ = [(record, chance) for record, chance in asked if record not in labelled]
    records, chances = tuple(record for record, _ in open_), tuple(chance for _, chance in open_)
    made_ms = time.time_ns() // 1_000_000
    request = RetrainRequest(
        id=sha256(repr((verdict.bundle, verdict.device, verdict.from_ms, records)).encode()).hexdigest()[:16],
        made_ms=made_ms, bundle=verdict.bundle, device=verdict.device, stream=verdict.stream,
        from_ms=verdict.from_ms, to_ms=verdict.to_ms, why=why, records=records, chances=chances,
    )  # fmt: skip
    ws.tables.append(REQUESTS, {
        "id": [request.id], "made_ms": [made_ms], "bundle": [request.bundle], "device": [request.device],
        "stream": [request.stream], "from_ms": [request.from_ms], "to_ms": [request.to_ms], "why": [why],
        "records": [json.dumps([f"{d}:{e}:{s}" for d, e, s in records])], "chances": [json.dumps(chances)],
    })  # fmt: skip
    return request


def _labelled(ws: Workspace) -> set[RecordKey]:
    if not ws.tables.exists(LABELS):
        return set()
    rows = ws.tables.sql(f"select distinct device, epoch, seq from {LABELS}").fetchall()
    return {(str(device), int(epoch), int(seq)) for device, epoch, seq in rows}


def _asked(records: list[RecordKey], limit: int) -> tuple[tuple[RecordKey, ...], tuple[float, ...]]:
    """Which records, least certain first, are asked for, and with which chance each; a hash draws, so twice is once."""
    drawn = int(DRAWN * limit)
    if len(records) <= limit or not drawn:
        return tuple(records[:limit]), (1.0,) * min(limit, len(records))
    sure, rest = records[: limit - drawn], records[limit - drawn :]
    lucky = sorted(rest, key=lambda record: sha256(repr(record).encode()).digest())[:drawn]
    return (*sure, *lucky), (1.0,) * len(sure) + (drawn / len(rest),) * drawn


def _columns(verdicts: list[Verdict], *, now_ms: int) -> dict[str, Any]:
    names = ("bundle", "device", "stream", "verdict", "periods", "n_windows", "from_ms", "to_ms", "onset_period",
             "alarm_period", "log_m", "log_top", "log_alarm", "ongoing", "cause")  # fmt: skip
    columns: dict[str, Any] = {name: [getattr(v, name) for v in verdicts] for name in names}
    columns["evidence"] = [json.dumps(v.evidence) for v in verdicts]
    for name in ("before", "since"):
        known = [getattr(v, name) for v in verdicts]
        columns[f"accuracy_{name}"] = [float("nan") if a is None else a.value for a in known]
    columns["judged_ms"] = [now_ms] * len(verdicts)
    return columns
