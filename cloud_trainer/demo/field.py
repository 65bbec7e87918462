"""Steps 5 to 9 of the demo: devices in the field, drift, retraining, rollout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cloud_trainer.demo import make
from cloud_trainer.demo.devices import Device, faults, scene
from cloud_trainer.demo.report import Evidence, Matrix, Track
from cloud_trainer.demo.stage import KNOWN, PROJECT, TAKES, UNSEEN, Loop, confusion_lines, must

SPEED = 80.0  # times real time: a period of 80 windows takes a second
FRAMES_EACH, WINDOW = 320, 20
PERIOD_WINDOWS = len(KNOWN) * FRAMES_EACH // WINDOW  # one cycle: every activity once
STEADY_CYCLES, LATER_CYCLES = 12, 240
MIXED_TAKES = (0, 1, 2, 4)  # takes of the unseen activity that the device meets; 3 and 5 are kept to judge by
STEADY, MOVED, LIVE = "north", "south", "live"


def start_devices(loop: Loop) -> None:
    """5: three daemons in processes of their own."""
    from cloud_trainer.ingest import Consumer, open_broker

    loop.broker = open_broker()
    loop.broker.start()
    loop.consumer = Consumer(
        loop.ws.tables, loop.broker.host, loop.broker.port, shared=loop.broker.shares, commit_s=1.0
    )
    loop.consumer.start()
    steady = [[(label, n % 6) for label in KNOWN] for n in range(STEADY_CYCLES + LATER_CYCLES)]
    moved = steady[:STEADY_CYCLES] + [
        [(label, n % 6) for label in KNOWN[n % 2 :: 2]] + [(UNSEEN, MIXED_TAKES[n % 4])] * (2 + n % 2)
        for n in range(LATER_CYCLES)
    ]
    for name, cycles in ((STEADY, steady), (MOVED, moved)):
        loop.scenes[name] = scene(TAKES, cycles, frames_each=FRAMES_EACH, window_frames=WINDOW)
        _device(loop, name, source=loop.scenes[name].source, speed=SPEED, period_windows=PERIOD_WINDOWS, sample_k=40)
    _device(loop, LIVE, source="host", speed=0, period_windows=10, sample_k=4)
    for device in loop.devices.values():
        device.start()
    loop.until(lambda: all(d.decisions() for d in loop.devices.values()), timeout_s=30, what="first decisions")
    loop.line(f"    north and south play recordings at {SPEED:g} times real time; live reads this machine's counters")
    _show_live(loop)


def _device(loop: Loop, name: str, **values: Any) -> None:
    from cloud_trainer.rollout import public_keys

    if loop.broker is None or loop.keys is None:
        raise ValueError("the broker and the keys come first")
    device = Device(id=name, folder=loop.out / "devices" / name)
    device.write(
        host=loop.broker.host, port=loop.broker.port, bundle=str(loop.bundles[0].path.absolute()),
        memory_bytes=256 << 20, probation_windows=5, **values, **public_keys(loop.keys),
    )  # fmt: skip
    loop.devices[name] = device


def _show_live(loop: Loop) -> None:
    """Start a workload here and print what the live device says; this depends on the machine, so it is not asserted."""
    from cloud_trainer.demo.workloads import running

    before = len(loop.devices[LIVE].decisions())
    with running("cpu", take=9):
        loop.until(lambda: len(loop.devices[LIVE].decisions()) >= before + 5, timeout_s=30, what="five live decisions")
    said = [d["label"] or "abstain" for d in loop.devices[LIVE].decisions()[before:]]
    loop.line(f"    a cpu workload runs here; live says: {' '.join(said)}")


def telemetry(loop: Loop) -> None:
    """6: records and summaries arrive in the store and are acknowledged by the application."""
    from cloud_trainer.ingest import view

    def arrived() -> Any:
        query = "select device, count(*), max(seq) from summaries group by device order by device"
        rows = view.sql(loop.ws, query).fetchall()
        return rows if len(rows) == 3 or (len(rows) >= 2 and rows[-1][1] >= 4) else None

    loop.until(arrived, timeout_s=60, what="summaries of the devices in the store")
    n_records, n_devices = view.sql(loop.ws, "select count(*), count(distinct device) from records").fetchall()[0]
    broker = loop.broker.name if loop.broker else ""
    loop.line(f"    broker {broker}: {n_records} records of {n_devices} devices in the store")


def drift(loop: Loop) -> None:
    """7: one device meets an activity that the model never saw."""
    from cloud_trainer.drift import DRIFTED, judge, retrain_request
    from cloud_trainer.drift import STEADY as CALM

    def found() -> Any:
        verdicts = {v.device: v for v in judge(loop.ws, bundle=loop.bundles[0].digest)}
        return verdicts if verdicts.get(MOVED) and verdicts[MOVED].verdict == DRIFTED else None

    verdicts = loop.until(found, timeout_s=60, what="the verdict drifted for south")
    loop.verdicts = verdicts
    moved, steady = verdicts[MOVED], verdicts[STEADY]
    names = [e["feature"] for e in moved.evidence if e["log_e"] > 0][:5]
    loop.line(f"    south: {moved.verdict} since period {moved.onset_period}, told at the end of {moved.alarm_period}")
    loop.line(f"      features: {', '.join(names)}")
    loop.line(f"    north: {steady.verdict} over {steady.periods} periods")
    if LIVE in verdicts:
        live = verdicts[LIVE]
        loop.line(f"    live: {live.verdict} over {live.periods} periods (printed, not asserted: it is your machine)")
    must("the device that met the sixth activity has drifted", holds=moved.verdict == DRIFTED)
    must("the change is dated after it happened", holds=moved.alarm_period >= STEADY_CYCLES)
    must("the verdict names features", holds=bool(names))
    must("the other playback device stays steady", holds=steady.verdict == CALM)
    loop.report.moved = [(e["feature"], f"{e['log_e']:.1f}", _change(e)) for e in moved.evidence[:10] if e["log_e"] > 0]
    request = retrain_request(loop.ws, moved, limit=600)
    loop.line(f"    retrain request {request.id}: {len(request.records)} records to label")
    _label(loop, set(request.records))


def _change(evidence: dict[str, Any]) -> str:
    before, since = evidence.get("mean_before"), evidence.get("mean_since")
    return "" if before is None or since is None else f"mean {before:+.2f} -> {since:+.2f} scales"


def _label(loop: Loop, wanted: set[tuple[str, int, int]]) -> None:
    """8, first half: label the requested records from the recordings' own labels and freeze them."""
    from cloud_trainer.datasets import RecordLabel, freeze, labelled_rows
    from cloud_trainer.ingest import view
    from cloud_trainer.project import load

    rows = view.sql(
        loop.ws, 'select device, epoch, seq, "window" from records where bundle = $bundle',
        {"bundle": loop.bundles[0].digest},
    ).fetchall()  # fmt: skip
    labels = []
    for device, epoch, seq, window in rows:
        truth = loop.scenes[device].truth(window) if device in loop.scenes else None
        if truth and (device, int(epoch), int(seq)) in wanted:
            label, take = truth
            labels.append(RecordLabel(device=device, epoch=int(epoch), seq=int(seq), label=label, group=take))
    records = labelled_rows(loop.ws, labels)
    version = freeze(load(PROJECT), loop.ws, records=records, parents=[loop.datasets[0]])
    loop.datasets.append(version)
    _show_lineage(loop, *records.ids[-1])


def _show_lineage(loop: Loop, device: str, epoch: int, seq: int) -> None:
    from cloud_trainer.audit import RecordId, lineage

    chain = lineage(loop.ws, RecordId(device=device, epoch=epoch, seq=seq))
    data = loop.datasets[0]
    loop.line(
        f"    lineage of record {device}:{seq}: bundle {chain.bundle['digest'][:12]} <- run {chain.run['id'][:8]} "
        f"<- dataset {data.ref} {chain.dataset['digest'][:12]}"
    )
    must("a record leads back to the dataset version it came from", holds=chain.dataset["digest"] == data.digest)


def retrain(loop: Loop) -> None:
    """8: a second model from the first dataset version and the labelled records."""
    version = loop.datasets[-1]
    what = f"{version.rows} labelled records on {version.parents[0]}"
    loop.line(f"    dataset {version.ref} {version.digest[:12]}: {what}")
    make.materialise(loop)
    make.train(loop)
    exported = make.export(loop, loop.runs[-1][0], version=2, name="host-activity")
    loop.bundles.append(exported)
    manifest = exported.manifest
    loop.line(f"    {exported.path.name}: {manifest.engine} {manifest.precision}, labels {', '.join(manifest.labels)}")


def roll_out(loop: Loop) -> None:
    """9: an altered bundle is refused; the true one goes out in two rings; no device loses or repeats a window."""
    from cloud_trainer.rollout import Depot
    from cloud_trainer.rollout.rings import Plan
    from cloud_trainer.rollout.store import depot_folder, release

    if loop.keys is None:
        raise ValueError("the keys come first")
    path = release(loop.ws, loop.bundles[1].path, loop.keys)
    altered = bytearray(path.read_bytes())
    altered[len(altered) // 2] ^= 1
    (depot_folder(loop.ws) / "altered.elb").write_bytes(altered)
    loop.depot = Depot(depot_folder(loop.ws))
    url = loop.depot.start()
    devices = tuple(f"demo/{name}" for name in loop.devices)
    plan = Plan(
        rollout="altered", stream="host", bundle=loop.bundles[1].digest, url=f"{url}/altered.elb",
        length=len(altered), rings=((devices[0],), devices[1:]), timeout_ms=60_000,
    )  # fmt: skip
    halted = _drive(loop, plan)
    must("one changed byte halts the rollout at ring 0", holds=halted.kind == "halt" and halted.ring == 0)
    loop.line(f"    one byte changed: {halted.reason}")
    _print_refusal(loop)
    done = _drive(loop, replace(plan, rollout="second", url=f"{url}/{path.name}"))
    must("the rollout reaches its end", holds=done.kind == "done")
    loop.line(f"    rollout: {done.reason}, ring 0 {devices[0]}, ring 1 {', '.join(devices[1:])}")
    new = loop.bundles[1].digest[:12]
    loop.until(
        lambda: all(d.decisions()[-1]["bundle"] == new for d in loop.devices.values()),
        timeout_s=30, what="decisions by the new bundle",
    )  # fmt: skip
    loop.stop()
    _check_sequences(loop)
    _check_acknowledged(loop)
    _compare(loop)


def _drive(loop: Loop, plan: Any) -> Any:
    from cloud_trainer.rollout.store import drive

    if loop.broker is None or loop.keys is None:
        raise ValueError("the broker and the keys come first")
    host, port, keys = loop.broker.host, loop.broker.port, loop.keys
    at = [plan]

    def step() -> Any:
        at[0], decision = drive(loop.ws, at[0], keys, host=host, port=port)
        return decision if decision.kind in ("halt", "done") else None

    return loop.until(step, timeout_s=90, what=f"the end of rollout {plan.rollout}")


def _print_refusal(loop: Loop) -> None:
    from cloud_trainer.ingest import view

    for device, fields in view.sql(loop.ws, "select device, fields from events where kind = 'refused'").fetchall():
        loop.line(f"      {device}: {fields}")


def _check_sequences(loop: Loop) -> None:
    """Assert that no device lost or repeated a window while it changed bundles."""
    old, new = loop.bundles[0].digest[:12], loop.bundles[1].digest[:12]
    for name, device in loop.devices.items():
        decisions = device.decisions()
        wrong = faults(decisions)
        must(f"{name} has no gap and no repeat ({'; '.join(wrong[:3])})", holds=not wrong)
        bundles = [d["bundle"] for d in decisions]
        swap = next((i for i, b in enumerate(bundles) if b == new), -1)
        is_one_swap = swap > 0 and bundles == [old] * swap + [new] * (len(bundles) - swap)
        must(f"{name} swapped once, from the first bundle to the second", holds=is_one_swap)
        at = decisions[swap]["window"]
        loop.line(f"    {name}: {len(decisions)} windows in sequence, the new bundle from window {at} on")
        loop.report.tracks.append(_track(name, decisions, swap))


def _check_acknowledged(loop: Loop) -> None:
    """Assert that what the store has is gone from the devices: only its own word deletes a batch."""
    from edge_runtime.spool import Spool

    for name, device in loop.devices.items():
        path = device.folder / "state" / "spool.db"
        with Spool.open(path, max_bytes=16 << 20, gap=lambda *_: b"") as spool:
            waiting, last_seq = spool.stats().rows, spool.last_seq
        must(f"{name} was told what is stored", holds=waiting < last_seq)
        loop.line(f"    {name}: {last_seq} rows made, all but {waiting} acknowledged by the store")


def _track(name: str, decisions: list[dict[str, Any]], swap: int) -> Track:
    spans: list[tuple[int, int, str]] = []
    for one in decisions:
        label = one["label"] or "abstain"
        if spans and spans[-1][2] == label:
            spans[-1] = (spans[-1][0], one["window"], label)
        else:
            spans.append((one["window"], one["window"], label))
    return Track(device=name, spans=tuple(spans), marks=((decisions[swap]["window"], "bundle 2"),))


def _compare(loop: Loop) -> None:
    """Both bundles on takes that neither was trained on, all six activities."""
    from edge_runtime.engines import load_bundle

    rows = []
    for exported in loop.bundles:
        right = total = 0
        labels = (*KNOWN, UNSEEN)
        counts = [[0] * (len(labels) + 1) for _ in labels]
        for label, take in [*((label, 5) for label in KNOWN), (UNSEEN, 3), (UNSEEN, 5)]:
            for said in _decide(load_bundle(exported.path), TAKES / f"{label}-{take}.csv.gz"):
                total += 1
                right += said == label
                counts[labels.index(label)][labels.index(said) if said in labels else -1] += 1
        version = exported.manifest.version
        rows.append((f"bundle {version}", f"{right} of {total}", f"{right / total:.3f}"))
        loop.line(f"    bundle {version} on the new mix: {right} of {total} windows, accuracy {right / total:.3f}")
        matrix = tuple(tuple(row[: len(labels)]) for row in counts)
        loop.report.matrices.append(Matrix(title=f"bundle {version} on the new mix", labels=labels, counts=matrix))
    for row in confusion_lines(loop.report.matrices[-1].labels, loop.report.matrices[-1].counts):
        loop.line(f"    {row}")
    loop.report.tables.append(("The new mix", ("bundle", "windows right", "accuracy"), rows))
    must("the second bundle is better on the new mix", holds=float(rows[1][2]) > float(rows[0][2]))


def _decide(bundle: Any, path: Path) -> list[str]:
    """Return the labels that *bundle* gives the windows of one recording."""
    from array import array

    from edge_runtime.engines import decide_all, program_of
    from edge_runtime.sources import open_source

    program = program_of(bundle)
    source = open_source(f"playback '{path}'", rate_hz=program.rate_hz, channels=[c.name for c in program.channels])
    frames = array("f", bytes(4 * len(program.channels) * 2 * FRAMES_EACH))
    taken = source.read(memoryview(frames))
    source.close()
    labels = bundle.manifest.labels
    decisions = decide_all(bundle, memoryview(frames)[: taken * len(program.channels)])
    return [labels[d.label] if d.label >= 0 else "" for d in decisions]


def evidence(loop: Loop) -> None:
    """Put the detector's course of the playback devices into the report."""
    from itertools import groupby

    import numpy as np

    from cloud_trainer.drift import Rule
    from cloud_trainer.drift.judge import baseline, read_periods
    from cloud_trainer.drift.track import references, track

    rule, digest = Rule(), loop.bundles[0].digest
    refs = references(rule, baseline(loop.ws, digest))
    periods = sorted(read_periods(loop.ws, bundle=digest), key=lambda p: (p.device, p.start_ms, p.first_window))
    for device, series in groupby(periods, key=lambda p: p.device):
        one = track(refs, rule, list(series))
        verdict = loop.verdicts[device].verdict if device in loop.verdicts else ""
        course = tuple(float(v) for v in one.log_m)
        loop.report.evidence.append(
            Evidence(device=device, log_m=course, alarm=float(np.log(rule.alarm_periods)), verdict=verdict)
        )
